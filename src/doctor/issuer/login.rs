//! Can people log in from a command line? What the document offers, and what the client
//! may use of it, which only asking tells.

use super::super::report::Finding;
use super::Login;
use super::device::Probe;
use crate::advice::login as remedies;
use crate::discovery::{HttpFetcher, Metadata};
use crate::product::Product;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) async fn examine(
    login: &Login,
    provider: Product,
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
                Some(client) => {
                    let probe = Probe {
                        client,
                        scopes: &login.scopes,
                        scopes_supported: metadata.scopes_supported.as_deref(),
                        pkce: metadata.offers_pkce(),
                        provider,
                    };
                    probe.ask(endpoint, http).await
                }
            };
            findings.extend(probed);
        }
    }
    findings.push(Finding::pass(
        "password_grant",
        match listed("password") {
            Some(true) => "offered; `auth login --username` shows whether this client may use it",
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
            None => "not offered: `auth logout` deletes tokens locally, and they expire on their \
                     own"
            .to_owned(),
        },
    ));
}

fn token_endpoint(login: &Login, metadata: &Metadata) -> Finding {
    match login.token_endpoint.as_ref().or(metadata.token_endpoint.as_ref()) {
        Some(endpoint) => Finding::pass("token_endpoint", endpoint.to_string()),
        None => Finding::fail(
            "token_endpoint",
            "the discovery document has none, so nobody can log in",
            "set auth.oidc.token_endpoint if the provider has one",
        ),
    }
}

/// Where nobody logs in, nothing is missing but a convenience.
fn no_device_endpoint(login: &Login, provider: Product) -> Finding {
    let found = "the discovery document names no device_authorization_endpoint";
    let remedy = remedies::NO_DEVICE_FLOW.of(provider);
    match login.client_id {
        Some(_) => {
            Finding::fail("device_endpoint", format!("{found}: `auth login` needs it"), remedy)
        }
        None => Finding::warn("device_endpoint", found, remedy),
    }
}

fn unprobed(listed: Option<bool>) -> Finding {
    let unknown = "unknown whether the client may use it: no client_id";
    match listed {
        Some(false) => Finding::warn(
            "device_grant",
            format!("not among grant_types_supported, though it has an endpoint; {unknown}"),
            "enable the device authorization grant, and pass --client-id to have it tried",
        ),
        Some(true) | None => Finding::pass("device_grant", unknown),
    }
}
