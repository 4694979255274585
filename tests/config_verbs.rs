//! How a configuration is named on the command line, checked, compared and shown to editors, and
//! how log lines look.

use std::path::Path;

use serde_json::Value;

use crate::support::cli::Cli;
use crate::support::eventually;
use crate::support::idp::Idp;
use crate::support::served::FREE_PORTS;
use crate::support::signer::{RSA, jwks};
use crate::support::{PATIENCE, tools};

/// A directory with a sound configuration and one with two faults.
struct Place {
    cli: Cli,
}

impl Place {
    fn new() -> Self {
        let cli = Cli::new();
        let keys = jwks([&*RSA]);
        let sound = format!(
            "auth:\n  oidc: {{ issuer: 'https://idp.example', client_id: nmp, jwks: {keys} }}\n\
             {FREE_PORTS}"
        );
        std::fs::write(cli.home().join("sound.yaml"), sound).unwrap();
        let wrong = "auth:\n  oidc: { isuer: x }\nsrver: 1\n";
        std::fs::write(cli.home().join("wrong.yaml"), wrong).unwrap();
        Self { cli }
    }

    fn file(&self, name: &str) -> String {
        self.cli.home().join(name).to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_file_is_named_in_every_way() {
    let place = Place::new();
    let (sound, wrong) = (place.file("sound.yaml"), place.file("wrong.yaml"));
    for arguments in [
        &["config", "check", &*sound][..],
        &["config", "check", "-c", &sound],
        &["config", "check", "--config", &sound],
        &["config", "show", &sound],
    ] {
        place.cli.run(arguments).await.assert(0, &[]);
    }
    let variable = [("DOORWARD_CONFIG", &*wrong)];
    place.cli.run_with(&["config", "check"], &variable, "").await.assert(2, &["isuer"]);
    // What is named counts, and the variable does not.
    place.cli.run_with(&["config", "check", &sound], &variable, "").await.assert(0, &[]);
    place.cli.run_with(&["config", "check", "-c", &sound], &variable, "").await.assert(0, &[]);
    let none = [("DOORWARD_CONFIG", "")];
    place.cli.run_with(&["config", "check"], &none, "").await.assert(2, &["auth.oidc.issuer"]);
}

/// As the module inside Envoy reads it: nothing of the environment, and none of the server's settings.
#[tokio::test]
async fn a_file_of_the_module_is_named() {
    let place = Place::new();
    let (sound, module) = (place.file("sound.yaml"), place.file("module.yaml"));
    let text = std::fs::read_to_string(&sound).unwrap();
    let text = text.replace(FREE_PORTS, "module: { documents: true }\n");
    std::fs::write(&module, &text).unwrap();
    let check = ["config", "check", "--module"];
    let of_server = [("DOORWARD_SERVER__WORKERS", "0"), ("DOORWARD_AUTH__ENABLED", "maybe")];
    let ended = place.cli.run_with(&[&check[..], &[&module]].concat(), &of_server, "").await;
    ended.assert(0, &["ok: the configuration is valid (1 issuer)"]);
    let ended = place.cli.run(&[&check[..], &[&sound]].concat()).await;
    ended.assert(2, &["server: is a setting of the server: inside Envoy there are no listeners"]);
    for server in [&["serve", "-c", &*module][..], &["config", "check", &module]] {
        place.cli.run(server).await.assert(2, &["module: is a setting of the module inside Envoy"]);
    }
    // Whoever only looks takes it as it is.
    let shown = place.cli.run(&["config", "show", "--module", &module]).await;
    let shown = &shown.assert(0, &[]).stdout;
    assert!(shown.contains("documents: true") && !shown.contains("workers"), "{shown}");
    place.cli.run(&["explain", "--anonymous", "-c", &module]).await.assert(1, &[]);
    place.cli.run(&["config", "diff", &module, &module]).await.assert(0, &[]);
}

#[tokio::test]
async fn faults_begin_with_error_whoever_finds_them() {
    let place = Place::new();
    let wrong = place.file("wrong.yaml");
    for arguments in [
        &["serve", "-c", &*wrong][..],
        &["config", "check", &wrong],
        &["config", "show", &wrong],
        &["config", "diff", &wrong, &wrong],
        &["explain", "--anonymous", "-c", &wrong],
        &["doctor", "-c", &wrong],
        &["doctor", "-c", &wrong, "--envoy", "envoy/envoy.yaml"],
    ] {
        let ended = place.cli.run(arguments).await;
        for fault in ["2: auth.oidc.isuer: unknown key", "3: srver: unknown key"] {
            ended.assert(2, &[&format!("error: {wrong}:{fault}")]);
        }
    }
    let there = place.file("sound.yaml");
    let init = ["init", "--issuer", "https://idp.example", "--client-id", "a b", "--out"];
    for (out, part) in [(&*place.file("new.yaml"), "contains a space"), (&there, "exists")] {
        let ended = place.cli.run(&[&init[..], &[out]].concat()).await;
        assert!(ended.assert(2, &[part]).stderr.starts_with("error: "), "{ended:?}");
    }
}

#[tokio::test]
async fn a_change_is_told_before_it_is_made() {
    let place = Place::new();
    let (old, new) = (place.file("sound.yaml"), place.file("new.yaml"));
    let text = std::fs::read_to_string(&old).unwrap();
    std::fs::write(&new, format!("{text}rules: {{ bypass: [/health] }}\n")).unwrap();
    let ended = place.cli.run(&["config", "diff", &old, &new]).await;
    assert_eq!(
        ended.assert(0, &[]).stdout,
        "rules.bypass: [] → [/health]\n    passes without a token: /health\n"
    );
    let same = place.cli.run(&["config", "diff", &old, &old]).await;
    assert!(same.assert(0, &[]).stdout.contains("changes nothing"), "{same:?}");
}

/// Standard error is a pipe here: JSON, unless the flag or the file says otherwise.
#[tokio::test]
async fn log_lines_look_as_the_flag_says() {
    let place = Place::new();
    let sound = place.file("sound.yaml");
    for (flags, json) in [
        (&[][..], true),
        (&["--set", "log.format=text"], false),
        (&["--log-format", "text"], false),
        (&["--log-format", "json", "--set", "log.format=text"], true),
    ] {
        let mut server = place.cli.start(&[&["serve", "-c", &sound], flags].concat());
        let line = eventually("it listens", PATIENCE, async || {
            server.assert_alive();
            let said = server.stderr();
            said.lines().find(|line| line.contains("listening")).map(str::to_owned)
        })
        .await;
        assert_eq!(serde_json::from_str::<Value>(&line).is_ok(), json, "{flags:?}: {line}");
    }
}

/// As for the rest of the command line (`cli_pages`), on a pipe as on a terminal.
#[tokio::test]
async fn log_lines_are_coloured_by_the_rule_of_the_whole_command_line() {
    let place = Place::new();
    let serve = ["serve", "-c", &place.file("sound.yaml"), "--log-format", "text"];
    let force = ("CLICOLOR_FORCE", "1");
    for (environment, coloured) in
        [(&[][..], false), (&[force], true), (&[force, ("NO_COLOR", "1")], false)]
    {
        let mut server = place.cli.start_with(&serve, environment);
        let line = eventually("it listens", PATIENCE, async || {
            server.assert_alive();
            let said = server.stderr();
            said.lines().find(|line| line.contains("listening")).map(str::to_owned)
        })
        .await;
        assert_eq!(line.contains('\u{1b}'), coloured, "{environment:?}: {line:?}");
    }
}

/// The first line names a file that is there and holds what `config schema` prints.
fn assert_schema_is_beside(configuration: &Path, printed: &str) {
    let text = std::fs::read_to_string(configuration).unwrap();
    let name = text.strip_prefix("# yaml-language-server: $schema=").unwrap();
    let schema = configuration.with_file_name(name.split_once('\n').unwrap().0);
    assert_eq!(std::fs::read_to_string(schema).unwrap(), printed);
}

#[tokio::test]
async fn editors_find_the_schema_without_a_network() {
    let (cli, idp) = (Cli::new(), Idp::start([&*RSA]).await);
    let schema = cli.run(&["config", "schema"]).await.assert(0, &[]).stdout.clone();
    let out = cli.home().join("init/doorward.yaml");
    let path = out.to_str().unwrap();
    let issuer = idp.issuer();
    let init = ["init", "--issuer", &*issuer, "--client-id", "nmp", "--out", path];
    cli.run(&init).await.assert(0, &["doorward.schema.json (for editors)"]);
    assert_schema_is_beside(&out, &schema);

    let dir = cli.home().join("demo");
    let demo = ["demo", "--port", "0", "--issuer-only", "--write", dir.to_str().unwrap()];
    // Any program: it is not run here, and without one an Envoy would be fetched.
    let envoy = [("DOORWARD_ENVOY", env!("CARGO_BIN_EXE_doorward"))];
    let mut demo = cli.start_with(&demo, &envoy);
    eventually("the files are written", PATIENCE, async || {
        demo.assert_alive();
        demo.stderr().contains("demo --help").then_some(())
    })
    .await;
    assert_schema_is_beside(&dir.join("doorward.yaml"), &schema);
    let reference = tools::file("docs/configuration.md");
    assert!(reference.contains("doorward config schema > doorward.schema.json"));
    assert!(reference.contains("# yaml-language-server: $schema=doorward.schema.json"));
}
