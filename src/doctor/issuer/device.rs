//! May this client use the device flow? That stands in no document: only asking tells.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::super::report::Finding;
use crate::advice::login as remedies;
use crate::discovery::{HttpFetcher, Reply};
use crate::pkce;
use crate::product::Product;

/// A device authorization to be asked for (RFC 8628 §3.1), which nobody will ever grant.
pub(super) struct Probe<'a> {
    pub(super) client: &'a str,
    /// What login asks for, separated by spaces.
    pub(super) scopes: &'a str,
    /// As discovery lists them.
    pub(super) scopes_supported: Option<&'a [String]>,
    /// Whether PKCE is offered, and may be demanded.
    pub(super) pkce: bool,
    pub(super) provider: Product,
}

impl Probe<'_> {
    pub(super) async fn ask(&self, endpoint: &Url, http: &HttpFetcher) -> Vec<Finding> {
        let form = self.form();
        let mut header = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        header.insert(CONTENT_TYPE, form_type);
        match http.post(endpoint, header, form.into_bytes()).await {
            Ok(reply) => self.judge(&reply),
            Err(error) => vec![Finding::fail(
                "device_grant",
                error.to_string(),
                "make sure that this machine can reach the endpoint; users who log in have to",
            )],
        }
    }

    fn form(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", self.client).append_pair("scope", self.scopes);
        if self.pkce
            && let Some(verifier) = pkce::verifier()
        {
            form.append_pair("code_challenge", &pkce::s256(&verifier))
                .append_pair("code_challenge_method", pkce::METHOD);
        }
        form.finish()
    }

    fn judge(&self, reply: &Reply) -> Vec<Finding> {
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        if reply.status.is_success() && text("device_code").is_some() {
            // Google's name for it is older than the RFC.
            return self.granted(text("verification_uri").or_else(|| text("verification_url")));
        }
        let (client, provider) = (self.client, self.provider);
        let error = text("error").unwrap_or_default();
        let said = match (error, text("error_description")) {
            ("", _) => format!("status {}", reply.status.as_u16()),
            (error, None) => error.to_owned(),
            (error, Some(why)) => format!("{error}: {}", first_line(why)),
        };
        if error == "invalid_scope" {
            return vec![Finding::fail(
                "default_scopes",
                format!("client {client:?} may not request {:?} ({said})", self.scopes),
                remedies::SCOPES_REFUSED.for_client(provider, client),
            )];
        }
        // What Entra says of a client it does not know, and Keycloak of one with a secret.
        let other_words = ["AADSTS700016", "client credentials"];
        let is_unknown = error == "invalid_client"
            || (error == "unauthorized_client" && other_words.iter().any(|it| said.contains(it)));
        let remedy = if is_unknown {
            remedies::unknown_client(provider, client)
        } else {
            remedies::DEVICE_GRANT_REFUSED.for_client(provider, client)
        };
        let refused = format!("client {client:?} gets no device code ({said})");
        vec![Finding::fail("device_grant", refused, remedy)]
    }

    fn granted(&self, verification_uri: Option<&str>) -> Vec<Finding> {
        let client = self.client;
        let grant = match verification_uri {
            Some(uri) => Finding::pass(
                "device_grant",
                format!("allowed for client {client:?}; users enter codes at {uri}"),
            ),
            None => Finding::fail(
                "device_grant",
                "the response has no verification_uri: users could not be told where to enter the \
                 code",
                "this is not RFC 8628 §3.2: set device_authorization_endpoint to the right \
                 endpoint",
            ),
        };
        vec![grant, self.scopes()]
    }

    /// Keycloak says nothing of a scope that it does not know, and leaves it out.
    fn scopes(&self) -> Finding {
        let listed = |scope: &&str| {
            self.scopes_supported.is_none_or(|supported| supported.iter().any(|it| it == scope))
        };
        // Those of an API of one's own (`api://x/y`, `models:read`) are often not listed.
        let is_common = |scope: &&str| !scope.contains([':', '/', '.']);
        let unlisted: Vec<_> =
            self.scopes.split(' ').filter(|scope| !listed(scope) && is_common(scope)).collect();
        if unlisted.is_empty() {
            return Finding::pass("default_scopes", format!("{:?} is not refused", self.scopes));
        }
        Finding::warn(
            "default_scopes",
            format!("not among scopes_supported: {}", unlisted.join(" ")),
            remedies::SCOPES_REFUSED.for_client(self.provider, self.client),
        )
    }
}

