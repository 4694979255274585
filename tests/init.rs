//! `doorward init`: what it writes is sound, whatever the provider and the gateway, and leads
//! to a first allowed request.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::init_choices::every_line_is_explained;
use crate::support::browser::{Browser, prompt};
use crate::support::cli::{Cli, Ended};
use crate::support::echo::{Echo, Echoed};
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::idp::{Answer, Idp};
use crate::support::keycloak::Keycloak;
use crate::support::process::Process;
use crate::support::raw;
use crate::support::served::{FREE_PORTS, listening, serve};
use crate::support::signer::RSA;
use crate::support::tools;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const METADATA: &str = "/.well-known/openid-configuration";

/// One person's command line, in a directory of its own.
struct Place {
    cli: Cli,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { cli: Cli::new(), dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "doorward.schema.json");
        names.sort();
        names
    }

    /// A line as it is pasted into a shell, by somebody who has `doorward` on the PATH.
    fn shell(&self, line: &str) -> std::process::Command {
        let program = Path::new(env!("CARGO_BIN_EXE_doorward")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).env("PATH", format!("{}:{path}", program.display()));
        shell.env("HOME", self.cli.home()).env("XDG_CONFIG_HOME", self.cli.home());
        shell.env("DOORWARD_CLI_STORE", "file").env("NO_PROXY", "*");
        shell.env_remove("NMP_OIDC_USERNAME").env_remove("DISPLAY");
        shell
    }

    async fn init(&self, issuer: &str, more: &[&str]) -> Ended {
        let out = self.file("doorward.yaml");
        let common = ["init", "--issuer", issuer, "--client-id", "nmp", "--out", &out];
        let ended = self.cli.run(&[&common, more].concat()).await;
        assert_eq!(ended.stdout, "", "everything is for people: {ended:?}");
        ended
    }

    /// `config check` and `doctor --envoy` have nothing to say.
    async fn assert_sound(&self, side: &[&str]) {
        let config = self.file("doorward.yaml");
        let checked = self.cli.run(&["config", "check", "--config", &config]).await;
        checked.assert(0, &["valid (", "issuer"]);
        assert!(!checked.stderr.contains("warning"), "{checked:?}");
        for name in side {
            let file = self.file(name);
            let said = self.cli.run(&["doctor", "--config", &config, "--envoy", &file]).await;
            assert!(said.assert(0, &[]).stdout.contains("all is well"), "{name}: {said:?}");
        }
    }
}

/// Behind a domain of one's own, told by what the provider publishes. None of these lets the
/// client log in, and what to do is said in each one's words.
#[tokio::test]
async fn each_product_is_told_by_its_document() {
    let idp = Idp::start([&*RSA]).await;
    idp.answer("/device_authorization", Answer::Status(404));
    for (product, path, changed, written, remedy) in [
        (
            "Keycloak",
            "",
            json!({"token_endpoint": idp.url("/x/protocol/openid-connect/token")}),
            "groups_claim: \"groups\"",
            "OAuth 2.0 Device Authorization",
        ),
        (
            "Okta",
            "/oauth2/default",
            json!({"token_endpoint": idp.url("/oauth2/default/v1/token")}),
            "audience: \"api://default\"",
            "Grant type: Device Authorization",
        ),
        (
            "Auth0",
            "/",
            json!({"token_endpoint": idp.url("/oauth/token"),
                "mfa_challenge_endpoint": idp.url("/mfa/challenge")}),
            "email_claim: \"https://doorward/email\"",
            "Grant Types: Device Code",
        ),
        (
            "Zitadel",
            "",
            json!({"token_endpoint": idp.url("/oauth/v2/token"),
                "authorization_endpoint": idp.url("/oauth/v2/authorize")}),
            "groups_claim: \"urn:zitadel:iam:org:project:roles\"",
            "OIDC Configuration > Grant Types",
        ),
        (
            "authentik",
            "/application/o/nmp/",
            json!({}),
            "groups_claim: \"groups\"",
            "Device code flow",
        ),
        (
            "Microsoft Entra ID",
            &format!("/{TENANT}/v2.0"),
            json!({"tenant_region_scope": "EU"}),
            &format!("tenant: \"{TENANT}\""),
            "Allow public client flows",
        ),
        (
            "generic provider",
            "",
            json!({"claims_supported": ["sub", "roles"], "scopes_supported": ["openid", "email"]}),
            "default_scopes: \"openid email\"",
            "urn:ietf:params:oauth:grant-type:device_code",
        ),
    ] {
        let issuer = idp.url(path);
        let mut document = idp.metadata();
        document["issuer"] = json!(issuer);
        for (name, value) in changed.as_object().unwrap() {
            document[name] = value.clone();
        }
        idp.answer(
            &format!("{}{METADATA}", path.trim_end_matches('/')),
            Answer::Json(200, document),
        );
        let place = Place::new();
        let ended = place.init(&issuer, &["--gateway", "envoy"]).await;
        let heading = format!("\n{product} at {issuer}\n");
        ended.assert(
            0,
            &[
                &heading,
                "still to do at the provider:",
                "device_grant",
                "\nNext \
                                        steps:\n",
            ],
        );
        let flat = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(remedy), "{product}: {flat}");
        let text = std::fs::read_to_string(place.file("doorward.yaml")).unwrap();
        assert!(text.contains(written), "{product}: {text}");
        every_line_is_explained(&text);
        place.assert_sound(&["envoy.yaml"]).await;
    }
}

