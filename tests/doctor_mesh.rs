//! The doctor's reading of what Kubernetes holds for Istio and for Envoy Gateway.

use doorward::doctor::Outcome;

use crate::support::doctor_envoy::{faults, one_fault};
use crate::support::tools;

#[test]
fn each_fault_of_istio_is_named_alone() {
    one_fault(
        "istio/mesh.yaml",
        &[
            ("failOpen: false", "failOpen: true", "failure_mode", "extensionProviders[0]"),
            ("timeout: 1s", "", "timeout", "10m"),
            ("statusOnError: \"503\"", "", "status_on_error", "403"),
            ("clearRouteCache: false", "clearRouteCache: true", "route_cache", "clearRouteCache"),
            (
                "normalization: DECODE_AND_MERGE_SLASHES",
                "normalization: MERGE_SLASHES",
                "escaped_slashes",
                "MERGE_SLASHES",
            ),
        ],
    );
    let mesh = tools::file("envoy/istio/mesh.yaml");
    let base = faults(&mesh.replace("DECODE_AND_MERGE_SLASHES", "BASE"));
    let names: Vec<_> = base.iter().map(|(check, _, _)| *check).collect();
    assert_eq!(names, ["merge_slashes", "escaped_slashes"]);
    one_fault(
        "istio/gateway.yaml",
        &[
            ("- /apis/auth/authenticate\n", "- /apis/*\n", "routes_off", "notPaths"),
            ("notPaths:", "paths:", "routes_off", "paths"),
            (
                "    - to:\n        - operation:",
                "    - when: [{key: x}]\n      to:\n        - operation:",
                "routes_off",
                "when",
            ),
            ("action: CUSTOM", "action: AUDIT", "ext_authz", "at document[0]"),
            // The first is the Gateway's own.
            ("istio: ingressgateway", "istio: other", "ext_authz", "at document[0]"),
            (
                "metadata:\n  name: doorward\n",
                "metadata:\n  name: doorward\n  annotations: { istio.io/dry-run: \"true\" }\n",
                "shadow_mode",
                "dry-run",
            ),
            (
                "host: doorward.doorward.svc",
                "host: platform.platform.svc",
                "routes_off",
                "leaves /apis/auth/discovery out, and the VirtualService platform",
            ),
            (
                "- uri: { exact: /apis/auth/authenticate }\n",
                "- uri: { prefix: /apis/auth/authenticate }\n",
                "routes_off",
                "leaves /apis/auth/authenticate out",
            ),
            (
                "    # Everything else goes to the service that is guarded.\n    - route:\n",
                "    - headers: { request: { set: { X-NMP-Principal-Id: admin } } }\n      route:\n",
                "identity",
                "spec.http[1].headers.request.set.X-NMP-Principal-Id",
            ),
            (
                "    # Everything else goes to the service that is guarded.\n    - route:\n        -",
                "    - route:\n        - headers: { request: { remove: [x-nmp-scopes] } }\n         ",
                "identity",
                "x-nmp-scopes is changed",
            ),
        ],
    );
    // The same in the ConfigMap that Istio reads.
    let (_, config) = mesh.split_once("  meshConfig:\n").unwrap();
    let map = format!("kind: ConfigMap\ndata:\n  mesh: |\n{config}");
    assert_eq!(faults(&map), []);
    let open = faults(&map.replace("failOpen: false", "failOpen: true"));
    assert_eq!((open.len(), open[0].0), (1, "failure_mode"));
    assert!(open[0].2.contains("data.mesh.extensionProviders[0]"), "{open:?}");

    let over_http = mesh.replace("envoyExtAuthzGrpc:", "envoyExtAuthzHttp:");
    let names: Vec<_> = faults(&over_http).into_iter().map(|(check, _, _)| check).collect();
    assert_eq!(names, ["allowed_headers", "http_headers"]);
    let complete = over_http.replace(
        "service: doorward",
        "pathPrefix: /apis/auth/ext-authz
          includeRequestHeadersInCheck: [authorization, 'x*']
          headersToUpstreamOnAllow: ['x-nmp-*']
          service: doorward",
    );
    assert_eq!(faults(&complete), []);
    let hides = faults(&complete.replace("'x*'", "'x-nmp*', 'x_nmp*'"));
    assert!(hides[0].0 == "allowed_headers" && hides[0].2.contains("x.nmp.anything"), "{hides:?}");
}

