//! `module`, and what fetching keys through a cluster of Envoy's rules out.

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::settings::ModuleSettings;
use super::{Checker, values};

pub(super) fn check(c: &mut Checker, config: &raw::Config) -> Option<ModuleSettings> {
    let key = KeyPath::dotted("keys.envoy_cluster");
    let cluster = config.keys.envoy_cluster.as_deref();
    let envoy_cluster = c.keep_given(&key, cluster.map(values::word));
    if cluster.is_some() {
        let primary = (KeyPath::dotted("auth.oidc"), &config.auth.oidc.common);
        let others = config.auth.issuers.iter().enumerate();
        let others = others.map(|(index, it)| (KeyPath::dotted("auth.issuers").join(index), it));
        for (section, issuer) in std::iter::once(primary).chain(others) {
            let given = [("proxy", issuer.proxy.is_some()), ("ca_file", issuer.ca_file.is_some())];
            for (name, _) in given.into_iter().filter(|(_, given)| *given) {
                c.bad(&section.join(name), BadValue::OfCluster);
            }
        }
    }
    let raw::Module { documents, metadata } = config.module;
    Some(ModuleSettings { documents, metadata, envoy_cluster: envoy_cluster? })
}
