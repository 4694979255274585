//! `headers`: names, profile, mapped claims.

use std::collections::BTreeMap;

use doorward_core::identity::{ClaimPath, HeaderNames, HeaderRules, Profile, folded};
use http::HeaderName;
use wildmatch::WildMatch;

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::{Checker, values};

/// Headers that frame the message, steer Envoy or carry the caller's own credentials.
const FORBIDDEN: [&str; 19] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];
/// Envoy takes orders from headers that begin so.
const ENVOY: &str = "x-envoy-";
/// What ordinary requests carry: a prefix that covers one of these is a mistake.
const ORDINARY: [&str; 20] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "if-none-match",
    "origin",
    "referer",
    "traceparent",
    "user-agent",
    "x-envoy-attempt-count",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
/// `x-` alone would take everybody's headers away.
const SHORTEST_PREFIX: usize = 4;

pub(super) fn check(c: &mut Checker, headers: &raw::Headers) -> Option<HeaderRules> {
    let section = KeyPath::dotted("headers");
    let prefix = c.keep(&section.join("trusted_prefix"), trusted_prefix(&headers.trusted_prefix));
    let mut names = Names { taken: BTreeMap::new() };
    let names_found = names.of_identity(c, &section, headers);
    let claims = names.claims(c, &section.join("claims"), &headers.claims);
    let groups_only = c.each(&section.join("groups_only"), &headers.groups_only, |pattern| {
        if pattern.is_empty() { Err(BadValue::Empty) } else { Ok(WildMatch::new(pattern)) }
    });
    Some(HeaderRules {
        profile: match headers.profile {
            raw::Profile::Nemo => Profile::Nemo,
            raw::Profile::Plain => Profile::Plain,
        },
        trusted_prefix: prefix?,
        names: names_found?,
        claims: claims?,
        groups_only: groups_only?,
    })
}

/// The names given so far, folded, and to which key.
struct Names {
    taken: BTreeMap<String, KeyPath>,
}

impl Names {
    fn of_identity(
        &mut self,
        c: &mut Checker,
        section: &KeyPath,
        headers: &raw::Headers,
    ) -> Option<HeaderNames> {
        let mut name = |key: &str, text: &str| self.take(c, &section.join(key), text);
        let principal_id = name("principal_id", &headers.principal_id);
        let principal_email = name("principal_email", &headers.principal_email);
        let principal_groups = name("principal_groups", &headers.principal_groups);
        let mut behalf = |key: &str, text: &Option<String>, behind: &str| {
            let by_prefix = || format!("{}Principal-On-Behalf-Of{behind}", headers.trusted_prefix);
            name(key, &text.clone().unwrap_or_else(by_prefix))
        };
        let id = behalf("principal_on_behalf_of", &headers.principal_on_behalf_of, "");
        let email = &headers.principal_on_behalf_of_email;
        let email = behalf("principal_on_behalf_of_email", email, "-Email");
        let groups = &headers.principal_on_behalf_of_groups;
        let groups = behalf("principal_on_behalf_of_groups", groups, "-Groups");
        let scopes = name("scopes", &headers.scopes);
        let authorized = name("authorized", &headers.authorized);
        Some(HeaderNames {
            principal_id: principal_id?,
            principal_email: principal_email?,
            principal_groups: principal_groups?,
            principal_on_behalf_of: id?,
            principal_on_behalf_of_email: email?,
            principal_on_behalf_of_groups: groups?,
            scopes: scopes?,
            authorized: authorized?,
        })
    }

    fn claims(
        &mut self,
        c: &mut Checker,
        section: &KeyPath,
        claims: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, ClaimPath>> {
        let mapped: Vec<_> = claims
            .iter()
            .map(|(header, claim)| {
                let key = section.join(header);
                let header = self.take(c, &key, header);
                let claim = values::claim(c, &key, claim);
                Some((header?, claim?))
            })
            .collect();
        mapped.into_iter().collect()
    }

    fn take(&mut self, c: &mut Checker, key: &KeyPath, text: &str) -> Option<String> {
        let name = c.keep(key, header_name(text))?;
        let folded = folded(&name);
        if let Some(elsewhere) = self.taken.get(&folded) {
            let elsewhere = elsewhere.to_string();
            c.bad(key, BadValue::DuplicateHeader { name: name.into(), elsewhere });
            return None;
        }
        self.taken.insert(folded, key.clone());
        Some(name)
    }
}

fn header_name(text: &str) -> Result<String, BadValue> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| BadValue::NotAHeader(text.into()))?;
    let name = name.as_str();
    if name.contains('_') {
        return Err(BadValue::Underscore(text.into()));
    }
    // What folds like our name is removed, so this one would be, too.
    let folded = folded(name);
    if FORBIDDEN.contains(&folded.as_str()) || folded.starts_with(ENVOY) {
        return Err(BadValue::ForbiddenHeader(text.into()));
    }
    Ok(name.to_owned())
}

fn trusted_prefix(text: &str) -> Result<String, BadValue> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| BadValue::NotAHeader(text.into()))?;
    let prefix = folded(name.as_str());
    if prefix.len() < SHORTEST_PREFIX || !prefix.ends_with('-') {
        return Err(BadValue::PrefixTooShort(text.into()));
    }
    match ORDINARY.into_iter().find(|name| name.starts_with(&prefix)) {
        Some(victim) => Err(BadValue::PrefixTooWide { prefix: text.into(), victim }),
        None => Ok(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names() {
        assert_eq!(header_name("X-NMP-Principal-Id").unwrap(), "x-nmp-principal-id");
        for bad in [
            "",
            ":path",
            "x y",
            "x_y",
            "Authorization",
            "Host",
            "TE",
            "X-Envoy-Retry-On",
            "é",
            "content.length",
            "x.envoy.a",
        ] {
            assert!(header_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(trusted_prefix("X-NMP-").unwrap(), "x-nmp-");
        assert_eq!(trusted_prefix("x_nmp_").unwrap(), "x-nmp-");
        assert_eq!(trusted_prefix("x.nmp--").unwrap(), "x-nmp-");
        for bad in [
            "",
            "x-",
            "x---",
            "x-nmp",
            "x-forwarded-",
            "x.forwarded.",
            "content-",
            "X-Envoy-",
            "a b-",
        ] {
            assert!(trusted_prefix(bad).is_err(), "{bad}");
        }
    }
}
