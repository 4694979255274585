//! What the checks of key set, key and signature expected and found.

use doorward_core::decision::Fault;
use doorward_core::issuers::KeysFault;
use doorward_core::keys::{Algorithm, KeySet, VerificationKey};
use serde_json::Value;

use super::steps::{Evidence, Facts};
use super::words::{claim, list, moment, quoted, span};
use crate::discovery::KeyLocation;
use crate::redact::Shown;

impl Evidence<'_> {
    pub(super) fn key_set(&self) -> Facts {
        let expected = "keys of the issuer that are usable at this time";
        let Some(keys) = self.keys else { return Facts::new(expected, "unknown") };
        let status = &keys.status;
        let place = match &keys.location {
            KeyLocation::Discovery(url) => {
                format!("discovered through {}", Shown::from(url.as_str()))
            }
            KeyLocation::JwksUri(url) => format!("from {}", Shown::from(url.as_str())),
            KeyLocation::File(path) => format!("from the file {}", path.display()),
            KeyLocation::Inline(_) => "from the configuration".to_owned(),
            KeyLocation::Borrowed => "the first issuer's: this is another name for it".to_owned(),
        };
        let trouble = match &status.last_error {
            Some(error) => format!("; the last attempt failed: {error}"),
            None => String::new(),
        };
        let count = status.keys;
        let plural = if count == 1 { "" } else { "s" };
        let found = match (self.fault, status.obtained_at) {
            (Some(Fault::Keys(KeysFault::StillUnderWay)), _) => {
                format!("still being fetched, {place}{trouble}")
            }
            (_, Some(_)) if status.withdrawn() => {
                format!("no usable key {place}: the issuer has withdrawn all of them")
            }
            (_, Some(at)) => {
                let age = span(self.asked.now.since(at));
                format!("{count} key{plural} {place}, obtained {age} ago{trouble}")
            }
            (_, None) if status.borrowing && keys.location != KeyLocation::Borrowed => {
                format!("borrowed from the first issuer until its own are there, {place}{trouble}")
            }
            // The error names the URL or file.
            (_, None) => match &status.last_error {
                Some(error) => format!("none: {error}"),
                None => format!("none yet, {place}"),
            },
        };
        let found = match (self.fault, status.usable_until) {
            (Some(Fault::Keys(KeysFault::TooOld)), Some(until)) => {
                format!("{found}; usable until {} (`keys.max_stale`)", moment(until))
            }
            _ => found,
        };
        Facts::new(expected, found)
    }

    pub(super) fn key(&self) -> Facts {
        let kid = self.token.header("kid");
        let alg = self.token.header("alg").and_then(Value::as_str).unwrap_or_default();
        if alg == "none" {
            return unsigned();
        }
        let expected = match kid {
            Some(kid) => {
                format!("a published key with kid {} for {alg}", super::words::value(kid))
            }
            None => format!("a published key for {alg}; the token has no kid"),
        };
        let snapshot = self.issuer.map(|issuer| issuer.keys().snapshot());
        let set = snapshot.as_ref().and_then(|snapshot| snapshot.as_deref()).map(|keys| keys.set());
        let Some(set) = set else { return Facts::new(expected, "no keys") };
        let kid = kid.and_then(Value::as_str);
        let kid = kid.filter(|kid| !kid.is_empty());
        let fitting = alg
            .parse::<Algorithm>()
            .ok()
            .and_then(|algorithm| set.candidates(kid, algorithm).next());
        let found = match fitting {
            Some(key) if self.fault.map(super::Check::of) != Some(super::Check::Key) => {
                describe(key)
            }
            Some(_) | None => unfit(set, kid),
        };
        Facts::new(expected, found)
    }

    pub(super) fn signature(&self, failed: bool) -> Facts {
        let alg = self.token.header("alg");
        if alg.and_then(Value::as_str) == Some("none") {
            return unsigned();
        }
        let expected = format!("an {} signature by that key", claim(alg).trim_matches('"'));
        let found =
            if failed { "it does not match that key, header and claims" } else { "it verifies" };
        Facts::new(expected, found)
    }
}

fn unsigned() -> Facts {
    Facts::new("", "none: unsigned tokens are accepted (`auth.allow_unsigned_jwt`)")
}

fn describe(key: &VerificationKey) -> String {
    let kid =
        key.kid().map_or_else(|| "without kid".to_owned(), |kid| format!("kid {}", quoted(kid)));
    let algorithms: Vec<_> = key.algorithms().iter().map(Algorithm::name).collect();
    let issuer =
        key.issuer().map_or_else(String::new, |own| format!(", for the issuer {own} alone"));
    format!("{kid}, for {}{issuer}", list(algorithms))
}

/// Why no key will do: the one of that name serves something else, must not be used, or
/// is not there.
fn unfit(set: &KeySet, kid: Option<&str>) -> String {
    if set.keys().is_empty() {
        return "the issuer publishes no usable key".to_owned();
    }
    let named: Vec<_> = set.keys().iter().filter(|key| kid.is_none() || key.kid() == kid).collect();
    if !named.is_empty() {
        let named: Vec<_> = named.into_iter().map(describe).collect();
        return format!("published, but not for this token: {}", named.join("; "));
    }
    let left_out = set.left_out().iter().find(|left_out| left_out.kid.as_deref() == kid);
    if let Some(left_out) = left_out {
        return format!("the key with that kid is not usable: {}", left_out.reason);
    }
    let unnamed = set.keys().iter().any(|key| key.kid().is_none());
    let tried = if unnamed { "; no key without kid verifies the signature" } else { "" };
    let kids: Vec<_> = set.keys().iter().map(|key| key.kid().unwrap_or("(no kid)")).collect();
    format!("the published kids are: {}{tried}", list(kids))
}