/// `kubectl get … -o json` prints a list.
#[test]
fn a_list_of_kubernetes_is_its_items() {
    let list = r#"{"kind": "List", "items": [
        {"kind": "ConfigMap", "data": {"mesh": "extensionProviders: [{name: d, envoyExtAuthzGrpc: {failOpen: true, timeout: 1s, statusOnError: '503'}}]\npathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}"}},
        {"kind": "AuthorizationPolicy", "spec": {"action": "CUSTOM", "provider": {"name": "d"}, "rules": [{}]}}
    ]}"#;
    let found = faults(list);
    assert_eq!((found.len(), found[0].0), (1, "failure_mode"), "{found:?}");
    assert!(found[0].2.contains("items[0].data.mesh.extensionProviders[0]"), "{found:?}");
    let unruly = list.replace("[{}]", "[]").replace("true", "false");
    let found = faults(&unruly);
    assert_eq!((found.len(), found[0].0), (1, "routes_off"), "{found:?}");
    assert!(found[0].2.contains("items[1]"), "{found:?}");
}

/// The single thing that is wrong with our files and this object beside them.
fn beside(file: &str, object: &str) -> Option<(&'static str, Outcome, String)> {
    let mut found = faults(&format!("{}\n---\n{object}", tools::file(&format!("envoy/{file}"))));
    assert!(found.len() < 2, "{object}: {found:?}");
    found.pop()
}

/// An EnvoyFilter with one patch.
fn envoy_filter(apply_to: &str, patch: &str) -> String {
    format!(
        "{{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {{name: f}}, spec: \
         {{configPatches: [{{applyTo: {apply_to}, match: {{context: GATEWAY}}, patch: {patch}}}]}}}}"
    )
}

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters";

#[test]
fn patches_of_what_istio_makes_are_read() {
    let lua = |code: &str| {
        format!(
            "{{operation: INSERT_BEFORE, value: {{name: lua, typed_config: {{'@type': {TYPE}.http.lua.v3.Lua, \
             inlineCode: \"{code}\"}}}}}}"
        )
    };
    let forge =
        lua("function envoy_on_request(h) h:headers():replace('x-nmp-principal-id', 'a') end");
    let mutation = format!(
        "{{operation: INSERT_AFTER, value: {{name: m, typed_config: {{'@type': \
         {TYPE}.http.header_mutation.v3.HeaderMutation, mutations: {{request_mutations: [{{append: {{header: \
         {{key: x-nmp-scopes, value: a}}}}}}]}}}}}}}}"
    );
    let off = format!(
        "{{operation: MERGE, value: {{typed_per_filter_config: {{envoy.filters.http.ext_authz: {{'@type': \
         {TYPE}.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}}}}}}}"
    );
    let manager = |fields: &str| {
        let kind = "network.http_connection_manager.v3.HttpConnectionManager";
        format!(
            "{{operation: MERGE, value: {{typed_config: {{'@type': {TYPE}.{kind}, {fields}}}}}}}"
        )
    };
    let removed = "{operation: REMOVE, value: {name: envoy.filters.http.ext_authz}}";
    let resets = "{operation: MERGE, value: {connect_timeout: 1s}}";
    for (apply_to, patch, expected) in [
        (
            "HTTP_FILTER",
            forge.as_str(),
            Some(("filter_order", Outcome::Fail, "x-nmp-principal-id")),
        ),
        (
            "HTTP_FILTER",
            &lua("h:logInfo('a')"),
            Some(("patches", Outcome::Warn, "configPatches[0]")),
        ),
        ("HTTP_FILTER", &mutation, Some(("identity", Outcome::Fail, "x-nmp-scopes"))),
        ("HTTP_FILTER", removed, Some(("ext_authz", Outcome::Fail, "configPatches[0]"))),
        ("HTTP_ROUTE", &off, Some(("routes_off", Outcome::Fail, "typed_per_filter_config"))),
        (
            "NETWORK_FILTER",
            &manager("normalizePath: false"),
            Some(("patches", Outcome::Fail, "normalize")),
        ),
        (
            "NETWORK_FILTER",
            &manager("merge_slashes: false"),
            Some(("patches", Outcome::Fail, "merge")),
        ),
        (
            "NETWORK_FILTER",
            &manager("server_name: a"),
            Some(("patches", Outcome::Warn, "comes out")),
        ),
        ("CLUSTER", resets, None),
    ] {
        let found = beside("istio/gateway.yaml", &envoy_filter(apply_to, patch));
        let (check, outcome, words) = match (&found, expected) {
            (None, None) => continue,
            (Some(_), Some(expected)) => expected,
            _ => panic!("{patch}: {found:?}"),
        };
        let (said, how, text) = found.unwrap();
        assert_eq!((said, how), (check, outcome), "{patch}: {text}");
        assert!(text.contains(words), "{patch}: {text}");
    }
}

