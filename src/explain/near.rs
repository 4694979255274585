//! Values that are nearly those that are configured: what differs, and what to write instead.

use doorward_core::issuers::Issuer;
use doorward_core::rules::RouteRule;
use doorward_core::token::AudienceRule;
use serde_json::Value;

use super::steps::Evidence;
use super::words::quoted;
use crate::advice::token as advice;
use crate::product::Product;

impl Evidence<'_> {
    pub(super) fn audience_remedy(&self) -> String {
        let ours = match self.rules().map(|rules| &rules.audience) {
            Some(AudienceRule::AnyOf(ours)) => ours.iter().map(String::as_str).collect::<Vec<_>>(),
            Some(AudienceRule::NotChecked) | None => Vec::new(),
        };
        let near = self.near_audience(&ours, "configured", "`audience`");
        let expected = ours.first().copied().unwrap_or_default();
        near.unwrap_or_else(|| {
            advice::AUDIENCE.fill(
                self.product(),
                [("{client}", &self.registered_client()), ("{expected}", expected)],
            )
        })
    }

    pub(super) fn route_audience_remedy(&self) -> String {
        let rule = self.asked.authorizer.rules().for_request(self.asked.request);
        let wanted = rule.iter().flat_map(RouteRule::route_audiences);
        let wanted: Vec<_> = wanted.flat_map(str::split_ascii_whitespace).collect();
        let near = self.near_audience(&wanted, "what the route asks for", "its audience");
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
        let is_entras = matches!(self.product(), Product::EntraId | Product::Other);
        let entra = if is_entras && differ.contains(PREFIX) {
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

    pub(super) fn issuer_remedy(&self) -> String {
        let Some(found) = self.token.text("iss") else {
            return "have the provider send iss, a string (RFC 9068 §2.2)".to_owned();
        };
        let names: Vec<_> = self.asked.authorizer.issuers().iter().map(Issuer::name).collect();
        advice::issuer(Product::recognise(found, None), found, &names)
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
