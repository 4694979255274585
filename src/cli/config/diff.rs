//! `doorward config diff`: what a new configuration changes, and what that means for users.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::refuse;
use super::yaml::flow;
use crate::app::needs_restart;
use crate::cli::Exit;
use crate::cli::style::{DIM, GOOD};
use crate::config::{self, Effective, Entry, Sources, Step};

/// Dotted keys → what they hold; an entry of a list goes by its issuer.
type Flat = BTreeMap<String, Held>;

/// A value, and the number that tells it from others, secrets included.
type Held = (Value, u64);

pub(super) fn run(
    old: &Path,
    new: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let mut flat = Vec::new();
    for file in [old, new] {
        // The environment counts for both. Either may be that of the module inside Envoy.
        match config::load(&Sources::from_process().files([file.to_owned()]).to_look_at()) {
            Ok(loaded) => flat.push(flattened(&loaded.effective)),
            Err(faults) => return refuse(&faults, err),
        }
    }
    if let [old, new] = flat.as_slice() {
        write(old, new, out)?;
    }
    Ok(Exit::Done)
}

fn flattened(effective: &Effective) -> Flat {
    let held = |entry: &Entry| (key(effective, &entry.steps), (entry.value.clone(), entry.number));
    effective.entries.iter().map(held).collect()
}

fn key(effective: &Effective, steps: &[Step]) -> String {
    let mut dotted = String::new();
    let mut key = String::new();
    for step in steps {
        let dot = if key.is_empty() { "" } else { "." };
        dotted.push_str(&format!("{dot}{step}"));
        match step {
            Step::Key(name) => key.push_str(&format!("{dot}{name}")),
            Step::Item(index) => {
                let issuer = effective.value(&format!("{dotted}.issuer")).and_then(Value::as_str);
                key.push_str(&format!("[{}]", issuer.unwrap_or(&index.to_string())));
            }
        }
    }
    key
}

fn write(old: &Flat, new: &Flat, out: &mut dyn Write) -> io::Result<()> {
    let absent = (Value::Null, 0);
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut restart = Vec::new();
    let mut same = true;
    for key in keys {
        let (before, after) = (old.get(key).unwrap_or(&absent), new.get(key).unwrap_or(&absent));
        let issuer_key = key.rsplit_once("].").map(|(section, _)| format!("{section}].issuer"));
        let whole =
            issuer_key.filter(|issuer| old.contains_key(issuer) != new.contains_key(issuer));
        // Of an issuer that comes or goes, its name says it all.
        let is_part = whole.is_some_and(|issuer| issuer != *key);
        let empty = [before, after].iter().all(|(value, _)| is_empty(value));
        if before == after || is_part || empty {
            continue;
        }
        same = false;
        match before.0 == after.0 {
            true => writeln!(out, "{key}: the secret in it has changed")?,
            false => writeln!(out, "{key}: {} → {}", shown(&before.0), shown(&after.0))?,
        }
        for meaning in meanings(key, &before.0, &after.0) {
            writeln!(out, "    {meaning}")?;
        }
        if needs_restart(key) {
            restart.push(key.as_str());
        }
    }
    if same {
        return writeln!(out, "{GOOD}same:{GOOD:#} the new configuration changes nothing");
    }
    if !restart.is_empty() {
        let keys = restart.join(", ");
        writeln!(out, "{DIM}note:{DIM:#} takes effect at the next start only: {keys}")?;
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => "not set".to_owned(),
        None => flow(value),
    }
}