/// Entra's descriptions go on with trace ids for lines.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Outcome;
    use super::*;

    fn judged(status: u16, body: &str, provider: Product) -> Vec<Finding> {
        let reply = Reply {
            status: http::StatusCode::from_u16(status).unwrap(),
            header: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let probe = Probe {
            client: "nmp",
            scopes: "openid x:y",
            scopes_supported: None,
            pkce: false,
            provider,
        };
        probe.judge(&reply)
    }

    #[test]
    fn what_each_provider_answers_is_understood() {
        let keycloak = r#"{"error":"unauthorized_client","error_description":"Client is not allowed
            to initiate OAuth 2.0 Device Authorization Grant. The flow is disabled for the client."}"#;
        let entra = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application
            with identifier 'nmp' was not found in the directory 'x'.\r\nTrace ID: 1"}"#;
        let auth0 = r#"{"error":"unauthorized_client","error_description":"Grant type
            'urn:ietf:params:oauth:grant-type:device_code' not allowed for the client."}"#;
        let google = r#"{"error":"invalid_client","error_description":"Only clients of type 'TVs and
            Limited Input devices' can access this endpoint."}"#;
        for (status, body, provider, check, part) in [
            (401, keycloak, Product::Keycloak, "device_grant", "Device Authorization Grant on"),
            (400, entra, Product::EntraId, "device_grant", "Application (client) ID"),
            (403, auth0, Product::Auth0, "device_grant", "Grant Types: Device Code"),
            (401, google, Product::Google, "device_grant", "Google Auth Platform"),
            (400, r#"{"error":"invalid_scope"}"#, Product::Okta, "default_scopes", "Add Scope"),
            (
                401,
                r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid
                client credentials"}"#,
                Product::Keycloak,
                "device_grant",
                "Client authentication: off",
            ),
            (404, "<html>", Product::Other, "device_grant", "device_code"),
            (200, "{}", Product::Other, "device_grant", "device_code"),
            (200, r#"{"device_code":"x"}"#, Product::Other, "device_grant", "RFC 8628"),
        ] {
            let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
            let findings = judged(status, &body, provider);
            let finding = &findings[0];
            assert_eq!((finding.check, finding.outcome), (check, Outcome::Fail), "{finding:?}");
            assert!(finding.remedy.as_ref().unwrap().contains(part), "{finding:?}");
        }
        let good = r#"{"device_code":"x","user_code":"y","verification_uri":"https://idp/device"}"#;
        let findings = judged(200, good, Product::Other);
        assert!(findings.iter().all(|finding| finding.outcome == Outcome::Pass), "{findings:?}");
        assert!(findings[0].found.contains("https://idp/device"));
    }

    #[test]
    fn a_scope_that_is_left_out_in_silence_is_noticed() {
        let supported = ["openid".to_owned(), "email".to_owned()];
        for (scopes, unlisted) in
            [("openid email api://x/y models:read", None), ("openid emial", Some(": emial"))]
        {
            let provider = Product::Keycloak;
            let scopes_supported = Some(&supported[..]);
            let probe = Probe { client: "nmp", scopes, scopes_supported, pkce: false, provider };
            let finding = probe.scopes();
            let found = (finding.outcome == Outcome::Warn).then_some(finding.found);
            assert_eq!(found.is_some(), unlisted.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().ends_with(unlisted.unwrap_or_default()));
        }
    }
}
