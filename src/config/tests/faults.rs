//! What is wrong, all of it, each with where it was written.

use super::*;

#[test]
fn three_typos_in_one_file_are_all_named_with_line_and_nearest_key() {
    let dir = Dir::new();
    let path = dir.file(
        "doorward.yaml",
        "auth:\n  oidc:\n    isuer: https://idp.example\n    client_id: app\nserver:\n  grcp: \
         { listen: 127.0.0.1:1 }\nheader:\n  profile: plain\n",
    );
    let name = path.display().to_string();
    assert_eq!(
        lines(load(&Sources::none().files([path]))),
        [
            format!("{name}:3: auth.oidc.isuer: unknown key; did you mean auth.oidc.issuer?"),
            format!("{name}:6: server.grcp: unknown key; did you mean server.grpc?"),
            format!("{name}:7: header: unknown key; did you mean headers?"),
        ]
    );
}

#[test]
fn files_that_cannot_be_read_are_faults_all_together() {
    let dir = Dir::new();
    let missing = PathBuf::from("no/such.yaml");
    let odd = dir.file("a.ini", "");
    let broken = dir.file("b.json", "{\"auth\":\n {,}}");
    let name = broken.display().to_string();
    let faults = lines(load(&Sources::none().files([missing, odd, broken])));
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("no/such.yaml: cannot be read: No such file"), "{faults:?}");
    assert!(faults[1].contains("a.ini: unknown format"), "{faults:?}");
    assert!(faults[2].starts_with(&format!("{name}:2: not JSON")), "{faults:?}");
}

#[test]
fn a_known_key_of_a_wrong_type_is_a_fault_in_nemos_layers_too() {
    let sources = yaml(MINIMAL).environment(env(&[
        ("NMP_AUTH_ENABLED", "perhaps"),
        ("NMP_CONFIG_FILE_PATH", "no/platform.yaml"),
    ]));
    let faults = lines(load(&sources));
    assert!(faults[0].starts_with("no/platform.yaml: cannot be read"), "{faults:?}");
    assert_eq!(
        faults[1],
        "NMP_AUTH_ENABLED: auth.enabled: expected true or false, found the string \"perhaps\""
    );
}

#[test]
fn other_names_of_an_issuer_that_is_not_set_are_refused() {
    let text =
        "auth: {issuers: [{issuer: 'https://b', audience: a}], oidc: {additional_issuers: [x]}}";
    let faults = lines(load(&yaml(text)));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("additional_issuers: other names of the issuer in auth.oidc.issuer")
    );
    assert!(load(&yaml(&text.replace("oidc: {", "oidc: {enabled: false, "))).is_ok());
}

#[test]
fn faults_of_every_layer_and_kind_come_together() {
    let sources = yaml(
        "auth:\n  oidc:\n    issuer: http://idp.example\n    client_id: app\n    typo_claim: x\n",
    )
    .environment(env(&[("DOORWARD_SERVER__WORKERS", "many"), ("DOORWARD_NON__SENSE", "1")]))
    .overrides(["token.leeway=1h".to_owned(), "nokey".to_owned()]);
    assert_eq!(
        lines(load(&sources)),
        [
            "test.yaml:5: auth.oidc.typo_claim: unknown key",
            "DOORWARD_NON__SENSE: is not the name of a key",
            "DOORWARD_SERVER__WORKERS: server.workers: expected an integer, found the string \
             \"many\"",
            "--set: `nokey` is not KEY=VALUE, as in `--set auth.enabled=false`",
            "--set: token.leeway: 1h is out of range: from 0s to 10m",
            "test.yaml:3: auth.oidc.issuer: `http://idp.example` must be an https URL (plain http \
             is allowed for loopback addresses, and for an issuer with allow_http: true)",
        ]
    );
}

