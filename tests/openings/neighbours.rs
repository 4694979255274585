//! Other HTTP filters: in front of ours, behind it, and on the way to the upstream.

use super::patch::{BEHIND, BOOTSTRAP, FRONT, HCM, HOST, ROUTE, ROUTER, TABLE, UPSTREAM};
use super::probes::Probe::{AfterAlice, Json, With};
use super::{Row, alters, holds, opens};

/// A header mutation with this list of them.
macro_rules! mutation {
    ($list:literal) => {
        concat!(r#"{name: h, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: {request_mutations: "#, $list, "}}}")
    };
}
macro_rules! from_client {
    () => { mutation!("[{append: {header: {key: X-NMP-Principal-Id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]") };
}
macro_rules! upstream_filters {
    ($filter:expr) => {
        concat!(r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}, http_filters: ["#, $filter, r#", {name: c, typed_config: {"@type": extensions.filters.http.upstream_codec.v3.UpstreamCodec}}]}}"#)
    };
}
macro_rules! lua {
    () => { r#"{name: lua, typed_config: {"@type": extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_request(h) h:headers():replace('x-nmp-principal-id', h:headers():get('x-user')) end"}}}"# };
}
/// A route that asks for a scope that Alice has not.
macro_rules! admin_only {
    () => { r#"{match: {prefix: /admin/}, route: {cluster: upstream}, typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {doorward.scopes: "admin:all"}}}}}"# };
}
pub(super) use admin_only;

pub fn rows() -> Vec<Row> {
    let mut rows = behind();
    rows.extend(in_front());
    rows.extend(to_the_upstream());
    rows
}

fn behind() -> Vec<Row> {
    vec![
        opens("a header mutation", BEHIND, from_client!(), "identity"),
        alters("a header mutation that removes", BEHIND, mutation!("[{remove: x-nmp-principal-email}]"), "identity"),
        alters("a header mutation that removes by pattern", BEHIND, mutation!("[{remove_on_match: {key_matcher: {prefix: x-nmp}}}]"), "identity"),
        holds("a header mutation of others", BEHIND, mutation!("[{append: {header: {key: x-real-user, value: '%REQ(x-user)%'}}}, {remove: cookie}, {remove_on_match: {key_matcher: {prefix: x-other}}}]")),
        holds("a mutation of the response", BEHIND, r#"{name: h, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: {response_mutations: [{append: {header: {key: x-nmp-principal-id, value: a}}}]}}}"#),
        opens("a header mutation of one route", BEHIND, r#"{name: h, typed_config: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutation}}"#, "identity")
            .and(ROUTE, r#"typed_per_filter_config: {h: {"@type": extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute, mutations: {request_mutations: [{append: {header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}}"#),
        opens("a transformation", BEHIND, r#"{name: t, typed_config: {"@type": extensions.filters.http.transform.v3.TransformConfig, request_transformation: {headers_mutations: [{append: {header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}}"#, "identity").probed(Json),
        opens("Lua", BEHIND, lua!(), "filter_order").warns(),
        opens("Lua of one route", BEHIND, r#"{name: lua, typed_config: {"@type": extensions.filters.http.lua.v3.Lua}}"#, "filter_order")
            .and(HOST, r#"typed_per_filter_config: {lua: {"@type": extensions.filters.http.lua.v3.LuaPerRoute, source_code: {inline_string: "function envoy_on_request(h) h:headers():replace('x-nmp-principal-id', h:headers():get('x-user')) end"}}}"#)
            .warns(),
        opens("a mutation in a chain of filters", BEHIND, concat!(r#"{name: chain, typed_config: {"@type": extensions.filters.http.filter_chain.v3.FilterChainConfig, default_filter_chain: {filters: ["#, from_client!(), "]}}}"), "identity"),
        opens("a mutation that a matcher picks", BEHIND, concat!(r#"{name: a, typed_config: {"@type": extensions.common.matching.v3.ExtensionWithMatcher, extension_config: "#, from_client!(), r#", xds_matcher: {matcher_tree: {input: {name: header, typed_config: {"@type": type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-other}}, exact_match_map: {map: {on: {action: {name: skip, typed_config: {"@type": extensions.filters.common.matcher.action.v3.SkipFilter}}}}}}}}}"#), "identity"),
        opens("an API key names the client", BEHIND, r#"{name: k, typed_config: {"@type": extensions.filters.http.api_key_auth.v3.ApiKeyAuth, credentials: [{key: "service:forged", client: "service:forged"}], key_sources: [{header: x-user}], forwarding: {header: x-nmp-principal-id}}}"#, "identity"),
        opens("a tag by address", BEHIND, r#"{name: i, typed_config: {"@type": extensions.filters.http.ip_tagging.v3.IPTagging, ip_tags: [{ip_tag_name: forged, ip_list: [{address_prefix: 127.0.0.0, prefix_len: 8}]}], ip_tag_header: {header: x-nmp-principal-id, action: SANITIZE}}}"#, "identity"),
        opens("a limit that is not enforced", BEHIND, r#"{name: l, typed_config: {"@type": extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: l, token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 3600s}, filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 0}}, request_headers_to_add_when_not_enforced: [{header: {key: x-nmp-principal-id, value: "service:forged"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]}}"#, "identity"),
        alters("claims read by jwt_authn", BEHIND, r#"{name: j, typed_config: {"@type": extensions.filters.http.jwt_authn.v3.JwtAuthentication, providers: {p: {issuer: "https://idp.example", local_jwks: {inline_string: 'JWKS'}, forward: true, claim_to_headers: [{header_name: x-nmp-principal-id, claim_name: email}]}}, rules: [{match: {prefix: /alice}, requires: {provider_name: p}}]}}"#, "identity"),
        holds("other names for claims", BEHIND, r#"{name: j, typed_config: {"@type": extensions.filters.http.jwt_authn.v3.JwtAuthentication, providers: {p: {issuer: "https://idp.example", local_jwks: {inline_string: 'JWKS'}, forward: true, claim_to_headers: [{header_name: x-email, claim_name: email}]}}, rules: [{match: {prefix: /alice}, requires: {provider_name: p}}]}}"#),
        alters("a header turned into metadata and removed", BEHIND, r#"{name: m, typed_config: {"@type": extensions.filters.http.header_to_metadata.v3.Config, request_rules: [{header: x-nmp-principal-email, on_header_present: {metadata_namespace: a, key: b}, remove: true}]}}"#, "identity"),
        holds("a header turned into metadata", BEHIND, r#"{name: m, typed_config: {"@type": extensions.filters.http.header_to_metadata.v3.Config, request_rules: [{header: x-nmp-principal-email, on_header_present: {metadata_namespace: a, key: b}}]}}"#),
        opens("a credential put in", BEHIND, r#"{name: c, typed_config: {"@type": extensions.filters.http.credential_injector.v3.CredentialInjector, overwrite: true, credential: {name: envoy.http.injected_credentials.generic, typed_config: {"@type": extensions.http.injected_credentials.generic.v3.Generic, credential: {name: s}, header: x-nmp-principal-id}}}}"#, "identity")
            .and(BOOTSTRAP, r#"static_resources: {secrets: [{name: s, generic_secret: {secret: {inline_string: "service:forged"}}}]}"#),
        holds("rules that believe the identity", BEHIND, r#"{name: r, typed_config: {"@type": extensions.filters.http.rbac.v3.RBAC, rules: {action: DENY, policies: {p: {permissions: [{any: true}], principals: [{header: {name: x-nmp-principal-id, string_match: {exact: mallory}}}]}}}}}"#),
        holds("filters that touch no request header", BEHIND, r#"{name: cors, typed_config: {"@type": extensions.filters.http.cors.v3.Cors}}"#)
            .and(BEHIND, r#"{name: buffer, typed_config: {"@type": extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 1000}}"#)
            .and(BEHIND, r#"{name: fault, typed_config: {"@type": extensions.filters.http.fault.v3.HTTPFault}}"#)
            .and(BEHIND, r#"{name: stats, typed_config: {"@type": extensions.filters.http.grpc_stats.v3.FilterConfig}}"#)
            .and(BEHIND, r#"{name: web, typed_config: {"@type": extensions.filters.http.grpc_web.v3.GrpcWeb}}"#)
            .and(BEHIND, r#"{name: loop, typed_config: {"@type": extensions.filters.http.cdn_loop.v3.CdnLoopConfig, cdn_id: a}}"#)
            .and(BEHIND, r#"{name: health, typed_config: {"@type": extensions.filters.http.health_check.v3.HealthCheck, pass_through_mode: false, headers: [{name: ":path", string_match: {exact: /healthz}}]}}"#)
            .and(BEHIND, r#"{name: set, typed_config: {"@type": extensions.filters.http.set_metadata.v3.Config, metadata: [{metadata_namespace: a, value: {b: c}}]}}"#),
        holds("one that nobody has looked at", BEHIND, r#"{name: a2a, typed_config: {"@type": extensions.filters.http.a2a.v3.A2a}}"#).warned("filter_order"),
        holds("another service that may change headers", BEHIND, r#"{name: p, typed_config: {"@type": extensions.filters.http.ext_proc.v3.ExternalProcessor, failure_mode_allow: true, message_timeout: 0.05s, grpc_service: {envoy_grpc: {cluster_name: doorward}}}}"#).warned("filter_order"),
        holds("another that is asked", BEHIND, r#"{name: second, typed_config: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthz, allowed_headers: {patterns: [{prefix: x-}]}, http_service: {server_uri: {uri: "http://u", cluster: upstream, timeout: 1s}}}}"#).warned("filter_order"),
        alters("another answer for a denial", BEHIND, r#"{name: r, typed_config: {"@type": extensions.filters.http.custom_response.v3.CustomResponse, custom_response_matcher: {on_no_match: {action: {name: a, typed_config: {"@type": extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy, status_code: 200, body: {inline_string: fine}}}}}}}"#, "denials").warns(),
    ]
}

fn in_front() -> Vec<Row> {
    vec![
        holds("a header mutation in front", FRONT, from_client!()),
        holds("Lua in front", FRONT, lua!()),
        holds("an early mutation", HCM, r#"early_header_mutation_extensions: [{name: e, typed_config: {"@type": extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{append: {header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}}}]}}]"#),
        opens("an early token for everybody", HCM, r#"early_header_mutation_extensions: [{name: e, typed_config: {"@type": extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{append: {header: {key: authorization, value: Bearer TOKEN}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}]"#, "identity"),
        opens("a token for everybody", FRONT, mutation!("[{append: {header: {key: authorization, value: Bearer TOKEN}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]"), "identity"),
        holds("the token from another header", FRONT, mutation!("[{append: {header: {key: authorization, value: '%REQ(x-token)%'}, append_action: ADD_IF_ABSENT}}]")),
        opens("a cache in front", FRONT, r#"{name: cache, typed_config: {"@type": extensions.filters.http.cache.v3.CacheConfig, typed_config: {"@type": extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig}}}"#, "filter_order")
            .and(TABLE, "response_headers_to_add: [{header: {key: cache-control, value: 'public, max-age=3600'}}]")
            .probed(AfterAlice),
        holds("a cache behind", BEHIND, r#"{name: cache, typed_config: {"@type": extensions.filters.http.cache.v3.CacheConfig, typed_config: {"@type": extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig}}}"#)
            .and(TABLE, "response_headers_to_add: [{header: {key: cache-control, value: 'public, max-age=3600'}}]")
            .probed(AfterAlice),
        holds("a header that a filter in front believes", FRONT, from_client!()).probed(With("x-a", "b")),
    ]
}

fn to_the_upstream() -> Vec<Row> {
    vec![
        opens("a mutation of the router's", ROUTER, concat!("upstream_http_filters: [", from_client!(), r#", {name: c, typed_config: {"@type": extensions.filters.http.upstream_codec.v3.UpstreamCodec}}]"#), "identity"),
        opens("a mutation of the cluster's", UPSTREAM, upstream_filters!(from_client!()), "identity"),
        opens("Lua of the cluster's", UPSTREAM, upstream_filters!(lua!()), "filter_order").warns(),
        holds("a codec alone", UPSTREAM, upstream_filters!(mutation!("[]"))),
        holds("headers of health checks", UPSTREAM, r#"health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 9, healthy_threshold: 1, http_health_check: {path: /, request_headers_to_add: [{header: {key: x-nmp-principal-id, value: "service:health"}}]}}]"#),
    ]
}
