//! What `doorward auth` says to people, on standard error.

use std::path::Path;
use std::time::Duration;

use doorward_core::clock::UnixTime;
use url::Url;

use crate::advice::login as advice;
use crate::cli::output::{is_verbose, say};
use crate::cli::style::{DIM, GOOD, HEAD, WARN};
use crate::explain::Check;
use crate::login::{Kept, Login, NotGranted, Over, Provider};
use crate::printable::printable;
use crate::product::Product;

pub(super) fn warn(text: &str) {
    say!("{WARN}warning:{WARN:#} {text}");
}

/// With `--verbose`: who is asked, and for what.
pub(super) fn asking(provider: &Provider, scopes: &[String]) {
    if !is_verbose() {
        return;
    }
    let endpoint = |url: Option<&Url>| url.map_or("not offered".to_owned(), Url::to_string);
    for (label, value) in [
        ("issuer", printable(&provider.issuer)),
        ("client", printable(&provider.client_id)),
        ("token endpoint", provider.token_endpoint.to_string()),
        ("device endpoint", endpoint(provider.device_authorization_endpoint.as_ref())),
        ("revocation endpoint", endpoint(provider.revocation_endpoint.as_ref())),
        ("asking for", printable(&scopes.join(" "))),
    ] {
        say!("{DIM}{label}: {value}{DIM:#}");
    }
}

pub(super) fn logged_in(name: &str, login: &Login, now: UnixTime, path: &Path) {
    say!("{GOOD}Logged in{GOOD:#} as {} at {}", login.who.words(), printable(name));
    // Who it is stands above.
    facts(login, now, path).iter().skip(1).for_each(|fact| say!("{fact}"));
}

/// What is known of a login, one line a fact, by the names that `explain` and `doctor` have for it.
pub(super) fn facts(login: &Login, now: UnixTime, path: &Path) -> [String; 6] {
    let place = match &login.kept {
        Kept::KeyRing(_) => "the key ring".to_owned(),
        Kept::File(_) => format!("{} (mode 0600)", path.display()),
    };
    let scopes: Vec<_> = login.scopes().iter().map(|scope| printable(scope)).collect();
    let scopes = if scopes.is_empty() { "none named".to_owned() } else { scopes.join(" ") };
    [
        ("who", login.who.words()),
        (Check::Issuer.name(), printable(&login.provider.issuer)),
        (Check::Client.name(), printable(&login.provider.client_id)),
        (Check::Scopes.name(), scopes),
        (Check::Expiry.name(), expiry(login, now)),
        ("kept in", place),
    ]
    .map(|(name, fact)| line(name, &fact))
}

/// One fact about a login.
pub(super) fn line(name: &str, fact: &str) -> String {
    format!("  {name:<8} {fact}")
}

/// The scopes that were requested and not granted, and what helps.
pub(super) fn not_granted(missing: &NotGranted, product: Product) {
    if !missing.scopes.is_empty() {
        let scopes: Vec<_> = missing.scopes.iter().map(|scope| printable(scope)).collect();
        warn(&format!("not granted: {}", scopes.join(" ")));
        next(advice::SCOPES_NOT_GRANTED.of(product));
    }
    if missing.no_refresh_token {
        warn(
            "no refresh token was issued although offline_access was requested: this login ends \
             when its access token expires",
        );
        next(advice::NO_REFRESH_TOKEN.of(product));
    }
}

pub(super) fn next(text: &str) {
    say!("  {HEAD}fix:{HEAD:#} {text}");
}

/// `in 59m 30s, then refreshed by itself`.
pub(super) fn expiry(login: &Login, now: UnixTime) -> String {
    let Some(end) = login.expires_at.map(UnixTime) else {
        return "not known".to_owned();
    };
    let span = |span: Duration| humantime::format_duration(span).to_string();
    match (now < end, login.can_be_refreshed()) {
        (true, true) => {
            format!("in {}; `auth token` refreshes it before that", span(end.since(now)))
        }
        (true, false) => format!("in {}, and cannot be refreshed", span(end.since(now))),
        (false, true) => format!("expired {} ago; `auth token` refreshes it", span(now.since(end))),
        (false, false) => format!("expired {} ago: log in again", span(now.since(end))),
    }
}

/// What the provider said when it ended the login, and when.
pub(super) fn over(over: &Over, now: UnixTime) -> String {
    let ago = humantime::format_duration(now.since(UnixTime(over.at)));
    format!("ended by the identity provider {ago} ago: {}", printable(&over.said))
}
