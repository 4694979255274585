//! Values that are nearly those that are configured: what differs, and what to write instead.

use doorward_core::issuers::Issuer;
use doorward_core::token::{AudienceRule, CLIENT_CLAIMS};
use serde_json::Value;

use super::story::Story;
use super::words::quoted;
use crate::advice::token as advice;
use crate::printable::printable;
use crate::product::Product;

impl Story<'_> {
    pub(super) fn audience_remedy(&self) -> String {
        let ours = match self.issuer.map(|issuer| &issuer.rules().audience) {
            Some(AudienceRule::AnyOf(ours)) => ours.iter().map(String::as_str).collect::<Vec<_>>(),
            Some(AudienceRule::NotChecked) | None => Vec::new(),
        };
        let near = self.near_audience(&ours, "configured", "`audience`");
        near.unwrap_or_else(|| {
            let issuer = self.issuer.map(Issuer::name).unwrap_or_default();
            let clients = CLIENT_CLAIMS.iter().find_map(|name| self.token.text(name));
            let client = printable(clients.unwrap_or("the client"));
            match (Product::recognise(issuer, None), ours.first()) {
                (Product::Other, _) | (_, None) => {
                    "ask for a token for this API (`audience` or `resource`), have the provider add \
                     the audience, or configure `audience` if the value is yours"
                        .to_owned()
                }
                (product, Some(ours)) => advice::audience(product, &client, ours),
            }
        })
    }

    pub(super) fn route_audience_remedy(&self) -> String {
        let wanted = String::from_utf8_lossy(self.asked.request.route.audience.unwrap_or_default());
        let wanted: Vec<_> = wanted.split_ascii_whitespace().collect();
        let near = self.near_audience(&wanted, "what the route asks for", "`doorward.audience`");
        near.unwrap_or_else(|| "get a token for the audience that the route requires".to_owned())
    }

    fn near_audience(&self, ours: &[&str], said: &str, setting: &str) -> Option<String> {
        let found: Vec<_> = match self.token.claim("aud")? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        };
        let pairs = found.iter().flat_map(|found| ours.iter().map(move |ours| (*found, *ours)));
        let (found, ours, differ) = pairs
            .into_iter()
            .find_map(|(found, ours)| Some((found, ours, audience_difference(found, ours)?)))?;
        let entra = if differ.contains(PREFIX) {
            "; Entra ID has `api://<client-id>` in v1 tokens and the client id in v2 tokens, and \
             `auth.preset.entra` takes both"
        } else {
            ""
        };
        Some(format!(
            "aud has {0}, and {1} is {said}: they differ in {differ}, and aud is compared byte \
             for byte; add {0} to {setting} if both name this API{entra}",
            quoted(found),
            quoted(ours)
        ))
    }

    /// A slash, another case and Entra's two names of a tenant are the usual slips.
    pub(super) fn issuer_remedy(&self) -> String {
        let found = self.token.text("iss").unwrap_or_default();
        let names: Vec<_> = self.asked.authorizer.issuers().iter().map(Issuer::name).collect();
        let alike = |name: &str| name.trim_end_matches('/').to_ascii_lowercase();
        let near = names.iter().find(|name| !found.is_empty() && alike(name) == alike(found));
        let near = near.map(|near| {
            format!(
                "{near} is configured, which differs in a slash or in case: write it as the token \
                 has it"
            )
        });
        near.or_else(|| entra_remedy(found, &names)).unwrap_or_else(|| {
            "configure this issuer (`auth.oidc.issuer`, `auth.issuers`) if it is to be trusted, or \
             get a token from one that is"
                .to_owned()
        })
    }
}

const PREFIX: &str = "api://";

/// In what two audiences differ that are the same but for the usual slips.
fn audience_difference(found: &str, ours: &str) -> Option<String> {
    let without_prefix = |text: &str| match text.split_at_checked(PREFIX.len()) {
        Some((front, rest)) if front.eq_ignore_ascii_case(PREFIX) => rest.to_owned(),
        Some(_) | None => text.to_owned(),
    };
    let bare = |text: &str| without_prefix(text).trim_end_matches('/').to_ascii_lowercase();
    if found == ours || bare(found).is_empty() || bare(found) != bare(ours) {
        return None;
    }
    let has_prefix = |text: &str| without_prefix(text) != text;
    let cased = |text: &str| without_prefix(text).trim_end_matches('/').to_owned();
    let differences = [
        (has_prefix(found) != has_prefix(ours), "`api://` in front"),
        (found.ends_with('/') != ours.ends_with('/'), "the slash at the end"),
        (cased(found) != cased(ours), "upper and lower case"),
    ];
    let differ: Vec<_> = differences.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    Some(if differ.is_empty() { "how it is written".to_owned() } else { differ.join(" and ") })
}

/// Microsoft Entra ID has two names for each tenant: one in its v1 tokens, one in its v2 tokens.
fn entra_remedy(found: &str, names: &[&str]) -> Option<String> {
    let (is_v2, tenant) = entra(found)?;
    let ours: Vec<_> = names.iter().filter_map(|name| Some((*name, entra(name)?))).collect();
    let mut same = ours.iter().filter(|(_, (_, its))| *its == tenant || its.starts_with('{'));
    let found = quoted(found);
    match same.find(|(_, (its_v2, _))| *its_v2 != is_v2) {
        Some((near, _)) if is_v2 => Some(format!(
            "this is a v2 token of Entra ID, and {near} issues its v1 tokens: add {found} to \
             `auth.oidc.additional_issuers`, or where {near} is an entry of `auth.issuers`, as \
             another entry (`auth.preset.entra` has both)"
        )),
        Some((near, _)) => Some(format!(
            "this is a v1 token of Entra ID, and {near} issues its v2 tokens: add {found} to \
             `auth.oidc.additional_issuers`, or where {near} is an entry of `auth.issuers`, as \
             another entry (`auth.preset.entra` has both), or have v2 tokens issued: App registrations > the API > Manifest: requestedAccessTokenVersion 2"
        )),
        None if ours.is_empty() => None,
        None => Some(format!(
            "this token is of another tenant of Entra ID ({}): log in at the configured one, or \
             add the tenant if it should be allowed (`tenants` of `auth.preset.entra`)",
            quoted(tenant)
        )),
    }
}

/// Whether an issuer of Entra ID is that of v2 tokens, and its tenant.
fn entra(issuer: &str) -> Option<(bool, &str)> {
    if Product::recognise(issuer, None) != Product::EntraId {
        return None;
    }
    let tenant = issuer.split('/').nth(3)?;
    Some((issuer.ends_with("/v2.0"), tenant))
}
