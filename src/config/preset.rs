//! Presets: what a well-known provider's set-up stands for.

use doorward_core::token::{TENANT_PLACEHOLDER, is_guid};
use figment::value::{Dict, Value};

use super::bad_value::BadValue;
use super::check::Checker;
use super::fault::Origin;
use super::key_path::KeyPath;
use super::layer::Layer;
use super::merge::Merged;
use super::raw;

/// The layer that fills in what `auth.oidc` leaves open, if a preset is chosen and sound.
pub(super) fn layer(c: &mut Checker, config: &raw::Config, merged: &Merged) -> Option<Layer> {
    let entra = config.auth.preset.entra.as_ref()?;
    let oidc = KeyPath::dotted("auth.oidc");
    let open = |name: &str| merged.is_open(&oidc.join(name));
    let meant = self::entra(c, entra, config.auth.oidc.common.client_id.as_deref())?;
    // Another issuer has another discovery document.
    let issuer_open = open("issuer");
    let filled: Dict = meant
        .into_iter()
        .filter(|(name, _)| open(name) && (*name != "discovery_url" || issuer_open))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Some(Layer::of(Origin::Preset("entra"), &oidc, filled.into()))
}

/// Microsoft Entra ID: which of the two issuers signs depends on the manifest of the
/// API, not on the client, so both are named.
fn entra(
    c: &mut Checker,
    entra: &raw::Entra,
    client_id: Option<&str>,
) -> Option<Vec<(&'static str, Value)>> {
    let section = KeyPath::dotted("auth.preset.entra");
    let tenants = match (&entra.tenant, &*entra.tenants) {
        (Some(tenant), []) => vec![(section.join("tenant"), tenant)],
        (Some(_), _) => {
            c.bad(&section.join("tenants"), BadValue::TenantAndTenants);
            Vec::new()
        }
        (None, []) => {
            c.bad(&section.join("tenant"), BadValue::NoTenant);
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
        c.bad(&section.join(name), BadValue::TenantsAndAll);
    }
    for (key, tenant) in tenants.iter().filter(|(_, tenant)| *tenant != "*") {
        if !is_guid(tenant) {
            c.bad(key, BadValue::NotATenant((*tenant).into()));
        }
    }
    let Some(client_id) = entra.client_id.as_deref().or(client_id).filter(|id| !id.is_empty())
    else {
        c.bad(&section.join("client_id"), BadValue::NoClient);
        return None;
    };
    if !c.found.is_empty() {
        return None;
    }
    let tenants: Vec<_> = tenants.iter().map(|(_, tenant)| tenant.to_ascii_lowercase()).collect();
    let (one, template) = match tenants.as_slice() {
        [tenant] if !all => (tenant.as_str(), false),
        _ => (TENANT_PLACEHOLDER, true),
    };
    let login = "https://login.microsoftonline.com";
    let mut meant: Vec<(_, Value)> = vec![
        ("issuer", format!("{login}/{one}/v2.0").into()),
        ("additional_issuers", vec![format!("https://sts.windows.net/{one}/")].into()),
        ("client_id", client_id.into()),
        ("audience", vec![client_id.to_owned(), format!("api://{client_id}")].into()),
        ("subject_claim", "oid".into()),
        ("roles_claim", "roles".into()),
        ("scope_prefix", format!("api://{client_id}/").into()),
        ("allowed_tenants", tenants.clone().into()),
    ];
    if template {
        let discovery = format!("{login}/organizations/v2.0/.well-known/openid-configuration");
        meant.push(("discovery_url", discovery.into()));
    }
    Some(meant)
}

/// NeMo Platform's paths that need no token: it checks none there, or asks for a proof of its own.
const NEMO_OPEN: [&str; 14] = [
    "/health",
    "/healthz",
    "/ready",
    "/readyz",
    "/health/live",
    "/health/ready",
    "/status",
    "/metrics",
    "/cluster-info",
    "/apis/auth/discovery",
    "/apis/auth/jwks",
    "/apis/auth/token",
    "/studio",
    "/studio/*",
];
/// Those at which its services meet. A gateway leads there from outside, where none of them is.
const NEMO_CLOSED: [&str; 2] = ["/internal/*", "/apis/auth/v2/authz/*"];
/// Repositories and revisions of the Hugging Face API may hold a slash.
const NEMO_SLASHES: [&str; 1] = ["/apis/files/v2/hf/"];

/// The layer of a preset of `rules`, behind what is written there.
pub(super) fn rules(config: &raw::Config, merged: &Merged) -> Option<Layer> {
    let raw::RulesPreset::Nemo = config.rules.preset?;
    let rules = KeyPath::dotted("rules");
    let closed = NEMO_CLOSED.map(|path| {
        Value::from(Dict::from([("path".into(), path.into()), ("deny".into(), true.into())]))
    });
    let lists: [(&str, Vec<Value>); 3] = [
        ("bypass", NEMO_OPEN.map(Value::from).into()),
        ("encoded_slashes", NEMO_SLASHES.map(Value::from).into()),
        ("routes", closed.into()),
    ];
    let with_own = |(name, list): (&str, Vec<Value>)| {
        let mut all = merged.items(&rules.join(name));
        let written: Vec<_> = all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let is_new =
            |it: &Value| !it.as_str().is_some_and(|it| written.iter().any(|own| own == it));
        all.extend(list.into_iter().filter(is_new));
        (name.to_owned(), all.into())
    };
    let lists: Dict = lists.into_iter().map(with_own).collect();
    Some(Layer::of(Origin::Preset("nemo"), &rules, lists.into()))
}
