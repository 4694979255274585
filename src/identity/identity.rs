//! Who a verified token speaks of.

use std::borrow::Cow;

use serde_json::Value;

use super::claim_path::ClaimPath;
use super::rules::{HeaderRules, IdentityRules};
use super::value;
use crate::token::{Claims, VerifiedToken};

/// Where groups are when the configured claim is absent: Cognito, then Zitadel, whose
/// claim is an object with the role names as keys.
const OTHER_GROUPS_CLAIMS: [&str; 2] = ["cognito:groups", "urn:zitadel:iam:org:project:roles"];

/// The identity behind a token, fit for headers: every text in here may be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The principal.
    pub subject: String,
    /// The email address, when there is one that can be believed.
    pub email: Option<String>,
    /// The groups, in the token's order, each once.
    pub groups: Vec<String>,
    /// The scopes, in the token's order, each once.
    pub scopes: Vec<String>,
    /// Further claims by the header that carries them (`headers.claims`).
    pub further: Vec<(String, String)>,
    /// `jti`, when it is a string.
    pub token_id: Option<String>,
    /// What was left out on the way.
    pub losses: Losses,
}

/// What a token said and the identity does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Groups dropped: reserved, unfit for a header, not wanted, or too many. That only
    /// takes rights away.
    pub groups: u32,
    /// Scopes dropped: unfit for a header.
    pub scopes: u32,
    /// The token has more groups than fit in it and says where to ask for them (Azure's
    /// overage): the groups are unknown, not none.
    pub group_overage: bool,
}

impl Identity {
    /// Finds the identity in a verified token.
    ///
    /// # Errors
    /// The principal is missing or cannot be carried by a header, or it or the email
    /// address is a name that the platform reserves for itself.
    pub fn from_token(
        token: &VerifiedToken<'_>,
        rules: &IdentityRules,
        headers: &HeaderRules,
    ) -> Result<Self, IdentityFault> {
        let claims = token.claims();
        let profile = headers.profile;
        let tenant = token.tenant();

        let subject = subject(claims, rules)?;
        let subject = format!("{}{subject}", fill_in(rules.subject_prefix.as_deref(), tenant)?);
        if value::is_reserved(&subject) {
            return Err(IdentityFault::SubjectReserved);
        }
        if !value::is_name(&subject, profile) {
            return Err(IdentityFault::SubjectUnfit);
        }
        let email = email(claims, &rules.email);
        if email.as_deref().is_some_and(value::is_reserved) {
            return Err(IdentityFault::EmailReserved);
        }
        let email = email.filter(|email| value::is_email(email));

        let mut losses = Losses { group_overage: has_group_overage(claims), ..Losses::default() };
        let groups = groups(
            groups_claim(claims, &rules.groups),
            &fill_in(rules.groups_prefix.as_deref(), tenant)?,
            headers,
            &mut losses,
        );
        let scopes = scopes(claims, rules, &mut losses);
        let further = headers
            .claims
            .iter()
            .filter_map(|(header, path)| {
                Some((header.clone(), value::plain_text(&at(claims, path)?)?))
            })
            .collect();
        let token_id = claims.string("jti").ok().flatten().map(Cow::into_owned);
        Ok(Self { subject, email, groups, scopes, further, token_id, losses })
    }
}

/// Why a token gives no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// Neither the configured claim nor `sub` is there.
    #[error("the token has neither the configured `subject_claim` nor `sub`")]
    SubjectMissing,
    /// It is not a string, empty, too long, or has characters that headers must not.
    #[error("the token's subject is not a string that `headers.profile` allows")]
    SubjectUnfit,
    /// It maps to `*` or `service:…`.
    #[error("the token's subject maps to a name that the platform reserves")]
    SubjectReserved,
    /// It maps to `*` or `service:…`.
    #[error("the token's email maps to a name that the platform reserves")]
    EmailReserved,
    /// A prefix holds `{tid}` and the token has no `tid`.
    #[error("a configured prefix holds `{{tid}}` and the token has no `tid`")]
    TenantMissing,
}

fn subject(claims: &Claims<'_>, rules: &IdentityRules) -> Result<String, IdentityFault> {
    let configured = at(claims, &rules.subject).or_else(|| claims.value("sub"));
    match configured {
        Some(Value::String(subject)) => Ok(subject),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(IdentityFault::SubjectUnfit),
        None => Err(IdentityFault::SubjectMissing),
    }
}

/// The email address, unless the token itself says that nobody checked it. Some IdPs
/// write that as a string.
fn email(claims: &Claims<'_>, path: &ClaimPath) -> Option<String> {
    let unverified = matches!(claims.json("email_verified"), Some("false" | "\"false\""));
    match at(claims, path) {
        Some(Value::String(email)) if !unverified => Some(email),
        Some(_) | None => None,
    }
}

