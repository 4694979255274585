//! What the demonstration says. Colours go where a terminal shows them, and nowhere else
//! (`NO_COLOR` is heard). What `--once` found is its result and goes to standard output;
//! all the rest is for people and goes to standard error.

use std::path::Path;

use anstream::{eprintln, println};
use reqwest::StatusCode;

use super::door::Shown;
use super::once::{FORGED, PRINCIPAL};
use super::stage::{Front, Scene};
use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};

pub(super) fn fetching(dir: &Path) {
    eprintln!("No Envoy yet: fetching one into {} (40 MB, once)", dir.display());
}

pub(super) fn without_envoy(why: &dyn std::fmt::Display) {
    eprintln!("{WARN}Without Envoy:{WARN:#} {why}");
    eprintln!("Requests go to Doorward's HTTP front instead; its answers are the same decisions.");
}

/// What runs where, and what to try. Each line to paste stands alone: not every shell
/// takes a comment behind it.
pub(super) fn invite(scene: &Scene) {
    let Scene { front, issuer, upstream, grpc, http, admin, token } = scene;
    let url = issuer.issuer_url();
    let client = issuer.client_id();
    eprintln!("\n{HEAD}Running{HEAD:#}");
    match front {
        Front::Envoy(door) => {
            eprintln!("  Envoy      http://{door}  asks Doorward, then the upstream");
        }
        Front::Http(_) => eprintln!("  no Envoy: ask Doorward's HTTP front yourself"),
    }
    eprintln!("  Doorward   grpc {grpc}, http {http}, admin http://{admin}/metrics");
    eprintln!("  issuer     {url}  users alice/wonderland, bob/builder");
    eprintln!("  upstream   http://{upstream}  answers with what it was sent");

    let hello = front.url("/hello");
    let tokens = |form: &str| {
        format!(
            "TOKEN=$(curl -s -d client_id={client} {form} {url}/token | {})",
            cut("access_token")
        )
    };
    eprintln!("\n{HEAD}Try{HEAD:#} (paste in this order)");
    paste("alice's token", &format!("TOKEN='{token}'"));
    paste("allowed", &format!("curl -i -H \"Authorization: Bearer $TOKEN\" {hello}"));
    paste("denied: no token", &format!("curl -i {hello}"));
    let stripped = match front {
        Front::Envoy(_) => "forged: arrives as alice",
        Front::Http(_) => "forged: the answer says alice, and what else to remove",
    };
    let forged = format!("-H '{PRINCIPAL}: {FORGED}'");
    paste(stripped, &format!("curl -i -H \"Authorization: Bearer $TOKEN\" {forged} {hello}"));
    let public = front.url("/public/");
    paste("no token asked, still stripped", &format!("curl -i {forged} {public}"));
    paste(
        "bob's token",
        &tokens("-d grant_type=password -d username=bob -d password=builder -d scope=openid"),
    );
    paste(
        "device login: open verification_uri_complete and click",
        &format!(
            "CODE=$(curl -s -d client_id={client} -d scope=openid {url}/device_authorization | \
             tee /dev/stderr | {})",
            cut("device_code")
        ),
    );
    paste(
        "then",
        &tokens(
            "-d grant_type=urn:ietf:params:oauth:grant-type:device_code -d device_code=\"$CODE\"",
        ),
    );
    paste(
        "new signing key, the old one stays published",
        &format!("curl -s -X POST '{url}/dev/rotate?keep=true'"),
    );
    eprintln!("\n{HEAD}Decisions{HEAD:#} (Ctrl-C ends it all)");
}

/// A decision that was just made.
pub(super) fn decision(decision: &Shown) {
    let Shown { allowed, method, path, status, reason, principal } = decision;
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    // A path is the client's text: a terminal must not obey it.
    let path = path.escape_debug();
    let (style, word, what) = if *allowed {
        (GOOD, "allowed", principal.as_deref().unwrap_or("nobody in particular"))
    } else {
        (BAD, "denied ", reason.as_deref().unwrap_or_default())
    };
    let (method, what) = (method.escape_debug(), what.escape_debug());
    eprintln!("  {style}{word}{style:#} {status} {method} {path}  {what}");
}

/// `--once`: the request that passed, and the identity it passed with.
pub(super) fn allowed(url: &str, front: &Front, identity: &[(String, String)]) {
    println!("{GOOD}allowed{GOOD:#} GET {url}");
    println!("  {DIM}sent: alice's token, and a forged {PRINCIPAL}: {FORGED}{DIM:#}");
    match front {
        Front::Envoy(_) => println!("  200, and the upstream got"),
        Front::Http(_) => println!("  200, and the upstream is to get"),
    }
    for (name, value) in identity {
        println!("    {name}: {value}");
    }
}

/// `--once`: the request that did not.
pub(super) fn denied(url: &str, status: StatusCode, reason: &str, challenge: &str) {
    println!("{BAD}denied{BAD:#}  GET {url}");
    println!("  {DIM}sent: no token, and a forged {PRINCIPAL}: {FORGED}{DIM:#}");
    println!("  {} {reason}", status.as_u16());
    println!("    www-authenticate: {challenge}");
}

fn paste(label: &str, line: &str) {
    eprintln!("  {DIM}{label}{DIM:#}\n    {line}");
}

/// One string member of a JSON answer, with what every machine has.
fn cut(member: &str) -> String {
    format!("sed -E 's/.*\"{member}\":\"([^\"]+)\".*/\\1/'")
}
