//! What the demonstration says. Colours go where a terminal shows them, and nowhere else
//! (`NO_COLOR` is heard). What `--once` found is its result and goes to standard output;
//! all the rest is for people and goes to standard error.

use std::path::Path;

use reqwest::StatusCode;

use super::ports::believe;
use super::server::{Outcome, Shown};
use super::setup::{Front, Setup};
use crate::cli::Exit;
use crate::cli::output::{print, say};
use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
use crate::printable::printable;

/// What a client of the demonstration claims to be, and in which header.
pub(super) const FORGED: &str = "service:jobs";
pub(super) const PRINCIPAL: &str = "X-NMP-Principal-Id";

const MAX_COLUMNS: usize = 80;
const INDENT: &str = "    ";

pub(super) fn fetching(dir: &Path) {
    say!("No Envoy yet: fetching one into {} (40 MB, once)", dir.display());
}

pub(super) fn without_envoy(why: &dyn std::fmt::Display) {
    say!("{WARN}Without Envoy:{WARN:#} {why}");
    say!("Requests go to Doorward's HTTP front instead; its answers are the same decisions.");
}

/// What runs where, and what to try: within 24 lines of 80 columns. Each line to paste
/// stands alone: none needs another, and not every shell takes a comment behind it.
/// `program` is how this one is called.
pub(super) fn screen(setup: &Setup, program: &str) -> String {
    let mut lines = vec![String::new(), heading("Running")];
    lines.extend(running(setup));
    lines.push(String::new());
    if setup.front.is_some() {
        lines.push(heading("Try, in any order"));
        lines.extend(tries(setup, program));
        lines.push(String::new());
        lines.push(
            heading("Requests") + " (Ctrl-C ends the demo; more: " + program + " demo --help)",
        );
    } else {
        lines.extend(issuer_only(setup, program));
        lines.push(format!("Ctrl-C ends the issuer; more: {program} demo --help"));
    }
    lines.join("\n")
}

fn running(setup: &Setup) -> impl Iterator<Item = String> {
    let Setup { issuer, ports, upstream, .. } = setup;
    let envoy = setup.front == Some(Front::Envoy);
    let upstream_does = if setup.echoes { "echoes each request" } else { "yours" };
    let (doorward, then) = match &setup.module {
        Some(module) => {
            (format!("inside Envoy: {}", module.display()), "decides, then the upstream")
        }
        None => (
            format!("gRPC {}, HTTP {}, admin {}", ports.grpc, ports.http, ports.admin),
            "asks Doorward, then the upstream",
        ),
    };
    let console = format!("http://{}/  in a browser: keys, denials, explain", ports.console);
    let issuer = format!("{}  users alice/wonderland, bob/builder", issuer.issuer_url());
    let written = setup
        .written
        .as_deref()
        .map(|dir| format!("{0}/doorward.yaml, {0}/envoy.yaml", dir.display()));
    [
        ("Envoy", envoy.then(|| format!("{}  {then}", setup.base_url()))),
        ("Doorward", setup.front.map(|_| doorward)),
        ("console", setup.front.filter(|_| setup.module.is_none()).map(|_| console)),
        ("issuer", Some(issuer)),
        ("upstream", envoy.then(|| format!("{upstream}  {upstream_does}"))),
        ("written", written),
    ]
    .into_iter()
    .filter_map(|(name, what)| Some(format!("  {name:9} {}", what?)))
}

fn tries(setup: &Setup, program: &str) -> Vec<String> {
    // Without Envoy the answer's headers are what the upstream is to get.
    let see = if setup.front == Some(Front::Http) { "-i " } else { "" };
    let hello = setup.url(if setup.echoes { "/hello" } else { "/" });
    let token = setup.token_url("alice");
    let short = token.trim_start_matches("http://");
    let bearer = format!("curl -H \"Authorization: Bearer $(curl -s {short})\"");
    let forged = format!("curl -H '{PRINCIPAL}: {FORGED}'");
    [
        ("alice's token", format!("TOKEN=$(curl -s {token})"), String::new()),
        ("allowed, as alice", bearer, format!("{see}{hello}")),
        ("denied: no token", "curl -i".to_owned(), hello),
        (
            "needs no token; the forged identity is removed",
            forged,
            see.to_owned() + &setup.url("/public/"),
        ),
        (
            "log in as a user would; then `auth token` prints the token",
            format!("{program} auth login"),
            setup.base_url(),
        ),
    ]
    .into_iter()
    .flat_map(|(label, command, url)| [label_line(label), paste(&command, &url)])
    .collect()
}

