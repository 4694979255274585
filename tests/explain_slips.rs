//! `doorward explain` on what people get nearly right, on pasted lines, on tokens of somebody
//! else's, and while the issuer cannot be reached.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::cli::Cli;
use crate::support::doctor::{examine, oidc};
use crate::support::doorward::Doorward;
use crate::support::explain::{explain, text, told};
use crate::support::idp::Idp;
use crate::support::oauth::{OAuth, refusal, tokens};
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn config(dir: &Path, oidc: Value) -> PathBuf {
    let mut config = json!({"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])});
    config.as_object_mut().unwrap().extend(oidc.as_object().unwrap().clone());
    let path = dir.join("doorward.json");
    std::fs::write(&path, json!({"auth": {"oidc": config}}).to_string()).unwrap();
    path
}

/// What is found and what is to be done about the check that decides.
fn remedy(told: &Value, check: &str) -> (String, String) {
    let steps = told["steps"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["outcome"] == "fail").unwrap();
    assert_eq!(failed["check"], check, "{told:#}");
    let text = |name: &str| failed[name].as_str().unwrap().to_owned();
    (text("found"), text("remedy"))
}

/// `audience` configured, `aud` of the token, what differs.
#[test]
fn an_audience_that_is_nearly_right_says_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    for (ours, aud, differ) in [
        ("nmp", json!("nmp/"), "the slash at the end"),
        ("https://nmp.example/", json!("https://nmp.example"), "the slash at the end"),
        ("nmp", json!("NMP"), "upper and lower case"),
        ("nmp", json!("api://nmp"), "`api://` in front"),
        ("api://nmp", json!(["account", "nmp"]), "`api://` in front"),
        ("nmp", json!("api://Nmp/"), "`api://` in front and the slash at the end and upper and"),
    ] {
        let config = config(dir.path(), json!({"audience": ["other", ours]}));
        let (told, code) =
            told(&config, &[], &RSA.token("RS256", &claims(ISSUER, json!({"aud": aud}))));
        assert_eq!((code, &told["reason"]), (1, &json!("bad_audience")));
        let (_, remedy) = remedy(&told, "audience");
        let aud = aud.as_array().map_or(&aud, |several| &several[1]);
        let said = format!("aud has {aud}, and \"{ours}\" is configured: they differ in {differ}");
        assert!(remedy.starts_with(&said), "{said}\n{remedy}");
        assert!(remedy.contains(&format!("add {aud} to `audience`")), "{remedy}");
        assert_eq!(remedy.contains("v1 tokens"), differ.contains("api://"), "{remedy}");
    }
    // What is just another audience gets no such advice.
    let config = config(dir.path(), json!({}));
    for aud in [json!("other"), json!("api://"), json!("/"), json!(["nmp2", 5]), json!(7)] {
        let token = RSA.token("RS256", &claims(ISSUER, json!({"aud": aud})));
        let (_, remedy) = remedy(&told(&config, &[], &token).0, "audience");
        assert!(remedy.starts_with("ask for a token for this API"), "{aud}: {remedy}");
    }
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let (told, _) = told(&config, &["--context", "doorward.audience=jobs NMP"], &token);
    let (_, remedy) = remedy(&told, "route_audience");
    let said = "\"NMP\" is what the route asks for: they differ in upper and lower case";
    assert!(remedy.contains(said), "{remedy}");
}

#[test]
fn entras_two_names_of_a_tenant_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let v1 = |tenant: &str| format!("https://sts.windows.net/{tenant}/");
    let v2 = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let another = TENANT.replace("72f9", "0000");
    let template = json!({"issuer": v2("{tenantid}"), "allowed_tenants": [TENANT]});
    let one = |issuer: String| json!({"issuer": issuer});
    for (oidc, iss, parts) in [
        (one(v2(TENANT)), v1(TENANT), ["this is a v1 token of Entra ID", "Version 2"]),
        (template.clone(), v1(TENANT), ["this is a v1 token of Entra ID", "Version 2"]),
        (one(v1(TENANT)), v2(TENANT), ["this is a v2 token of Entra ID", "has both"]),
        (one(v2(TENANT)), v2(&another), ["another tenant of Entra ID", &another]),
        (one(v2(TENANT)), v1(&another), ["another tenant of Entra ID", &another]),
        (one(ISSUER.into()), v1(TENANT), ["configure this issuer", "get a token from one"]),
        (one(v2(TENANT)), v2(TENANT) + "/", ["differs in a slash", "as the token has it"]),
    ] {
        let config = config(dir.path(), oidc);
        let token = RSA.token("RS256", &claims(&iss, json!({"tid": TENANT})));
        let (told, _) = told(&config, &[], &token);
        assert_eq!(told["reason"], "unknown_issuer", "{told:#}");
        let (_, remedy) = remedy(&told, "issuer");
        assert!(parts.iter().all(|part| remedy.contains(part)), "{iss}: {remedy}");
        if parts[0].contains("v1") || parts[0].contains("v2") {
            let add = format!("add \"{iss}\" to `auth.oidc.additional_issuers`");
            assert!(remedy.contains(&add), "{remedy}");
        }
    }
}

