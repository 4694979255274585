//! `doorward auth` from login to logout, against a development issuer behind a Doorward.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use doorward_dev::{DevIssuer, DevIssuerOptions};
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::cli::{Cli, Ended};
use crate::support::doorward::Doorward;
use crate::support::oauth::{OAuth, refusal, tokens};
use crate::support::{PATIENCE, eventually, http, tools};

struct Issuer(DevIssuer);

impl Issuer {
    /// Access tokens live so long.
    async fn start(lifetime: Duration) -> Self {
        let options = DevIssuerOptions {
            access_token_lifetime: lifetime,
            device_interval: Duration::from_secs(1),
            ..DevIssuerOptions::default()
        };
        Self(DevIssuer::start("127.0.0.1:0".parse().unwrap(), options).await.unwrap())
    }

    fn url(&self) -> &str {
        self.0.issuer_url()
    }

    async fn stop(&mut self) {
        self.0.stop().await;
    }

    /// A Doorward that believes it.
    async fn doorward(&self) -> Doorward {
        let config = json!({"auth": {"oidc": {
            "issuer": self.url(), "client_id": self.0.client_id(),
            "audience": self.0.audience(),
        }}});
        let doorward = Doorward::start(&config.to_string()).await;
        doorward.ready().await;
        doorward
    }

    async fn login(&self, cli: &Cli, base_url: &str) -> Ended {
        let arguments = ["auth", "login", base_url];
        let password = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
        cli.run_with(&arguments, &password, "").await
    }
}

async fn token(cli: &Cli) -> String {
    let ended = cli.run(&["auth", "token"]).await;
    ended.assert(0, &[]);
    assert_eq!(ended.stdout.matches('\n').count(), 1, "one line: {ended:?}");
    ended.stdout.trim_end().to_owned()
}

fn kept(cli: &Cli) -> Value {
    serde_json::from_slice(&std::fs::read(cli.logins()).unwrap()).unwrap()
}

/// The screens in docs/login.md are those of this run, but for addresses, code and place.
fn as_in_the_page(said: &str, addresses: &[(&str, u16)], code: &str) {
    let mut said = said.replace(code, "LLGT-JKBL");
    for (address, port) in addresses {
        said = said.replace(address, &format!("http://127.0.0.1:{port}"));
    }
    let page = tools::file("docs/login.md");
    let (_, section) = page.split_once("## Log in\n").unwrap();
    let screens: Vec<_> = section.split("```").skip(1).step_by(2).take(2).collect();
    let lines: Vec<_> = screens.iter().flat_map(|screen| screen.lines().skip(1)).collect();
    let lines = lines.iter().filter(|line| !line.starts_with(['$', '⠤']));
    let mut compared = 0;
    for line in lines.map(|line| line.replace("  expiry   in 1h", "").replace("the key ring", "")) {
        assert!(said.contains(&line), "{line:?} of docs/login.md is not in\n{said}");
        compared += 1;
    }
    assert_eq!(compared, 11, "{screens:?}");
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_device_login_from_code_to_logout() {
    let issuer = Issuer::start(HOUR).await;
    let doorward = issuer.doorward().await;
    let (cli, base_url) = (Cli::new(), doorward.http(""));
    let mut login = cli.start(&["auth", "login", &base_url]);
    let page = eventually("the URL is shown", PATIENCE, async || {
        login.assert_alive();
        let said = login.stderr();
        let (_, after) = said.split_once("or open ")?;
        Some(after.split_whitespace().next()?.to_owned())
    })
    .await;
    let code = page.split_once("user_code=").unwrap().1.to_owned();
    assert!(login.stderr().contains(&format!("enter the code {code}")), "{}", login.stderr());
    let form = [("user_code", &*code), ("user", "alice"), ("answer", "approve")];
    let answer = http().post(format!("{}/device", issuer.url())).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(login.ended().await.code(), Some(0), "{}", login.stderr());
    assert_eq!(login.stdout(), "");
    assert!(login.stderr().contains("Logged in as alice (alice@example.com)"));

    as_in_the_page(&login.stderr(), &[(&base_url, 8181), (issuer.url(), 9180)], &code);

    // The file is its owner's alone, and the token works.
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cli.logins()), mode(cli.logins().parent().unwrap())), (0o600, 0o700));
    let first = token(&cli).await;
    let outcome = doorward.ask(get("/v1/models").bearer(&first)).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"), "{outcome:?}");
    assert_eq!(token(&cli).await, first, "not refreshed without need");
    let status = cli.status().await;
    assert_eq!(status[0]["subject"], "alice");
    assert_eq!(status[0]["current"], true);
    assert_eq!(status[0]["kept_in"], "file");
    assert_eq!(status[0]["scopes"], json!(["openid", "profile", "email", "offline_access"]));
    let ended = cli.run(&["auth", "status"]).await;
    assert!(ended.stdout.contains("who      alice (alice@example.com)"), "{ended:?}");

    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
    let second = token(&cli).await;
    assert_ne!(second, first);

    // Logging out revokes: neither token is worth anything at the issuer.
    let login = &kept(&cli)["logins"][&base_url];
    let refresh_token = login["kept"]["file"]["refresh_token"].as_str().unwrap().to_owned();
    cli.run(&["auth", "logout"]).await.assert(0, &["revoked and deleted"]);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh_token),
        ("client_id", "doorward"),
    ];
    let answer = http().post(format!("{}/token", issuer.url())).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let userinfo = http().get(format!("{}/userinfo", issuer.url())).bearer_auth(&second);
    assert_eq!(userinfo.send().await.unwrap().status(), 401);
    let text = std::fs::read_to_string(cli.logins()).unwrap();
    assert!(!text.contains(&second) && !text.contains(&refresh_token), "{text}");
    cli.run(&["auth", "status"]).await.assert(1, &["not logged in", "doorward auth login"]);
}

