//! Does it say who it is about, where the configuration looks?

use doorward_core::identity::{AddressFault, ClaimPath, IdentityFault, says_yes};
use doorward_core::scope_prefix::cut_off;
use serde_json::Value;

use super::super::report::Finding;
use super::form::shown;
use super::kind::Kind;
use super::{Proven, Specimen};
use crate::advice::claims as remedies;

/// Where an email address also is, in the order of trust.
const LIKE_EMAIL: [&str; 7] =
    ["email", "upn", "preferred_username", "unique_name", "mail", "emails", "sub"];
/// Where groups also are; the first two Doorward reads by itself.
const LIKE_GROUPS: [&str; 8] = [
    "cognito:groups",
    "urn:zitadel:iam:org:project:roles",
    "groups",
    "roles",
    "/realm_access/roles",
    "group",
    "memberOf",
    "permissions",
];
/// How many of those stand in for an absent `groups_claim`.
const READ_UNASKED: usize = 2;
/// What also names a principal.
const LIKE_SUBJECT: [&str; 5] = ["sub", "oid", "uid", "preferred_username", "client_id"];

pub(super) fn examine(
    specimen: &Specimen<'_>,
    proven: Option<&Proven>,
    findings: &mut Vec<Finding>,
) {
    findings.push(subject(specimen, proven));
    findings.push(email(specimen, proven));
    findings.push(groups(specimen, proven));
    findings.push(scopes(specimen, proven));
}

fn subject(specimen: &Specimen<'_>, proven: Option<&Proven>) -> Finding {
    let rules = &specimen.issuer.settings.identity;
    let claims = specimen.claims();
    let fault = proven.and_then(|proven| proven.as_ref().err());
    let configured = at(claims, &rules.subject);
    let Some(found) = configured.or_else(|| claims.get("sub")).filter(|it| !it.is_null()) else {
        let others = present(claims, &LIKE_SUBJECT, &rules.subject);
        return Finding::fail(
            "subject",
            format!("neither {} nor sub is present{others}", rules.subject),
            remedies::subject(specimen.issuer.provider, specimen.client()),
        );
    };
    let value = shown(&text_of(found));
    match fault {
        Some(IdentityFault::SubjectUnfit) if !found.is_string() => {
            let others = present(claims, &LIKE_SUBJECT, &rules.subject);
            return Finding::fail(
                "subject",
                format!("{value} is not a string{others}"),
                "have the provider write it as a string (RFC 7519 §4.1.2), or set subject_claim to \
                 a claim that is one",
            );
        }
        Some(IdentityFault::SubjectUnfit) => {
            return Finding::fail(
                "subject",
                format!("{value:?} has characters or a length that headers.profile does not allow"),
                "headers.profile: plain allows any visible ASCII (auth0|123); or set subject_claim \
                 to another claim",
            );
        }
        Some(IdentityFault::SubjectReserved | IdentityFault::EmailReserved) => {
            return Finding::fail(
                "subject",
                format!("{value:?} or the email is reserved by the platform"),
                "rename the account: service:… and * stand for the platform's own services",
            );
        }
        Some(IdentityFault::SubjectAddress(address)) => {
            let remedy = match address {
                AddressFault::Unverified => remedies::email_unverified(specimen.issuer.provider),
                AddressFault::Malformed
                | AddressFault::OutsideDomains
                | AddressFault::AnyTenants => {
                    "set subject_claim to a claim that is not an address (an id), or add the \
                     domain to email_domains if this issuer is authoritative for it"
                        .to_owned()
                }
            };
            let found = format!("{value:?} is an email address that {address}");
            return Finding::fail("subject", found, remedy);
        }
        Some(IdentityFault::TenantMissing) => {
            return Finding::fail(
                "subject",
                IdentityFault::TenantMissing.to_string(),
                "remove {tid} from subject_prefix and groups_prefix, or have the provider send tid",
            );
        }
        Some(IdentityFault::SubjectMissing) | None => {}
    }
    if configured.is_none() {
        let others = present(claims, &LIKE_SUBJECT, &rules.subject);
        return Finding::warn(
            "subject",
            format!("{} is missing, sub is used: {value:?}{others}", rules.subject),
            "set subject_claim to a claim that every token has, or have the provider send it",
        );
    }
    Finding::pass("subject", format!("{} = {value:?}", rules.subject))
}

