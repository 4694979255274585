//! The documents of the HTTP front.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use crate::config::{ProtectedResource, Settings};
use crate::discovery::IssuerMetadata;
use crate::transport::Documents;

/// The documents under these settings; endpoints come from `metadata` at the time they
/// are asked for.
pub(super) fn documents(settings: &Settings, metadata: Option<Arc<IssuerMetadata>>) -> Documents {
    let issuers: Vec<String> =
        settings.issuers.iter().map(|issuer| issuer.token.issuer.clone()).collect();
    let resources = settings.protected_resources.iter();
    let protected_resources = resources
        .map(|resource| (resource.id.clone(), protected_resource(resource, &issuers).to_string()))
        .collect();
    let settings = settings.clone();
    let discovery = Box::new(move || platform(&settings, metadata.as_deref()).to_string());
    Documents { discovery, protected_resources }
}

/// NeMo's discovery document. The issuer is the configured one; endpoints are the
/// configured ones, else the discovered ones, however old.
fn platform(settings: &Settings, metadata: Option<&IssuerMetadata>) -> Value {
    let platform = &settings.platform;
    let discovered = metadata.and_then(IssuerMetadata::current);
    let endpoint = |configured: &Option<Url>, discovered: Option<&Url>| {
        configured.as_ref().or(discovered).map(Url::as_str).map(str::to_owned)
    };
    let oidc = settings.issuers.first().map(|primary| {
        json!({
            "issuer": primary.token.issuer,
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
