//! Which module may name which: the direction of data, kept true where no crate's edge does it.
//!
//! The source is parsed, so that every way to name something counts: `use crate::{a, b}`, `super::`
//! and paths in the code. When a test fails, what it names either belongs into another module or the
//! design has changed: then change the table, and `docs/architecture.md` with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

use crate::support::tools;

/// Module of the server's crate → modules that its code may name. What decides is a crate of its own,
/// which can name none of them.
const MAY_NAME: [(&str, &[&str]); 23] = [
    ("advice", &["discovery", "printable", "product"]),
    ("transport", &["config", "telemetry", "tls_files"]),
    ("discovery", &["loopback", "pkce", "redact", "regular_file", "secret", "turns", "whole_file"]),
    ("turns", &[]),
    ("regular_file", &[]),
    ("secret", &["redact", "regular_file"]),
    (
        "config",
        &[
            "discovery",
            "loopback",
            "policy",
            "printable",
            "product",
            "redact",
            "regular_file",
            "secret",
            "tls_files",
        ],
    ),
    ("policy", &["discovery", "redact"]),
    ("tls_files", &[]),
    ("telemetry", &["config", "turns"]),
    ("loopback", &[]),
    ("pkce", &[]),
    ("printable", &[]),
    ("redact", &["printable"]),
    ("product", &[]),
    ("finding", &["printable"]),
    ("whole_file", &[]),
    ("token_parts", &[]),
    ("init", &["advice", "config", "doctor", "printable", "product"]),
    (
        "login",
        &[
            "advice",
            "discovery",
            "loopback",
            "pkce",
            "printable",
            "product",
            "secret",
            "token_parts",
            "whole_file",
        ],
    ),
    (
        "doctor",
        &[
            "advice",
            "config",
            "discovery",
            "explain",
            "finding",
            "loopback",
            "pkce",
            "printable",
            "product",
            "regular_file",
            "token_parts",
        ],
    ),
    (
        "explain",
        &["advice", "discovery", "finding", "printable", "product", "redact", "token_parts"],
    ),
    ("cli", &["*"]),
];

/// Modules that put the others together.
const COMPOSERS: [&str; 4] = ["app", "cli", "lib", "main"];

/// Crate → the modules that may name it, besides the composers.
const CRATES: [(&str, &[&str]); 18] = [
    ("tonic", &["transport"]),
    ("envoy_types", &["transport"]),
    ("prost", &["transport"]),
    ("hyper", &["transport", "doctor"]),
    ("h2", &["transport"]),
    ("futures_util", &["transport", "discovery", "policy"]),
    ("hyper_util", &["transport", "doctor"]),
    ("tokio_rustls", &["transport", "discovery", "doctor", "tls_files"]),
    ("axum", &[]),
    ("doorward_dev", &[]),
    ("doorward_policy", &["policy"]),
    ("reqwest", &["discovery"]),
    ("rustls_native_certs", &["discovery"]),
    ("webpki", &["discovery"]),
    ("figment", &["config"]),
    ("tokio", &["transport", "discovery", "doctor", "login", "policy", "regular_file"]),
    ("oauth2", &["discovery"]),
    ("keyring", &["login"]),
];

/// What of a crate no part of the core may stand on: the same decisions are made inside Envoy.
const NOT_IN_THE_CORE: [&str; 9] =
    ["tokio", "hyper", "h2", "reqwest", "tonic", "prost", "clap", "figment", "rustls"];

/// A source file: its path, its module, and all that its code names, tests left out.
struct File {
    path: PathBuf,
    /// `["explain", "token"]` for `src/explain/token.rs`.
    module: Vec<String>,
    named: Vec<Vec<String>>,
}

/// The files of a crate, given the folder of its root.
fn files(root: &str) -> Vec<File> {
    let root = tools::root().join(root);
    let mut files = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension() == Some("rs".as_ref()) && !is_test(&path) {
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Vec<String> =
                inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            module.pop_if(|last| *last == "mod");
            let code = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let mut names = Names(Vec::new());
            names.visit_file(&code);
            files.push(File { path, module, named: names.0 });
        }
    }
    files
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// All paths in a piece of code.
struct Names(Vec<Vec<String>>);

impl Names {
    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.0.push(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(before, tree));
            }
        }
    }
}

impl<'c> Visit<'c> for Names {
    fn visit_item_mod(&mut self, module: &'c syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'c syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'c syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    // What is handed to a macro is no expression to the parser: `format!("{}", crate::a::b())`.
    fn visit_macro(&mut self, call: &'c syn::Macro) {
        let arguments = call.parse_body_with(
            syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated,
        );
        for argument in arguments.iter().flatten() {
            self.visit_expr(argument);
        }
        syn::visit::visit_macro(self, call);
    }
}

impl File {
    /// What it names of its own crate, from the crate's root: `super::b` in `a::c` is `a::b`.
    fn own(&self) -> impl Iterator<Item = Vec<String>> {
        self.named.iter().filter_map(|named| {
            let mut base = self.module.clone();
            let mut rest = named.as_slice();
            match rest.split_first()? {
                (first, after) if first == "crate" => {
                    base.clear();
                    rest = after;
                }
                (first, after) if first == "self" => rest = after,
                (first, _) if first == "super" => {
                    while let Some((first, after)) = rest.split_first()
                        && first == "super"
                    {
                        base.pop();
                        rest = after;
                    }
                }
                _ => return None,
            }
            base.extend_from_slice(rest);
            Some(base)
        })
    }

