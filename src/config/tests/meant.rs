//! Values that can never match, or stand in the place of others; and what is shown of secrets.

use super::*;

/// A dot, a slash or `$` in a name is no reason to say anything, as long as it may be a name.
#[test]
fn names_of_claims_may_look_odd() {
    for claim in ["https://corp.example/groups", "cognito:groups", "urn:a.b:c", "$x", "a b"] {
        assert_eq!(
            warnings(&format!("auth: {{oidc: {{groups_claim: '{claim}'}}}}")),
            Vec::<String>::new(),
            "{claim}"
        );
    }
}

#[test]
fn a_list_takes_one_text_everywhere() {
    let one = on_minimal(
        "auth: {oidc: {issuer: 'https://sts.windows.net/{tenantid}/', allowed_tenants: '*', \
         additional_issuers: other, allowed_clients: app, email_domains: a.example, algorithms: \
         RS256, subject_claim: oid}}\nheaders: {groups_only: 'a*'}\nrules: {bypass: /health, scopes: \
         required, endpoints: {/a: {get: {scopes: 'a:read'}}}}\nprotected_resource: {resource: \
         'https://x', authorization_servers: 'https://idp', scopes_supported: a}",
    )
    .unwrap();
    let issuer = &one.settings.issuers[0];
    assert!(issuer.token.tenants.is_several());
    assert_eq!(issuer.token.allowed_clients.len(), 1);
    assert_eq!(one.settings.issuers[1].token.issuer, "other");
    assert_eq!((one.settings.bypass.len(), one.settings.headers.groups_only.len()), (1, 1));
    // The schema says so, too: the only list of texts alone is that alternative.
    let schema = json_schema().to_string();
    let lists = schema.matches(r#""items":{"type":"string"}"#).count();
    assert_eq!(lists, 1);
    assert!(schema.matches("#/$defs/Texts").count() > 10);
    // A fault in it has the key as it is written, and its place.
    let faults = lines(on_minimal("auth:\n  oidc:\n    allowed_tenants: contoso"));
    assert!(faults[0].contains(":3: auth.oidc.allowed_tenants: `contoso` is not"), "{faults:?}");
}

/// Whatever is compared with something: a value that nothing can match locks everybody out.
#[test]
fn what_can_never_match_is_refused_in_every_key_and_layer() {
    let keys = [
        "auth.oidc.issuer",
        "auth.oidc.additional_issuers",
        "auth.oidc.client_id",
        "auth.oidc.audience",
        "auth.oidc.email_claim",
        "auth.oidc.subject_claim",
        "auth.oidc.groups_claim",
        "auth.oidc.roles_claim",
        "auth.oidc.scope_prefix",
        "auth.oidc.subject_prefix",
        "auth.oidc.groups_prefix",
        "auth.oidc.allowed_tenants",
        "auth.oidc.allowed_clients",
        "auth.oidc.email_domains",
        "auth.oidc.algorithms",
        "auth.preset.entra.client_id",
        "headers.trusted_prefix",
        "headers.principal_id",
        "headers.groups_only",
        "headers.claims.X-A",
        "rules.bypass",
        "rules.endpoints_file",
        "server.grpc.listen",
        "protected_resource.scopes_supported",
    ];
    for key in keys {
        for (value, said) in [
            ("'nmp'", "includes quotes, which are compared too: write nmp"),
            ("roles\n", "contains a line break"),
            (" nmp", "begins or ends with a space"),
            ("nmp\u{200b}", "invisible character"),
            ("[\"nmp\",\"x\",]", "is a list written as one string"),
        ] {
            let name = key.rsplit('.').next().unwrap();
            let text = serde_json::to_string(value).unwrap();
            let section =
                key.split('.').rev().fold(text, |inner, name| format!("{{\"{name}\": {inner}}}"));
            let faults = lines(load(&Sources::none().inline_yaml("test.yaml", &section)));
            let found = |fault: &String| fault.contains(name) && fault.contains(said);
            assert!(faults.iter().any(found), "{key} {value:?}: {faults:#?}");
            // A list in a variable is cut at its commas, and its items are trimmed.
            if key.starts_with("auth.oidc") && !value.starts_with(' ') && !value.ends_with('\n') {
                let variable = format!("DOORWARD_{}", key.replace('.', "__").to_uppercase());
                let layer = env(&[(variable.as_str(), value)]);
                let faults = lines(load(&yaml(MINIMAL).environment(layer)));
                let found = |fault: &String| fault.starts_with(&variable) && fault.contains(said);
                assert!(faults.iter().any(found), "{variable} {value:?}: {faults:#?}");
            }
        }
    }
}

#[test]
fn values_of_another_place_are_refused_with_the_right_one() {
    for (text, said) in [
        (
            "auth: {oidc: {issuer: 'https://idp.example/.well-known/openid-configuration'}}",
            "auth.oidc.issuer: `https://idp.example/.well-known/openid-configuration` is the URL of the issuer's discovery document, not its name, so no token has it as `iss`: write \
             https://idp.example;",
        ),
        (
            "auth: {oidc: {additional_issuers: 'https://b/.well-known/openid-configuration/'}}",
            "auth.oidc.additional_issuers: `https://b/.well-known/openid-configuration/` is the URL",
        ),
        (
            "auth: {oidc: {groups_claim: '$.realm_access.roles'}}",
            "auth.oidc.groups_claim: `$.realm_access.roles` is JSONPath; write the path to a claim as a JSON pointer: /realm_access/roles",
        ),
        (
            "headers: {claims: {X-A: \"$['https://a/b'].c[*]\"}}",
            "as a JSON pointer: /https:~1~1a~1b/c",
        ),
    ] {
        let faults = lines(on_minimal(text));
        assert!(faults.iter().any(|fault| fault.contains(said)), "{text}\n{faults:#?}");
    }
}

/// Secrets in the wrong place, or in one where they are looked for: never printed.
#[test]
fn no_secret_is_printed_wherever_it_stands() {
    let pem = "-----BEGIN PRIVATE KEY-----\\nMIIs3cretMIIs3cret\\n-----END PRIVATE KEY-----";
    for (text, said) in [
        ("auth: {oidc: {proxy: 'user:s3cret@proxy:3128'}}".to_owned(), "`***@proxy:3128` is not"),
        (format!("server: {{grpc: {{tls: {{key: \"{pem}\"}}}}}}"), "contains a key, a certificate"),
        (format!("auth: {{oidc: {{ca_file: \"{pem}\"}}}}"), "give the path of the file"),
        (
            "auth: {oidc: {key_bearer_file: eyJhbGciOiJSUzI1NiJ9.s3cret.s3cret}}".to_owned(),
            "contains a key, a certificate or a token itself",
        ),
        (
            "auth: {oidc: {jwks_uri: 'http://idp.example/keys?api_key=s3cret'}}".to_owned(),
            "`http://idp.example/keys?api_key=***` must be an https URL",
        ),
        (
            "auth: {oidc: {issuer: 'https://idp.example?api_key=s3cret'}}".to_owned(),
            "`https://idp.example?api_key=***` must not have a query",
        ),
        ("log: {format: 'http://u:s3cret@x'}".to_owned(), "found the string \"http://***@x\""),
    ] {
        let faults = lines(on_minimal(&text));
        assert!(faults.iter().any(|fault| fault.contains(said)), "{text}\n{faults:#?}");
        assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:#?}");
    }
}