fn groups_claim(claims: &Claims<'_>, path: &ClaimPath) -> Option<Value> {
    at(claims, path).or_else(|| OTHER_GROUPS_CLAIMS.into_iter().find_map(|name| claims.value(name)))
}

fn groups(
    claim: Option<Value>,
    prefix: &str,
    headers: &HeaderRules,
    losses: &mut Losses,
) -> Vec<String> {
    let named: Vec<String> = match claim {
        // NeMo splits at commas too.
        Some(Value::String(list)) => {
            list.split(',').map(|group| group.trim().to_owned()).filter(|g| !g.is_empty()).collect()
        }
        Some(Value::Array(items)) => strings(items, &mut losses.groups),
        Some(Value::Object(members)) => members.into_iter().map(|(name, _)| name).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) => {
            losses.groups += 1;
            Vec::new()
        }
        None => Vec::new(),
    };
    let wanted = |group: &str| {
        headers.groups_only.is_empty() || headers.groups_only.iter().any(|only| only.matches(group))
    };
    let mut groups = Vec::with_capacity(named.len());
    let mut seen = std::collections::HashSet::with_capacity(named.len());
    for group in named {
        let full = format!("{prefix}{group}");
        let fit = wanted(&group)
            && value::is_name(&full, headers.profile)
            && !full.contains(',')
            && !value::is_reserved(&full)
            && groups.len() < value::max_groups(headers.profile);
        if !fit {
            losses.groups += 1;
        } else if seen.insert(full.clone()) {
            groups.push(full);
        }
    }
    groups
}

/// `scope` (RFC 8693 §4.2) or `scp` (Entra, Okta), and the roles where configured.
fn scopes(claims: &Claims<'_>, rules: &IdentityRules, losses: &mut Losses) -> Vec<String> {
    let scope = claims.value("scope").or_else(|| claims.value("scp"));
    let roles = rules.roles.as_ref().and_then(|path| at(claims, path));
    let mut scopes: Vec<String> = Vec::new();
    for claim in [scope, roles].into_iter().flatten() {
        let named = match claim {
            Value::String(list) => list.split_ascii_whitespace().map(str::to_owned).collect(),
            Value::Array(items) => strings(items, &mut losses.scopes),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                losses.scopes += 1;
                Vec::new()
            }
        };
        for scope in named {
            let scope = without_prefix(&scope, rules.scope_prefix.as_deref());
            if !value::is_scope(scope) || scopes.len() >= value::MAX_SCOPES {
                losses.scopes += 1;
            } else if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
    }
    scopes
}

/// A scope without the prefix, which may be configured with or without its `/`.
fn without_prefix<'s>(scope: &'s str, prefix: Option<&str>) -> &'s str {
    let Some(prefix) = prefix.map(|prefix| prefix.trim_end_matches('/')) else { return scope };
    match scope.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !prefix.is_empty() && !rest.is_empty() => rest,
        Some(_) | None => scope,
    }
}

/// Azure puts a reference in place of more than 200 groups (`_claim_names`), or in the
/// implicit flow just says that there are some (`hasgroups`).
fn has_group_overage(claims: &Claims<'_>) -> bool {
    let referred = claims.value("_claim_names").is_some_and(|names| names.get("groups").is_some());
    referred || matches!(claims.json("hasgroups"), Some("true" | "\"true\""))
}

fn fill_in<'p>(
    prefix: Option<&'p str>,
    tenant: Option<&str>,
) -> Result<Cow<'p, str>, IdentityFault> {
    const TENANT: &str = "{tid}";
    match (prefix, tenant) {
        (None, _) => Ok(Cow::Borrowed("")),
        (Some(prefix), _) if !prefix.contains(TENANT) => Ok(Cow::Borrowed(prefix)),
        (Some(prefix), Some(tenant)) => Ok(Cow::Owned(prefix.replace(TENANT, tenant))),
        (Some(_), None) => Err(IdentityFault::TenantMissing),
    }
}

/// The value at a path; `None` when it is absent or `null`.
fn at(claims: &Claims<'_>, path: &ClaimPath) -> Option<Value> {
    let mut value = claims.value(path.claim())?;
    if path.rest().is_empty() {
        return Some(value);
    }
    value.pointer_mut(path.rest()).map(Value::take).filter(|value| !value.is_null())
}

fn strings(items: Vec<Value>, lost: &mut u32) -> Vec<String> {
    let mut strings = Vec::with_capacity(items.len());
    for item in items {
        if let Value::String(string) = item {
            strings.push(string);
        } else {
            *lost += 1;
        }
    }
    strings
}