#[tokio::test]
async fn passwords_come_from_where_one_says_and_nobody_is_asked_in_a_pipe() {
    let issuer = Issuer::start(HOUR).await;
    let at = ["auth", "login", "--issuer", issuer.url(), "--client-id", "doorward"];
    let run = async |more: &[&str], environment: &[(&str, &str)], stdin: &str| {
        Cli::new().run_with(&[&at[..], more].concat(), environment, stdin).await
    };
    let bypass = "bypasses multi-factor authentication";
    let stdin = run(&["--username", "alice", "--password-stdin"], &[], "wonderland\r\n").await;
    stdin.assert(0, &[bypass, "Logged in as alice"]);
    let flags = run(&["--username", "alice", "--password", "wonderland"], &[], "").await;
    flags.assert(0, &[bypass, "process list"]);
    let environment = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
    run(&[], &environment, "").await.assert(0, &[bypass]);
    let wrong = run(&["--username", "alice", "--password", "x"], &[], "").await;
    wrong.assert(1, &["invalid_grant", "check user name and password"]);
    for (more, stdin, part) in [
        (&["--username", "alice"][..], "", "--password-stdin or NMP_OIDC_PASSWORD"),
        (&["--password", "x"], "", "name the user with --username"),
        (&["--username", "alice", "--password-stdin"], "\n", "no password"),
    ] {
        let ended = run(more, &[], stdin).await;
        ended.assert(2, &[part]);
        assert!(!ended.stderr.contains("wonderland"));
    }
    // What is in the environment is not shown by --help.
    let help = Cli::new().run_with(&["auth", "login", "--help"], &environment, "").await;
    assert!(!help.stdout.contains("wonderland"), "{}", help.stdout);
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_what_to_write() {
    let cli = Cli::new();
    for (arguments, part) in [
        (&["auth", "login"][..], "doorward auth login BASE_URL"),
        (&["auth", "login", "--issuer", "http://127.0.0.1:1"], "--client-id"),
        (&["auth", "login", "--issuer", "ftp://x", "--client-id", "y"], "not an http or https URL"),
        (&["auth", "login", "http://127.0.0.1:1", "--ca-file", "/nowhere"], "--ca-file"),
        (&["auth", "frobnicate"], "Usage"),
        (&["auth"], "Usage"),
    ] {
        cli.run(arguments).await.assert(2, &[part]);
    }
    cli.run(&["auth", "token"]).await.assert(1, &["not logged in", "doorward auth login"]);
    cli.run(&["auth", "login", "http://127.0.0.1:1"]).await.assert(1, &["refused", "fix:"]);
}

#[tokio::test]
async fn ten_at_once_with_an_expired_token_make_one_refresh() {
    let provider = OAuth::start().await;
    let answer = |name: &str, life: u64| {
        let refresh_token = format!("refresh-{name}");
        tokens(json!({"access_token": name, "expires_in": life, "refresh_token": refresh_token}))
    };
    provider.say("/token", [answer("one", 1), answer("two", 3600), answer("three", 3600)]);
    let cli = Cli::new();
    let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
    cli.run(&login).await.assert(0, &[]);
    eventually("the token expires", PATIENCE, async || {
        (cli.status().await[0]["holds"] == false).then_some(())
    })
    .await;
    let mut asking: Vec<_> = (0..10).map(|_| cli.start(&["auth", "token"])).collect();
    for process in &mut asking {
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.stderr());
        assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("two\n", ""));
    }
    let asked = provider.asked("/token");
    assert_eq!(asked.len(), 2, "the login and one refresh");
    assert_eq!(asked[1].form["refresh_token"], "refresh-one");
    // The rotated refresh token is the one that is used next.
    cli.run(&["auth", "refresh"]).await.assert(0, &[]);
    assert_eq!(provider.asked("/token")[2].form["refresh_token"], "refresh-two");
}