fn email(specimen: &Specimen<'_>, proven: Option<&Proven>) -> Finding {
    let path = &specimen.issuer.settings.identity.email;
    let claims = specimen.claims();
    let Some(found) = at(claims, path) else {
        if specimen.kind == Kind::Machine {
            return Finding::pass("email", "none, as usual for an application");
        }
        let likely = likely(claims, &LIKE_EMAIL, path, |value| {
            value.as_str().is_some_and(|text| text.contains('@'))
        });
        let (others, setting) = match &likely {
            Some((name, value)) => (
                format!("; {name} has {:?}", shown(value)),
                format!("set email_claim: {name}, if addresses in it can be trusted; or "),
            ),
            None => (String::new(), String::new()),
        };
        let remedy = remedies::email(specimen.issuer.provider, specimen.client());
        let found = format!("{path} is missing{others}");
        return Finding::warn("email", found, format!("{setting}{remedy}"));
    };
    let value = shown(&text_of(found));
    let identity = proven.and_then(|proven| proven.as_ref().ok());
    // Without keys nobody has looked yet; this much can be told all the same.
    let unverified = || {
        let said = at(claims, &ClaimPath::claim_named("email_verified"));
        said.is_some_and(|said| !says_yes(&said.to_string())).then_some(AddressFault::Unverified)
    };
    let fault = match identity {
        Some(identity) => identity.losses.email,
        None => unverified(),
    };
    let Some(fault) = fault else {
        return Finding::pass("email", format!("{path} = {value:?}"));
    };
    let remedy = match fault {
        AddressFault::Unverified => remedies::email_unverified(specimen.issuer.provider),
        AddressFault::Malformed => "set email_claim to a claim with the address alone".to_owned(),
        AddressFault::OutsideDomains => {
            "add the domain to email_domains, if this issuer is authoritative for it".to_owned()
        }
        AddressFault::AnyTenants => {
            "App registrations > the API > Token configuration > Add optional claim > Access: \
             xms_edov; or list the domains in email_domains"
                .to_owned()
        }
    };
    Finding::warn("email", format!("{path} = {value:?} is left out: it {fault}"), remedy)
}

fn groups(specimen: &Specimen<'_>, proven: Option<&Proven>) -> Finding {
    let path = &specimen.issuer.settings.identity.groups;
    let (claims, client) = (specimen.claims(), specimen.client());
    let overage = claims.pointer("/_claim_names/groups").is_some()
        || claims.get("hasgroups").map(text_of).as_deref() == Some("true");
    if overage {
        return Finding::warn(
            "groups",
            "too many for the token (overage): they are unknown, not none",
            remedies::group_overage(client),
        );
    }
    let unasked = LIKE_GROUPS.iter().take(READ_UNASKED);
    let stand_in = || unasked.clone().find_map(|name| Some((*name, claims.get(*name)?)));
    let written = path.to_string();
    let found = at(claims, path).map(|value| (written.as_str(), value)).or_else(stand_in);
    let Some((name, value)) = found else {
        if specimen.kind == Kind::Machine {
            return Finding::pass("groups", "none, as usual for applications");
        }
        let likely = likely(claims, &LIKE_GROUPS, path, |value| value.is_array());
        let (others, setting) = match &likely {
            Some((name, value)) => (
                format!("; {name} has {}", shown(value)),
                format!("set groups_claim: {name}, if those are the ones you want; or "),
            ),
            None => (String::new(), String::new()),
        };
        let remedy = remedies::groups(specimen.issuer.provider, client, &written);
        // Keycloak and Entra leave the claim out for those who are in none.
        let found = format!(
            "{path} is missing: the user is in no group, or the claim is not \
                             sent{others}"
        );
        return Finding::warn("groups", found, format!("{setting}{remedy}"));
    };
    let all = shown(&text_of(value));
    let losses =
        proven.and_then(|proven| proven.as_ref().ok()).map_or(0, |identity| identity.losses.groups);
    if losses > 0 {
        return Finding::warn(
            "groups",
            format!(
                "{losses} of {name} = {all} are dropped: they do not fit into headers, or \
                     headers.groups_only excludes them"
            ),
            "rename them at the provider, or see headers.profile (plain allows more) and \
             headers.groups_only",
        );
    }
    let all = if all.is_empty() { "no groups".to_owned() } else { all };
    Finding::pass("groups", format!("{name} = {all}"))
}