#[tokio::test]
async fn each_gateway_has_its_files_and_its_commands() {
    let idp = Idp::start([&*RSA]).await;
    for (gateway, upstream, names, sound, parts) in [
        (
            "envoy",
            "api.internal:8000",
            &["doorward.yaml", "envoy.yaml"][..],
            &["envoy.yaml"][..],
            &["type: LOGICAL_DNS", "address: \"api.internal\", port_value: 8000"][..],
        ),
        (
            "envoy",
            "[::1]:8000",
            &["doorward.yaml", "envoy.yaml"],
            &["envoy.yaml"],
            &["address: \"::1\", port_value: 8000"],
        ),
        (
            "istio",
            "api.shop:8000",
            &["doorward.yaml", "istio-gateway.yaml", "istio-mesh.yaml", "kubernetes.yaml"],
            &["istio-mesh.yaml", "istio-gateway.yaml"],
            &["host: api.shop.svc.cluster.local", "number: 8000", "namespaces: [\"shop\"]"],
        ),
        (
            "envoy-gateway",
            "api.shop.svc:8000",
            &["doorward.yaml", "envoy-gateway.yaml", "kubernetes.yaml"],
            &["envoy-gateway.yaml"],
            &["{ name: api, port: 8000 }", "kind: SecurityPolicy, namespace: shop }"],
        ),
    ] {
        let place = Place::new();
        let ended =
            place.init(&idp.issuer(), &["--gateway", gateway, "--upstream", upstream]).await;
        ended.assert(0, &["doorward auth login ", "--logged-in"]);
        assert_eq!(place.names(), names);
        for name in names {
            let path = place.file(name);
            ended.assert(0, &[&format!("wrote {path}\n")]);
            // Each file is named again by the command that uses it.
            assert!(ended.stderr.matches(&path).count() > 1, "{name}: {ended:?}");
        }
        place.assert_sound(sound).await;
        let read = |name: &&str| std::fs::read_to_string(place.file(name)).unwrap();
        let side: String = sound.iter().map(read).collect();
        for part in parts {
            assert!(side.contains(part), "{gateway}: {part} is not in {side}");
        }
        assert!(!side.contains("envoy/"), "names of files that are not here: {side}");
        if gateway != "envoy" {
            // The cluster's Doorward has this very configuration.
            let cluster = read(&"kubernetes.yaml");
            let config = read(&"doorward.yaml");
            assert!(config.contains("listen: \"0.0.0.0:9191\""), "{config}");
            let lines = config.lines().all(|line| cluster.contains(&format!("    {line}\n")));
            assert!(lines && !cluster.contains("issuer.example.com"), "{cluster}");
            assert!(cluster.contains("kind: Deployment"));
            ended.assert(0, &["To fill in: the image"]);
        }
    }
}

