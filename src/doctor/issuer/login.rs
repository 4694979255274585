//! Can people log in from a command line? What the document offers, and what the client
//! may use of it, which only asking tells.

use serde_json::Value;
use url::Url;

use super::super::provider::Provider;
use super::super::remedies::login as remedies;
use super::super::report::Finding;
use super::{Login, Patient};
use crate::discovery::{HttpFetcher, Metadata, Reply};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) async fn examine(
    patient: &Patient,
    login: &Login,
    provider: Provider,
    metadata: &Metadata,
    http: &HttpFetcher,
    findings: &mut Vec<Finding>,
) {
    let listed = |grant: &str| {
        metadata.grant_types_supported.as_ref().map(|grants| grants.iter().any(|it| it == grant))
    };
    findings.push(token_endpoint(login, metadata));
    let device = login.device_authorization_endpoint.as_ref();
    match device.or(metadata.device_authorization_endpoint.as_ref()) {
        None => findings.push(no_device_endpoint(login, provider)),
        Some(endpoint) => {
            findings.push(Finding::pass("device_endpoint", endpoint.to_string()));
            let listed = listed(DEVICE_GRANT);
            let probed = match &login.client_id {
                None => vec![unprobed(listed)],
                Some(client) => probe(patient, client, login, provider, endpoint, http).await,
            };
            findings.extend(probed);
        }
    }
    findings.push(Finding::pass(
        "password_grant",
        match listed("password") {
            Some(true) => {
                "offered; whether this client may use it is seen at `auth login \
                           --username`"
            }
            Some(false) => "not offered: only `auth login --username` needs it",
            None => {
                "not listed, and neither is any other grant: only `auth login --username` \
                     needs it"
            }
        },
    ));
    findings.push(Finding::pass(
        "revocation",
        match &metadata.revocation_endpoint {
            Some(endpoint) => endpoint.to_string(),
            None => "not offered: `auth logout` forgets tokens here, and they end by themselves"
                .to_owned(),
        },
    ));
}

fn token_endpoint(login: &Login, metadata: &Metadata) -> Finding {
    match login.token_endpoint.as_ref().or(metadata.token_endpoint.as_ref()) {
        Some(endpoint) => Finding::pass("token_endpoint", endpoint.to_string()),
        None => Finding::fail(
            "token_endpoint",
            "the discovery document names none, so nobody can log in",
            "set auth.oidc.token_endpoint if the provider has one",
        ),
    }
}

/// Where nobody logs in, nothing is missing but a convenience.
fn no_device_endpoint(login: &Login, provider: Provider) -> Finding {
    let found = "the discovery document names no device_authorization_endpoint";
    let remedy = remedies::no_device_flow(provider);
    match login.client_id {
        Some(_) => {
            Finding::fail("device_endpoint", format!("{found}: `auth login` needs it"), remedy)
        }
        None => Finding::warn("device_endpoint", found, remedy),
    }
}

fn unprobed(listed: Option<bool>) -> Finding {
    let unknown = "whether the client may use it is not known: no client_id";
    match listed {
        Some(false) => Finding::warn(
            "device_grant",
            format!("not among grant_types_supported, though it has an endpoint; {unknown}"),
            "turn the device authorization grant on, and give --client-id to have it tried",
        ),
        Some(true) | None => Finding::pass("device_grant", unknown),
    }
}

/// Asks for a device authorization (RFC 8628 §3.1), which nobody will ever grant: whether
/// this client may use the flow stands in no document.
async fn probe(
    patient: &Patient,
    client: &str,
    login: &Login,
    provider: Provider,
    endpoint: &Url,
    http: &HttpFetcher,
) -> Vec<Finding> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client)
        .append_pair("scope", &login.scopes)
        .finish();
    let mut header = http::HeaderMap::new();
    let form_type = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    header.insert(http::header::CONTENT_TYPE, form_type);
    match http.post(endpoint, header, form.into_bytes()).await {
        Ok(reply) => judge(&reply, client, login, provider),
        Err(error) => vec![Finding::fail(
            "device_grant",
            error.to_string(),
            format!("open {endpoint} from this machine: {} names it", patient.issuer()),
        )],
    }
}

