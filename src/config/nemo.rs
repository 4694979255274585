//! Keys that NeMo Platform has beside ours, for itself. In whichever layer one stands, and whatever
//! its value: it is taken out, and named once in the log.

use figment::value::Value;

use super::key_path::KeyPath;
use super::layer::Layer;

/// The sections of NeMo's file that hold something for us.
const SECTIONS: [&str; 2] = ["auth", "platform"];

/// NeMo's own keys. None of them may turn anything on here, `policy_decision_point_provider` least.
const OWN: [&str; 25] = [
    "auth.port",
    "auth.admin_email",
    "auth.default_workspace",
    "auth.policy_decision_point_provider",
    "auth.policy_decision_point_base_url",
    "auth.policy_decision_point_request_timeout_seconds",
    "auth.policy_data_refresh_interval",
    "auth.propagation_poll_interval_seconds",
    "auth.bundle_cache_seconds",
    "auth.embedded_pdp_auto_build_wasm",
    "auth.embedded_pdp_cpu_limit",
    "auth.embedded_pdp_memory_limit_mb",
    "auth.on_invalid_plugin",
    "auth.platform_admin_exempt_from_service_only",
    "auth.token_signing.key_id",
    "auth.token_signing.private_key_file",
    "auth.access_keys.issue_format",
    "auth.access_keys.accepted_formats",
    "auth.access_keys.default_expires_in_seconds",
    "auth.access_keys.max_expires_in_seconds",
    "auth.oidc.workload_token_ttl_seconds",
    "auth.oidc.workload_token_key_id",
    "auth.oidc.workload_token_private_key_file",
    "auth.oidc.workload_subject_jwks_cache_ttl_seconds",
    "auth.oidc.workload_kubernetes_token_review_enabled",
];

/// Whether a key is one of NeMo's own.
pub(super) fn owns(key: &KeyPath) -> bool {
    OWN.contains(&key.to_string().as_str())
}

/// Whether a variable, without its prefix, sets one of NeMo's own keys.
pub(super) fn owns_variable(name: &str) -> bool {
    OWN.iter().any(|key| key.replace('.', "__").eq_ignore_ascii_case(name))
}

/// Leaves of NeMo's own file what concerns us. Its other sections, and what else it keeps in
/// `platform`, are no affair of ours.
pub(super) fn narrow(file: &mut Value) {
    let Value::Dict(_, sections) = file else { return };
    sections.retain(|name, _| SECTIONS.contains(&name.as_str()));
    if let Some(Value::Dict(_, platform)) = sections.get_mut("platform") {
        platform.retain(|name, _| name == "base_url");
    }
}

/// Takes NeMo's own keys out of a layer, and says which it had.
pub(super) fn take_out(layer: &mut Layer) -> Vec<KeyPath> {
    let mut taken: Vec<_> = OWN
        .iter()
        .map(|key| KeyPath::dotted(key))
        .filter(|key| remove(&mut layer.value, key.steps()))
        .collect();
    taken.sort_by_key(|key| layer.source(key).line);
    taken
}

fn remove(value: &mut Value, steps: &[String]) -> bool {
    let Value::Dict(_, members) = value else { return false };
    match steps {
        [] => false,
        [last] => members.remove(last).is_some(),
        [first, rest @ ..] => members.get_mut(first).is_some_and(|below| remove(below, rest)),
    }
}