#[test]
fn what_is_missing_because_it_was_misspelled_is_not_reported_twice() {
    let faults = lines(load(&yaml("auth: {oidc: {issuer: 'https://a', audiences: x}}")));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn each_bad_value_is_named() {
    let cases = [
        ("auth: {oidc: {algorithms: [HS256]}}", "auth.oidc.algorithms.0: `HS256` is symmetric"),
        ("auth: {oidc: {algorithms: [none]}}", "`none` is not a signature algorithm"),
        ("auth: {oidc: {algorithms: [RS256, rs384]}}", "auth.oidc.algorithms.1: `rs384` is not"),
        ("auth: {oidc: {algorithms: []}}", "an empty list accepts nothing"),
        ("auth: {oidc: {email_claim: ''}}", "a claim needs a name"),
        ("auth: {oidc: {roles_claim: '/'}}", "auth.oidc.roles_claim: a claim needs a name"),
        ("auth: {oidc: {audience: []}}", "auth.oidc.audience: an empty list"),
        ("auth: {oidc: {audience: ['']}}", "auth.oidc.audience.0: must not be empty"),
        ("auth: {oidc: {audience: 'api://<client-id>'}}", "still a placeholder"),
        ("auth: {oidc: {client_id: }}", "auth.oidc.audience: missing"),
        ("auth: {oidc: {issuer: }}", "auth.oidc.issuer: no issuer"),
        ("auth: {oidc: {enabled: false}}", "auth.oidc.issuer: no issuer"),
        ("auth: {oidc: {issuer: 'https://a/{tenant}'}}", "the only placeholder is {tenantid}"),
        ("auth: {oidc: {issuer: 'https://a/x{tenantid}'}}", "as a whole segment"),
        (
            "auth: {oidc: {issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0'}}",
            "auth.oidc.allowed_tenants: missing",
        ),
        (
            "auth: {oidc: {issuer: 'https://a/{tenantid}', allowed_tenants: ['*']}}",
            "has no discovery document of its own",
        ),
        ("auth: {oidc: {allowed_tenants: [contoso]}}", "`contoso` is not a tenant id"),
        ("auth: {oidc: {email_domains: ['@corp.example']}}", "`@corp.example` is not a domain"),
        ("auth: {oidc: {email_domains: ['*.corp.example']}}", "the part after the `@`"),
        ("auth: {oidc: {max_lifetime: soon}}", "`soon` is not a duration"),
        ("auth: {oidc: {max_lifetime: 0}}", "out of range: from 1s"),
        ("auth: {oidc: {bound_tokens: allow}}", "auth.oidc.bound_tokens: "),
        ("auth: {oidc: {allowed_tenants: ['*', x]}}", "`*` means every tenant"),
        (
            "auth: {oidc: {additional_issuers: ['https://idp.example']}}",
            "already the issuer of auth.oidc.issuer",
        ),
        (
            "auth: {oidc: {additional_issuers: ['https://sts.windows.net/{tenantid}/']}}",
            "list the allowed tenants",
        ),
        (
            "auth: {oidc: {additional_issuers: [a, a]}}",
            "auth.oidc.additional_issuers.1: `a` is already the issuer of",
        ),
        (
            "auth: {issuers: [{issuer: 'https://idp.example', audience: a}]}",
            "auth.issuers.0.issuer: `https://idp.example` is already",
        ),
        ("auth: {issuers: [{audience: a}]}", "auth.issuers.0.issuer: missing"),
        ("auth: {issuers: [{issuer: 'https://b'}]}", "auth.issuers.0.audience: missing"),
        (
            "auth: {issuers: [{issuer: 'https://b', audience: a, jwks_uri: 'https://b/k', jwks_file: x}]}",
            "auth.issuers.0.jwks_file: sets where the keys are, and so does auth.issuers.0.jwks_uri",
        ),
        (
            "auth: {issuers: [{issuer: 'https://b', audience: a, jwks_uri: 'https://b/k', discovery_url: 'https://b/d'}]}",
            "auth.issuers.0.discovery_url: sets where the keys are",
        ),
        ("auth: {oidc: {jwks: {}}}", "auth.oidc.jwks: not a key set: it has no member `keys`"),
        (
            "auth: {oidc: {jwks: {keys: [{kty: oct, k: s3cret}]}}}",
            "it contains no usable key: it is symmetric",
        ),
        ("auth: {oidc: {jwks_file: no/keys.json}}", "`no/keys.json` cannot be read"),
        (
            "auth: {oidc: {jwks_uri: 'http://b/keys'}}",
            "auth.oidc.jwks_uri: `http://b/keys` must be an https URL",
        ),
        (
            "auth: {oidc: {token_endpoint: nowhere}}",
            "auth.oidc.token_endpoint: `nowhere` is not a URL",
        ),
        ("auth: {oidc: {subject_prefix: 'service:a'}}", "which is reserved"),
        ("auth: {oidc: {subject_prefix: '{tenant}:'}}", "the only placeholder here is {tid}"),
        ("auth: {oidc: {groups_prefix: 'a|'}}", "headers.profile does not allow"),
        (
            "auth: {oidc: {proxy: 'socks5://user:s3cret@p'}}",
            "`socks5://***@p` is not an http or https URL",
        ),
        ("auth: {oidc: {ca_file: no/ca.pem}}", "auth.oidc.ca_file: `no/ca.pem` cannot be read"),
        (
            "auth: {oidc: {ca_file: Cargo.toml}}",
            "auth.oidc.ca_file: `Cargo.toml` contains no PEM CERTIFICATE",
        ),
        (
            "auth: {issuers: [{issuer: 'https://b', audience: a, key_bearer_file: no/token}]}",
            "auth.issuers.0.key_bearer_file: `no/token` cannot be read: No such file",
        ),
        (
            "auth: {oidc: {key_bearer_file: Cargo.toml}}",
            "auth.oidc.key_bearer_file: `Cargo.toml` does not contain exactly one bearer token",
        ),
        ("auth: {oidc: {jwks_file: /dev/null}}", "cannot be read: it is not a regular file"),
        (
            "auth: {oidc: {allow_http: true, token_endpoint: 'http://b/token'}}",
            "auth.oidc.token_endpoint: `http://b/token` must be an https URL",
        ),
        ("auth: {oidc: {discovery_cache_ttl: soon}}", "`soon` is not a duration"),
        (
            "server: {grpc: {listen: 'example.com:1'}}",
            "server.grpc.listen: `example.com:1` is not an address",
        ),
        ("server: {http: {listen: 'unix:x'}}", "must be absolute"),
        (
            "server: {http: {listen: '127.0.0.1:9191'}}",
            "server.http.listen: `127.0.0.1:9191` is already taken by server.grpc",
        ),
        ("server: {grpc: {tls: {cert: no/cert.pem}}}", "`no/cert.pem` cannot be read"),
        (
            "server: {grpc: {tls: {key: Cargo.toml}}}",
            "server.grpc.tls.key: `Cargo.toml` contains no PEM PRIVATE KEY",
        ),
        (
            "server: {grpc: {tls: {client_ca: Cargo.toml}}}",
            "server.grpc.tls.client_ca: `Cargo.toml` contains no PEM CERTIFICATE",
        ),
        (
            "server: {grpc: {tls: {key: Cargo.toml}}}",
            "server.grpc.tls.cert: missing: tls.key is set",
        ),
        ("server: {workers: 0}", "server.workers: 0 is out of range: from 1 to 1024"),
        (
            "auth: {allow_unsigned_jwt: true}\nserver: {grpc: {listen: '0.0.0.0:9191'}}",
            "auth.allow_unsigned_jwt: tokens without a signature would be accepted",
        ),
        ("headers: {principal_id: ':path'}", "`:path` is not a header name"),
        ("headers: {principal_id: Authorization}", "is reserved by HTTP or Envoy"),
        (
            "headers: {claims: {X-NMP-Scopes: tid}}",
            "headers.claims.X-NMP-Scopes: `x-nmp-scopes` is already the header of headers.scopes",
        ),
        ("headers: {claims: {X_Tenant: tid}}", "use `-` instead of `_`"),
        ("headers: {trusted_prefix: 'X-'}", "is too short"),
        ("headers: {trusted_prefix: 'X-Forwarded-'}", "would remove `x-forwarded-for`"),
        ("headers: {groups_only: ['']}", "headers.groups_only.0: must not be empty"),
        ("rules: {bypass: [health]}", "rules.bypass.0: `health`: a path starts with `/`"),
        ("rules: {bypass: ['/a', '/b/../c']}", "rules.bypass.1"),
        ("rules: {routes: [{path: /a}]}", "rules.routes.0: says nothing about this route"),
        ("rules: {routes: [{path: a, deny: true}]}", "rules.routes.0.path: `a`: a path starts"),
        ("rules: {routes: [{path: '/a*', deny: true}]}", "patterns match only the path"),
        ("rules: {routes: [{path: /a, mode: open}]}", "expected required or optional or bypass"),
        ("rules: {routes: [{mode: bypass, scopes: a}]}", "with `bypass` no token is looked at"),
        ("rules: {routes: [{deny: true, audience: a}]}", "closes the route to everyone"),
        ("rules: {routes: [{deny: true, methods: [GOT]}]}", "`GOT` is not an HTTP method"),
        (
            "rules: {routes: [{deny: true, host: 'a.example:443'}]}",
            "rules.routes.0.host: `a.example:443` is not a host",
        ),
        ("token: {max_token_bytes: 10}", "10 is out of range: from 1024 to 1048576"),
        (
            "keys: {refresh_min: 2h}",
            "keys.refresh_min: 2h is longer than keys.refresh_default (5m)",
        ),
        ("keys: {max_stale: 10m}", "keys.refresh_max: 1h is longer than keys.max_stale (10m)"),
        ("keys: {empty_set: ignore}", "keys.empty_set"),
        ("keys: {cool_down: 0}", "keys.cool_down: 0s is out of range"),
        ("keys: {key_cache_dir: Cargo.toml}", "is not a directory"),
        ("denial: {realm: 'a\"b'}", "denial.realm"),
        ("protected_resource: {resource: 'http://x'}", "must be an https URL"),
        ("protected_resource: {scopes_supported: [a]}", "has no effect without"),
        ("protected_resource: {resource: 'https://x/?a'}", "must not have a query or a fragment"),
        ("rules: {encoded_slashes: [/files]}", "a prefix ends with `/`"),
        ("rules: {cors_preflight: yes}", "rules.cors_preflight"),
        ("log: {level: 'a=b=c=d'}", "is not a log filter"),
        (
            "log: {level: verbos}",
            "log.level: `verbos` is not a level: write off, error, warn, info or debug",
        ),
        ("log: {level: ''}", "`` is not a level"),
        (
            "auth: {preset: {entra: {tenant: contoso, client_id: c}}}",
            "auth.preset.entra.tenant: `contoso` is not a tenant id",
        ),
        ("auth: {preset: {entra: {client_id: c}}}", "auth.preset.entra.tenant: missing"),
    ];
    for (text, expected) in cases {
        let faults = lines(on_minimal(text));
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}\n{faults:#?}");
        assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:#?}");
    }
}
