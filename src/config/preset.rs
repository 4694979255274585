//! Presets: what a well-known provider's set-up stands for.

use doorward_core::token::{TENANT_PLACEHOLDER, is_guid};
use serde_json::{Value, json};

use super::bad_value::BadValue;
use super::check::Found;
use super::fault::Origin;
use super::key_path::KeyPath;
use super::layers::Layer;
use super::merge::Merged;
use super::raw;
use super::tree::Node;

/// The layer that fills in what `auth.oidc` leaves open, if a preset is chosen.
pub(super) fn layer(config: &raw::Config, merged: &Merged) -> Result<Option<Layer>, Vec<Found>> {
    let Some(entra) = &config.auth.preset.entra else { return Ok(None) };
    let oidc = KeyPath::dotted("auth.oidc");
    let open = |name: &str| merged.is_open(&oidc.join(name));
    let meant = self::entra(entra, config.auth.oidc.client_id.as_deref())?;
    // Another issuer has another discovery document.
    let issuer_open = open("issuer");
    let filled = meant
        .into_iter()
        .filter(|(name, _)| open(name) && (*name != "discovery_url" || issuer_open))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let tree = Node::nested(oidc.steps(), Node::from(&Value::Object(filled)));
    Ok(Some(Layer { origin: Origin::Preset("entra"), tree }))
}

/// Microsoft Entra ID: which of the two issuers signs depends on the manifest of the
/// API, not on the client, so both are named.
fn entra(
    entra: &raw::Entra,
    client_id: Option<&str>,
) -> Result<Vec<(&'static str, Value)>, Vec<Found>> {
    let section = KeyPath::dotted("auth.preset.entra");
    let mut found = Vec::new();
    let mut bad = |key: &KeyPath, why| {
        found.push(Found { key: key.clone(), written_at: key.clone(), why });
    };
    let tenants = match (&entra.tenant, &*entra.tenants) {
        (Some(tenant), []) => vec![(section.join("tenant"), tenant)],
        (Some(_), _) => {
            bad(&section.join("tenants"), BadValue::TenantAndTenants);
            Vec::new()
        }
        (None, []) => {
            bad(&section.join("tenant"), BadValue::NoTenant);
            Vec::new()
        }
        (None, many) => {
            let key = section.join("tenants");
            many.iter().enumerate().map(|(index, tenant)| (key.join(index), tenant)).collect()
        }
    };
    let all = tenants.iter().any(|(_, tenant)| *tenant == "*");
    if all && (tenants.len() > 1 || entra.tenant.is_some()) {
        let name = if entra.tenant.is_some() { "tenant" } else { "tenants" };
        bad(&section.join(name), BadValue::TenantsAndAll);
    }
    for (key, tenant) in tenants.iter().filter(|(_, tenant)| *tenant != "*") {
        if !is_guid(tenant) {
            bad(key, BadValue::NotATenant((*tenant).into()));
        }
    }
    let Some(client_id) = entra.client_id.as_deref().or(client_id).filter(|id| !id.is_empty())
    else {
        bad(&section.join("client_id"), BadValue::NoClient);
        return Err(found);
    };
    if !found.is_empty() {
        return Err(found);
    }
    let tenants: Vec<_> = tenants.iter().map(|(_, tenant)| tenant.to_ascii_lowercase()).collect();
    let (one, template) = match tenants.as_slice() {
        [tenant] if !all => (tenant.as_str(), false),
        _ => (TENANT_PLACEHOLDER, true),
    };
    let login = "https://login.microsoftonline.com";
    let mut meant = vec![
        ("issuer", json!(format!("{login}/{one}/v2.0"))),
        ("additional_issuers", json!([format!("https://sts.windows.net/{one}/")])),
        ("client_id", json!(client_id)),
        ("audience", json!([client_id, format!("api://{client_id}")])),
        ("subject_claim", json!("oid")),
        ("roles_claim", json!("roles")),
        ("scope_prefix", json!(format!("api://{client_id}/"))),
        ("allowed_tenants", json!(tenants)),
    ];
    if template {
        let discovery = format!("{login}/organizations/v2.0/.well-known/openid-configuration");
        meant.push(("discovery_url", json!(discovery)));
    }
    Ok(meant)
}
