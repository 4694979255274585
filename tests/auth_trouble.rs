//! `doorward auth` when a login has ended, when none is chosen, and when the other side is not
//! reached: what people read then, and what to do next.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::cli::{Cli, Ended};
use crate::support::doctor::{examine, oidc};
use crate::support::idp::Idp;
use crate::support::oauth::{Answer, OAuth, refusal, tokens};
use crate::support::process::free_port;
use crate::support::signer::RSA;
use crate::support::tls::TlsServer;
use crate::support::{PATIENCE, eventually};

const PASSWORD: [&str; 4] = ["--username", "alice", "--password", "x"];

async fn login(cli: &Cli, at: &str, more: &[&str]) -> Ended {
    cli.run(&[&["auth", "login", at], &PASSWORD[..], more].concat()).await
}

/// What is not to be read when a login has ended.
fn promises_nothing(ended: &Ended) {
    assert!(!ended.stdout.contains("refreshes it"), "{ended:?}");
}

#[tokio::test]
async fn a_login_that_the_provider_has_ended_is_never_promised_again() {
    let provider = OAuth::start().await;
    let good = || tokens(json!({"refresh_token": "r"}));
    provider.say("/token", [good(), refusal("invalid_grant", "session ended"), good()]);
    let (cli, url) = (Cli::new(), provider.url());
    login(&cli, url, &[]).await.assert(0, &[]);
    let status = cli.run(&["auth", "status"]).await;
    assert!(status.assert(0, &[]).stdout.contains("`auth token` refreshes it"), "{status:?}");

    let said = format!(
        "the login at {url} has ended: the identity provider refused the refresh: invalid_grant: \
         session ended"
    );
    let next = format!("fix: run doorward auth login --context {url}");
    let error = format!("error: {said}");
    cli.run(&["auth", "refresh"]).await.assert(1, &[&error, &next]);
    let status = cli.run(&["auth", "status"]).await;
    promises_nothing(status.assert(1, &[&error, &next]));
    assert!(status.stdout.contains("and cannot be refreshed"), "{status:?}");
    let mark = "login    ended by the identity provider ";
    assert!(status.stdout.contains(mark), "{status:?}");
    let one = &cli.status().await[0];
    assert_eq!((&one["holds"], &one["refreshable"]), (&json!(true), &json!(false)));
    assert_eq!(one["over"]["said"], "invalid_grant: session ended");

    // The access token holds: it is handed out, and nobody is left in doubt.
    let token = cli.run(&["auth", "token"]).await;
    let warning = format!("warning: the token was not refreshed, but is still valid: {said}");
    assert_eq!(token.assert(0, &[&warning, &next]).stdout, "opaque-token\n");
    cli.run(&["auth", "refresh"]).await.assert(1, &[&error, &next]);
    assert_eq!(provider.asked("/token").len(), 2, "what is void is not tried again");

    // The next step leads out of it.
    let again = ["auth", "login", "--context", url];
    cli.run(&[&again[..], &PASSWORD].concat()).await.assert(0, &["Logged in"]);
    cli.run(&["auth", "status"]).await.assert(0, &[]);
    assert_eq!(cli.status().await[0]["over"], Value::Null);
}

#[tokio::test]
async fn a_login_that_ended_before_its_token_gives_no_token_and_says_the_same_every_time() {
    let provider = OAuth::start().await;
    let short = tokens(json!({"expires_in": 1, "refresh_token": "r"}));
    let mfa = "AADSTS50076: multi-factor authentication is required";
    provider.say("/token", [short, refusal("invalid_grant", mfa)]);
    let cli = Cli::new();
    login(&cli, provider.url(), &[]).await.assert(0, &[]);
    let next = ["needs multi-factor authentication", "; then run doorward auth login --context "];
    eventually("the token has ended", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        (ended.code == Some(1)).then(|| assert_eq!(ended.assert(1, &next).stdout, ""))
    })
    .await;
    for verb in [&["auth", "token"][..], &["auth", "refresh"], &["auth", "status"]] {
        let ended = cli.run(verb).await;
        promises_nothing(ended.assert(1, &["has ended", "refused the refresh", next[0], next[1]]));
    }
    assert_eq!(provider.asked("/token").len(), 2, "the login and one refresh");
}

#[tokio::test]
async fn a_login_without_a_refresh_token_is_told_of_while_it_holds_and_after() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({"expires_in": 4}))]);
    let cli = Cli::new();
    login(&cli, provider.url(), &[]).await.assert(0, &["and cannot be refreshed"]);
    let said = "cannot be refreshed: the identity provider gave no refresh token";
    let next = format!("run doorward auth login --context {}", provider.url());
    let warning = "warning: the token was not refreshed, but is still valid: the login at ";
    eventually("it is near its end", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        ended.stderr.contains(warning).then(|| ended.assert(0, &[said, &next]).code)
    })
    .await;
    eventually("it has ended", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        (ended.code == Some(1)).then(|| assert_eq!(ended.assert(1, &[said, &next]).stdout, ""))
    })
    .await;
    let status = cli.run(&["auth", "status"]).await;
    assert!(status.assert(1, &[said, &next]).stdout.contains(": log in again"), "{status:?}");
}

