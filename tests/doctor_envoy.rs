//! The doctor's reading of Envoy's configurations: our own files, those for Istio and Envoy
//! Gateway too, are sound, and one with a single fault has that fault named, and where.

use doorward::config::Settings;
use doorward::doctor::Outcome;
use doorward::doctor::envoy::examine;

use crate::support::doctor_envoy::{ALL_SPELLINGS, faults, faults_with, findings, one_fault};
use crate::support::tools;

#[test]
fn our_own_files_are_sound() {
    for file in [
        "envoy.yaml",
        "envoy-http.yaml",
        "envoy-tls.yaml",
        "nemo-grpc.yaml",
        "nemo-http.yaml",
        "istio/mesh.yaml",
        "istio/gateway.yaml",
        "envoy-gateway/gateway.yaml",
    ] {
        let text = tools::file(&format!("envoy/{file}"));
        assert_eq!(faults(&text), [], "{file}");
        assert!(!findings(&text).is_empty(), "{file}");
    }
    let both = [tools::file("envoy/istio/mesh.yaml"), tools::file("envoy/istio/gateway.yaml")];
    assert_eq!(faults(&both.join("\n---\n")), []);
}

const MANAGER: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";

/// Other ways to show Doorward every spelling.
#[test]
fn what_shows_every_spelling_is_sound() {
    let sound = tools::file("envoy/envoy.yaml");
    for matcher in [
        "- { prefix: x }",
        "- { contains: nmp }",
        "- { contains: NMP, ignore_case: true }",
        "- safeRegex: { googleRe2: {}, regex: '.*nmp.*' }",
        "- safe_regex: { regex: '.+' }",
    ] {
        assert_eq!(faults(&sound.replace(ALL_SPELLINGS, matcher)), [], "{matcher}");
    }
}

/// Names outside of the trusted prefix are trusted, too.
#[test]
fn names_of_claims_have_to_be_seen_in_every_spelling() {
    let config = "auth: {oidc: {issuer: https://idp.example, client_id: nmp}}
headers: {claims: {X-Tenant: tid}}";
    let headers = Settings::from_yaml("test", config).unwrap().headers;
    let said = |text: &str| {
        let sections = examine("file", text, &headers, false).unwrap();
        let findings = sections.into_iter().flat_map(|section| section.findings);
        let mut odd = findings.filter(|finding| finding.outcome != Outcome::Pass);
        (odd.next().map(|finding| (finding.found, finding.remedy.unwrap())), odd.next().is_none())
    };
    let sound = tools::file("envoy/envoy.yaml");
    let (finding, alone) = said(&sound);
    let (found, remedy) = finding.unwrap();
    assert!(alone && found.contains("x.tenant"), "{found}");
    assert!(remedy.contains("(?i)x[^a-z0-9]+tenant"), "{remedy}");
    let both = format!(
        "{ALL_SPELLINGS}
                          - safe_regex: {{ regex: '(?i)x[^a-z0-9]+tenant' }}"
    );
    assert_eq!(said(&sound.replace(ALL_SPELLINGS, &both)).0, None);
}

/// What NeMo's own page lists leaves out the three headers of delegation.
#[test]
fn over_http_the_headers_of_delegation_have_to_pass_where_it_is_in_use() {
    let ours = tools::file("envoy/nemo-http.yaml");
    let list = "patterns:
                              - { prefix: x-nmp-, ignore_case: true }
                          allowed_client_headers";
    assert_eq!(ours.matches(list).count(), 1);
    let four = ["principal-id", "principal-email", "principal-groups", "scopes"];
    let four = four.map(|name| format!("{{ exact: x-nmp-{name} }}")).join(", ");
    let nemos = ours.replace(
        list,
        &format!(
            "patterns: [{four}]
                          allowed_client_headers"
        ),
    );
    let plain = "auth: {oidc: {issuer: 'https://idp.example', client_id: nmp}}";
    let workloads = "platform: {base_url: 'https://nmp.example'}
auth: {oidc: {issuer: 'https://idp.example', client_id: nmp, workload_token_exchange_enabled: true}}";
    let issuer = plain.replace("client_id: nmp", "client_id: nmp, delegation: nemo");
    assert_eq!(faults_with(plain, &nemos), []);
    for config in [workloads, &issuer] {
        assert_eq!(faults_with(config, &ours), [], "{config}");
        let found = faults_with(config, &nemos);
        let [(check, Outcome::Fail, said)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*check, "http_headers");
        assert!(
            said.contains(
                "x-nmp-principal-on-behalf-of is not in allowed_upstream_headers: the upstream gets \
                 the client's value"
            ),
            "{said}"
        );
    }
}

