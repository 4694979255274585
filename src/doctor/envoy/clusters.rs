//! The way from Envoy to Doorward.

use super::judge::at;
use super::place::Place;
use crate::doctor::report::Finding;
use crate::loopback::is_loopback_host;

/// Whether the cluster that the filter asks speaks HTTP/2 and cannot be listened to.
pub(super) fn findings(filter: &Place<'_>, roots: &[Place<'_>]) -> Vec<Finding> {
    let grpc = filter.text("grpc_service.envoy_grpc.cluster_name");
    let http = filter.text("http_service.server_uri.cluster");
    let Some(name) = grpc.or(http) else {
        return match filter.at("grpc_service.google_grpc") {
            Some(google) => vec![Finding::warn(
                "transport",
                format!("google_grpc{}: a second gRPC stack, slower than Envoy's own", at(&google)),
                "use envoy_grpc with a cluster",
            )],
            None => vec![Finding::fail(
                "transport",
                format!("the filter names no service to ask{}", at(filter)),
                "set grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 1s}",
            )],
        };
    };
    let wanted = |place: &Place<'_>| {
        place.text("name") == Some(name)
            && ["load_assignment", "connect_timeout", "eds_cluster_config", "cluster_type"]
                .iter()
                .any(|field| place.get(field).is_some())
    };
    let Some(cluster) = roots.iter().find_map(|root| root.find(&wanted).into_iter().next()) else {
        return vec![Finding::warn(
            "transport",
            format!("the cluster {name} is not in this file{}", at(filter)),
            "examine the file that has it: gRPC needs http2_protocol_options there",
        )];
    };
    let mut findings = Vec::new();
    if grpc.is_some() {
        findings.push(http2(&cluster));
    }
    findings.push(transport(&cluster));
    findings
}

fn http2(cluster: &Place<'_>) -> Finding {
    let options = cluster.get("typed_extension_protocol_options");
    let typed = options.into_iter().flat_map(|options| options.children());
    let explicit = typed
        .into_iter()
        .any(|options| options.at("explicit_http_config.http2_protocol_options").is_some());
    if explicit || cluster.get("http2_protocol_options").is_some() {
        Finding::pass("http2", format!("the cluster speaks HTTP/2{}", at(cluster)))
    } else {
        Finding::fail(
            "http2",
            format!(
                "the cluster does not say HTTP/2{}: gRPC fails, and every request with it",
                at(cluster)
            ),
            "add typed_extension_protocol_options with explicit_http_config: \
             {http2_protocol_options: {}}, as in envoy/envoy.yaml",
        )
    }
}

fn transport(cluster: &Place<'_>) -> Finding {
    if cluster.get("transport_socket").is_some() {
        return Finding::pass("transport", format!("TLS to Doorward{}", at(cluster)));
    }
    let has_address = |place: &Place<'_>| place.get("socket_address").is_some();
    let far = cluster.find(&has_address).into_iter().find(|place| {
        let address = place.text("socket_address.address").unwrap_or_default();
        !is_loopback_host(address)
    });
    match far {
        Some(address) => Finding::warn(
            "transport",
            format!("tokens travel to Doorward in the clear{}", at(&address)),
            "run Doorward beside Envoy (loopback or a unix socket), or add a transport_socket \
             with TLS (server.grpc.tls)",
        ),
        None => Finding::pass("transport", format!("Doorward is on this machine{}", at(cluster))),
    }
}
