//! The ext_authz filter: its own fields, and what it can be wrapped in.

use super::patch::{BOOTSTRAP, DOORWARD, FILTER, FIRST_ROUTE, HOST, INSTEAD, NAMED, ROUTE};
use super::probes::Probe::{DoorwardAway, Path};
use super::probes::Verdict::{Closes, Holds, Refused};
use super::{Row, alters, holds, opens, row};

/// A filter as it should be, to put into something.
macro_rules! ours {
    () => {
        r#"{name: envoy.filters.http.ext_authz, typed_config: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthz, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 1s}, status_on_error: {code: 503}, validate_mutations: true}}"#
    };
}
pub(super) use ours;

/// Skips the filter in it where the client sends `x-user`.
macro_rules! unless_x_user {
    () => {
        r#"{matcher_tree: {input: {name: header, typed_config: {"@type": type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-user}}, exact_match_map: {map: {"service:forged": {action: {name: skip, typed_config: {"@type": extensions.filters.common.matcher.action.v3.SkipFilter}}}}}}}"#
    };
}

pub fn rows() -> Vec<Row> {
    let mut rows = over_grpc();
    rows.extend(header_rules());
    rows.extend(wrapped());
    rows.extend(over_http());
    rows
}

fn over_grpc() -> Vec<Row> {
    vec![
        holds("as shipped", BOOTSTRAP, "{}"),
        holds("as shipped, Doorward away", BOOTSTRAP, "{}").probed(DoorwardAway),
        opens("shadow mode", FILTER, "shadow_mode: true", "shadow_mode"),
        opens("shadow mode as JSON spells it", FILTER, "shadowMode: true", "shadow_mode"),
        opens("shadow mode as a text", FILTER, "shadow_mode: 'true'", "shadow_mode"),
        opens("shadow mode by YAML 1.1", BOOTSTRAP, "", "shadow_mode")
            .line("encode_raw_headers: false", "shadow_mode: on"),
        opens("for no request", FILTER, "filter_enabled: {default_value: {numerator: 0}}", "filter_enabled"),
        opens("for few", FILTER, "filter_enabled: {default_value: {numerator: 1, denominator: MILLION}}", "filter_enabled"),
        opens("for few, by number", FILTER, "filter_enabled: {default_value: {numerator: 1, denominator: 2}}", "filter_enabled"),
        holds("for all", FILTER, "filter_enabled: {default_value: {numerator: 100}}"),
        holds("for all, with a key that nothing sets", FILTER, "filter_enabled: {default_value: {numerator: 100}, runtime_key: k}"),
        opens("a runtime key set to 0", FILTER, "filter_enabled: {default_value: {numerator: 100}, runtime_key: k}", "filter_enabled")
            .and(BOOTSTRAP, "layered_runtime: {layers: [{name: a, static_layer: {k: {numerator: 0}}}]}"),
        holds("a runtime key that can be set", FILTER, "filter_enabled: {default_value: {numerator: 100}, runtime_key: k}")
            .and(BOOTSTRAP, "layered_runtime: {layers: [{name: a, admin_layer: {}}]}")
            .warned("filter_enabled"),
        opens("only with metadata", FILTER, "filter_enabled_metadata: {filter: a, path: [{key: b}], value: {present_match: true}}", "filter_enabled"),
        row("for none, the rest denied", FILTER, "{filter_enabled: {default_value: {numerator: 0}}, deny_at_disable: {default_value: true, runtime_key: d}}", Closes)
            .warned("filter_enabled"),
        row("only with metadata, the rest denied", FILTER, "{filter_enabled_metadata: {filter: a, path: [{key: b}], value: {present_match: true}}, deny_at_disable: {default_value: true, runtime_key: d}}", Closes)
            .warned("filter_enabled"),
        opens("let pass in case of failure", FILTER, "failure_mode_allow: true", "failure_mode").probed(DoorwardAway),
        opens("the same by YAML 1.1", BOOTSTRAP, "", "failure_mode")
            .line("failure_mode_allow: false", "failure_mode_allow: yes")
            .probed(DoorwardAway),
        opens("the same, said twice", FILTER, "failureModeAllow: true", "spelling").probed(DoorwardAway),
        opens("turned off, and on where a route has settings", NAMED, "disabled: true", "routes_off"),
        holds("the status of failures", FILTER, "status_on_error: null").probed(DoorwardAway).warned("status_on_error"),
        holds("mutations not validated", FILTER, "validate_mutations: null").warned("mutations"),
        holds("the body sent along", FILTER, "with_request_body: {max_request_bytes: 1024, allow_partial_message: true}").warned("body"),
        holds("what changes nothing", FILTER, "{failure_mode_allow_header_add: true, emit_filter_state_stats: true, include_peer_certificate: true, include_tls_session: true, encode_raw_headers: true, charge_cluster_response_stats: false, enforce_response_header_limits: true, metadata_context_namespaces: [a], deny_at_disable: {default_value: true, runtime_key: d}}"),
        holds("metadata dropped", FILTER, "enable_dynamic_metadata_ingestion: false").warned("metadata"),
        alters("denials cut short", FILTER, "max_denied_response_body_bytes: 10", "denials").warns(),
        holds("the route chosen again", FILTER, "clear_route_cache: true").warned("route_cache"),
        opens("the route chosen again by what Doorward said", FILTER, "clear_route_cache: true", "route_cache")
            .and(FIRST_ROUTE, r#"{match: {prefix: /, dynamic_metadata: [{filter: envoy.filters.http.ext_authz, path: [{key: principal}], value: {present_match: true}}]}, route: {cluster: upstream, prefix_rewrite: /admin/}, typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {doorward.scopes: "admin:all"}}}}}"#)
            .probed(Path("/x")),
        opens("the route chosen again for one header", FILTER, "{clear_route_cache: true, clear_route_cache_headers: [x-nmp-principal-id]}", "route_cache")
            .and(FIRST_ROUTE, r#"{match: {prefix: /, dynamic_metadata: [{filter: envoy.filters.http.ext_authz, path: [{key: principal}], value: {present_match: true}}]}, route: {cluster: upstream, prefix_rewrite: /admin/}, typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {doorward.scopes: "admin:all"}}}}}"#)
            .probed(Path("/x")),
        holds("headers that would choose a route again", FILTER, "clear_route_cache_headers: [x-nmp-principal-id]"),
        row("a cluster that is not there", FILTER, "grpc_service: {envoy_grpc: {cluster_name: elsewhere}}", Closes)
            .fails("transport"),
    ]
}

fn header_rules() -> Vec<Row> {
    vec![
        opens("no header may change", FILTER, "decoder_header_mutation_rules: {disallow_all: true}", "mutation_rules"),
        row("no header may change, or else", FILTER, "decoder_header_mutation_rules: {disallow_all: true, disallow_is_error: true}", Closes).fails("mutation_rules"),
        opens("ours may not change", FILTER, "decoder_header_mutation_rules: {disallow_expression: {regex: 'x-nmp-.*'}}", "mutation_rules"),
        opens("one of ours may not change", FILTER, "decoder_header_mutation_rules: {disallow_expression: {regex: 'x-nmp-internal'}}", "mutation_rules"),
        opens("ours alone may, in one spelling", FILTER, "decoder_header_mutation_rules: {disallow_all: true, allow_expression: {regex: 'x-nmp-.*'}}", "mutation_rules"),
        holds("ours may, in every spelling", FILTER, "decoder_header_mutation_rules: {disallow_all: true, allow_expression: {regex: '(authorization|x.nmp.*)'}}"),
        holds("others may not change", FILTER, "decoder_header_mutation_rules: {disallow_expression: {regex: 'x-other-.*'}, disallow_system: true}"),
        holds("no rules", FILTER, "decoder_header_mutation_rules: null"),
        holds("more may change", FILTER, "decoder_header_mutation_rules: {allow_all_routing: true, allow_envoy: true}"),
        opens("a spelling not shown", FILTER, "allowed_headers: {patterns: [{exact: authorization}, {prefix: x_nmp}]}", "allowed_headers"),
        opens("ours hidden", FILTER, "disallowed_headers: {patterns: [{contains: nmp}]}", "allowed_headers"),
        row("the token hidden", FILTER, "disallowed_headers: {patterns: [{exact: authorization}]}", Closes).fails("allowed_headers"),
        holds("others hidden", FILTER, "disallowed_headers: {patterns: [{exact: cookie}]}"),
        holds("everything shown", FILTER, "allowed_headers: null"),
    ]
}

fn wrapped() -> Vec<Row> {
    vec![
        row("its configuration from elsewhere", NAMED, r#"{typed_config: null, config_discovery: {config_source: {initial_fetch_timeout: 0.05s, resource_api_version: V3, api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: doorward}}]}}, type_urls: [type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz]}}"#, Closes)
            .and(BOOTSTRAP, "node: {id: a, cluster: a}").warned("ext_authz"),
        opens("something else until its configuration comes", NAMED, r#"{typed_config: null, config_discovery: {default_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation}, apply_default_config_without_warming: true, config_source: {initial_fetch_timeout: 0.05s, resource_api_version: V3, api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: doorward}}]}}, type_urls: [type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation]}}"#, "ext_authz").and(BOOTSTRAP, "node: {id: a, cluster: a}"),
        opens("only where a matcher does not skip it", INSTEAD, concat!(r#"{name: a, typed_config: {"@type": extensions.common.matching.v3.ExtensionWithMatcher, extension_config: "#, ours!(), ", xds_matcher: ", unless_x_user!(), "}}"), "ext_authz"),
        opens("only where a matcher picks it", INSTEAD, concat!(r#"{name: a, typed_config: {"@type": extensions.common.matching.v3.ExtensionWithMatcher, extension_config: {name: composite, typed_config: {"@type": extensions.filters.http.composite.v3.Composite}}, xds_matcher: {matcher_tree: {input: {name: header, typed_config: {"@type": type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-guard}}, exact_match_map: {map: {on: {action: {name: composite-action, typed_config: {"@type": extensions.filters.http.composite.v3.ExecuteFilterAction, typed_config: "#, ours!(), "}}}}}}}}}"), "ext_authz"),
        holds("in a filter chain of its own", INSTEAD, concat!(r#"{name: chain, typed_config: {"@type": extensions.filters.http.filter_chain.v3.FilterChainConfig, default_filter_chain: {filters: ["#, ours!(), "]}}}")),
        opens("in a chain that a host replaces", INSTEAD, concat!(r#"{name: chain, typed_config: {"@type": extensions.filters.http.filter_chain.v3.FilterChainConfig, default_filter_chain: {filters: ["#, ours!(), "]}}}"), "routes_off")
            .and(HOST, r#"{typed_per_filter_config: {chain: {"@type": extensions.filters.http.filter_chain.v3.FilterChainConfigPerRoute, filter_chain: {filters: [{name: none, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation}}]}}}}"#),
        holds("in a TypedStruct", INSTEAD, r#"{name: a, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: extensions.filters.http.ext_authz.v3.ExtAuthz, value: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 1s}, status_on_error: {code: 503}, validate_mutations: true}}}"#),
        opens("in a TypedStruct, in shadow mode", INSTEAD, r#"{name: a, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: extensions.filters.http.ext_authz.v3.ExtAuthz, value: {shadow_mode: true, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 1s}, status_on_error: {code: 503}, validate_mutations: true}}}"#, "shadow_mode"),
        opens("not there", INSTEAD, r#"{name: other, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation}}"#, "ext_authz"),
        row("optional, and of no known type", INSTEAD, r#"{name: other, is_optional: true, typed_config: {"@type": extensions.filters.http.nothing.v3.Nothing}}"#, Refused).fails("ext_authz"),
    ]
}

fn over_http() -> Vec<Row> {
    let rows = vec![
        holds("over HTTP, as shipped", BOOTSTRAP, "{}"),
        opens("over HTTP, away, let pass", FILTER, "failure_mode_allow: true", "failure_mode").probed(DoorwardAway),
        opens("one path for all", FILTER, "http_service: {path_prefix: null, path_override: /apis/auth/ext-authz/public/x}", "http_headers"),
        opens("another document of ours", FILTER, "http_service: {path_prefix: '/apis/auth/discovery?'}", "http_headers"),
        opens("a prefix that is bypassed", FILTER, "http_service: {path_prefix: /apis/auth/ext-authz/public}", "http_headers"),
        alters("a prefix with a slash behind", FILTER, "http_service: {path_prefix: /apis/auth/ext-authz/}", "http_headers"),
        opens("a token for everybody", FILTER, "http_service: {authorization_request: {headers_to_add: [{key: Authorization, value: Bearer TOKEN}]}}", "identity"),
        holds("a header for Doorward", FILTER, "http_service: {authorization_request: {headers_to_add: [{key: x-gateway, value: a}]}}"),
        alters("our answer appended", FILTER, "http_service: {authorization_response: {allowed_upstream_headers_to_append: {patterns: [{prefix: x-nmp-}]}}}", "http_headers"),
        opens("one header of ours kept", FILTER, "http_service: {authorization_response: {allowed_upstream_headers: {patterns: [{exact: x-nmp-principal-email}]}}}", "http_headers"),
        opens("no header of ours kept", FILTER, "http_service: {authorization_response: {allowed_upstream_headers: null}}", "http_headers"),
        holds("a challenge that Envoy passes on by itself", FILTER, "http_service: {authorization_response: {allowed_client_headers: {patterns: [{exact: x}]}}}"),
        holds("what changes nothing over HTTP", FILTER, "http_service: {authorization_response: {dynamic_metadata_from_headers: {patterns: [{prefix: x-nmp}]}, allowed_client_headers_on_success: {patterns: [{exact: x-nmp-scopes}]}}}"),
        opens("over HTTP, a spelling not shown", FILTER, "allowed_headers: {patterns: [{prefix: x-request-id}]}", "allowed_headers"),
        row("over HTTP, a cluster that is not there", FILTER, "http_service: {server_uri: {cluster: elsewhere}}", Closes).fails("transport"),
        opens("the upstream is asked", FILTER, "http_service: {server_uri: {cluster: upstream}}", "transport"),
        opens("the upstream is asked, by its address", DOORWARD, "load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: UPSTREAM_PORT}}}}]}]}", "transport"),
        opens("a token added on the way to Doorward", DOORWARD, r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}, http_filters: [{name: h, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: {request_mutations: [{append: {header: {key: authorization, value: Bearer TOKEN}}}]}}}, {name: c, typed_config: {"@type": extensions.filters.http.upstream_codec.v3.UpstreamCodec}}]}}"#, "identity"),
        opens("another prefix for Envoy's own names", BOOTSTRAP, "header_prefix: x-acme", "header_prefix"),
        opens("somebody else asked for a route", ROUTE0, r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {http_service: {server_uri: {uri: "http://u", cluster: upstream, timeout: 1s}}}}}"#, "asked_elsewhere"),
    ];
    rows.into_iter().map(Row::http).chain([
        holds("another prefix for Envoy's own names, over gRPC", BOOTSTRAP, "header_prefix: x-acme"),
        opens("our prefix for Envoy's own names", BOOTSTRAP, "header_prefix: x-nmp", "header_prefix"),
        row("somebody else asked for a route, over gRPC", ROUTE, r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {grpc_service: {envoy_grpc: {cluster_name: upstream}}}}}"#, Closes)
            .fails("asked_elsewhere"),
        row("Doorward asked for a route otherwise", ROUTE, r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 2s}}}}"#, Holds),
    ]).collect()
}

const ROUTE0: &str = "HCM/route_config/virtual_hosts/0/routes/0";