/// Encoded slashes may be kept where routes refuse all but those of one path.
#[test]
fn encoded_slashes_are_refused_by_routes_or_that_is_said() {
    let sound = tools::file("envoy/nemo-grpc.yaml");
    assert!(sound.contains("KEEP_UNCHANGED"));
    let pass = findings(&sound).into_iter().find(|it| it.check == "escaped_slashes").unwrap();
    assert!(pass.found.contains("rules.encoded_slashes"), "{}", pass.found);
    for (what, without) in [
        ("(?i).*%2f.*", "(?i)/v1.*%2f.*"),
        ("(?i).*%2f.*", ".*%2f.*"),
        ("%5c|", ""),
        ("(\\\\.|%2e){0,2}%2f|", "%2f|"),
        ("direct_response: { status: 400 }", "direct_response: { status: 200 }"),
    ] {
        assert!(sound.contains(what), "{what}");
        let found = faults(&sound.replace(what, without));
        assert_eq!((found.len(), found[0].0), (1, "escaped_slashes"), "{what}: {found:?}");
        let remedy = findings(&sound.replace(what, without));
        let remedy = remedy.into_iter().find(|it| it.check == "escaped_slashes").unwrap().remedy;
        assert!(remedy.unwrap().contains("envoy/nemo-grpc.yaml"));
    }
}

#[test]
fn each_fault_of_an_envoy_is_named_alone() {
    let filter = format!("{MANAGER}.http_filters[0]");
    let filter = filter.as_str();
    one_fault(
        "envoy.yaml",
        &[
            ("normalize_path: true", "normalize_path: false", "normalize_path", MANAGER),
            ("normalize_path: true", "", "normalize_path", MANAGER),
            ("normalize_path: true", "normalizePath: false", "normalize_path", MANAGER),
            ("merge_slashes: true", "", "merge_slashes", MANAGER),
            (
                "path_with_escaped_slashes_action: REJECT_REQUEST",
                "path_with_escaped_slashes_action: KEEP_UNCHANGED",
                "escaped_slashes",
                "KEEP_UNCHANGED",
            ),
            ("failure_mode_allow: false", "failure_mode_allow: true", "failure_mode", filter),
            ("timeout: 1s\n", "\n", "timeout", "200ms"),
            ("timeout: 1s\n", "timeout: 0.1s\n", "timeout", "grpc_service.timeout"),
            ("timeout: 1s\n", "timeout: 60s\n", "timeout", "1m"),
            ("status_on_error: { code: ServiceUnavailable }", "", "status_on_error", "403"),
            ("- exact: authorization", "", "allowed_headers", "authorization"),
            (ALL_SPELLINGS, "", "allowed_headers", "x-nmp-anything"),
            // What was in these files before, and hides `x.nmp.…`.
            (
                ALL_SPELLINGS,
                "- { prefix: x-nmp, ignore_case: true }
                          - { prefix: x_nmp, ignore_case: true }",
                "allowed_headers",
                "x.nmp.anything",
            ),
            (ALL_SPELLINGS, "- { prefix: x-nmp-principal }", "allowed_headers", "x-nmp-anything"),
            ("nmp.*", "nmp-.*", "allowed_headers", "x_nmp_anything"),
            ("[^a-z0-9]+", "[-_.~]", "allowed_headers", "x--nmp--anything"),
            ("[^a-z0-9]+", "[^a-z0-9|]+", "allowed_headers", "x|nmp|anything"),
            ("(?i)x[", "(?<=y)x[", "allowed_headers", "cannot be read"),
            (
                "encode_raw_headers: false",
                "disallowed_headers: { patterns: [{ contains: nmp }] }",
                "allowed_headers",
                "disallowed_headers",
            ),
            (
                "encode_raw_headers: false",
                "with_request_body: { max_request_bytes: 1024 }",
                "body",
                filter,
            ),
            (
                "encode_raw_headers: false",
                "filter_enabled: { default_value: { numerator: 50 } }",
                "filter_enabled",
                filter,
            ),
            ("clear_route_cache: false", "clear_route_cache: true", "route_cache", filter),
            ("validate_mutations: true", "", "mutations", filter),
            ("use_remote_address: true", "", "remote_address", MANAGER),
            (
                "http2_protocol_options:\n              # A peer that vanished",
                "http_protocol_options:\n              # A peer that vanished",
                "http2",
                "clusters[0]",
            ),
            ("max_outbound_control_frames: 100000", "", "http2", "clusters[0]"),
            (
                "socket_address: { address: 127.0.0.1, port_value: 9191 }",
                "socket_address: { address: 10.0.0.1, port_value: 9191 }",
                "transport",
                "clusters[0]",
            ),
            (
                "envoy_grpc: { cluster_name: doorward }",
                "envoy_grpc: { cluster_name: elsewhere }",
                "transport",
                "elsewhere",
            ),
            (
                "check_settings:
                                context_extensions: { doorward.mode: bypass }",
                "disabled: true",
                "routes_off",
                "routes[0].typed_per_filter_config",
            ),
            (
                "- name: envoy.filters.http.ext_authz",
                "- disabled: true\n                    name: envoy.filters.http.ext_authz",
                "routes_off",
                filter,
            ),
        ],
    );
}