/// Whether there is nothing: a list that has become sections has no value of its own.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// What users and operators will notice.
fn meanings(key: &str, before: &Value, after: &Value) -> Vec<String> {
    let (gone, come) = (missing(before, after), missing(after, before));
    let turned_on = *after == Value::Bool(true);
    let name = key.rsplit('.').next().unwrap_or(key);
    let plain = |text: &str| vec![text.to_owned()];
    let both = |gone_means: &str, come_means: &str| {
        let say = |values: &[String], means: &str| {
            (!values.is_empty()).then(|| format!("{means}: {}", values.join(", ")))
        };
        [say(&gone, gone_means), say(&come, come_means)].into_iter().flatten().collect()
    };
    match name {
        "enabled" if key == "auth.enabled" && turned_on => plain("requests need a token"),
        "enabled" if key == "auth.enabled" => plain("every request is allowed, without a token"),
        "allow_unsigned_jwt" if turned_on => plain("anyone can make up a token that is accepted"),
        "issuer" | "additional_issuers" => both(
            "tokens of this issuer are denied (unknown_issuer); its users have to log in elsewhere",
            "tokens of this issuer are accepted",
        ),
        "audience" => both(
            "tokens for this audience alone are denied (bad_audience)",
            "tokens for this audience are accepted",
        ),
        "verify_audience" if turned_on => plain("tokens for other audiences are denied"),
        "verify_audience" => plain("tokens that were issued for other services are accepted"),
        "subject_claim" | "subject_prefix" => {
            plain("the upstream sees the same users under other principal ids")
        }
        "groups_claim" | "groups_prefix" | "groups_only" => {
            plain("the upstream sees other groups for the same users")
        }
        "roles_claim" | "scope_prefix" => {
            plain("the upstream sees other scopes for the same tokens")
        }
        "email_claim" | "email_domains" => {
            plain("the upstream sees other email addresses for the same users")
        }
        "allowed_tenants" | "allowed_clients" if after.as_array().is_some_and(Vec::is_empty) => {
            plain("tokens of any client or tenant are accepted")
        }
        "allowed_tenants" | "allowed_clients" => both("tokens are denied", "tokens are accepted"),
        "require_access_token" if turned_on => plain("tokens that look like ID tokens are denied"),
        "max_lifetime" => plain("tokens that live longer than the new limit are denied"),
        "bypass" => both("needs a token now", "passes without a token"),
        _ if key.starts_with("rules.endpoints") || key == "rules.scopes" => {
            plain("other scopes are required on these paths")
        }
        _ if key.starts_with("headers.") => {
            plain("the upstream gets other headers; the gateway may have to be changed, too")
        }
        _ => Vec::new(),
    }
}

/// The strings of `these` that `those` do not have.
fn missing(these: &Value, those: &Value) -> Vec<String> {
    let strings = |value: &Value| -> Vec<String> {
        let many = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        many.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let those = strings(those);
    strings(these).into_iter().filter(|one| !those.contains(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str) -> String {
        let flat = |text: &str| {
            let sources = Sources::none().inline_yaml("test.yaml", text);
            flattened(&config::load(&sources).unwrap().effective)
        };
        let mut out = Vec::new();
        write(&flat(old), &flat(new), &mut anstream::StripStream::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    const OLD: &str =
        "auth:\n  oidc: {issuer: 'https://a', client_id: nmp, proxy: 'http://u:one@p'}\n";

    #[test]
    fn a_change_is_told_by_what_it_means() {
        let new = "auth:\n  oidc: {issuer: 'https://a', client_id: nmp, audience: [nmp, api]}\n  \
            issuers: [{issuer: 'https://b', audience: x, subject_prefix: 'b:'}]\n\
            rules: {bypass: [/health]}\nserver: {grpc: {listen: 127.0.0.1:1}}\n";
        assert_eq!(
            diff(&OLD.replace(", proxy: 'http://u:one@p'", ""), new),
            "\
auth.issuers[https://b].issuer: not set → https://b
    tokens of this issuer are accepted: https://b
auth.oidc.audience: nmp → [nmp, api]
    tokens for this audience are accepted: api
rules.bypass: [] → [/health]
    passes without a token: /health
server.grpc.listen: 127.0.0.1:9191 → 127.0.0.1:1
note: takes effect at the next start only: server.grpc.listen
"
        );
    }

    #[test]
    fn secrets_differ_without_being_shown() {
        let said = diff(OLD, &OLD.replace(":one@", ":two@"));
        assert_eq!(said, "auth.oidc.proxy: the secret in it has changed\n");
        assert_eq!(diff(OLD, OLD), "same: the new configuration changes nothing\n");
    }
}