#[tokio::test]
async fn a_refresh_that_is_refused_says_to_log_in_again() {
    let provider = OAuth::start().await;
    let short = tokens(json!({"expires_in": 1, "refresh_token": "r"}));
    provider.say("/token", [short, refusal("invalid_grant", "session ended")]);
    let cli = Cli::new();
    let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
    cli.run(&login).await.assert(0, &[]);
    let refused = ["refused the refresh: invalid_grant: session ended", "doorward auth login"];
    eventually("the token has ended", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        (ended.code == Some(1)).then(|| assert_eq!(ended.assert(1, &refused).stdout, ""))
    })
    .await;
    // Refused or not, the login is still there to see and to leave.
    assert_eq!(cli.status().await.as_array().unwrap().len(), 1);
}

/// With the provider out of reach a token is printed for as long as it holds.
#[tokio::test]
async fn an_outage_costs_nothing_until_the_token_ends() {
    let mut issuer = Issuer::start(Duration::from_secs(8)).await;
    let cli = Cli::new();
    let at = ["auth", "login", "--issuer", issuer.url(), "--client-id", "doorward"];
    let password = ["--username", "alice", "--password", "wonderland"];
    cli.run(&[&at[..], &password].concat()).await.assert(0, &[]);
    let first = token(&cli).await;
    issuer.stop().await;
    eventually("the token is near its end", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        ended.assert(0, &[]);
        assert_eq!(ended.stdout.trim_end(), first);
        ended.stderr.contains("was not refreshed, but is still valid").then_some(())
    })
    .await;
    let refused = ["cannot reach 127.0.0.1:", ": connection refused", "nothing listens there"];
    cli.run(&["auth", "refresh"]).await.assert(1, &refused);
    eventually("the token has ended", PATIENCE, async || {
        let ended = cli.run(&["auth", "token"]).await;
        (ended.code == Some(1)).then(|| ended.assert(1, &refused).stdout.len())
    })
    .await;
}

