//! The doctor's reading of Envoy Gateway's policies, and of the routes that they are for.

use crate::support::doctor_envoy::{faults, one_fault};
use crate::support::tools;

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
            (
                "kind: Gateway, name: door }\n  extAuth",
                "kind: Gateway, name: door, sectionName: other }\n  extAuth",
                "routes_off",
                "platform",
            ),
            // A policy is for its own namespace.
            (
                "name: doorward\n  namespace: platform\n",
                "name: doorward\n  namespace: other\n",
                "routes_off",
                "platform",
            ),
            (
                "    - matches: [{ path: { type: PathPrefix, value: / } }]\n",
                "    - matches: [{ path: { type: PathPrefix, value: / } }]\n      filters: [{ type: \
                 RequestHeaderModifier, requestHeaderModifier: { add: [{ name: X-NMP-Scopes, value: \
                 'admin:all' }] } }]\n",
                "identity",
                "x-nmp-scopes is changed",
            ),
            (
                "    recomputeRoute: false\n",
                "    recomputeRoute: false\n  jwt: { providers: [{ name: p, claimToHeaders: [{ claim: \
                 email, header: x-nmp-principal-id }] }] }\n",
                "identity",
                "spec.jwt.providers[0].claimToHeaders[0].header",
            ),
            (
                "    recomputeRoute: false\n",
                "    recomputeRoute: false\n  apiKeyAuth: { forwardClientIDHeader: x_nmp_principal_id }\n",
                "identity",
                "forwardClientIDHeader",
            ),
            (
                "    recomputeRoute: false\n",
                "    recomputeRoute: false\n    contextExtensions: [{ name: doorward.mode, type: Value, \
                 value: optional }]\n",
                "modes",
                "for a whole Gateway",
            ),
            (
                "    withUnderscoresAction: Allow",
                "    earlyRequestHeaders: { set: [{ name: Authorization, value: Bearer a.b.c }] }",
                "identity",
                "every request comes with the same token",
            ),
        ],
    );
}

/// Over HTTP Doorward sees what is listed, by exact names.
#[test]
fn envoy_gateway_over_http_hides_headers() {
    let sound = tools::file("envoy/envoy-gateway/gateway.yaml");
    let grpc =
        "    grpc:\n      backendRefs: [{ name: doorward, namespace: doorward, port: 9191 }]\n";
    let http = "    http:\n      backendRefs: [{ name: doorward, namespace: doorward, port: 8181 }]\n      \
                path: /apis/auth/ext-authz\n      headersToBackend: [x-nmp-principal-id, \
                x-nmp-principal-email, x-nmp-principal-groups, x-nmp-scopes]\n";
    for (listed, how) in [
        ("", "headersToExtAuth: not set"),
        ("    headersToExtAuth: [authorization, x-nmp-principal-id]\n", "exact names only"),
    ] {
        let found = faults(&sound.replacen(grpc, &format!("{http}{listed}"), 1));
        assert_eq!((found.len(), found[0].0), (1, "allowed_headers"), "{found:?}");
        assert!(found[0].2.contains(how), "{found:?}");
    }
    let lost = http.replace("x-nmp-scopes", "x-other");
    let found = faults(&sound.replacen(grpc, &lost, 1));
    let names: Vec<_> = found.iter().map(|it| it.0).collect();
    assert_eq!(names, ["allowed_headers", "http_headers"], "{found:?}");
}

/// Which routes a policy is for: those it selects by label, or, where it is to be merged with its
/// Gateway's, those whose Gateway has one.
#[test]
fn routes_are_under_a_policy_that_is_for_them() {
    let sound = tools::file("envoy/envoy-gateway/gateway.yaml");
    let target = "  targetRefs:\n    - { group: gateway.networking.k8s.io, kind: HTTPRoute, name: public }\n";
    let gateway = "kind: Gateway, name: door }\n  extAuth";
    let label = "  name: public\n  namespace: platform\n";
    assert!(sound.contains(target) && sound.contains(gateway) && sound.contains(label));
    let names = |text: &str| faults(text).into_iter().map(|it| it.2).collect::<Vec<_>>();
    // Without a policy for all, a selected route is guarded and the other is not.
    let selecting = sound
        .replace(target, "  targetSelectors: [{ kind: HTTPRoute, matchLabels: { open: 'yes' } }]\n")
        .replace(gateway, "kind: Gateway, name: other }\n  extAuth");
    let found = names(&selecting.replace(label, &format!("{label}  labels: {{ open: 'yes' }}\n")));
    assert!(found.len() == 1 && found[0].contains("the route platform is"), "{found:?}");
    let all = selecting.replacen(
        "  name: platform\n  namespace: platform\n",
        "  name: platform\n  namespace: platform\n  labels: { open: 'yes' }\n",
        1,
    );
    let found = names(&all);
    assert!(found.len() == 1 && found[0].contains("the route public is"), "{found:?}");

    let (front, own) = sound.split_once(target).unwrap();
    let (_, rest) = own.split_once("---").unwrap();
    let merged = format!("{front}{target}  mergeType: StrategicMerge\n---{rest}");
    assert_eq!(names(&merged), [""; 0]);
    // Where no namespace is written, it is that in which all are applied.
    assert_eq!(
        names(&sound.replace("  name: doorward\n  namespace: platform\n", "  name: doorward\n")),
        [""; 0]
    );
    let found = names(&merged.replace(gateway, "kind: Gateway, name: other }\n  extAuth"));
    assert!(found.len() == 1 && found[0].contains("under no policy with extAuth"), "{found:?}");
}
