//! Route tables, virtual hosts, routes and weighted clusters.

use super::neighbours::admin_only;
use super::patch::{FIRST_ROUTE, HCM, HOST, HOSTS, NAMED, ROUTE, TABLE, LISTENERS, CLUSTERS, BOOTSTRAP};
use super::probes::Verdict::{Closes, Refused};
use super::{Row, alters, holds, opens, row};

macro_rules! forge {
    () => { "request_headers_to_add: [{header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]" };
}
macro_rules! weighted {
    ($inside:expr) => { concat!("{route: {cluster: null, weighted_clusters: {clusters: [{name: upstream, weight: 1, ", $inside, "}]}}}") };
}
macro_rules! per_route {
    ($inside:expr) => { concat!(r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, "#, $inside, "}}") };
}
macro_rules! off {
    () => { per_route!("disabled: true") };
}
macro_rules! filter_off {
    () => { r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": config.route.v3.FilterConfig, disabled: true, config: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {}}}}"# };
}
macro_rules! asked {
    () => { per_route!("check_settings: {context_extensions: {}}") };
}

pub fn rows() -> Vec<Row> {
    let mut rows = headers();
    rows.extend(turned_off());
    rows.extend(modes_and_paths());
    rows
}

fn headers() -> Vec<Row> {
    vec![
        opens("a forged name, for all routes", TABLE, forge!(), "identity"),
        opens("a forged name, for a host", HOST, forge!(), "identity"),
        opens("a forged name, for a route", ROUTE, forge!(), "identity"),
        opens("a forged name, for a share", ROUTE, weighted!(forge!()), "identity"),
        opens("a forged name, appended", ROUTE, "request_headers_to_add: [{header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}}]", "identity"),
        opens("a forged name, where there is one", ROUTE, "request_headers_to_add: [{header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS}]", "identity"),
        opens("a name for nobody", TABLE, "request_headers_to_add: [{header: {key: x-nmp-principal-id, value: 'service:gateway'}, append_action: ADD_IF_ABSENT}]", "identity"),
        opens("a forged name in another spelling", ROUTE, "request_headers_to_add: [{header: {key: X_NMP_Principal_Id, value: '%REQ(x-user)%'}}]", "identity"),
        holds("another name", TABLE, "request_headers_to_add: [{header: {key: x-real-user, value: '%REQ(x-user)%'}}]"),
        holds("what Doorward said, from its metadata", TABLE, "request_headers_to_add: [{header: {key: x-nmp-principal-id, value: '%DYNAMIC_METADATA(envoy.filters.http.ext_authz:principal)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]"),
        alters("a name removed, from all routes", TABLE, "request_headers_to_remove: [x-nmp-principal-email]", "identity"),
        alters("a name removed, from a host", HOST, "request_headers_to_remove: [x-nmp-principal-email]", "identity"),
        alters("a name removed, from a route", ROUTE, "request_headers_to_remove: [X-NMP-Principal-Email]", "identity"),
        alters("a name removed, from a share", ROUTE, weighted!("request_headers_to_remove: [x-nmp-principal-email]"), "identity"),
        holds("another name removed", TABLE, "request_headers_to_remove: [cookie]"),
        holds("headers of the response", TABLE, "response_headers_to_add: [{header: {key: x-nmp-principal-id, value: a}}]"),
        alters("a denial without its challenge", TABLE, "response_headers_to_remove: [www-authenticate]", "denials").warns(),
        holds("a mirror", ROUTE, "route: {request_mirror_policies: [{cluster: upstream}]}"),
        opens("a mirror with a forged name", ROUTE, "route: {request_mirror_policies: [{cluster: upstream, request_headers_mutations: [{append: {header: {key: x-nmp-principal-id, value: '%REQ(x-user)%'}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}]}", "identity"),
    ]
}

fn turned_off() -> Vec<Row> {
    vec![
        opens("off for a host", HOST, off!(), "routes_off"),
        opens("off for a route", ROUTE, off!(), "routes_off"),
        opens("off for a share", ROUTE, weighted!(off!()), "routes_off"),
        opens("off for all routes", TABLE, off!(), "routes_off"),
        opens("off for all routes, by any filter's switch", TABLE, filter_off!(), "routes_off"),
        opens("off for a host, by any filter's switch", HOST, filter_off!(), "routes_off"),
        opens("off for a route, by any filter's switch", ROUTE, filter_off!(), "routes_off"),
        opens("off in a wrapper", ROUTE, r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": config.route.v3.FilterConfig, config: {"@type": extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}}"#, "routes_off"),
        opens("off in a TypedStruct", ROUTE, r#"typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, value: {disabled: true}}}"#, "routes_off"),
        holds("off for all, on for each", TABLE, off!()).and(ROUTE, asked!()),
        holds("off for all by the switch, on for each", TABLE, filter_off!()).and(ROUTE, asked!()),
        holds("off by itself, on for each", NAMED, "disabled: true").and(ROUTE, asked!()),
        opens("off by itself, on for some", NAMED, "disabled: true", "routes_off"),
        holds("under another name, the old one off", NAMED, "name: doorward").and(TABLE, off!()),
        holds("off where Envoy answers itself", FIRST_ROUTE, concat!("{match: {prefix: /healthz}, direct_response: {status: 200}, ", off!(), "}")),
        holds("off for a redirect", FIRST_ROUTE, concat!("{match: {prefix: /old}, redirect: {path_redirect: /new}, ", off!(), "}")),
        opens("a host that is off", HOSTS, concat!("{name: other, domains: [platform.example], routes: [{match: {prefix: /}, route: {cluster: upstream}}], ", off!(), "}"), "routes_off"),
        holds("another host", HOSTS, "{name: other, domains: [platform.example], routes: [{match: {prefix: /}, route: {cluster: upstream}}]}"),
        opens("off in a tree of routes", HOST, concat!(r#"{routes: null, matcher: {on_no_match: {action: {name: route, typed_config: {"@type": config.route.v3.Route, match: {prefix: /}, route: {cluster: upstream}, "#, off!(), "}}}}}"), "routes_off"),
        opens("a forged name in a tree of routes", HOST, concat!(r#"{routes: null, matcher: {on_no_match: {action: {name: route, typed_config: {"@type": config.route.v3.Route, match: {prefix: /}, route: {cluster: upstream}, "#, forge!(), "}}}}}"), "identity"),
        opens("off in scoped routes", HCM, concat!(r#"{route_config: null, scoped_routes: {name: s, scope_key_builder: {fragments: [{header_value_extractor: {name: x-user, index: 0}}]}, scoped_route_configurations_list: {scoped_route_configurations: [{name: a, key: {fragments: [{string_key: "service:forged"}]}, route_configuration: {name: b, virtual_hosts: [{name: c, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: upstream}, "#, off!(), "}]}]}}]}}}"), "routes_off"),
        row("routes chosen by a module", TABLE, r#"route_specifiers: [{name: r, typed_config: {"@type": extensions.router.route_specifiers.dynamic_modules.v3.DynamicModuleRouteSpecifier, dynamic_module_config: {name: nothing}, specifier_name: a, specifier_instance_id: a}}]"#, Refused).warned("routes_off"),
    ]
}

fn modes_and_paths() -> Vec<Row> {
    vec![
        opens("no token asked for anywhere", ROUTE, per_route!("check_settings: {context_extensions: {doorward.mode: bypass}}"), "modes").warns(),
        opens("no token needed anywhere", TABLE, per_route!("check_settings: {context_extensions: {doorward.mode: optional}}"), "modes").warns(),
        row("a mode that does not exist", ROUTE, per_route!("check_settings: {context_extensions: {doorward.mode: 'off'}}"), Closes).fails("modes"),
        row("a setting that does not exist", ROUTE, per_route!("check_settings: {context_extensions: {doorward.scope: a}}"), Closes).fails("modes"),
        holds("settings of others", ROUTE, per_route!("check_settings: {disable_request_body_buffering: true, context_extensions: {virtual_host: a}}")),
        holds("an open path is rewritten", FIRST_ROUTE, concat!("{match: {prefix: /public/}, route: {cluster: upstream, prefix_rewrite: /admin/}, ", per_route!("check_settings: {context_extensions: {doorward.mode: bypass}}"), "}")).warned("rewrites"),
        holds("a guarded path is rewritten", ROUTE, "route: {regex_rewrite: {pattern: {regex: '^/api'}, substitution: ''}}"),
        holds("a redirect that Envoy follows", FIRST_ROUTE, "{match: {path: /alice}, route: {cluster: redirector, internal_redirect_policy: {response_headers_to_copy: [x-nmp-principal-id]}}}")
            .and(BOOTSTRAP, r#"bootstrap_extensions: [{name: internal, typed_config: {"@type": extensions.bootstrap.internal_listener.v3.InternalListener}}]"#)
            .and(CLUSTERS, "{name: redirector, load_assignment: {cluster_name: redirector, endpoints: [{lb_endpoints: [{endpoint: {address: {envoy_internal_address: {server_listener_name: redirector}}}}]}]}}")
            .and(LISTENERS, r#"{name: redirector, internal_listener: {}, filter_chains: [{filters: [{name: hcm, typed_config: {"@type": extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: r, http_filters: [{name: router, typed_config: {"@type": extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: [{name: r, domains: ["*"], response_headers_to_add: [{header: {key: x-nmp-principal-id, value: "service:forged"}}], routes: [{match: {prefix: /}, redirect: {path_redirect: /elsewhere, response_code: FOUND}}]}]}}}]}]}"#),
        holds("the client chooses the cluster", ROUTE, "route: {cluster: null, cluster_header: x-cluster}").probed(super::probes::Probe::With("x-cluster", "upstream")),
        holds("a scope for a path", FIRST_ROUTE, admin_only!()),
    ]
}