#[tokio::test]
async fn several_logins_are_kept_apart() {
    let (one, two) = (Issuer::start(HOUR).await, Issuer::start(HOUR).await);
    let doorward = one.doorward().await;
    let (cli, base_url) = (Cli::new(), doorward.http("/"));
    let password = ["--username", "bob", "--password", "builder"];
    let at_two = ["auth", "login", "--issuer", two.url(), "--client-id", "doorward"];
    one.login(&cli, &base_url).await.assert(0, &[]);
    cli.run(&[&at_two[..], &password, &["--context", "two"]].concat()).await.assert(0, &[]);

    let status = cli.status().await;
    let seen: Vec<_> = status.as_array().unwrap().iter().collect();
    let names: Vec<_> = seen.iter().map(|login| login["context"].as_str().unwrap()).collect();
    assert_eq!(names, [base_url.trim_end_matches('/'), "two"]);
    assert_eq!((&seen[0]["current"], &seen[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!((&seen[0]["subject"], &seen[1]["subject"]), (&json!("alice"), &json!("bob")));
    let current = token(&cli).await;
    let other = cli.run(&["auth", "token", "--context", &base_url]).await;
    assert_ne!(other.assert(0, &[]).stdout.trim_end(), current);
    cli.run(&["auth", "token", "--context", "three"]).await.assert(1, &["three", "two"]);

    // The platform of the environment stands back behind a login that is named.
    let two_again = [&["auth", "login", "--context", "two"][..], &password].concat();
    let environment = [("NMP_BASE_URL", base_url.as_str())];
    cli.run_with(&two_again, &environment, "").await.assert(0, &["at two", two.url()]);
    // Logging in again without a word is at the current one.
    cli.run(&[&["auth", "login"][..], &password].concat()).await.assert(0, &["Logged in as bob"]);
    assert_eq!(cli.status().await.as_array().unwrap().len(), 2);
    cli.run(&["auth", "logout"]).await.assert(0, &["at two"]);
    // The only one left may be somebody else's: nobody is meant until one is chosen.
    let ended = cli.run(&["auth", "token"]).await;
    assert_eq!(ended.assert(1, &["no login is chosen", "auth use NAME"]).stdout, "");
    cli.run(&["auth", "use", &base_url]).await.assert(0, &["as alice (alice@example.com)"]);
    assert_eq!(token(&cli).await, other.stdout.trim_end());
    cli.run(&["auth", "logout", "--all"]).await.assert(0, &["Logged out"]);
    cli.run(&["auth", "logout", "--all"]).await.assert(0, &["Not logged in"]);
}

#[tokio::test]
async fn a_file_that_is_broken_stays_as_it_is_and_one_that_is_open_is_closed() {
    let issuer = Issuer::start(HOUR).await;
    let cli = Cli::new();
    let login = ["auth", "login", "--issuer", issuer.url(), "--client-id", "doorward"];
    let password = ["--username", "alice", "--password", "wonderland"];
    let login = [&login[..], &password].concat();
    cli.run(&login).await.assert(0, &[]);
    std::fs::set_permissions(cli.logins(), std::fs::Permissions::from_mode(0o644)).unwrap();
    cli.run(&["auth", "token"]).await.assert(0, &["readable by other users"]);
    assert_eq!(cli.logins().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    cli.run(&["auth", "token"]).await.assert(0, &[""]);

    let broken = "{\"version\": 1, \"logins\":";
    std::fs::write(cli.logins(), broken).unwrap();
    for arguments in [&login[..], &["auth", "token"], &["auth", "status"], &["auth", "logout"]] {
        let ended = cli.run(arguments).await;
        ended.assert(1, &["is not a logins file", "nothing was changed", "caused by: "]);
        assert_eq!(std::fs::read_to_string(cli.logins()).unwrap(), broken);
    }

    // A place where nothing can be kept is found before anybody logs in.
    let directory = cli.logins().parent().unwrap().to_owned();
    std::fs::remove_dir_all(&directory).unwrap();
    std::fs::write(&directory, "").unwrap();
    let ended = cli.run(&login).await;
    ended.assert(1, &["cannot use", "caused by: ", "fix: "]);
    assert!(!ended.stderr.contains("bypasses"), "{ended:?}");
}

/// What `nemo auth login --unsigned-token` does, for whoever knows that one.
#[tokio::test]
async fn a_token_that_nobody_signed_is_one_of_the_same_words_as_nemos() {
    let cli = Cli::new();
    let login = ["auth", "login", "--base-url", "http://127.0.0.1:9", "--unsigned-token"];
    cli.run(&login).await.assert(2, &["--email"]);
    let who = ["--email", "dev@example.com", "--group", "a", "--group", "b", "--expires-in", "600"];
    cli.run(&[&login[..], &who].concat()).await.assert(0, &["dev@example.com"]);
    let ended = cli.run(&["auth", "token", "--decode"]).await;
    ended.assert(0, &[]);
    let claims: Value = serde_json::from_str(&ended.stdout).unwrap();
    for name in ["sub", "email"] {
        assert_eq!(claims[name], "dev@example.com", "{claims}");
    }
    assert_eq!(claims["groups"], json!(["a", "b"]));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
    assert!(token(&cli).await.ends_with('.'), "nobody signed it");
    cli.run(&["auth", "refresh"]).await.assert(1, &["cannot be refreshed"]);
    cli.run(&["auth", "logout"]).await.assert(0, &[]);
    // Elsewhere such a token is good for nothing, and that is said.
    let elsewhere =
        ["auth", "login", "https://nmp.example", "--unsigned-token", "--email", "a@b.c"];
    cli.run(&elsewhere).await.assert(0, &["no server that others can reach"]);
    cli.run(&["auth", "login", "http://127.0.0.1:9", "--email", "a@b.c"]).await.assert(2, &[]);
}
