//! The claims that are lists: groups and scopes, of whatever shape, joined as headers have them.

use std::borrow::Cow;
use std::slice;

use super::claim_path::ClaimPath;
use super::claim_value::ClaimValue;
use super::joined::Joined;
use super::rules::{HeaderRules, IdentityRules};
use super::value;
use crate::scope_prefix;
use crate::token::Claims;

/// Where groups are when the configured claim is absent: Cognito, then Zitadel, whose
/// claim is an object with the role names as keys.
pub const OTHER_GROUPS_CLAIMS: [&str; 2] = ["cognito:groups", "urn:zitadel:iam:org:project:roles"];

/// The JSON text of the groups that a token has, wherever it has them.
pub(super) fn groups<'j>(claims: &Claims<'j>, path: &ClaimPath) -> Option<&'j str> {
    let elsewhere = || OTHER_GROUPS_CLAIMS.into_iter().find_map(|name| claims.json(name));
    path.find(claims).or_else(elsewhere)
}

/// Appends groups, given as JSON text, to `text`, joined by `,`, and says how many were dropped.
pub(super) fn append_groups(
    text: &mut String,
    groups: Option<&str>,
    prefix: &str,
    headers: &HeaderRules,
) -> u32 {
    let Some(json) = groups else { return 0 };
    let value = ClaimValue::parse(json);
    // NeMo splits a text at commas too.
    let (texts, separator, mut dropped) = match &value {
        ClaimValue::Text(list) => (slice::from_ref(list), Some(','), 0),
        ClaimValue::List { texts, others } => (texts.as_slice(), None, *others),
        ClaimValue::Names(names) => (names.as_slice(), None, 0),
        ClaimValue::Other => return 1,
    };
    let only = &headers.groups_only;
    let wanted = |group: &str| only.is_empty() || only.iter().any(|only| only.matches(group));
    let fit = |group: &str| {
        value::is_name(group, headers.profile) && !group.contains(',') && !value::is_reserved(group)
    };
    let mut groups = Joined::new(text, ",", headers.profile.max_groups());
    let parts = texts.iter().flat_map(|text| text.split(|char| Some(char) == separator));
    // Whoever reads the header trims: ` service:x` is `service:x`.
    for group in parts.map(str::trim).filter(|group| !group.is_empty()) {
        if !wanted(group) || groups.append(prefix, group, fit).is_err() {
            dropped += 1;
        }
    }
    dropped
}

/// Appends the scopes to `text`, joined by spaces, and says how many were dropped: those of
/// `scope` (RFC 8693 §4.2), of `scp` (Entra, Okta) and, where configured, the roles.
pub(super) fn append_scopes(text: &mut String, claims: &Claims<'_>, rules: &IdentityRules) -> u32 {
    let roles = rules.roles.as_ref().and_then(|path| path.find(claims));
    let values = [claims.json("scope"), claims.json("scp"), roles];
    let values = values.map(|json| json.map(ClaimValue::parse));
    let mut scopes = Joined::new(text, " ", value::MAX_SCOPES);
    let mut dropped = 0;
    for value in values.iter().flatten() {
        let (texts, unreadable): (&[Cow<'_, str>], u32) = match value {
            ClaimValue::Text(list) => (slice::from_ref(list), 0),
            ClaimValue::List { texts, others } => (texts, *others),
            ClaimValue::Names(_) | ClaimValue::Other => (&[], 1),
        };
        dropped += unreadable;
        // An item of an array may hold several, too.
        for scope in texts.iter().flat_map(|text| text.split_ascii_whitespace()) {
            let scope = match &rules.scope_prefix {
                Some(prefix) => scope_prefix::cut_off(scope, prefix),
                None => scope,
            };
            dropped += u32::from(scopes.append("", scope, value::is_scope).is_err());
        }
    }
    dropped
}