fn scopes(specimen: &Specimen<'_>, proven: Option<&Proven>) -> Finding {
    let rules = &specimen.issuer.settings.identity;
    let claims = specimen.claims();
    let said = ["scope", "scp"].map(|name| at(claims, &ClaimPath::claim_named(name)));
    let roles = rules.roles.as_ref().and_then(|path| at(claims, path));
    let said: Vec<&Value> = said.into_iter().chain([roles]).flatten().collect();
    if said.is_empty() {
        let has_roles = claims.get("roles").is_some();
        let found = if has_roles {
            "neither scope nor scp is present; roles is, and is not used"
        } else {
            "neither scope nor scp is present: routes that require a scope deny it"
        };
        let remedy = if has_roles && specimen.kind == Kind::Machine {
            "set roles_claim: roles, to count them among the scopes".to_owned()
        } else {
            remedies::scopes(specimen.issuer.provider, specimen.client())
        };
        return Finding::warn("scopes", found, remedy);
    }
    let named: Vec<String> = said.into_iter().flat_map(words).collect();
    let all = shown(&named.join(" "));
    let identity = proven.and_then(|proven| proven.as_ref().ok());
    let losses = identity.map_or(0, |identity| identity.losses.scopes);
    if losses > 0 {
        return Finding::warn(
            "scopes",
            format!("{all}: {losses} cannot be read, or do not fit into a header"),
            "have the provider send them as one string or an array of strings: a token with a \
             lost scope needs one of those that rules.endpoints requires",
        );
    }
    let prefix = rules.scope_prefix.as_deref();
    let is_cut = |scope: &str| prefix.is_some_and(|prefix| cut_off(scope, prefix) != scope);
    let foreign = named.iter().filter(|scope| !is_cut(scope)).find_map(|scope| {
        let (front, _) = scope.rsplit_once('/')?;
        let is_api = front.starts_with("api://")
            || (front.starts_with("https://") && !front.contains("googleapis.com"));
        is_api.then_some(front)
    });
    if let Some(front) = foreign {
        let configured = match prefix {
            Some(prefix) => format!("scope_prefix is {prefix}"),
            None => "no scope_prefix is configured".to_owned(),
        };
        return Finding::warn(
            "scopes",
            format!("{all}: they start with {front}/, and {configured}"),
            format!("set scope_prefix: {}/, so that rules see the short names", shown(front)),
        );
    }
    match (named.is_empty(), prefix) {
        (true, _) => Finding::pass("scopes", "none were granted"),
        (false, Some(prefix)) => {
            let cut = named.iter().any(|scope| is_cut(scope));
            let note = if cut { "is removed" } else { "is not in it, and does not have to be" };
            Finding::pass("scopes", format!("{all}; the prefix {prefix} {note}"))
        }
        (false, None) => Finding::pass("scopes", all),
    }
}

/// The value at a path, unless it is absent or `null`.
fn at<'v>(claims: &'v Value, path: &ClaimPath) -> Option<&'v Value> {
    claims.get(path.claim())?.pointer(path.rest()).filter(|value| !value.is_null())
}

/// The first of these claims, other than the configured one, whose value looks right; or one
/// of such a name behind a URL (Auth0's namespaces) or below a client (Keycloak's roles).
fn likely(
    claims: &Value,
    names: &[&str],
    configured: &ClaimPath,
    looks_right: impl Fn(&Value) -> bool,
) -> Option<(String, String)> {
    let plain = names.iter().map(|name| (*name).to_owned());
    let members = claims.as_object().into_iter().flatten();
    let namespaced = members.map(|(name, _)| name.clone()).filter(|name| {
        name.contains("://") && names.iter().any(|it| name.ends_with(&format!("/{it}")))
    });
    let clients = claims.get("resource_access").and_then(Value::as_object).into_iter().flatten();
    // Every Keycloak user has roles at `account`, to see their own.
    let clients = clients.map(|(client, _)| client).filter(|client| *client != "account");
    let client_roles = clients.map(|client| {
        format!("/resource_access/{}/roles", client.replace('~', "~0").replace('/', "~1"))
    });
    plain
        .chain(namespaced)
        .chain(client_roles)
        .filter(|name| configured.to_string() != *name)
        .filter_map(|name| {
            let value = at(claims, &name.parse().ok()?).filter(|value| looks_right(value))?;
            let text = text_of(value);
            Some((name, text))
        })
        .next()
}

/// `; there are sub, oid`: which of these claims the token has besides.
fn present(claims: &Value, names: &[&str], configured: &ClaimPath) -> String {
    let there: Vec<_> = names
        .iter()
        .filter(|name| configured.to_string() != **name && claims.get(**name).is_some())
        .copied()
        .collect();
    if there.is_empty() { String::new() } else { format!("; there are {}", there.join(", ")) }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(items) => {
            items.iter().filter(|item| item.is_string()).flat_map(words).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// A claim's value on the screen.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members.keys().cloned().collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
