//! The configuration of the module inside Envoy: what Envoy hands over, what is not for it, and
//! what its routes say.

use super::*;

fn filter_config(text: &str) -> Result<Loaded, ConfigFaults> {
    load_filter_config(text.as_bytes())
}

/// What a route comes to: mode, scopes, audience; or what is wrong with it.
fn route(text: &str) -> Result<[Option<String>; 3], Vec<String>> {
    let loaded = load_route(text.as_bytes());
    let settings = loaded
        .map_err(|faults| faults.faults().iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let route = settings.view();
    assert_eq!(route.unknown, None);
    let owned = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ok([route.mode, route.scopes, route.audience].map(|it| it.map(owned)))
}

#[test]
fn it_is_given_as_json_as_yaml_or_as_the_path_of_a_file() {
    let dir = Dir::new();
    let file = dir.file("doorward.yaml", MINIMAL);
    let toml =
        dir.file("d.toml", "[auth.oidc]\nissuer = 'https://idp.example'\nclient_id = 'app'\n");
    let json = r#"{"auth":{"oidc":{"issuer":"https:\/\/idp.example","client_id":"app"}}}"#;
    let path = file.to_str().unwrap();
    let directory = file.with_file_name("directory.yaml");
    std::fs::create_dir(&directory).unwrap();
    for text in [MINIMAL, json, path, &format!("{path}\n"), toml.to_str().unwrap()] {
        let loaded = filter_config(text).unwrap_or_else(|faults| panic!("{text}: {faults}"));
        assert_eq!(loaded.settings.issuers[0].token.issuer, "https://idp.example", "{text}");
        assert!(loaded.settings.module.metadata && !loaded.settings.module.documents);
        assert_eq!(loaded.files.len(), usize::from(text.starts_with('/')), "{text}");
    }
    let faults = lines(filter_config("/no/such/doorward.yaml"));
    assert!(faults[0].starts_with("/no/such/doorward.yaml: cannot be read: "), "{faults:?}");
    assert_eq!(lines(filter_config("/etc/hosts")).len(), 1);
    // Nobody writes into the pipe, and who reads is Envoy's main thread.
    let pipe = file.with_file_name("pipe.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for odd in [&pipe, &directory] {
        let faults = lines(filter_config(odd.to_str().unwrap()));
        assert!(faults[0].ends_with("cannot be read: it is not a regular file"), "{faults:?}");
    }
    assert!(lines(load_filter_config(b"\xff"))[0].starts_with("filter_config: not UTF-8"));
    assert!(lines(filter_config(""))[0].contains("no issuer: "));
}

/// Lines help where somebody has written them, and not in the one line that Envoy makes of a Struct.
#[test]
fn faults_come_all_at_once_and_with_the_lines_that_there_are() {
    let yaml =
        "auth:\n  oidc:\n    isuer: x\n    client_id: 7\nservr: 1\nmodule: {document: true}\n";
    assert_eq!(
        lines(filter_config(yaml)),
        [
            "filter_config:3: auth.oidc.isuer: unknown key; did you mean auth.oidc.issuer?",
            "filter_config:4: auth.oidc.client_id: expected a string, found the number 7; put it in \
             quotes",
            "filter_config:5: servr: unknown key",
            "filter_config:6: module.document: unknown key; did you mean module.documents?",
        ]
    );
    let json = r#"{"auth":{"oidc":{"isuer":"x"}},"module":{"documents":"yes"}}"#;
    let faults = lines(filter_config(json));
    assert_eq!(
        faults,
        [
            "filter_config: auth.oidc.isuer: unknown key; did you mean auth.oidc.issuer?",
            "filter_config: module.documents: expected true or false, found the string \"yes\"",
        ]
    );
}

/// What it does not serve is no silence: a setting that restricts would else be lost.
#[test]
fn settings_of_the_server_are_refused_by_name() {
    let asks = "the module cannot ask whether a token is active";
    for (text, key, why) in [
        ("server: {grpc: {listen: 'unix:/x'}}", "server", "no listeners or threads"),
        ("server:", "server", "no listeners or threads"),
        ("log: {level: debug}", "log.level", "Envoy's log level"),
        ("log: {format: json}", "log.format", "Envoy's log level"),
        ("auth: {allow_unsigned_jwt: false}", "auth.allow_unsigned_jwt", "without a signature"),
        ("auth: {access_keys: {enabled: true}}", "auth.access_keys", asks),
        ("auth: {oidc: {introspection: {}}}", "auth.oidc.introspection", asks),
        ("auth: {oidc: {opaque: true}}", "auth.oidc.opaque", asks),
        ("auth: {oidc: {opaque_prefix: k_}}", "auth.oidc.opaque_prefix", asks),
        (
            "auth: {issuers: [{issuer: 'https://b', introspection: {}}]}",
            "auth.issuers.0.introspection",
            asks,
        ),
    ] {
        let loaded = load(&Sources::of_module().inline_yaml("m", MINIMAL).inline_yaml("t", text));
        let faults = lines(loaded);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        let begin = format!("t:1: {key}: is a setting of the server: ");
        assert!(faults[0].starts_with(&begin) && faults[0].contains(why), "{faults:?}");
        let server = on_minimal(text).map(drop).map_err(|faults| faults.to_string());
        assert!(!server.err().is_some_and(|it| it.contains("setting of the server")), "{text}");
    }
    // Nor is anything like that suggested.
    assert_eq!(lines(filter_config("sever: {}\n"))[0], "filter_config:1: sever: unknown key");
}

#[test]
fn the_modules_own_settings_are_for_the_module_alone() {
    let own = "module: {documents: true}\nkeys: {envoy_cluster: idp}\n";
    let loaded = filter_config(&format!("{MINIMAL}{own}")).unwrap();
    let wanted =
        ModuleSettings { documents: true, metadata: true, envoy_cluster: Some("idp".into()) };
    assert_eq!(loaded.settings.module, wanted);
    assert_eq!(loaded.effective.value("module.documents"), Some(&json!(true)));
    assert!(loaded.effective.value("server.workers").is_none());
    let why =
        "is a setting of the module inside Envoy (docs/module.md); the server has no use for it";
    assert_eq!(
        lines(on_minimal(own)),
        [format!("test.yaml:1: module: {why}"), format!("test.yaml:2: keys.envoy_cluster: {why}")]
    );
    assert_eq!(lines(on_minimal("modul: {}\n")), ["test.yaml:1: modul: unknown key"]);
    assert!(on_minimal("").unwrap().effective.value("module.documents").is_none());
    // Where Envoy's cluster fetches, its own TLS and proxy count.
    let faults = lines(filter_config(
        "auth:\n  oidc: {issuer: 'https://a', client_id: a, proxy: 'http://p:1'}\n  issuers:\n  - \
         {issuer: 'https://b', audience: b, proxy: 'http://p:1'}\nkeys: {envoy_cluster: idp}\n",
    ));
    let why = "has no effect with keys.envoy_cluster: set it in that cluster of Envoy's";
    assert_eq!(
        faults,
        [
            format!("filter_config:2: auth.oidc.proxy: {why}"),
            format!("filter_config:4: auth.issuers.0.proxy: {why}"),
        ]
    );
}

#[test]
fn a_route_says_what_context_extensions_say() {
    let some = |text: &str| Some(text.to_owned());
    for (text, wanted) in [
        ("mode: bypass", [some("bypass"), None, None]),
        (r#"{"mode":"optional"}"#, [some("optional"), None, None]),
        (
            "{mode: required, scopes: [models:read, platform:read], audience: models}",
            [some("required"), some("models:read platform:read"), some("models")],
        ),
        ("scopes: models:read  platform:read", [None, some("models:read platform:read"), None]),
    ] {
        assert_eq!(route(text), Ok(wanted), "{text}");
    }
}

#[test]
fn a_route_that_cannot_be_meant_is_refused() {
    for (text, wanted) in [
        (
            "",
            vec!["filter_config: says nothing about this route: give it mode, scopes or audience"],
        ),
        (
            "{}",
            vec!["filter_config: says nothing about this route: give it mode, scopes or audience"],
        ),
        (
            "mode: open\nscope: a",
            vec![
                "filter_config:1: mode: expected required or optional or bypass, found the string \
                 \"open\"",
                "filter_config:2: scope: unknown key; did you mean scopes?",
            ],
        ),
        (
            "doorward.mode: bypass",
            vec!["filter_config:1: doorward.mode: unknown key; did you mean mode?"],
        ),
        ("scopes: ''", vec!["filter_config:1: scopes: must not be empty"]),
        (
            "mode: bypass\nscopes: a",
            vec![
                "filter_config:1: mode: with `bypass` no token is looked at: remove scopes and \
                 audience, or use `optional`",
            ],
        ),
        ("- mode", vec!["filter_config:1: expected a section with its own keys, found a list"]),
    ] {
        let found = route(text).unwrap_err();
        assert_eq!(found, wanted, "{text}");
    }
    assert!(route("a: [").unwrap_err()[0].contains("not YAML"));
}
