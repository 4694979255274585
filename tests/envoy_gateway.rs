//! What Envoy Gateway makes of `envoy/envoy-gateway/`, run in the real Envoy.

use std::io::Write as _;
use std::process::{Command, Stdio};

use doorward::doctor::Outcome;
use serde_json::json;

use crate::support::doctor_envoy::faults;
use crate::support::doorward::Doorward;
use crate::support::echo::{Echo, Echoed};
use crate::support::envoy::Envoy;
use crate::support::gateway::{Gateway, behind};
use crate::support::process::{free_port, script};
use crate::support::raw::{RawRequest, get, request};
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";

/// `command`, fed `input`: its output.
fn pipe(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // From a thread: a pipe holds less than a translation.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    output.stdout
}

/// What Envoy Gateway makes of our set-up, changed so. `None`: a tool is missing, and the test is
/// skipped.
async fn started(change: impl FnOnce(String) -> String) -> Option<Gateway> {
    let (egctl, envoy) = (tools::tool("egctl").await?, tools::tool("envoy").await?);
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
    });
    let (doorward, echo) = (Doorward::start(&config.to_string()).await, Echo::start().await);
    let behind = behind(&doorward, &echo);

    let resources = [
        change(tools::file("envoy/envoy-gateway/gateway.yaml")),
        tools::file("tests/support/envoy-gateway/cluster.yaml"),
    ]
    .join("\n---\n");
    let translate = "x translate --from gateway-api --to xds -t all -o json -f -";
    let translated = pipe(Command::new(egctl).args(translate.split(' ')), resources.as_bytes());
    // Here ports have to be picked beforehand: the script takes 0 for "missing".
    let ports = [
        format!("10080={}", free_port()),
        format!("9191={}", behind.grpc),
        format!("8080={}", behind.upstream),
        format!("admin={}", free_port()),
    ];
    let bootstrap = pipe(script("scripts/egctl-to-envoy".as_ref()).args(ports), &translated);
    let bootstrap = String::from_utf8(bootstrap).unwrap();
    let envoy = Envoy::run(&envoy, "envoy.json", &bootstrap).await;
    Some(Gateway::of(envoy, doorward, echo))
}

