//! The documents of the HTTP front.

use std::sync::Arc;

use doorward_core::token::TokenUse;
use serde_json::{Value, json};
use url::Url;

use crate::config::{ProtectedResource, Settings};
use crate::discovery::IssuerMetadata;
use crate::transport::Documents;

/// The documents under these settings; endpoints come from `metadata` at the time they
/// are asked for.
pub(super) fn documents(settings: &Settings, metadata: Option<Arc<IssuerMetadata>>) -> Documents {
    let issuers: Vec<String> = providers(settings).cloned().collect();
    let resources = settings.protected_resources.iter();
    let protected_resources = resources
        .map(|resource| (resource.id.clone(), protected_resource(resource, &issuers).to_string()))
        .collect();
    let settings = settings.clone();
    let discovery = Box::new(move || platform(&settings, metadata.as_deref()).to_string());
    Documents { discovery, protected_resources }
}

/// The issuers that people and programs get tokens from; the platform itself is none of them.
fn providers(settings: &Settings) -> impl Iterator<Item = &String> {
    let issuers = settings.issuers.iter().map(|issuer| &issuer.token);
    issuers.filter(|rules| rules.token_use == TokenUse::OidcAccessToken).map(|rules| &rules.issuer)
}

/// NeMo's discovery document. The issuer is the configured one; endpoints are the configured ones,
/// else the discovered ones, however old. Where no token is asked for, there is nothing to log in to.
fn platform(settings: &Settings, metadata: Option<&IssuerMetadata>) -> Value {
    let platform = &settings.platform;
    let discovered = metadata.and_then(IssuerMetadata::current);
    let endpoint = |configured: &Option<Url>, discovered: Option<&Url>| {
        configured.as_ref().or(discovered).map(Url::as_str).map(str::to_owned)
    };
    let primary = providers(settings).next().filter(|_| settings.auth_enabled);
    let exchange = &platform.exchange;
    let oidc = primary.map(|issuer| {
        json!({
            "issuer": issuer,
            "authorization_endpoint": endpoint(
                &platform.authorization_endpoint,
                discovered.as_ref().and_then(|metadata| metadata.authorization_endpoint.as_ref()),
            ),
            "token_endpoint": endpoint(
                &platform.token_endpoint,
                discovered.as_ref().and_then(|metadata| metadata.token_endpoint.as_ref()),
            ),
            "device_authorization_endpoint": endpoint(
                &platform.device_authorization_endpoint,
                discovered.as_ref().and_then(|metadata| metadata.device_authorization_endpoint.as_ref()),
            ),
            "userinfo_endpoint": endpoint(
                &platform.userinfo_endpoint,
                discovered.as_ref().and_then(|metadata| metadata.userinfo_endpoint.as_ref()),
            ),
            "client_id": platform.client_id,
            "default_scopes": platform.default_scopes,
            "scope_prefix": platform.scope_prefix,
            "workload_token_exchange_enabled": exchange.enabled,
            "workload_client_id": exchange.client_id,
            "workload_token_endpoint": exchange.token_endpoint.as_ref().map(Url::as_str),
            "workload_audience": exchange.audience,
            "workload_scope": exchange.scope,
        })
    });
    json!({ "auth_enabled": settings.auth_enabled, "oidc": oidc })
}

/// RFC 9728 §2.
fn protected_resource(resource: &ProtectedResource, issuers: &[String]) -> Value {
    let servers = if resource.authorization_servers.is_empty() {
        issuers
    } else {
        &resource.authorization_servers
    };
    let mut document = json!({
        "resource": resource.id.as_str(),
        "authorization_servers": servers,
        "bearer_methods_supported": ["header"],
    });
    if !resource.scopes_supported.is_empty()
        && let Some(members) = document.as_object_mut()
    {
        members.insert("scopes_supported".into(), json!(resource.scopes_supported));
    }
    document
}