#[test]
fn a_pasted_line_is_read_as_it_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), json!({}));
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for (front, end, left_out) in [
        ("", "", ""),
        ("Bearer ", "", "`Bearer`"),
        ("Authorization: Bearer ", "\r\n", "`Authorization:`, `Bearer`"),
        ("authorization:bearer\t", "", "`Authorization:`, `Bearer`"),
        ("\"", "\"\n", "quotes"),
        ("'Authorization: Bearer ", "'", "quotes, `Authorization:`, `Bearer`"),
        ("Authorization: \"Bearer ", "\"", "quotes, `Authorization:`, `Bearer`"),
        ("-H \"Authorization: Bearer ", "\"", "quotes, `-H`, `Authorization:`, `Bearer`"),
        ("Authorization: Bearer '", "'", "quotes, `Authorization:`, `Bearer`"),
        ("\u{201c}Bearer ", "\u{201d}", "quotes, `Bearer`"),
    ] {
        let output = explain(&config, &[], format!("  {front}{token}{end}").as_bytes());
        assert_eq!(output.status.code(), Some(0), "{front}: {}", text(&output.stdout));
        let note = format!("note: not part of the token, and ignored: {left_out}\n");
        let said = text(&output.stderr);
        assert_eq!(said, if left_out.is_empty() { String::new() } else { note }, "{front}");
    }
    for nothing in ["Bearer", "Authorization: Bearer \n", "\"\"", "'Authorization:'"] {
        let output = explain(&config, &[], nothing.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{nothing}");
        assert!(text(&output.stderr).contains("no token: pipe one in"), "{}", text(&output.stderr));
    }
    // Taken as it is, the line is no value of the header.
    let (told, _) = told(&config, &["--raw-header"], &format!("Authorization: Bearer {token}"));
    let (_, remedy) = remedy(&told, "credentials");
    assert!(remedy.contains("leave `Authorization:` out"), "{remedy}");
}

#[test]
fn a_token_of_googles_is_said_to_be_for_google_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), json!({}));
    for token in ["ya29.a0AfH6SMBx-y_z", "ya29.c.b0AaekTx", "ya29.A.B.C.D"] {
        let (told, code) = told(&config, &[], token);
        assert_eq!((code, &told["reason"]), (1, &json!("malformed_token")));
        let (found, remedy) = remedy(&told, "form");
        assert!(found.contains("access token of Google's (`ya29.…`)"), "{found}");
        assert!(
            remedy.contains("only Google can verify") && remedy.contains("ID token"),
            "{remedy}"
        );
        assert!(!told.to_string().contains(token), "the token itself is never shown");
    }
}

#[test]
fn a_subject_that_is_no_string_names_the_claims_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), json!({}));
    let ask = |more: Value, arguments: &[&str]| {
        told(&config, arguments, &RSA.token("RS256", &claims(ISSUER, more)))
    };
    let more = json!({"sub": 12345, "preferred_username": "alice", "oid": 7, "uid": ""});
    let (found, said) = remedy(&ask(more.clone(), &[]).0, "subject");
    assert_eq!(found, "sub 12345, a number");
    let parts =
        ["sub is a number", "from a string alone", "this token has preferred_username, email)"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    assert!(!said.contains("headers.profile"), "that does not help: {said}");
    // What it says helps.
    let (told, code) = ask(more, &["--set", "auth.oidc.subject_claim=preferred_username"]);
    assert_eq!(code, 0, "{told:#}");
    for (sub, kind) in [(json!(["a"]), "a list"), (json!({"a": 1}), "an object")] {
        let (_, said) = remedy(&ask(json!({"sub": sub}), &[]).0, "subject");
        assert!(said.starts_with(&format!("sub is {kind}, ")), "{said}");
    }
    // A string that does not fit is another matter.
    let (_, said) = remedy(&ask(json!({"sub": "auth0|123"}), &[]).0, "subject");
    assert!(said.contains("`headers.profile: plain`"), "{said}");
}

