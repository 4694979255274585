//! The doctor's reading of Envoy's configurations with Doorward inside: the module, where it is loaded
//! from, and its own configuration.

use doorward::doctor::Outcome;

use crate::support::doctor_envoy::{faults, findings, one_fault};
use crate::support::tools;

/// The module's own keys are examined with the file: where they cannot be read, that is said.
#[test]
fn our_own_files_of_the_module_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.yaml");
    let keys =
        "auth: {oidc: {issuer: 'https://idp.example', client_id: nmp}}\nrules: {preset: nemo}\n";
    std::fs::write(&file, keys).unwrap();
    for name in
        ["module.yaml", "nemo-module.yaml", "istio/module.yaml", "envoy-gateway/module.yaml"]
    {
        let text = tools::file(&format!("envoy/{name}"));
        let own = ["./doorward.yaml", "./nemo.yaml"];
        let here =
            own.iter().fold(text.clone(), |text, it| text.replace(it, file.to_str().unwrap()));
        assert_eq!(faults(&here), [], "{name}");
        assert!(!findings(&here).is_empty(), "{name}");
        if here != text {
            let found = faults(&text);
            let checks: Vec<_> =
                found.iter().map(|(check, outcome, _)| (*check, *outcome)).collect();
            assert_eq!(checks, [("configuration", Outcome::Warn)], "{name}: {found:?}");
        }
    }
}

/// In a cluster the module is named in one object, and loaded by another.
#[test]
fn the_module_in_a_cluster() {
    one_fault(
        "envoy-gateway/module.yaml",
        &[
            ("doNotClose: true", "doNotClose: false", "do_not_close", "dynamicModules[0]"),
            (
                "type: Local\n        local: { path: /modules/libdoorward_envoy.so }",
                "type: Remote\n        remote: { url: https://a.example/m.so, sha256: '00' }",
                "module",
                "source.remote",
            ),
            ("client_id: platform", "cilent_id: platform", "configuration", "auth.oidc.client_id?"),
            ("filterName: doorward", "filterName: door", "module", "dynamicModule[0]"),
            (
                "kind: Gateway, name: door }\n  dynamicModule",
                "kind: Gateway, name: other }\n  dynamicModule",
                "routes_off",
                "platform",
            ),
            (
                "before: envoy.filters.http.ext_authz",
                "after: envoy.filters.http.rbac",
                "filter_order",
                "filterOrder[0]",
            ),
        ],
    );
    one_fault(
        "istio/module.yaml",
        &[
            (
                "operation: INSERT_FIRST",
                "operation: INSERT_BEFORE",
                "filter_order",
                "configPatches[0]",
            ),
            ("context: GATEWAY", "context: SIDECAR_OUTBOUND", "module", "configPatches[0]"),
            ("do_not_close: true", "do_not_close: false", "do_not_close", "typed_config"),
            (
                "istio: ingressgateway\n  configPatches",
                "istio: egressgateway\n  configPatches",
                "ext_authz",
                "Doorward is not asked",
            ),
        ],
    );
}

/// Which names are trusted inside Envoy the module's own configuration tells, and no other.
#[test]
fn the_module_goes_by_its_own_headers() {
    let keys = "{auth: {oidc: {issuer: 'https://idp.example', client_id: nmp}}, headers: {claims: {X-Tenant: \
                tid}}}";
    let text = tools::file("envoy/module.yaml").replace("./doorward.yaml", &format!("\"{keys}\""));
    assert_eq!(faults(&text), []);
    let router = "                  - name: envoy.filters.http.router\n";
    let other = "                  - name: h\n                    typed_config:\n                      \
         '@type': type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation\n\
         \x20                     mutations: {request_mutations: [{append: {header: {key: x-tenant, value: \
         a}}}]}\n";
    let found = faults(&text.replacen(router, &format!("{other}{router}"), 1));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), ("identity", Outcome::Fail));
}

/// What stands above is to be said again: which keys, and what they ask.
#[test]
fn what_a_route_hides() {
    let says = |value: &str| {
        format!(
            "{{doorward: {{'@type': \
             type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute, \
             dynamic_module_config: {{name: doorward_envoy, do_not_close: true}}, filter_name: doorward, \
             filter_config: {{'@type': type.googleapis.com/google.protobuf.Struct, value: {value}}}}}}}"
        )
    };
    let levels = |table: &str, host: &str, route: &str, cluster: &str| {
        let level = |value: &str| match value {
            "" => String::new(),
            value => format!("typed_per_filter_config: {}, ", says(value)),
        };
        let (table, host, route, cluster) =
            (level(table), level(host), level(route), level(cluster));
        let to = format!("{{{cluster}name: upstream, weight: 1}}");
        let routes = format!(
            "route_config: {{{table}virtual_hosts: [{{{host}name: all, domains: ['*'], routes: [{{{route}match: \
             {{path: /v1}}, route: {{weighted_clusters: {{clusters: [{to}]}}}}}}]}}]}}\n"
        );
        let keys = "\"{auth: {oidc: {issuer: 'https://idp.example', client_id: nmp}}}\"";
        let text = tools::file("envoy/module.yaml").replace("./doorward.yaml", keys);
        let start = text.find("route_config:").unwrap();
        let end = text.find("\n  clusters:").unwrap();
        let text = format!("{}{routes}{}", &text[..start], &text[end..]);
        let modes = findings(&text).into_iter().filter(|finding| finding.check == "modes");
        let modes: Vec<_> = modes.map(|it| (it.outcome, it.found, it.remedy.unwrap())).collect();
        assert!(modes.len() < 2, "{modes:?}");
        modes.into_iter().next()
    };
    for (table, host, route, cluster) in [
        ("", "{scopes: [a]}", "", ""),
        ("", "{scopes: [a]}", "{scopes: [b]}", ""),
        ("", "{scopes: [a]}", "{mode: bypass}", ""),
        ("", "{mode: required}", "{scopes: [a]}", ""),
        ("{audience: [x]}", "{scopes: [a]}", "{scopes: [b], audience: [x]}", ""),
        ("{audience: [x]}", "", "{mode: optional}", "{audience: [z]}"),
    ] {
        let said = levels(table, host, route, cluster);
        assert_eq!(said, None, "{table} {host} {route} {cluster}");
    }
    for (table, host, route, cluster, place, remedy) in [
        ("", "{scopes: [a, b]}", "{mode: required}", "", "virtual_hosts[0]", "scopes: \"a b\""),
        ("", "{scopes: [a]}", "{mode: optional}", "", "virtual_hosts[0]", "scopes: \"a\""),
        ("", "{audience: [x]}", "{scopes: [a]}", "", "virtual_hosts[0]", "audience: \"x\""),
        ("{audience: [x]}", "{scopes: [a]}", "", "", "route_config.typed", "audience: \"x\""),
        (
            "{audience: [x], scopes: [b]}",
            "{scopes: [a]}",
            "{mode: required}",
            "",
            "route_config.typed",
            "audience: \"x\", scopes: \"a\"",
        ),
        ("", "", "{scopes: [a]}", "{mode: required}", "routes[0]", "scopes: \"a\""),
    ] {
        let (outcome, found, told) = levels(table, host, route, cluster).unwrap();
        assert_eq!(outcome, Outcome::Warn, "{found}");
        assert!(found.contains(place), "{place} is not in {found}");
        assert_eq!(
            told,
            format!("add to its filter_config what is to hold here, too: {remedy}"),
            "{found}"
        );
    }
}