#[test]
fn what_stands_behind_the_policies_is_read() {
    for (file, object, check, outcome) in [
        (
            "istio/gateway.yaml",
            "{kind: WasmPlugin, metadata: {name: w}, spec: {url: oci://w}}",
            "filter_order",
            Outcome::Warn,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: EnvoyExtensionPolicy, metadata: {name: w}, spec: {wasm: [{name: w}]}}",
            "filter_order",
            Outcome::Warn,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: EnvoyExtensionPolicy, metadata: {name: l}, spec: {lua: [{type: Inline, inline: \
             \"function envoy_on_request(h) h:headers():add('X-NMP-Scopes', 'a') end\"}]}}",
            "filter_order",
            Outcome::Fail,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: EnvoyPatchPolicy, metadata: {name: p}, spec: {jsonPatches: [{type: \
             type.googleapis.com/envoy.config.listener.v3.Listener, name: l, operation: {op: add, path: /a}}]}}",
            "patches",
            Outcome::Warn,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: EnvoyProxy, metadata: {name: p}, spec: {filterOrder: [{name: \
             envoy.filters.http.ext_authz, after: envoy.filters.http.rbac}]}}",
            "filter_order",
            Outcome::Warn,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: TLSRoute, metadata: {name: t, namespace: platform}, spec: {parentRefs: [{name: door}], \
             rules: [{backendRefs: [{name: platform, port: 8443}]}]}}",
            "entrances",
            Outcome::Fail,
        ),
        (
            "envoy-gateway/gateway.yaml",
            "{kind: HTTPRouteFilter, metadata: {name: f}, spec: {credentialInjection: {header: x-nmp-internal}}}",
            "identity",
            Outcome::Fail,
        ),
    ] {
        let (said, how, text) = beside(file, object).unwrap_or_else(|| panic!("{object}"));
        assert_eq!((said, how), (check, outcome), "{object}: {text}");
    }
    let other = "{kind: TLSRoute, metadata: {name: t, namespace: other}, spec: {rules: [{backendRefs: [{name: platform}]}]}}";
    assert_eq!(beside("envoy-gateway/gateway.yaml", other), None, "another service");
}

/// Gateways of Istio's, whose policies may be in another file, or which are for others.
#[test]
fn gateways_are_under_a_policy_of_this_file() {
    let gateway = |name: &str| {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {{name: g}}, spec: \
             {{selector: {{istio: {name}}}}}}}"
        )
    };
    let found = faults(&gateway("ingressgateway"));
    assert_eq!((found.len(), found[0].0, found[0].1), (1, "ext_authz", Outcome::Warn), "{found:?}");
    assert_eq!(beside("istio/gateway.yaml", &gateway("ingressgateway")), None);
    let (check, outcome, _) = beside("istio/gateway.yaml", &gateway("egressgateway")).unwrap();
    assert_eq!((check, outcome), ("ext_authz", Outcome::Warn));
}