#[test]
fn every_way_to_turn_the_filter_off_is_seen() {
    let sound = tools::file("envoy/nemo-grpc.yaml");
    let guarded = "- match: { prefix: / }\n                          route:\n";
    assert!(sound.contains(guarded));
    let off =
        "typed_per_filter_config: { envoy.filters.http.ext_authz: { '@type': x, disabled: true } }";
    let host = sound
        .replace("domains: [\"*\"]", &format!("domains: [\"*\"]\n                      {off}"));
    let table = sound.replace("name: nemo\n", &format!("name: nemo\n                  {off}\n"));
    let weighted = sound.replace(
        "cluster: nemo-platform\n",
        &format!("weighted_clusters: {{ clusters: [{{ name: a, weight: 1, {off} }}] }}\n"),
    );
    for (text, place) in [
        (host, "virtual_hosts[0].typed_per_filter_config.\"envoy.filters.http.ext_authz\""),
        (table, "route_config.typed_per_filter_config"),
        (weighted, "weighted_clusters.clusters[0]"),
    ] {
        let found = faults(&text);
        assert_eq!((found.len(), found[0].0), (1, "routes_off"), "{found:?}");
        assert!(found[0].2.contains(place), "{place}: {found:?}");
    }
}

#[test]
fn filters_around_ext_authz() {
    let sound = tools::file("envoy/envoy.yaml");
    let router = "                  - name: envoy.filters.http.router";
    let ours = "                  - name: envoy.filters.http.ext_authz";
    let lua = "                  - name: envoy.filters.http.lua\n                    typed_config: { '@type': a/envoy.extensions.filters.http.lua.v3.Lua }\n";
    let rbac = "                  - name: envoy.filters.http.rbac\n                    typed_config: { '@type': a/envoy.extensions.filters.http.rbac.v3.RBAC, rules: { header: x-nmp-principal-id } }\n";
    let checks = |text: &str| {
        faults(text).into_iter().map(|(check, outcome, _)| (check, outcome)).collect::<Vec<_>>()
    };
    assert!(sound.contains(router) && sound.contains(ours));
    let late = sound.replacen(router, &format!("{lua}{router}"), 1);
    assert_eq!(checks(&late), [("filter_order", Outcome::Warn)]);
    let early = sound.replacen(ours, &format!("{rbac}{ours}"), 1);
    assert_eq!(checks(&early), [("filter_order", Outcome::Fail)]);
    let harmless = sound.replacen(ours, &format!("{lua}{ours}"), 1);
    assert_eq!(checks(&harmless), []);
    // Without the filter nothing else about it can be said.
    let (front, rest) = sound.split_once(ours).unwrap();
    let (_, rest) = rest.split_once(router).unwrap();
    let without = format!("{front}{router}{rest}");
    assert_eq!(checks(&without), [("ext_authz", Outcome::Fail)]);
}

#[test]
fn each_fault_of_the_http_variant_is_named_alone() {
    one_fault(
        "envoy-http.yaml",
        &[
            ("path_prefix: /apis/auth/ext-authz", "", "http_headers", "path_prefix"),
            ("allowed_upstream_headers:", "allowed_upstream_heads:", "http_headers", "not set"),
            (
                "- { prefix: x-nmp-, ignore_case: true }",
                "- { exact: x-nmp-principal-id }",
                "http_headers",
                "x-nmp-principal-email",
            ),
            ("allowed_headers:\n", "allowed_heads:\n", "allowed_headers", "x-nmp"),
            ("timeout: 1s\n", "\n", "timeout", "200ms"),
            (
                "failure_mode_allow: false",
                "failure_mode_allow: true",
                "failure_mode",
                "failure_mode_allow",
            ),
        ],
    );
    one_fault(
        "nemo-grpc.yaml",
        &[
            // An open route to the platform, and an open path that is none of Doorward's.
            (
                "route: { cluster: doorward-http }",
                "route: { cluster: nemo-platform }",
                "routes_off",
                "routes[0]",
            ),
            (
                "{ path: /apis/auth/discovery }",
                "{ safe_regex: { regex: .* } }",
                "routes_off",
                "routes[0]",
            ),
        ],
    );
}

