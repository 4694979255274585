//! The doctor's reading of what Kubernetes holds for Istio and for Envoy Gateway.

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

#[test]
fn each_fault_of_envoy_gateway_is_named_alone() {
    one_fault(
        "envoy-gateway/gateway.yaml",
        &[
            ("failOpen: false", "failOpen: true", "failure_mode", "failOpen"),
            ("timeout: 1s\n    # Doorward", "# Doorward", "timeout", "10s"),
            ("statusOnError: 503", "", "status_on_error", "403"),
            ("recomputeRoute: false", "recomputeRoute: true", "route_cache", "recomputeRoute"),
            (
                "recomputeRoute: false",
                "headersToExtAuth: [authorization]",
                "allowed_headers",
                "headersToExtAuth",
            ),
            (
                "escapedSlashesAction: RejectRequest",
                "escapedSlashesAction: KeepUnchanged",
                "escaped_slashes",
                "KeepUnchanged",
            ),
            (
                "disableMergeSlashes: false",
                "disableMergeSlashes: true",
                "merge_slashes",
                "disableMergeSlashes",
            ),
            (
                "kind: Gateway, name: door }\n  extAuth",
                "kind: Gateway, name: other }\n  extAuth",
                "routes_off",
                "platform",
            ),
        ],
    );
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