/// Another refusal may be over in a minute.
#[tokio::test]
async fn only_a_void_refresh_token_ends_a_login() {
    let provider = OAuth::start().await;
    let good = tokens(json!({"refresh_token": "r"}));
    let busy = refusal("temporarily_unavailable", "later");
    provider.say("/token", [good.clone(), busy, Answer::Json(503, json!({})), good]);
    let cli = Cli::new();
    login(&cli, provider.url(), &[]).await.assert(0, &[]);
    cli.run(&["auth", "refresh"]).await.assert(1, &["temporarily_unavailable: later"]);
    cli.run(&["auth", "refresh"]).await.assert(1, &["status 503"]);
    cli.run(&["auth", "status"]).await.assert(0, &[]);
    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
}

#[tokio::test]
async fn after_a_logout_nobody_elses_token_is_printed_until_one_is_chosen() {
    let provider = OAuth::start().await;
    let of = |name: &str| tokens(json!({"access_token": format!("token-of-{name}")}));
    provider.say("/token", [of("alice"), of("bob"), of("carol")]);
    provider.say("/revoke", [Answer::Json(200, json!({}))]);
    let (cli, url) = (Cli::new(), provider.url());
    for name in ["alice", "bob", "carol"] {
        login(&cli, url, &["--context", name]).await.assert(0, &[]);
    }
    let left = "No login is chosen now; there are others: alice, bob";
    cli.run(&["auth", "logout"]).await.assert(0, &[left, "fix: doorward auth use NAME"]);
    let next = "choose one with doorward auth use NAME, or name it with --context: alice, bob";
    for verb in ["token", "refresh", "status", "logout"] {
        let ended = cli.run(&["auth", verb]).await;
        ended.assert(1, &["error: no login is chosen", next]);
        assert!(!ended.stdout.contains("token-of"), "{ended:?}");
    }
    let where_to = "--client-id ID, or --context with one of: alice, bob";
    cli.run(&["auth", "login"]).await.assert(2, &[where_to]);
    // Both are at this provider, so its URL names neither.
    let several = format!("there are several logins at {url}");
    for verb in [&["auth", "use", url][..], &["auth", "token", "--context", url]] {
        let ended = cli.run(verb).await;
        assert_eq!(ended.assert(1, &[&several, "the one that is meant: alice, bob"]).stdout, "");
    }
    cli.run(&["auth", "use", "dave"]).await.assert(1, &["not logged in at dave", "alice, bob"]);
    cli.run(&["auth", "use", "bob"]).await.assert(0, &["Using the login at bob, as "]);
    assert_eq!(cli.run(&["auth", "token"]).await.assert(0, &[]).stdout, "token-of-bob\n");
    // With a single one left it is no different.
    cli.run(&["auth", "logout"]).await.assert(0, &["there are others: alice"]);
    let ended = cli.run(&["auth", "token"]).await;
    assert_eq!(ended.assert(1, &["no login is chosen", "--context: alice"]).stdout, "");
    cli.run(&["auth", "use", "alice"]).await.assert(0, &["Using"]);
    assert_eq!(cli.run(&["auth", "token"]).await.assert(0, &[]).stdout, "token-of-alice\n");
    // To leave another than the chosen one changes nothing for that.
    login(&cli, url, &["--context", "bob"]).await.assert(0, &[]);
    let ended = cli.run(&["auth", "logout", "--context", "alice"]).await;
    assert!(!ended.assert(0, &[]).stderr.contains("chosen"), "{ended:?}");
    cli.run(&["auth", "token"]).await.assert(0, &[]);
}

/// A server with a certificate of its own.
async fn tls_server() -> (TlsServer, String) {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let chain = vec![certificate.der().clone()];
    let server = TlsServer::start(chain, &key, |_| (404, String::new())).await;
    (server, certificate.pem())
}

#[tokio::test]
async fn whom_one_does_not_reach_and_why_is_said_in_plain_words() {
    let plain = OAuth::start().await;
    let plain = plain.url().strip_prefix("http://").unwrap();
    let (server, pem) = tls_server().await;
    let tls = server.address.to_string();
    let nobody = format!("127.0.0.1:{}", free_port());
    for (scheme, host, reason, next) in [
        ("http", nobody.as_str(), "connection refused", "nothing listens there"),
        ("https", &nobody, "connection refused", "nothing listens there"),
        ("https", "nmp.invalid", "its name does not resolve (DNS)", "check the spelling"),
        ("https", &tls, "its certificate is not trusted here", "log in with --ca-file FILE"),
        ("https", plain, "it does not speak TLS", "for plain http, write http://"),
        ("http", &tls, "it does not answer plain http", "speaks TLS, write https://"),
    ] {
        let url = format!("{scheme}://{host}");
        let said = format!("error: cannot reach {host}: {reason}\n");
        for at in [vec![&*url], vec!["--issuer", &url, "--client-id", "nmp"]] {
            let ended = Cli::new().run(&[&["auth", "login"], &at[..]].concat()).await;
            ended.assert(1, &[&said, "\n  caused by: ", "\n  fix: ", next]);
        }
    }
    // doctor goes by the same classification, in the words of the configuration.
    for (scheme, host, check, remedy) in [
        ("http", nobody.as_str(), "fail discovery", "nothing listens there"),
        ("https", "nmp.invalid", "fail discovery", "the host name does not resolve"),
        ("https", &tls, "fail tls", "set this issuer's ca_file"),
        ("https", plain, "fail tls", "that port does not speak TLS"),
        ("http", &tls, "fail discovery", "if that port speaks TLS, write https://"),
    ] {
        let config = oidc(json!({"issuer": format!("{scheme}://{host}"), "client_id": "nmp"}));
        examine(&config, None).await.assert_only(check, remedy);
    }
    // The next step helps: what is left is that this server is no platform.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let url = server.url("");
    let trusting = ["auth", "login", &url, "--ca-file", file.to_str().unwrap()];
    let ended = Cli::new().run(&trusting).await;
    ended.assert(1, &["the platform does not say how to log in", "status 404"]);
}

