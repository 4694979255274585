//! What the engine lets pass and people should know all the same, with what to do about it at the
//! provider.

use std::time::Duration;

use doorward_core::identity::{ClaimPath, OTHER_GROUPS_CLAIMS};
use doorward_core::scope_prefix::cut_off;
use doorward_core::token::BoundTokens;
use serde_json::Value;

use super::super::report::Finding;
use super::kind::Kind;
use crate::advice;
use crate::explain::{Check, Evidence};
use crate::printable::printable;
use crate::product::Product;
use crate::token_parts::TokenParts;

/// Tokens that live longer cannot be taken back for too long.
const LONG_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Where an email address also is, in the order of trust.
const LIKE_EMAIL: [&str; 7] =
    ["email", "upn", "preferred_username", "unique_name", "mail", "emails", "sub"];
/// Where groups also are, but for those claims that Doorward reads by itself.
const LIKE_GROUPS: [&str; 6] =
    ["groups", "roles", "/realm_access/roles", "group", "memberOf", "permissions"];

/// What there is to remark on a check that passes and found this, or that nobody asks for.
pub(super) fn on(check: Check, found: &str, evidence: &Evidence<'_>) -> Option<Finding> {
    type On = fn(&Evidence<'_>) -> Option<Finding>;
    let remarks: [(Check, On); 7] = [
        (Check::Kind, kind),
        (Check::Lifetime, lifetime),
        (Check::Client, client),
        (Check::Subject, subject),
        (Check::Email, email),
        (Check::Groups, groups),
        (Check::Scopes, scopes),
    ];
    let (_, remark) = remarks.into_iter().find(|(of, _)| *of == check)?;
    let remark = remark(evidence)?;
    let parts = [found, &remark.found].map(str::trim).into_iter().filter(|it| !it.is_empty());
    let found = printable(&parts.collect::<Vec<_>>().join("; "));
    Some(Finding { check: check.name(), found, ..remark })
}

/// All is well, and this was found beside what the step tells.
fn pass(more: &str) -> Finding {
    Finding::pass("", more)
}

/// Something to know, which may be all in what the step tells, and what to do.
fn warn(more: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding::warn("", more, remedy)
}

fn kind(evidence: &Evidence<'_>) -> Option<Finding> {
    let is_bound = evidence.token.claim("cnf").is_some();
    Some(match Kind::of(&evidence.token) {
        Kind::Graph => {
            Finding::fail("", "it is for Microsoft Graph", advice::token::MICROSOFT_GRAPH)
        }
        Kind::Id => warn(
            "it looks like an ID token, which is accepted without `require_access_token`",
            advice::token::ID_TOKEN.of(evidence.product()),
        ),
        _ if is_bound && evidence.issuer?.rules().bound_tokens == BoundTokens::Ignored => warn(
            "that key is not checked (`bound_tokens: ignore`)",
            "make sure that something in front of Doorward checks the binding",
        ),
        Kind::Person => pass("a person's access token"),
        Kind::Machine => pass("an application's own access token"),
        Kind::Refresh | Kind::Logout => return None,
    })
}

fn lifetime(evidence: &Evidence<'_>) -> Option<Finding> {
    let life = evidence.token.date("exp")?.since(evidence.token.date("iat")?);
    (life > LONG_LIFE).then(|| {
        let days = life.as_secs() / LONG_LIFE.as_secs();
        warn(
            format!("more than {days} days from iat to exp"),
            "shorten the life of access tokens at the provider (an hour is usual): until it expires, \
             it cannot be revoked",
        )
    })
}

fn client(evidence: &Evidence<'_>) -> Option<Finding> {
    let is_open = evidence.product() == Product::Google
        && evidence.issuer?.rules().allowed_clients.is_empty();
    is_open.then(|| {
        warn(
            "any: Google signs tokens for any audience for anyone with a service account",
            "set allowed_clients to the OAuth clients, and the unique ids of the service accounts, that \
             are allowed (azp)",
        )
    })
}

fn subject(evidence: &Evidence<'_>) -> Option<Finding> {
    let path = &evidence.issuer?.identity().subject;
    evidence.token.at(path).is_none().then(|| {
        warn(
            format!("{path} absent"),
            "set subject_claim to a claim that every token has, or have the provider send it",
        )
    })
}

fn email(evidence: &Evidence<'_>) -> Option<Finding> {
    let path = &evidence.issuer?.identity().email;
    let product = evidence.product();
    if evidence.token.at(path).is_some() {
        let fault = evidence.verified()?.identity().losses.email?;
        return Some(warn("", advice::claims::address(product, fault)));
    }
    if Kind::of(&evidence.token) == Kind::Machine {
        return Some(pass("as usual for an application"));
    }
    let is_address = |value: &Value| value.as_str().is_some_and(|text| text.contains('@'));
    let remedy = advice::claims::EMAIL.for_client(product, &evidence.registered_client());
    let likely = likely(&evidence.token, &LIKE_EMAIL, path, is_address);
    Some(elsewhere(likely, "email_claim", "addresses in it can be trusted", String::new(), &remedy))
}

fn groups(evidence: &Evidence<'_>) -> Option<Finding> {
    let path = &evidence.issuer?.identity().groups;
    let losses = evidence.verified()?.identity().losses;
    let client = evidence.registered_client();
    if losses.group_overage {
        return Some(warn("", advice::claims::group_overage(&client)));
    }
    if losses.groups > 0 {
        return Some(warn(
            "",
            "rename them at the provider, or see headers.profile (plain allows more) and \
             headers.groups_only",
        ));
    }
    let is_there = |name: &str| evidence.token.claim(name).is_some();
    if evidence.token.at(path).is_some() || OTHER_GROUPS_CLAIMS.into_iter().any(is_there) {
        return None;
    }
    if Kind::of(&evidence.token) == Kind::Machine {
        return Some(pass("as usual for an application"));
    }
    let remedy = advice::claims::GROUPS
        .fill(evidence.product(), [("{client}", &client), ("{claim}", &path.to_string())]);
    let likely = likely(&evidence.token, &LIKE_GROUPS, path, Value::is_array);
    // Keycloak and Entra leave the claim out for those who are in none.
    let found = "the user is in no group, or the claim is not sent; ".to_owned();
    Some(elsewhere(likely, "groups_claim", "those are the ones you want", found, &remedy))
}

/// A claim that is missing, and the other one that it may be in.
fn elsewhere(
    likely: Option<(String, String)>,
    setting: &str,
    provided: &str,
    found: String,
    remedy: &str,
) -> Finding {
    match likely {
        Some((name, value)) => warn(
            format!("{found}{name} has {value}"),
            format!("set {setting}: {name}, if {provided}; or {remedy}"),
        ),
        None => warn(found.trim_end_matches("; "), remedy),
    }
}

fn scopes(evidence: &Evidence<'_>) -> Option<Finding> {
    let (token, rules) = (&evidence.token, evidence.issuer?.identity());
    let roles = rules.roles.as_ref().and_then(|path| token.at(path));
    let said: Vec<&Value> =
        [token.claim("scope"), token.claim("scp"), roles].into_iter().flatten().collect();
    if said.is_empty() {
        let (more, is_role) = match token.claim("roles") {
            Some(_) => ("roles is present, and is not used", true),
            None => ("routes that require a scope deny it", false),
        };
        let remedy = if is_role && Kind::of(token) == Kind::Machine {
            "set roles_claim: roles, to count them among the scopes".to_owned()
        } else {
            advice::claims::SCOPES.for_client(evidence.product(), &evidence.registered_client())
        };
        return Some(warn(more, remedy));
    }
    if evidence.verified()?.identity().losses.scopes > 0 {
        return Some(warn(
            "",
            "have the provider send them as one string or an array of strings: a token with a lost \
             scope needs one of those that rules.endpoints requires",
        ));
    }
    let prefix = rules.scope_prefix.as_deref();
    let is_cut = |scope: &str| prefix.is_some_and(|prefix| cut_off(scope, prefix) != scope);
    let named: Vec<&str> = said.into_iter().flat_map(words).collect();
    let front = named.into_iter().filter(|scope| !is_cut(scope)).find_map(|scope| {
        let (front, _) = scope.rsplit_once('/')?;
        let is_api = front.starts_with("api://")
            || (front.starts_with("https://") && !front.contains("googleapis.com"));
        is_api.then_some(front)
    })?;
    Some(warn(
        format!("they start with {front}/, which `scope_prefix` does not name"),
        format!("set scope_prefix: {front}/, so that rules see the short names"),
    ))
}

/// The first of these claims, other than the configured one, whose value looks right; or one
/// of such a name behind a URL (Auth0's namespaces) or below a client (Keycloak's roles).
fn likely(
    token: &TokenParts,
    names: &[&str],
    configured: &ClaimPath,
    looks_right: impl Fn(&Value) -> bool,
) -> Option<(String, String)> {
    let plain = names.iter().map(|name| (*name).to_owned());
    let namespaced = token.claims.iter().flatten().map(|(name, _)| name.clone()).filter(|name| {
        name.contains("://") && names.iter().any(|it| name.ends_with(&format!("/{it}")))
    });
    let clients = token.claim("resource_access").and_then(Value::as_object).into_iter().flatten();
    // Every Keycloak user has roles at `account`, to see their own.
    let clients = clients.map(|(client, _)| client).filter(|client| *client != "account");
    let client_roles = clients.map(|client| {
        format!("/resource_access/{}/roles", client.replace('~', "~0").replace('/', "~1"))
    });
    plain
        .chain(namespaced)
        .chain(client_roles)
        .filter(|name| configured.to_string() != *name)
        .find_map(|name| {
            let value = token.at(&name.parse().ok()?).filter(|value| looks_right(value))?;
            let text = words(value).join(", ");
            Some((name, text))
        })
}

/// The words of a text, or of the texts in a list.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