/// Changes to the document that open the door: what comes out of each is tried, and the doctor
/// says so of the document.
#[tokio::test]
async fn what_the_doctor_says_of_a_document_is_what_comes_out_of_it() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let early = format!(
        "headers:\n    earlyRequestHeaders: {{ set: [{{ name: Authorization, value: Bearer {token} }}] }}\n"
    );
    let lua = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\n\
        metadata: { name: lua, namespace: platform }\nspec:\n  targetRefs: [{ group: \
        gateway.networking.k8s.io, kind: Gateway, name: door }]\n  lua: [{ type: Inline, inline: \"function \
        envoy_on_request(h) h:headers():replace('x-nmp-principal-id', h:headers():get('x-user')) end\" }]\n---\n";
    let no_change = "# Envoy Gateway (Gateway API) in front";
    let ours = "kind: Gateway, name: door }\n  extAuth:\n";
    let route = "    - matches: [{ path: { type: PathPrefix, value: / } }]\n";
    let forge = format!(
        "{route}      filters: [{{ type: RequestHeaderModifier, requestHeaderModifier: {{ set: [{{ name: \
         x-nmp-principal-id, value: '%REQ(x-user)%' }}] }} }}]\n"
    );
    let optional =
        "    contextExtensions: [{ name: doorward.mode, type: Value, value: optional }]\n";
    for (what, changed, said) in [
        (no_change, no_change.to_owned(), None),
        (route, forge, Some(("identity", Outcome::Fail))),
        ("headers:\n", early, Some(("identity", Outcome::Fail))),
        (
            "---\n# One reading of a path",
            format!("{lua}# One reading of a path"),
            Some(("filter_order", Outcome::Fail)),
        ),
        (ours, format!("{ours}{optional}"), Some(("modes", Outcome::Warn))),
        (
            "name: doorward\n  namespace: platform\n",
            "name: doorward\n  namespace: doorward\n".to_owned(),
            Some(("routes_off", Outcome::Fail)),
        ),
    ] {
        let document = |file: String| {
            assert!(file.contains(what), "{what}");
            file.replacen(what, &changed, 1)
        };
        let found = faults(&document(tools::file("envoy/envoy-gateway/gateway.yaml")));
        let found: Vec<_> = found.into_iter().map(|(check, outcome, _)| (check, outcome)).collect();
        assert_eq!(found, Vec::from_iter(said), "{changed}");
        let Some(gateway) = started(document).await else { return };
        gateway.doorward().ready().await;
        let forged = |request: RawRequest| request.header("X-User", "service:forged");
        gateway.send(&forged(get("/nobody"))).await;
        let nobody = !gateway.echo().take().is_empty();
        gateway.send(&forged(get("/alice")).bearer(&token)).await;
        let alice = gateway.echo().take();
        assert!(!alice.is_empty(), "{changed}: the door is shut");
        let as_alice = ("x-nmp-principal-id", "alice");
        let opens = nobody || alice.iter().any(|it| !it.trusted().contains(&as_alice));
        assert_eq!(opens, said.is_some(), "{changed}: {nobody} {alice:?}");
    }
}

/// The first way of docs/cors.md, whose YAML this is.
#[tokio::test]
async fn its_cors_filter_answers_before_doorward_is_asked() {
    const OURS: &str = "kind: Gateway, name: door }\n  extAuth:\n";
    let guide = tools::file("docs/cors.md");
    let mut blocks = guide.split("```yaml\n").skip(1).map(|it| it.split("```").next().unwrap());
    let ours = blocks.find(|block| block.starts_with("cors:")).unwrap().lines();
    let cors: String = ours.map(|line| format!("  {line}\n")).collect();
    let with_cors = |file: String| {
        assert_eq!(file.matches(OURS).count(), 1);
        file.replace(OURS, &OURS.replace("  extAuth:\n", &format!("{cors}  extAuth:\n")))
    };
    let Some(gateway) = started(with_cors).await else { return };
    let preflight = request("OPTIONS", "/v1/models")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST");
    let reply = gateway.send(&preflight).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    let asked = gateway.doorward().metric("doorward_check_duration_seconds_count").await;
    assert_eq!(asked, Some(0.0), "Doorward is not asked");
    assert!(gateway.echo().take().is_empty());
    assert_eq!(gateway.send(&request("OPTIONS", "/v1/models")).await.status, 401);
}

#[tokio::test]
async fn what_envoy_gateway_makes_of_our_set_up_guards_the_door() {
    let Some(gateway) = started(|file| file).await else { return };
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let spoofs = [
        ("X-NMP-Principal-Id", "service:jobs"),
        ("x_nmp_principal_id", "service:jobs"),
        ("X-NMP-Principal-Id", "service:forged"),
        ("x-nmp-anything", "forged"),
        ("X_Nmp-Internal", "forged"),
    ];
    let spoofed = |request| {
        spoofs
            .iter()
            .fold(request, |request: RawRequest, (name, value)| request.header(name, value))
    };

    let reply = gateway.send(&get("/v1/models")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (401, "missing_token"));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"doorward\""));
    let reply = gateway.send(&get("/v1/models").bearer("forged")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (401, "malformed_token"));
    let twice = get("/v1/models").bearer(&token).bearer(&token);
    assert_eq!(gateway.send(&twice).await.reason(), "malformed_header");
    for path in ["/public/%2e%2e/admin", "/public/../admin", "/public%2f..%2fadmin", "//admin"] {
        let reply = gateway.send(&get(path)).await;
        assert!(matches!(reply.status, 307 | 400 | 401), "{path}: {reply:?}");
    }
    assert!(gateway.echo().take().is_empty());

    for round in ["fresh", "cached"] {
        let reply = gateway.send(&spoofed(get("/v1/models").bearer(&token))).await;
        let seen = Echoed::of(&reply);
        assert_eq!(
            seen.trusted(),
            [
                ("x-nmp-principal-email", "alice@example.com"),
                ("x-nmp-principal-groups", "research,team-b"),
                ("x-nmp-principal-id", "alice"),
                ("x-nmp-scopes", "openid models:read"),
            ],
            "{round}"
        );
    }
    let bypassed = gateway.send(&spoofed(get("/public/page"))).await;
    assert!(Echoed::of(&bypassed).trusted().is_empty(), "{bypassed:?}");

    let mut gateway = gateway;
    gateway.echo().take();
    gateway.stop_doorward();
    for request in [get("/v1/models").bearer(&token), get("/public/page")] {
        assert_eq!(gateway.send(&request).await.status, 503);
    }
    assert!(gateway.echo().take().is_empty());
}
