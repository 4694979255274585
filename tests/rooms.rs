//! Which room may know which: the direction of data, kept true.
//!
//! A room is a module of the crate's root. When this test fails, the line it names either
//! belongs into another room or the house has changed: then change the table, and
//! `docs/architecture.md` with it.

use std::path::{Path, PathBuf};

use crate::support::tools;

/// Room → rooms that its code may name. The path of a request comes first, top to bottom,
/// then the side rooms.
const MAY_NAME: [(&str, &[&str]); 29] = [
    (
        "transport",
        &[
            "authorizer",
            "clock",
            "config",
            "decision",
            "identity",
            "issuers",
            "request",
            "telemetry",
            "tls_files",
        ],
    ),
    (
        "authorizer",
        &[
            "bearer",
            "clock",
            "decision",
            "identity",
            "issuers",
            "keys",
            "request",
            "rules",
            "token",
            "token_cache",
        ],
    ),
    ("request", &[]),
    ("bearer", &["request"]),
    ("token", &["bearer", "clock", "json_object", "keys"]),
    ("keys", &["clock"]),
    ("identity", &["scope_prefix", "token"]),
    ("scope_prefix", &[]),
    ("json_object", &[]),
    ("issuers", &["clock", "identity", "keys", "token"]),
    ("rules", &["request"]),
    ("decision", &["bearer", "clock", "identity", "issuers", "keys", "request", "rules", "token"]),
    ("token_cache", &["bearer", "decision"]),
    ("clock", &[]),
    ("discovery", &["clock", "keys", "loopback", "pkce", "redact"]),
    (
        "config",
        &[
            "clock",
            "discovery",
            "identity",
            "json_object",
            "keys",
            "loopback",
            "printable",
            "product",
            "redact",
            "rules",
            "tls_files",
            "token",
        ],
    ),
    ("tls_files", &["clock"]),
    ("telemetry", &["clock", "config", "decision", "issuers", "request", "token_cache"]),
    ("dev", &["clock", "loopback", "pkce"]),
    ("loopback", &[]),
    ("pkce", &[]),
    ("printable", &[]),
    ("redact", &["printable"]),
    ("product", &[]),
    ("init", &["config", "dev", "doctor", "printable", "product"]),
    (
        "login",
        &[
            "clock",
            "discovery",
            "json_object",
            "loopback",
            "pkce",
            "printable",
            "product",
            "scope_prefix",
        ],
    ),
    (
        "doctor",
        &[
            "authorizer",
            "bearer",
            "clock",
            "config",
            "decision",
            "discovery",
            "identity",
            "issuers",
            "keys",
            "loopback",
            "pkce",
            "printable",
            "product",
            "scope_prefix",
            "token",
        ],
    ),
    (
        "explain",
        &[
            "authorizer",
            "bearer",
            "clock",
            "decision",
            "discovery",
            "identity",
            "issuers",
            "keys",
            "printable",
            "product",
            "redact",
            "request",
            "rules",
            "token",
        ],
    ),
    ("cli", ANY),
];

/// Rooms that may know everybody: they put the house together. `app` is the other one.
const ANY: &[&str] = &["*"];
const COMPOSERS: [&str; 4] = ["app", "cli", "lib", "main"];

/// The core decides without sockets, runtimes and clients: a second front, inside Envoy,
/// has none of them.
const CORE: [&str; 12] = [
    "authorizer",
    "bearer",
    "request",
    "token",
    "keys",
    "identity",
    "issuers",
    "rules",
    "decision",
    "json_object",
    "scope_prefix",
    "token_cache",
];

/// Crate → the rooms that may name it, besides the composers.
const CRATES: [(&str, &[&str]); 16] = [
    ("tonic", &["transport"]),
    ("envoy_types", &["transport"]),
    ("prost", &["transport"]),
    ("hyper", &["transport", "doctor"]),
    ("h2", &["transport"]),
    ("futures_util", &["transport"]),
    ("hyper_util", &["transport", "doctor"]),
    ("tokio_rustls", &["transport", "discovery", "doctor", "tls_files"]),
    ("axum", &["dev"]),
    ("reqwest", &["discovery", "dev"]),
    ("rustls_native_certs", &["discovery"]),
    ("webpki", &["discovery"]),
    ("figment", &["config"]),
    ("tokio", &["transport", "discovery", "dev", "doctor", "login"]),
    ("oauth2", &["login"]),
    ("keyring", &["login"]),
];

