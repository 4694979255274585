//! Other ways to the upstream, or around what was decided: listeners, upgrades, the bootstrap.

use super::filter::ours;
use super::neighbours::admin_only;
use super::patch::{BOOTSTRAP, CHAIN, CLUSTERS, FIRST_ROUTE, HCM, LISTENER, LISTENERS, UPSTREAM};
use super::probes::Probe::{At, Path, Tunnel, With};
use super::probes::Verdict::Closes;
use super::{Row, alters, holds, opens, row};

macro_rules! listener {
    ($filter:expr) => { concat!("{name: other, address: {socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: [{filters: [", $filter, "]}]}") };
}
macro_rules! tcp {
    ($to:expr) => { concat!(r#"{name: tcp, typed_config: {"@type": extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, "#, $to, "}}") };
}
macro_rules! http {
    ($routes:expr) => { concat!(r#"{name: hcm, typed_config: {"@type": extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: o, use_remote_address: true, normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: REJECT_REQUEST, http_filters: [{name: router, typed_config: {"@type": extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: [{name: o, domains: ["*"], routes: ["#, $routes, "]}]}}}") };
}
macro_rules! cluster {
    ($name:literal, $address:expr) => { concat!("{name: ", $name, ", load_assignment: {cluster_name: ", $name, ", endpoints: [{lb_endpoints: [{endpoint: {address: ", $address, "}}]}]}}") };
}
macro_rules! same_address {
    () => { "{socket_address: {address: 127.0.0.1, port_value: UPSTREAM_PORT}}" };
}
macro_rules! internal_door {
    () => { "{address: null, internal_listener: {}}" };
}
const INTERNAL: &str = r#"bootstrap_extensions: [{name: internal, typed_config: {"@type": extensions.bootstrap.internal_listener.v3.InternalListener}}]"#;

pub fn rows() -> Vec<Row> {
    let mut rows = listeners();
    rows.extend(upgrades());
    rows.extend(around());
    rows
}

fn listeners() -> Vec<Row> {
    vec![
        opens("a listener without the filter", LISTENERS, listener!(http!("{match: {prefix: /}, route: {cluster: upstream}}")), "ext_authz").probed(At("other")),
        opens("the same, by another cluster", LISTENERS, listener!(http!("{match: {prefix: /}, route: {cluster: again}}")), "ext_authz").and(CLUSTERS, cluster!("again", same_address!())).probed(At("other")),
        row("a listener that answers itself", LISTENERS, listener!(http!("{match: {prefix: /}, direct_response: {status: 200}}")), Closes).probed(At("other")),
        row("a listener that redirects", LISTENERS, listener!(http!("{match: {prefix: /}, redirect: {https_redirect: true}}")), Closes).probed(At("other")),
        row("a listener to something else", LISTENERS, listener!(http!("{match: {prefix: /}, route: {cluster: elsewhere}}")), Closes).and(CLUSTERS, cluster!("elsewhere", "{socket_address: {address: 127.0.0.1, port_value: 1}}")).warned("ext_authz").probed(At("other")),
        opens("a TCP listener", LISTENERS, listener!(tcp!("cluster: upstream")), "entrances").probed(At("other")),
        opens("a TCP listener, by shares", LISTENERS, listener!(tcp!("weighted_clusters: {clusters: [{name: upstream, weight: 1}]}")), "entrances").probed(At("other")),
        opens("a TCP listener, by another cluster", LISTENERS, listener!(tcp!("cluster: again")), "entrances").and(CLUSTERS, cluster!("again", same_address!())).probed(At("other")),
        opens("a TCP listener, by a cluster of clusters", LISTENERS, listener!(tcp!("cluster: all")), "entrances")
            .and(CLUSTERS, r#"{name: all, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: envoy.clusters.aggregate, typed_config: {"@type": extensions.clusters.aggregate.v3.ClusterConfig, clusters: [upstream]}}}"#).probed(At("other")),
        opens("another chain of the same listener", LISTENER, concat!("{default_filter_chain: {filters: [", tcp!("cluster: upstream"), "]}}"), "entrances").and(CHAIN, "filter_chain_match: {application_protocols: [other]}"),
        holds("a TCP listener in front of the door", LISTENER, internal_door!()).and(BOOTSTRAP, INTERNAL)
            .and(CLUSTERS, cluster!("door", "{envoy_internal_address: {server_listener_name: door}}"))
            .and(LISTENERS, listener!(tcp!("cluster: door"))).probed(At("other")),
        holds("an HTTP listener in front of the door", LISTENER, internal_door!()).and(BOOTSTRAP, INTERNAL)
            .and(CLUSTERS, cluster!("door", "{envoy_internal_address: {server_listener_name: door}}"))
            .and(LISTENERS, listener!(http!("{match: {prefix: /}, route: {cluster: door}}"))).probed(At("other")),
        row("a TCP listener to something else", LISTENERS, listener!(tcp!("cluster: elsewhere")), Closes).and(CLUSTERS, cluster!("elsewhere", "{socket_address: {address: 127.0.0.1, port_value: 1}}")).probed(At("other")),
    ]
}

fn upgrades() -> Vec<Row> {
    vec![
        holds("websockets", HCM, "upgrade_configs: [{upgrade_type: websocket}]").probed(With("Upgrade", "websocket")),
        opens("websockets with filters of their own", HCM, r#"upgrade_configs: [{upgrade_type: websocket, filters: [{name: router, typed_config: {"@type": extensions.filters.http.router.v3.Router}}]}]"#, "upgrades").probed(With("Upgrade", "websocket")),
        holds("websockets with filters of their own, and ours", HCM, concat!("upgrade_configs: [{upgrade_type: websocket, filters: [", ours!(), r#", {name: router, typed_config: {"@type": extensions.filters.http.router.v3.Router}}]}]"#)).probed(With("Upgrade", "websocket")),
        opens("CONNECT ended here", HCM, "upgrade_configs: [{upgrade_type: CONNECT}]", "upgrades")
            .and(FIRST_ROUTE, "{match: {connect_matcher: {}}, route: {cluster: upstream, upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]}}")
            .probed(Tunnel("CONNECT")),
        holds("CONNECT allowed, and no route for it", HCM, "upgrade_configs: [{upgrade_type: CONNECT}]").probed(Tunnel("CONNECT")),
        opens("h2c", HCM, "upgrade_configs: [{upgrade_type: h2c}]", "upgrades").probed(Tunnel("h2c")),
        holds("h2c turned off", HCM, "upgrade_configs: [{upgrade_type: h2c, enabled: false}]").probed(Tunnel("h2c")),
        opens("h2c for one route", HCM, "upgrade_configs: [{upgrade_type: h2c, enabled: false}]", "upgrades")
            .and(FIRST_ROUTE, "{match: {path: /alice}, route: {cluster: upstream, upgrade_configs: [{upgrade_type: h2c}]}}")
            .probed(Tunnel("h2c")),
    ]
}

fn around() -> Vec<Row> {
    vec![
        opens("dots in paths", HCM, "normalize_path: false", "normalize_path").and(FIRST_ROUTE, admin_only!()).probed(Path("/x/../admin/y")),
        holds("dots in paths, resolved", FIRST_ROUTE, admin_only!()).probed(Path("/x/../admin/y")),
        opens("slashes in paths", HCM, "merge_slashes: false", "merge_slashes").and(FIRST_ROUTE, admin_only!()).probed(Path("//admin/y")),
        opens("escaped slashes", HCM, "path_with_escaped_slashes_action: KEEP_UNCHANGED", "escaped_slashes").and(FIRST_ROUTE, admin_only!()).probed(Path("/x/..%2fadmin/y")).warns(),
        holds("escaped slashes refused, by number", HCM, "path_with_escaped_slashes_action: 2").and(FIRST_ROUTE, admin_only!()).probed(Path("/x/..%2fadmin/y")),
        holds("paths by YAML 1.1", BOOTSTRAP, "").line("normalize_path: true", "normalize_path: yes"),
        opens("paths by YAML 1.1, off", BOOTSTRAP, "", "normalize_path").line("normalize_path: true", "normalize_path: off")
            .line("- match: { prefix: /optional/ }", "- match: { prefix: /admin/ }").line("doorward.mode: optional", "doorward.scopes: 'admin:all'").probed(Path("/x/../admin/y")),
        holds("addresses believed", HCM, "use_remote_address: false").warned("remote_address"),
        alters("another status for denials", HCM, "local_reply_config: {mappers: [{filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 401, runtime_key: a}}}}, status_code: 200}]}", "denials").warns(),
        alters("another body for denials", HCM, "local_reply_config: {body_format: {text_format: no}}", "denials").warns(),
        holds("an admin port for everybody", BOOTSTRAP, "admin: {address: {socket_address: {address: 0.0.0.0, port_value: 0}}}").warned("admin"),
        holds("trailers", HCM, "http_protocol_options: {enable_trailers: true}"),
        holds("a mirror of the cluster's", UPSTREAM, r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}, request_mirror_policies: [{cluster: upstream}]}}"#),
    ]
}