#[tokio::test]
async fn doctor_says_the_same_of_a_subject_that_is_no_string() {
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let token = RSA.token("RS256", &claims(&issuer, json!({"sub": 12345, "uid": "a-1"})));
    let said = examine(&oidc(json!({"issuer": issuer, "client_id": "nmp"})), Some(&token)).await;
    let subject = said.finding("subject");
    let found = subject["found"].as_str().unwrap();
    assert!(found.starts_with("sub 12345, a number, expected sub: a string of"), "{found}");
    let remedy = subject["remedy"].as_str().unwrap();
    assert!(remedy.contains("from a string alone (RFC 7519 §4.1.2)"), "{remedy}");
    assert!(remedy.ends_with("that is one (this token has uid, email)"), "{remedy}");
}

/// A server goes on with the keys that it has; explain has none, and says so.
#[tokio::test]
async fn during_an_outage_explain_says_what_a_server_may_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let config = json!({"auth": {"oidc": {"issuer": issuer, "client_id": "nmp"}}}).to_string();
    let file = dir.path().join("doorward.json");
    std::fs::write(&file, &config).unwrap();
    let server = Doorward::start(&config).await;
    server.ready().await;
    idp.stop().await;

    let token = RSA.token("RS256", &claims(&issuer, json!({})));
    assert_eq!(server.ask_with(&token).await.status, 200, "it has keys");
    let cli = Cli::new();
    let arguments = ["explain", "--config", file.to_str().unwrap()];
    let ended = cli.run_with(&arguments, &[], &token).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "denied 503 keys_unavailable",
        "note: a server that obtained keys before goes on with them for 1day (`keys.max_stale`), \
         and may answer 200 to this token; explain asks no server",
        "/health/ready names the issuers without keys",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // With the keys at hand nothing of the kind is said.
    idp.up().await;
    let ended = cli.run_with(&arguments, &[], &token).await;
    assert!(!ended.assert(0, &[]).stdout.contains("max_stale"), "{ended:?}");
}

#[tokio::test]
async fn an_issuer_and_the_login_at_hand_can_be_named_as_with_doctor() {
    let idp = Idp::start([&*RSA]).await;
    let (issuer, provider) = (idp.issuer(), OAuth::start().await);
    let token = RSA.token("RS256", &claims(&issuer, json!({})));
    let host = issuer.strip_prefix("http://").unwrap();
    let cli = Cli::new();
    let at = ["explain", "--issuer", &issuer, "--client-id", "nmp"];
    for arguments in [&at[..], &["explain", "--issuer", host, "--client-id", "nmp"]] {
        let ended = cli.run_with(arguments, &[], &token).await;
        assert!(ended.assert(0, &[]).stdout.contains("allowed 200"), "{ended:?}");
    }
    // Without a client nobody has said whom tokens should be for; with another it is said.
    let ended = cli.run_with(&["explain", "--issuer", &issuer], &[], &token).await;
    assert!(ended.assert(0, &[]).stdout.contains("aud \"nmp\", not checked"), "{ended:?}");
    let other = ["explain", "--issuer", &issuer, "--client-id", "other"];
    let ended = cli.run_with(&other, &[], &token).await;
    assert!(ended.assert(1, &[]).stdout.contains("bad_audience"), "{ended:?}");
    cli.run(&["explain", "--client-id", "nmp"]).await.assert(2, &["--issuer <URL>"]);
    cli.run_with(&["explain"], &[], &token).await.assert(2, &["--issuer URL goes by an issuer"]);

    let logged_in = [&at[..], &["--logged-in"]].concat();
    cli.run(&logged_in).await.assert(1, &["not logged in", "doorward auth login"]);
    let given = tokens(json!({"access_token": token, "refresh_token": "r"}));
    provider.say("/token", [given, refusal("invalid_grant", "session ended")]);
    let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
    cli.run(&login).await.assert(0, &[]);
    let ended = cli.run(&logged_in).await;
    assert!(ended.assert(0, &[]).stdout.contains("x-nmp-principal-id: alice"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    // Of a login that has ended this is said beside the decision.
    cli.run(&["auth", "refresh"]).await.assert(1, &[]);
    cli.run(&logged_in).await.assert(0, &["warning: the token was not refreshed", "session ended"]);
    for with in [&["x.y.z"][..], &["--anonymous"], &["--raw-header"]] {
        cli.run(&[&logged_in[..], with].concat()).await.assert(2, &["cannot be used with"]);
    }
}