struct Line {
    room: String,
    file: PathBuf,
    number: usize,
    code: String,
}

/// Every line of code outside comments and tests.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let src = tools::root().join("src");
    let mut left = vec![src.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension() == Some("rs".as_ref()) && !is_test(&path) {
            let inside = path.strip_prefix(&src).unwrap();
            let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            let text = std::fs::read_to_string(&path).unwrap();
            // Unit tests stand at the end of a file and may name what they need.
            let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
            for (index, line) in code.lines().enumerate() {
                lines.push(Line {
                    room: room.to_owned(),
                    file: Path::new("src").join(inside),
                    number: index + 1,
                    code: line.split("//").next().unwrap().to_owned(),
                });
            }
        }
    }
    lines
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// The names that follow `prefix` where that begins a path: `crate::keys` → `keys`.
fn names_after<'l>(code: &'l str, prefix: &'l str) -> impl Iterator<Item = &'l str> {
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let rest = &code[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// Whether the code names the crate, as the start of a path.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = &code[..at];
        let own = before.ends_with("crate::")
            || before.ends_with("self::")
            || before.ends_with("super::");
        !own && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn rooms_name_only_rooms_below_them() {
    let mut broken = Vec::new();
    for Line { room, file, number, code } in lines() {
        for named in names_after(&code, "crate::") {
            if named == room || COMPOSERS.contains(&room.as_str()) {
                continue;
            }
            let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
                panic!(
                    "{}: `{room}` is a new room: say in the table whom it may name",
                    file.display()
                )
            };
            if !allowed.contains(&named) {
                broken.push(format!(
                    "{}:{number}: `{room}` names `{named}`, but may only name {allowed:?}: {}",
                    file.display(),
                    code.trim()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "the direction of rooms is broken:\n{}", broken.join("\n"));
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for Line { room, file, number, code } in lines() {
        for (name, rooms) in CRATES {
            let may = COMPOSERS.contains(&room.as_str()) || rooms.contains(&room.as_str());
            if names_crate(&code, name) && !may {
                let core = if CORE.contains(&room.as_str()) { ", of the core," } else { "" };
                broken.push(format!(
                    "{}:{number}: `{room}`{core} names the crate `{name}`, which is for {rooms:?}: {}",
                    file.display(),
                    code.trim()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "crates are out of their rooms:\n{}", broken.join("\n"));
}

/// The tables themselves: the core names nobody outside, and no two rooms name each
/// other.
#[test]
fn the_tables_are_sound() {
    let allowed = |room: &str| MAY_NAME.iter().find(|(name, _)| *name == room).unwrap().1;
    for room in CORE {
        for named in allowed(room) {
            assert!(
                CORE.contains(named) || *named == "clock",
                "`{room}` of the core may name `{named}`"
            );
        }
        for (name, rooms) in CRATES {
            assert!(!rooms.contains(&room), "`{room}` of the core may name the crate `{name}`");
        }
    }
    for (room, may_name) in MAY_NAME.iter().filter(|(_, may_name)| *may_name != ANY) {
        for named in *may_name {
            assert!(!allowed(named).contains(room), "`{room}` and `{named}` may name each other");
        }
    }
    // What the table speaks of is there.
    for (room, _) in MAY_NAME {
        let src = tools::root().join("src");
        assert!(src.join(room).is_dir() || src.join(format!("{room}.rs")).is_file(), "no `{room}`");
    }
}

#[test]
fn the_look_out_sees() {
    let names = |code| names_after(code, "crate::").collect::<Vec<_>>();
    assert_eq!(names("use crate::keys::{A, B};"), ["keys"]);
    assert_eq!(names("fn f(a: crate::token::X) -> crate::rules::Y"), ["token", "rules"]);
    assert!(names_crate("use tokio::sync;", "tokio") && names_crate("-> ::tokio::X", "tokio"));
    assert!(
        !names_crate("use tokio_rustls::X;", "tokio")
            && !names_crate("use super::hyper::X", "hyper")
    );
    let found = lines();
    assert!(
        found.iter().any(|line| line.room == "authorizer" && line.code.contains("use crate::"))
    );
    assert!(found.len() > 5000, "{}", found.len());
}