    fn top(&self) -> &str {
        &self.module[0]
    }
}

#[test]
fn modules_name_only_what_the_table_allows() {
    let mut broken = BTreeSet::new();
    for file in files("src") {
        if COMPOSERS.contains(&file.top()) {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == file.top()) else {
            panic!("`{}` is a new module: say in the table what it may name", file.top())
        };
        for named in file.own().filter_map(|path| path.first().cloned()) {
            if named != file.top() && !allowed.contains(&named.as_str()) {
                broken.insert(format!("{} names `{named}`", file.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "only {MAY_NAME:#?} is allowed: {broken:#?}");
}

#[test]
fn crates_stay_where_they_are_used() {
    let mut broken = BTreeSet::new();
    for file in files("src") {
        for named in file.named.iter().filter(|path| path.len() > 1) {
            let rule = CRATES.iter().find(|(name, _)| *name == named[0]);
            let may = rule.is_none_or(|(_, modules)| modules.contains(&file.top()));
            if !may && !COMPOSERS.contains(&file.top()) {
                broken.insert(format!("{} names the crate `{}`", file.path.display(), named[0]));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Files beside each other need not be read in a circle. A file and the module above it may name
/// each other.
#[test]
fn no_files_import_each_other() {
    for root in
        ["src", "crates/core/src", "crates/dev/src", "crates/envoy-host/src", "crates/policy/src"]
    {
        let files = files(root);
        let modules: BTreeSet<&[String]> = files.iter().map(|file| &*file.module).collect();
        let mut edges: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
        for file in &files {
            for path in file.own() {
                let found = (1..=path.len()).rev().find_map(|end| modules.get(&path[..end]));
                let apart = |other: &[String]| {
                    !file.module.starts_with(other) && !other.starts_with(&file.module)
                };
                edges.entry(&file.module).or_default().extend(found.filter(|other| apart(other)));
            }
        }
        let reach = |from: &[String]| {
            let mut seen = BTreeSet::new();
            let mut left: Vec<&[String]> = edges[from].iter().copied().collect();
            while let Some(next) = left.pop() {
                if seen.insert(next) {
                    left.extend(edges.get(next).into_iter().flatten());
                }
            }
            seen
        };
        let circles: Vec<String> = edges
            .keys()
            .filter(|from| from.len() > 1 && reach(from).contains(**from))
            .map(|from| from.join("::"))
            .collect();
        assert!(circles.is_empty(), "{root}: these name each other in circles: {circles:#?}");
    }
}

/// The table itself: no two modules name each other, and what it speaks of is there.
#[test]
fn the_table_is_sound() {
    let allowed = |module: &str| MAY_NAME.iter().find(|(name, _)| *name == module).unwrap().1;
    for (module, may_name) in MAY_NAME.iter().filter(|(module, _)| *module != "cli") {
        for named in *may_name {
            assert!(!allowed(named).contains(module), "`{module}` and `{named}` name each other");
        }
        let src = tools::root().join("src");
        assert!(src.join(module).is_dir() || src.join(format!("{module}.rs")).is_file());
    }
}

/// The libraries that a package of the workspace is built from.
fn stands_on(arguments: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = std::process::Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{lib}"])
        .args(arguments)
        .current_dir(tools::root())
        .output()
        .unwrap();
    let names: BTreeSet<String> =
        String::from_utf8(tree.stdout).unwrap().split_whitespace().map(str::to_owned).collect();
    assert!(names.contains("aws_lc_rs"), "{names:?}");
    names
}

#[test]
fn the_core_stands_on_no_runtime_and_no_client() {
    let names = stands_on(&["--package", "doorward-core"]);
    for name in NOT_IN_THE_CORE {
        assert!(!names.contains(name), "the core stands on `{name}`");
    }
}

/// Tokens and answers of tests are made by code that the server does not share.
#[test]
fn the_development_issuer_stands_on_nothing_of_the_servers() {
    let names = stands_on(&["--package", "doorward-dev"]);
    assert!(!names.contains("doorward_core") && !names.contains("doorward"), "{names:?}");
}

#[test]
fn an_image_that_only_serves_is_built_without_demo_and_key_ring() {
    let all = stands_on(&["--package", "doorward"]);
    let nothing = ["--package", "doorward", "--no-default-features"];
    let serving = stands_on(&[&nothing[..], &["--features", "policy"]].concat());
    for name in ["doorward_dev", "keyring"] {
        assert!(all.contains(name) && !serving.contains(name), "{name}");
    }
    assert!(serving.contains("doorward_core"), "{serving:?}");
    // What decides by Rego takes minutes to build, and is left out where nobody wants it.
    let without = stands_on(&nothing);
    for name in ["doorward_policy", "regorus"] {
        assert!(serving.contains(name) && !without.contains(name), "{name}");
    }
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let code = "use crate::{a, b::{self, C}}; fn f() -> super::d::E { m!(x, crate::g::h()) }";
    let mut names = Names(Vec::new());
    names.visit_file(&syn::parse_file(code).unwrap());
    let module = vec!["z".to_owned(), "y".to_owned()];
    let file = File { path: PathBuf::new(), module, named: names.0 };
    let seen: BTreeSet<String> = file.own().map(|path| path.join("::")).collect();
    let expected = ["a", "b::self", "b::C", "z::d::E", "g::h"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(expected));
    assert!(files("src").len() > 200);
}
