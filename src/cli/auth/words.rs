//! What `doorward auth` says to people, on standard error.

use std::path::Path;
use std::time::Duration;

use anstream::eprintln;

use crate::cli::style::{GOOD, WARN};
use crate::clock::UnixTime;
use crate::login::{Kept, Login, NotGranted, Vendor, printable};

pub(super) fn warn(text: &str) {
    eprintln!("{WARN}warning:{WARN:#} {text}");
}

pub(super) fn logged_in(name: &str, login: &Login, now: UnixTime, path: &Path) {
    eprintln!("{GOOD}Logged in{GOOD:#} as {} at {}", login.who.words(), printable(name));
    eprintln!("  issuer   {}", printable(&login.provider.issuer));
    eprintln!("  scopes   {}", scopes(login));
    eprintln!("  expires  {}", expiry(login, now));
    eprintln!("  kept in  {}", place(login, path));
}

/// The scopes that were asked for in vain, and what helps.
pub(super) fn not_granted(missing: &NotGranted, vendor: Vendor) {
    if !missing.scopes.is_empty() {
        let scopes: Vec<_> = missing.scopes.iter().map(|scope| printable(scope)).collect();
        warn(&format!("not granted: {}", scopes.join(" ")));
        eprintln!(
            "  {}",
            match vendor {
                Vendor::Entra => {
                    "Azure grants what was consented to, of one API per request: check Expose an API \
                 and API permissions (Grant admin consent) of the application, or ask for all at \
                 once with --scope api://CLIENT_ID/.default"
                }
                Vendor::Okta =>
                    "Okta: add them to the authorization server, and to an access policy \
                 of this client",
                Vendor::Auth0 => "Auth0: add them to the API, and name it with --audience",
                Vendor::Keycloak =>
                    "Keycloak: add them as client scopes to this client, optional or \
                 default",
                Vendor::Google | Vendor::Other => {
                    "ask the provider's administrator to allow them for this client and user"
                }
            }
        );
    }
    if missing.no_refresh_token {
        warn(
            "no refresh token came, though offline_access was asked for: this login ends when \
              its access token does",
        );
        eprintln!(
            "  {}",
            match vendor {
                Vendor::Auth0 =>
                    "Auth0: switch on Allow Offline Access for the API, and Refresh Token \
                 among the grants",
                Vendor::Okta =>
                    "Okta: allow Refresh Token among the grant types, and offline_access \
                 in the access policy",
                Vendor::Keycloak =>
                    "Keycloak: the user needs the role offline_access, the client the \
                 scope",
                Vendor::Entra | Vendor::Google | Vendor::Other => {
                    "the provider has to allow offline_access for this client"
                }
            }
        );
    }
}

pub(super) fn scopes(login: &Login) -> String {
    let scopes: Vec<_> = login.scopes().iter().map(|scope| printable(scope)).collect();
    if scopes.is_empty() { "none named".to_owned() } else { scopes.join(" ") }
}

/// `in 59m 30s, then refreshed by itself`.
pub(super) fn expiry(login: &Login, now: UnixTime) -> String {
    let Some(end) = login.expires_at.map(UnixTime) else {
        return "nobody says when".to_owned();
    };
    let span = |span: Duration| humantime::format_duration(span).to_string();
    match (now < end, login.refreshable) {
        (true, true) => {
            format!("in {}; `auth token` refreshes it before that", span(end.since(now)))
        }
        (true, false) => format!("in {}, and cannot be refreshed", span(end.since(now))),
        (false, true) => format!("ended {} ago; `auth token` refreshes it", span(now.since(end))),
        (false, false) => format!("ended {} ago: log in again", span(now.since(end))),
    }
}

pub(super) fn place(login: &Login, path: &Path) -> String {
    match &login.kept {
        Kept::KeyRing(_) => "the key ring".to_owned(),
        Kept::File(_) => format!("{} (mode 0600)", path.display()),
    }
}