#[tokio::test]
async fn files_that_exist_stay_as_they_are() {
    let idp = Idp::start([&*RSA]).await;
    for name in ["doorward.yaml", "envoy.yaml"] {
        let place = Place::new();
        std::fs::write(place.file(name), "mine").unwrap();
        let ended = place.init(&idp.issuer(), &["--gateway", "envoy"]).await;
        ended.assert(2, &[&format!("error: {} exists", place.file(name)), "--force"]);
        assert_eq!(place.names(), [name]);
        assert_eq!(std::fs::read_to_string(place.file(name)).unwrap(), "mine");

        place.init(&idp.issuer(), &["--gateway", "envoy", "--force"]).await.assert(0, &["wrote "]);
        assert_eq!(place.names(), ["doorward.yaml", "envoy.yaml"]);
        place.assert_sound(&["envoy.yaml"]).await;
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_is_said_and_nothing_is_written() {
    let mut idp = Idp::start([&*RSA]).await;
    let place = Place::new();
    let refused = async |parts: &[&str]| {
        let ended = place.init(&idp.issuer(), &["--gateway", "envoy"]).await;
        ended.assert(1, &["error: ", "nothing is written"]).assert(1, parts);
        assert_eq!(place.names(), [""; 0], "{ended:?}");
    };
    let mut document = idp.metadata();
    document["issuer"] = json!("https://elsewhere.example");
    idp.answer(METADATA, Answer::Json(200, document));
    refused(&["issuer_match", "https://elsewhere.example"]).await;
    let mut document = idp.metadata();
    document["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    idp.answer(METADATA, Answer::Json(200, document));
    refused(&["covers every tenant", "Directory (tenant) ID"]).await;
    idp.answer(METADATA, Answer::Text("<html>".into()));
    refused(&["answered with an", "an HTML page for browsers"]).await;
    idp.answer(METADATA, Answer::Status(404));
    refused(&["404"]).await;
    idp.answer(METADATA, Answer::Json(200, idp.metadata()));
    idp.answer_keys(Answer::Status(500));
    refused(&["500"]).await;
    idp.stop().await;
    let ended = place.init(&idp.issuer(), &[]).await;
    ended.assert(1, &["cannot be used as it is", "discovery"]);
    assert_eq!(place.names(), [""; 0]);
}

#[tokio::test]
async fn wrong_usage_is_told_before_anybody_is_asked() {
    let place = Place::new();
    let nowhere = "https://idp.example";
    for (more, part) in [
        (&["--gateway", "nginx"][..], "[possible values: envoy, istio, envoy-gateway, module]"),
        (&["--gateway", "envoy", "--upstream", "here"], "expected HOST:PORT"),
        (&["--gateway", "envoy", "--upstream", "a}b:80"], "expected HOST:PORT"),
        (&["--gateway", "istio", "--upstream", "127.0.0.1:80"], "SERVICE.NAMESPACE:PORT"),
    ] {
        place.init(nowhere, more).await.assert(2, &["error: ", part]);
    }
    place.init("http://idp.example", &[]).await.assert(2, &["error: ", "https"]);
    let ended = place.cli.run(&["init", "--issuer", nowhere, "--client-id", "a b"]).await;
    ended.assert(2, &["error: ", "auth.oidc.client_id", "contains a space"]);
    let out = place.file("envoy.yaml");
    let arguments = ["init", "--issuer", nowhere, "--client-id", "a", "--gateway", "envoy"];
    let ended = place.cli.run(&[&arguments[..], &["--out", &out]].concat()).await;
    ended.assert(2, &["the name of the gateway's file"]);
    let ended = place.cli.run(&["init", "--issuer", nowhere, "--out", &out]).await;
    ended.assert(2, &["--issuer URL and --client-id ID are required", "no terminal"]);
    assert_eq!(place.names(), [""; 0]);
}

/// Doorward inside Envoy: its own keys alone, Envoy's file with the path to them.
#[tokio::test]
async fn envoy_with_doorward_inside() {
    let idp = Idp::start([&*RSA]).await;
    let place = Place::new();
    let ended = place.init(&idp.issuer(), &["--gateway", "module"]).await;
    ended.assert(0, &["wrote"]);
    assert_eq!(place.names(), ["doorward.yaml", "envoy.yaml"]);
    let (config, envoy) = (place.file("doorward.yaml"), place.file("envoy.yaml"));
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("module:\n") && !text.contains("\nserver:"), "{text}");
    every_line_is_explained(&text);
    let written = std::fs::read_to_string(&envoy).unwrap();
    assert!(written.contains(&format!("value: \"{config}\"\n")), "{written}");
    let steps = next_steps(&ended.stderr);
    let check = ["config", "check", "--module", &config];
    assert!(steps.contains(&format!("doorward {}", check.join(" "))), "{steps:?}");
    place.cli.run(&check).await.assert(0, &["valid (1 issuer)"]);
    let examine = ["doctor", "--config", &config, "--envoy", &envoy];
    assert!(steps.contains(&format!("doorward {}", examine.join(" "))), "{steps:?}");
    let said = place.cli.run(&examine).await;
    assert!(said.assert(0, &[]).stdout.contains("all is well"), "{said:?}");
}

/// The commands that `init` prints, one a line.
fn next_steps(said: &str) -> Vec<String> {
    let (_, steps) = said.split_once("\nNext steps:\n").unwrap();
    steps.lines().map(|line| line.trim().to_owned()).collect()
}

/// Nothing typed but issuer and client, the issuer with a slash too many: a real Keycloak, a
/// real Envoy, a person with a real browser, and the commands and files as they were written,
/// but for the ports.
#[tokio::test]
async fn keycloak_and_envoy_from_nothing_to_an_allowed_request() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let Some(browser) = Browser::start().await else { return };
    let Some(keycloak) = Keycloak::start().await else { return };
    let echo = Echo::start().await;
    let begun = std::time::Instant::now();
    let place = Place::new();
    let issuer = keycloak.issuer();
    let ended = place.init(&format!("{issuer}/"), &["--gateway", "envoy"]).await;
    let said = format!("note: the provider calls itself {issuer}, ");
    let heading = format!("\nKeycloak at {issuer}\n");
    ended.assert(0, &[&said, &heading, "ready: users can log in with client \"nmp\""]);
    place.assert_sound(&["envoy.yaml"]).await;
    let steps = next_steps(&ended.stderr);
    let [serving, envoy_runs, on_paper, login, request, examined] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let (config, ports) = (place.file("doorward.yaml"), place.file("ports.yaml"));
    assert_eq!(*serving, format!("doorward serve --config {config}"));
    assert_eq!(*envoy_runs, format!("envoy -c {}", place.file("envoy.yaml")));

    // The first two on free ports, since this machine runs other tests.
    std::fs::write(&ports, FREE_PORTS).unwrap();
    let mut server = serve(&[Path::new(&config), Path::new(&ports)], &[]);
    let at = listening(&mut server).await;
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse().unwrap();
    let behind = Behind { grpc: port(&at.grpc), http: port(&at.http), upstream: echo.port() };
    let written = std::fs::read_to_string(place.file("envoy.yaml")).unwrap();
    let envoy = Envoy::run(&binary, "envoy.yaml", &fill(&written, behind)).await;
    let pasted = |line: &str| {
        let line = line.replace("127.0.0.1:8181", &at.http);
        let line = line.replace("127.0.0.1:10000", &envoy.address().to_string());
        let mut shell = place.shell(&line);
        Process::start(&mut shell)
    };
    let ends_well = async |line: &str| {
        let mut process = pasted(line);
        let code = process.ended().await.code();
        assert_eq!(code, Some(0), "{line}: {} {}", process.stdout(), process.stderr());
        process.stdout()
    };

    ends_well(on_paper).await;
    assert_eq!(raw::get("/").send(envoy.address()).await.status, 401, "nobody has logged in");
    let mut login = pasted(login);
    browser.approve_at_keycloak(&prompt(&mut login).await).await;
    browser.quit().await;
    assert_eq!(login.ended().await.code(), Some(0), "{}", login.stderr());
    let seen: Echoed = serde_json::from_str(&ends_well(request).await).unwrap();
    let took = begun.elapsed();
    println!(
        "init, Keycloak, Envoy: a first allowed request after {} commands and {:.1} s",
        1 + 5,
        took.as_secs_f32()
    );
    assert_eq!(seen.header("x-nmp-principal-email"), Some("alice@example.com"));
    assert_eq!(seen.header("x-nmp-principal-groups"), Some("research,team-b"));
    assert!(ends_well(examined).await.contains("all is well"));
    assert!(took < Duration::from_secs(300), "five minutes are a promise");
}
