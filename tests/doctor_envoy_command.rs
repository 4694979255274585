//! `doorward doctor --envoy`: what the command reads and prints, and its exit code.

use std::process::{Command, Stdio};

use doorward::config::Settings;
use doorward::doctor::envoy::{NotEnvoy, examine};

use crate::support::tools;

#[test]
fn what_is_no_configuration_of_envoys() {
    let settings =
        Settings::from_yaml("test", "auth: {oidc: {issuer: https://idp.example, client_id: nmp}}");
    let headers = settings.unwrap().headers;
    let refused = |text: &str| examine("x", text, &headers, false).unwrap_err();
    assert!(matches!(refused(""), NotEnvoy::NothingKnown));
    assert!(matches!(refused("auth: { enabled: true }"), NotEnvoy::NothingKnown));
    assert!(matches!(refused("[1, 2]"), NotEnvoy::NothingKnown));
    let syntax = refused("a: [1\nb: }").to_string();
    assert!(syntax.contains("line"), "{syntax}");
    // Envoy itself takes the last of them without a word.
    let twice = "failure_mode_allow: false\nfailure_mode_allow: true\n";
    assert_eq!(
        refused(twice).to_string(),
        "it is not YAML or JSON: line 2: duplicate mapping key `failure_mode_allow` is not \
         allowed here"
    );
    assert!(matches!(refused(&"x".repeat(17 * 1024 * 1024)), NotEnvoy::TooLarge));
    let deep = "[".repeat(100_000);
    assert!(matches!(refused(&deep), NotEnvoy::Syntax(_)));
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n\
        c: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\n\
        e: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n";
    assert!(matches!(refused(bomb), NotEnvoy::Syntax(_)));
}

/// Runs `doorward doctor` with these arguments: exit code, standard output and error.
fn doctor(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .env_clear()
        .arg("doctor")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_reads_files_and_its_exit_code_tells() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let own = tools::root().join("envoy/envoy.yaml");
    let own = own.to_str().unwrap();
    let (code, said, _) = doctor(&["--envoy", own]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("envoy.yaml: HTTP connection manager \"door\"")
            && said.contains("all is well"),
        "{said}"
    );

    let sound = tools::file("envoy/envoy.yaml");
    let broken = write(
        "broken.yaml",
        &sound.replace("failure_mode_allow: false", "failure_mode_allow: true"),
    );
    let (code, said, _) = doctor(&["--envoy", own, "--envoy", &broken, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["fail"], &report["warn"]), (1, &1.into(), &0.into()), "{said}");

    // The configuration says which headers are trusted.
    let renamed =
        write("doorward.yaml", "{auth: {enabled: false}, headers: {trusted_prefix: x-acme-}}");
    let (code, said, _) = doctor(&["--envoy", own, "--config", &renamed]);
    assert!(code == 1 && said.contains("x-acme-anything"), "{said}");

    for (arguments, expected) in [
        (vec!["--envoy", "/nowhere.yaml"], "/nowhere.yaml"),
        (vec!["--envoy", &renamed], "contains nothing to examine: expected an Envoy bootstrap"),
        (vec!["--envoy", "-"], "contains nothing to examine"),
        (vec!["--gateway", "ftp://h", "--echo", "/"], "https://"),
        (vec!["--envoy", own, "--set", "headers.x=1"], "headers.x"),
    ] {
        let (code, _, said) = doctor(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