/// How to run the rest.
fn issuer_only(setup: &Setup, program: &str) -> Vec<String> {
    let token = format!("TOKEN=$(curl -s {})", setup.token_url("alice"));
    let mut lines = vec![label_line("alice's token"), paste(&token, "")];
    match &setup.written {
        Some(dir) => {
            let envoy = setup.envoy.as_deref().unwrap_or(Path::new("envoy"));
            let (dir, envoy) = (dir.display(), envoy.display());
            lines.extend([
                label_line("next, each in its own terminal"),
                paste(&format!("{program} serve --config"), &format!("{dir}/doorward.yaml")),
                paste(&format!("{envoy} -c"), &format!("{dir}/envoy.yaml")),
                label_line("then requests pass with that token, or after this login"),
                paste(&format!("{program} auth login"), &setup.base_url()),
            ]);
        }
        None => {
            lines.push(label_line(
                "for the configuration of `serve` (--write DIR writes it, and Envoy's)",
            ));
            lines.extend(believe(&setup.issuer).lines().map(|line| format!("    {line}")));
        }
    }
    lines
}

/// What became of a request.
pub(super) fn line(shown: &Shown) -> String {
    let Shown { outcome, method, path, status } = shown;
    let (style, word, what) = match outcome {
        Outcome::Allowed(who) => {
            (GOOD, "allowed", who.clone().unwrap_or_else(|| "anonymous".into()))
        }
        Outcome::Unanswered(why) => {
            (WARN, "allowed", format!("but the upstream did not answer ({why})"))
        }
        Outcome::Denied(why) => (BAD, "denied ", why.clone()),
        Outcome::Refused(why) => {
            (WARN, "refused", format!("by Envoy, Doorward was not asked ({why})"))
        }
        Outcome::Open => {
            (DIM, "open   ", "answered by Doorward itself, without a decision".to_owned())
        }
    };
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    // A path is the client's text: a terminal must not obey it.
    let (method, path, what) = (printable(method), printable(path), printable(&what));
    format!("  {style}{word}{style:#} {status} {method} {path}  {what}")
}

/// `--once`: the request that passed, and the identity it passed with.
pub(super) fn allowed(url: &str, front: Option<Front>, identity: &[(String, String)]) {
    print(Exit::Done, |out| {
        writeln!(out, "{GOOD}allowed{GOOD:#} GET {url}")?;
        writeln!(out, "  {DIM}sent: alice's token, and a forged {PRINCIPAL}: {FORGED}{DIM:#}")?;
        let got = if front == Some(Front::Envoy) { "got" } else { "is to get" };
        writeln!(out, "  200, and the upstream {got}")?;
        identity.iter().try_for_each(|(name, value)| writeln!(out, "    {name}: {value}"))?;
        Ok(Exit::Done)
    });
}

/// `--once`: the request that did not.
pub(super) fn denied(url: &str, status: StatusCode, reason: &str, challenge: &str) {
    print(Exit::Done, |out| {
        writeln!(out, "{BAD}denied{BAD:#}  GET {url}")?;
        writeln!(out, "  {DIM}sent: no token, and a forged {PRINCIPAL}: {FORGED}{DIM:#}")?;
        writeln!(out, "  {} {reason}", status.as_u16())?;
        writeln!(out, "    www-authenticate: {challenge}")?;
        Ok(Exit::Done)
    });
}

fn heading(text: &str) -> String {
    format!("{HEAD}{text}{HEAD:#}")
}

fn label_line(text: &str) -> String {
    format!("  {DIM}{text}{DIM:#}")
}

fn paste(command: &str, url: &str) -> String {
    if command.len() + url.len() < MAX_COLUMNS - INDENT.len() {
        format!("{INDENT}{command} {url}").trim_end().to_owned()
    } else {
        format!("{INDENT}{command} \\\n{INDENT}  {url}")
    }
}