/// Envoy takes one or the other, by chance.
#[test]
fn one_field_in_two_spellings() {
    let sound = tools::file("envoy/envoy.yaml");
    let line = "failure_mode_allow: false";
    let twice = format!("{line}\n                      failureModeAllow: true");
    let found = faults(&sound.replace(line, &twice));
    assert_eq!((found.len(), found[0].0, found[0].1), (1, "spelling", Outcome::Fail), "{found:?}");
    assert!(found[0].2.contains("failure_mode_allow"), "{found:?}");
}

/// Which names are trusted, and whether paths matter, the configuration of Doorward says.
#[test]
fn by_the_configuration_of_doorward() {
    // Every spelling of that name is seen; all that is wrong is who sets it.
    let seen = format!(
        "{ALL_SPELLINGS}
                          - safe_regex: {{ regex: '(?i)x[^a-z0-9]+forwarded[^a-z0-9]+user' }}"
    );
    let sound = tools::file("envoy/envoy.yaml").replace(ALL_SPELLINGS, &seen);
    let host = "domains: [\"*\"]";
    let changed =
        |with: &str| sound.replace(host, &format!("{host}\n                      {with}"));
    let users = changed(
        "request_headers_to_add: [{ header: { key: X_Forwarded_User, value: \"%REQ(x-user)%\" } }]",
    );
    let rewritten = sound.replace(
        "- match: { prefix: / }\n                          route: { cluster: upstream }",
        "- match: { prefix: / }\n                          route: { cluster: upstream, prefix_rewrite: /v1/ }",
    );
    assert_ne!(rewritten, sound);
    for (config, text, expected) in [
        ("server: {}", &users, None),
        ("headers: {principal_id: X-Forwarded-User}", &users, Some(("identity", Outcome::Fail))),
        ("server: {}", &rewritten, None),
        ("rules: {bypass: [/healthz]}", &rewritten, Some(("rewrites", Outcome::Warn))),
    ] {
        let config = format!("{{auth: {{enabled: false}}, {config}}}");
        let found: Vec<_> = faults_with(&config, text)
            .into_iter()
            .map(|(check, outcome, _)| (check, outcome))
            .collect();
        assert_eq!(found, Vec::from_iter(expected), "{config}");
    }
}

/// An Envoy has one bootstrap: clusters of another say nothing about where its listeners lead.
#[test]
fn two_bootstraps_are_two_envoys() {
    let sound = tools::file("envoy/envoy.yaml");
    let tcp = |cluster: &str| {
        format!(
            "{{static_resources: {{listeners: [{{name: other, filter_chains: [{{filters: [{{name: tcp, typed_config: \
             {{'@type': a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: {cluster}}}}}]}}]}}], clusters: \
             [{{name: {cluster}, load_assignment: {{endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: \
             {{address: 127.0.0.1, port_value: 8080}}}}}}}}]}}]}}}}]}}}}"
        )
    };
    let listeners = "\n  listeners:\n";
    assert_eq!(sound.matches(listeners).count(), 1);
    let open = sound.replace(
        listeners,
        "\n  listeners:\n    - { name: open, filter_chains: [{ filters: [{ name: tcp, typed_config: { \
         '@type': a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: upstream } }] }] }\n",
    );
    for (first, second, expected) in [
        (sound.as_str(), tcp("upstream"), vec![]),
        (open.as_str(), tcp("elsewhere"), vec!["entrances"]),
    ] {
        let found = faults(&format!("{first}\n---\n{second}"));
        let checks: Vec<_> = found.iter().map(|(check, ..)| *check).collect();
        assert_eq!(checks, expected, "{found:?}");
    }
}

/// A socket of Unix is one, however its path is written.
#[test]
fn paths_of_pipes_are_compared_as_the_system_reads_them() {
    let cluster = |name: &str, path: &str| {
        format!(
            "{{ name: {name}, load_assignment: {{ endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ pipe: {{ path: {path} }} }} }} }}] }}] }} }}"
        )
    };
    let sound = tools::file("envoy/envoy.yaml");
    let listener = "\n  listeners:\n    - { name: open, filter_chains: [{ filters: [{ name: tcp, typed_config: { \
                    '@type': a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: b } }] }] }\n";
    for (other, expected) in [("/run//a/./up.sock", vec!["entrances"]), ("/run/b/up.sock", vec![])]
    {
        let clusters = [cluster("a", "/run/a/up.sock"), cluster("b", other)].join("\n    - ");
        let text = sound
            .replace("\n  listeners:\n", listener)
            .replace("\n  clusters:\n", &format!("\n  clusters:\n    - {clusters}\n"))
            .replace("route: { cluster: upstream }", "route: { cluster: a }");
        let found = faults(&text);
        let checks: Vec<_> = found.iter().map(|(check, ..)| *check).collect();
        assert_eq!(checks, expected, "{found:?}");
    }
}