#[tokio::test]
async fn a_host_without_a_scheme_is_https_and_on_this_machine_http() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({}))]);
    let port = provider.url().rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "nmp.localhost"] {
        let (cli, at) = (Cli::new(), format!("{host}:{port}"));
        login(&cli, &at, &[]).await.assert(0, &[&format!("at http://{at}")]);
        // Under the same words it is found again.
        cli.run(&["auth", "token", "--context", &at]).await.assert(0, &[]);
    }
    let (cli, issuer) = (Cli::new(), format!("127.0.0.1:{port}"));
    let straight = ["auth", "login", "--issuer", &issuer, "--client-id", "nmp"];
    let ended = cli.run(&[&straight[..], &PASSWORD].concat()).await;
    ended.assert(0, &[&format!("issuer   http://{issuer}")]);
    let environment = [("NMP_BASE_URL", issuer.as_str())];
    let anywhere = [&["auth", "login"], &PASSWORD[..]].concat();
    cli.run_with(&anywhere, &environment, "").await.assert(0, &["Logged in"]);

    // The same where an issuer is asked for a configuration.
    let (idp, dir) = (Idp::start([&*RSA]).await, tempfile::tempdir().unwrap());
    let file = dir.path().join("doorward.yaml");
    let host = idp.issuer().replace("http://", "");
    let init = ["init", "--issuer", &host, "--client-id", "nmp", "--out", file.to_str().unwrap()];
    cli.run(&init).await.assert(0, &[]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains(&format!("issuer: \"http://{host}\"")), "{written}");

    let ended = login(&Cli::new(), "nmp.invalid:8080/platform", &[]).await;
    ended.assert(1, &["cannot reach nmp.invalid:8080", "https://nmp.invalid:8080/platform/apis"]);
    let (server, _) = tls_server().await;
    let ended = login(&Cli::new(), &server.address.to_string(), &[]).await;
    ended.assert(1, &["it does not answer plain http", &format!("write {}", server.url(""))]);
}

#[tokio::test]
async fn one_switch_says_where_tokens_are_kept_for_every_verb() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({"refresh_token": "r"}))]);
    provider.say("/revoke", [Answer::Json(200, json!({}))]);
    let cli = Cli::new();
    login(&cli, provider.url(), &["--store", "file"]).await.assert(0, &["logins.json (mode 0600)"]);
    for verb in ["status", "token", "refresh", "logout"] {
        for (place, code) in [("attic", 2), ("file", 0)] {
            let flag = cli.run_with(&["auth", verb, "--store", place], &[], "").await;
            assert_eq!(flag.code, Some(code), "{flag:?}");
            if code == 2 {
                flag.assert(2, &["--store <auto|file|key-ring>", "attic"]);
                let environment = [("DOORWARD_CLI_STORE", place)];
                cli.run_with(&["auth", verb], &environment, "").await.assert(2, &["attic"]);
            }
        }
        let old = cli.run(&["auth", verb, "--key-ring", "off"]).await;
        old.assert(2, &["unexpected argument '--key-ring'"]);
    }
    // Verbs of other groups look at a login, too.
    let environment = [("DOORWARD_CLI_STORE", "attic")];
    let doctor = ["doctor", "--issuer", "http://127.0.0.1:1", "--logged-in"];
    let ended = cli.run_with(&doctor, &environment, "").await;
    ended.assert(2, &["DOORWARD_CLI_STORE is \"attic\"", "auto, file or key-ring"]);

    // A file that says that tokens are in the key ring, which is not to be used.
    login(&cli, provider.url(), &[]).await.assert(0, &[]);
    let text = std::fs::read_to_string(cli.logins()).unwrap();
    let mut kept: Value = serde_json::from_str(&text).unwrap();
    kept["logins"][provider.url()]["kept"] = json!({"key_ring": "entry"});
    std::fs::write(cli.logins(), kept.to_string()).unwrap();
    let ended = cli.run(&["auth", "token"]).await;
    ended.assert(1, &["the key ring is not used: `--store file`", "leave out `--store file`"]);
    cli.run(&["auth", "logout"]).await.assert(1, &["old tokens are still in the key ring"]);
}