fn judge(reply: &Reply, client: &str, login: &Login, provider: Provider) -> Vec<Finding> {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    if reply.status.is_success() && text("device_code").is_some() {
        return granted(client, login, text("verification_uri"));
    }
    let error = text("error").unwrap_or_default();
    let said = match (error, text("error_description")) {
        ("", _) => format!("status {}", reply.status.as_u16()),
        (error, None) => error.to_owned(),
        (error, Some(why)) => format!("{error}: {}", first_line(why)),
    };
    let refused = format!("client {client:?} gets no device code ({said})");
    let fail = |check, found: String, remedy| vec![Finding::fail(check, found, remedy)];
    match error {
        "invalid_scope" => fail(
            "default_scopes",
            format!("client {client:?} may not ask for {:?} ({said})", login.scopes),
            remedies::scopes_refused(provider, client),
        ),
        "invalid_client" => {
            fail("device_grant", refused, remedies::unknown_client(provider, client))
        }
        // Entra says the same of a client that it does not know.
        "unauthorized_client" if said.contains("AADSTS700016") => {
            fail("device_grant", refused, remedies::unknown_client(provider, client))
        }
        _ => fail("device_grant", refused, remedies::device_grant_refused(provider, client)),
    }
}

fn granted(client: &str, login: &Login, verification_uri: Option<&str>) -> Vec<Finding> {
    let grant = match verification_uri {
        Some(uri) => Finding::pass(
            "device_grant",
            format!("client {client:?} may; codes are entered at {uri}"),
        ),
        None => Finding::fail(
            "device_grant",
            "the answer has no verification_uri: nobody could be told where to enter the code",
            "this is not RFC 8628 §3.2: set device_authorization_endpoint to the right endpoint",
        ),
    };
    let scopes = format!("client {client:?} may ask for {:?}", login.scopes);
    vec![grant, Finding::pass("default_scopes", scopes)]
}

/// Entra's descriptions go on with trace ids for lines.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Outcome;
    use super::*;

    fn judged(status: u16, body: &str, provider: Provider) -> Vec<Finding> {
        let reply = Reply {
            status: http::StatusCode::from_u16(status).unwrap(),
            header: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let login = Login {
            client_id: Some("nmp".into()),
            scopes: "openid".into(),
            device_authorization_endpoint: None,
            token_endpoint: None,
        };
        judge(&reply, "nmp", &login, provider)
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
            (401, keycloak, Provider::Keycloak, "device_grant", "Device Authorization Grant on"),
            (400, entra, Provider::EntraId, "device_grant", "Application (client) ID"),
            (403, auth0, Provider::Auth0, "device_grant", "Grant Types: Device Code"),
            (401, google, Provider::Google, "device_grant", "Google Auth Platform"),
            (400, r#"{"error":"invalid_scope"}"#, Provider::Okta, "default_scopes", "Add Scope"),
            (404, "<html>", Provider::Other, "device_grant", "device_code"),
            (200, "{}", Provider::Other, "device_grant", "device_code"),
            (200, r#"{"device_code":"x"}"#, Provider::Other, "device_grant", "RFC 8628"),
        ] {
            let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
            let findings = judged(status, &body, provider);
            let finding = &findings[0];
            assert_eq!((finding.check, finding.outcome), (check, Outcome::Fail), "{finding:?}");
            assert!(finding.remedy.as_ref().unwrap().contains(part), "{finding:?}");
        }
        let good = r#"{"device_code":"x","user_code":"y","verification_uri":"https://idp/device"}"#;
        let findings = judged(200, good, Provider::Other);
        assert!(findings.iter().all(|finding| finding.outcome == Outcome::Pass), "{findings:?}");
        assert!(findings[0].found.contains("https://idp/device"));
    }
}
