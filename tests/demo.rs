//! `doorward demo`: a platform to log in to, with a screen whose lines do what they say, and
//! the way to a guarded service of one's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::browser::Browser;
use crate::support::check::get;
use crate::support::cli::Cli;
use crate::support::doorward::Doorward;
use crate::support::echo::{Echo, Echoed};
use crate::support::envoy::Envoy;
use crate::support::gateway::module_dir;
use crate::support::process::Process;
use crate::support::raw::{self, RawRequest, Reply};
use crate::support::{PATIENCE, eventually, http, tools};

/// How long everything may take to come up on a machine that runs other tests.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// A demonstration that runs, on free ports.
struct Demo {
    process: Process,
    screen: String,
}

impl Demo {
    async fn start(cli: &Cli, envoy: &Path, arguments: &[&str]) -> Self {
        Self::start_with(cli, envoy, arguments, &[]).await
    }

    async fn start_with(
        cli: &Cli,
        envoy: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let environment = [&[("DOORWARD_ENVOY", envoy.to_str().unwrap())], environment].concat();
        let arguments = [&["demo", "--port", "0"], arguments].concat();
        let mut process = cli.start_with(&arguments, &environment);
        let screen = eventually("the screen is there", UP_WITHIN, async || {
            process.assert_alive();
            let said = process.stderr();
            said.contains("demo --help").then_some(said)
        })
        .await;
        Self { process, screen }
    }

    /// Where a part runs, as the screen says.
    fn at(&self, part: &str) -> String {
        let line = self.screen.lines().find_map(|line| line.trim().strip_prefix(part));
        line.unwrap_or_else(|| panic!("{}", self.screen)).split_whitespace().next().unwrap().into()
    }

    /// The lines to paste, each with its continuation.
    fn pasted(&self) -> Vec<String> {
        let (_, tries) = self.screen.split_once("Try, in any order\n").unwrap();
        let (tries, _) = tries.split_once("\n\n").unwrap();
        let tries = tries.replace("\\\n", "\\\u{0}");
        let pasted = tries.lines().filter_map(|line| line.strip_prefix("    "));
        pasted.map(|line| line.replace('\u{0}', "\n")).collect()
    }

    /// Sends a request through its Envoy.
    async fn send(&self, request: RawRequest) -> Reply {
        request.send(address(&self.at("Envoy"))).await
    }

    async fn shows(&self, line: &str) {
        eventually(line, PATIENCE, async || self.process.stderr().contains(line).then_some(()))
            .await;
    }
}

/// It is asked to end, so that its Envoy ends with it; whoever kills it leaves that behind.
impl Drop for Demo {
    fn drop(&mut self) {
        if self.process.has_ended() {
            return;
        }
        self.process.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.process.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Shown with `--nocapture`.
fn told(what: &str, commands: usize, begun: Instant) {
    println!("{what}: {commands} commands, {:.1} s", begun.elapsed().as_secs_f32());
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn token_of(issuer: &str, user: &str) -> String {
    let answer = http().get(format!("{issuer}/dev/token/{user}")).send().await.unwrap();
    answer.text().await.unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn one_logs_in_through_its_envoy_by_a_browser() {
    let Some(envoy) = tools::tool("envoy").await else { return };
    let Some(browser) = Browser::start().await else { return };
    let cli = Cli::new();
    let begun = Instant::now();
    let demo = Demo::start(&cli, &envoy, &[]).await;
    let mut login = cli.start(&["auth", "login", &demo.at("Envoy")]);
    let page = eventually("the page is named", PATIENCE, async || {
        login.assert_alive();
        let said = login.stderr();
        let (_, page) = said.split_once("or open ")?;
        page.split_once(' ').map(|(page, _)| page.to_owned())
    })
    .await;
    browser.open(&page).await;
    browser.fill(&[], "[name=answer][value=approve]").await;
    assert_eq!(login.ended().await.code(), Some(0), "{}", login.stderr());
    assert!(login.stderr().contains("Logged in as alice"), "{}", login.stderr());

    let token = cli.run(&["auth", "token"]).await.assert(0, &[]).stdout.clone();
    let forged = raw::get("/hello").bearer(token.trim_end()).header("X-NMP-Principal-Id", "root");
    let seen = Echoed::of(&demo.send(forged).await);
    told("demo, a login by a browser, a request that passes", 3, begun);
    assert_eq!(seen.headers[0], ("x-nmp-principal-id".to_owned(), "alice".to_owned()));
    assert_eq!(seen.header("authorization").unwrap().split_once(' ').unwrap().0, "Bearer");
    assert!(seen.header("authorization").unwrap().ends_with(" characters)"), "{seen:?}");
    demo.shows("allowed 200 GET /hello  alice\n").await;
    demo.shows("open    200 GET /apis/auth/discovery ").await;

    assert_eq!(demo.send(raw::get("/hello")).await.status, 401);
    demo.shows("denied  401 GET /hello  missing_token\n").await;
    // The page that the screen names tells of both.
    browser.open(&demo.at("console")).await;
    browser.shows(&format!("[data-issuer='{}'].ok", demo.at("issuer")), "RS256").await;
    browser.shows("#denials tbody tr", "missing_token").await;
    browser.ask(&[("#token", token.trim_end()), ("#path", "/hello")], "#question button").await;
    browser.shows("#verdict", "allow: authenticated (200)").await;
    browser.quit().await;
    assert_eq!(demo.send(raw::get("/a%2Fb")).await.status, 400);
    // Envoy logs what it made of the path.
    demo.shows("refused 400 GET /a/b  by Envoy, Doorward was not asked").await;
    assert_eq!(demo.send(raw::lines(&["NONSENSE"])).await.status, 400);
    demo.shows("refused 400 - -  by Envoy, Doorward was not asked").await;
}

#[tokio::test]
async fn the_lines_on_the_screen_do_what_they_say_in_any_order() {
    let Some(envoy) = tools::tool("envoy").await else { return };
    let cli = Cli::new();
    let demo = Demo::start(&cli, &envoy, &[]).await;
    let pasted = demo.pasted();
    assert_eq!(pasted.len(), 5, "{}", demo.screen);
    for line in pasted.iter().rev() {
        // A person with a password in the environment, who need not click.
        let shell = Command::new("sh")
            .args(["-c", &format!("{line}\necho \"${{TOKEN-}}\"")])
            .env("NMP_OIDC_USERNAME", "alice")
            .env("NMP_OIDC_PASSWORD", "wonderland")
            .env("DOORWARD_CLI_STORE", "file")
            .env("XDG_CONFIG_HOME", cli.home())
            .env("HOME", cli.home())
            .env("NO_PROXY", "*")
            .output();
        let shell = shell.unwrap();
        let said = [shell.stdout, shell.stderr].map(|text| String::from_utf8(text).unwrap());
        let said = said.concat();
        let (part, absent) = match line.as_str() {
            login if login.contains("auth login") => ("Logged in as alice", "error"),
            token if token.starts_with("TOKEN=") => ("eyJ", "error"),
            forged if forged.contains("service:jobs") => ("\"/public/\"", "service:jobs"),
            allowed if allowed.contains("Bearer") => {
                ("[\"x-nmp-principal-id\",\"alice\"]", "eyJ0eXAiOiJ")
            }
            denied => {
                assert!(denied.starts_with("curl -i "), "{denied}");
                ("missing_token", "200 OK")
            }
        };
        assert!(said.contains(part) && !said.contains(absent), "{line}:\n{said}");
    }
}

#[tokio::test]
async fn a_service_of_ones_own_is_guarded() {
    let Some(envoy) = tools::tool("envoy").await else { return };
    let (cli, service) = (Cli::new(), Echo::start().await);
    // By its name, which has an address of version 6, too, that nobody listens on.
    let url = format!("http://localhost:{}", service.port());
    let begun = Instant::now();
    let demo = Demo::start(&cli, &envoy, &["--upstream", &url]).await;
    assert_eq!(demo.at("upstream"), url);
    assert_eq!(demo.send(raw::get("/v1")).await.status, 401);
    assert!(service.take().is_empty(), "asked without a token");
    let token = token_of(&demo.at("issuer"), "bob").await;
    let seen = Echoed::of(&demo.send(raw::get("/v1").bearer(&token)).await);
    told("demo --upstream, a request that passes", 2, begun);
    assert_eq!((seen.path.as_str(), seen.header("x-nmp-principal-id")), ("/v1", Some("bob")));
    assert_eq!(service.take().len(), 1);
}

/// The three commands from nothing to a guarded service of one's own.
#[tokio::test]
async fn what_it_writes_is_what_serve_and_envoy_run() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let (cli, service) = (Cli::new(), Echo::start().await);
    let dir = cli.home().join("guard");
    let upstream = format!("http://127.0.0.1:{}", service.port());
    let arguments = ["--issuer-only", "--upstream", &upstream, "--write", dir.to_str().unwrap()];
    let begun = Instant::now();
    let demo = Demo::start(&cli, &binary, &arguments).await;
    let path = |name| dir.join(name).to_str().unwrap().to_owned();
    let (doorward, envoy) = (path("doorward.yaml"), path("envoy.yaml"));
    for line in [format!("serve --config {doorward}"), format!("-c {envoy}")] {
        let screen = demo.screen.replace(" \\\n     ", "");
        assert!(screen.contains(&line), "{line}: {screen}");
    }

    let check = cli.run(&["config", "check", "--config", &doorward]).await;
    assert_eq!(check.assert(0, &[]).stdout, "", "{check:?}");
    assert_eq!(check.stderr, "ok: the configuration is valid (1 issuer)\n");
    let examined = cli.run(&["doctor", "--envoy", &envoy, "--config", &doorward]).await;
    assert!(examined.assert(0, &[]).stdout.contains("\nall is well, "), "{examined:?}");

    let mut serve = cli.start(&["serve", "--config", &doorward]);
    let gateway =
        Envoy::run(&binary, "envoy.yaml", &std::fs::read_to_string(&envoy).unwrap()).await;
    let token = token_of(&demo.at("issuer"), "alice").await;
    let reply = eventually("a request passes", UP_WITHIN, async || {
        serve.assert_alive();
        let reply = raw::get("/v1").bearer(&token).send(gateway.address()).await;
        // Until the server listens and has the keys.
        (reply.status != 503).then_some(reply)
    })
    .await;
    told("demo --write, serve, Envoy, a request that passes", 4, begun);
    assert_eq!(Echoed::of(&reply).header("x-nmp-principal-id"), Some("alice"));
    assert_eq!(raw::get("/v1").send(gateway.address()).await.status, 401);
    assert_eq!(service.take().len(), 1);
    let platform = format!("http://{}", gateway.address());
    let password = ["--username", "bob", "--password", "builder"];
    let login = cli.run(&[&["auth", "login", &*platform], &password[..]].concat()).await;
    login.assert(0, &["Logged in as bob"]);

    // What is there is left as it is.
    let before = std::fs::read_to_string(&doorward).unwrap();
    let environment = [("DOORWARD_ENVOY", binary.to_str().unwrap())];
    let again = [&["demo", "--port", "0"], &arguments[..]].concat();
    let again = cli.run_with(&again, &environment, "").await;
    again.assert(1, &["doorward.yaml exists", "`--write` never overwrites"]);
    assert_eq!(std::fs::read_to_string(&doorward).unwrap(), before);
}

#[tokio::test]
async fn the_issuer_alone_says_what_serve_needs() {
    let cli = Cli::new();
    let demo = Demo::start(&cli, Path::new("/nowhere/envoy"), &["--issuer-only"]).await;
    let (_, lines) = demo.screen.split_once("for the configuration of `serve`").unwrap();
    let lines = lines.lines().filter_map(|line| line.strip_prefix("    "));
    let doorward =
        Doorward::start(&lines.map(|line| format!("{line}\n")).collect::<String>()).await;
    doorward.ready().await;
    let token = token_of(&demo.at("issuer"), "alice").await;
    let outcome = doorward.ask(get("/v1/models").bearer(&token)).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"), "{outcome:?}");
}

#[tokio::test]
async fn once_says_what_the_readme_says() {
    let Some(envoy) = tools::tool("envoy").await else { return };
    let module = module_dir().join("libdoorward_envoy.so");
    for (more, module) in [(&[][..], "/nowhere"), (&["--inside"], module.to_str().unwrap())] {
        let environment =
            [("DOORWARD_ENVOY", envoy.to_str().unwrap()), ("DOORWARD_MODULE", module)];
        let arguments = [&["demo", "--once"], more].concat();
        let ended = Cli::new().run_with(&arguments, &environment, "").await;
        let said = &ended.assert(0, &[]).stdout;
        let url = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let said = said.replace(url, "http://127.0.0.1:10000/hello");
        let said: Vec<_> = said.lines().collect();
        assert!(tools::file("README.md").contains(&said.join("\n")), "{said:?}");
    }
    let ended = Cli::new();
    let ended = ended.run_with(&["demo", "--once", "--inside"], &[("DOORWARD_MODULE", "/n")], "");
    ended.await.assert(1, &["there is no libdoorward_envoy.so", "make module"]);
}

/// Without a server: whom to log in with is told by Envoy itself.
#[tokio::test]
async fn inside_envoy_one_logs_in_and_is_shown_what_becomes_of_requests() {
    let Some(envoy) = tools::tool("envoy").await else { return };
    let module = module_dir().join("libdoorward_envoy.so");
    let cli = Cli::new();
    let environment = [("DOORWARD_MODULE", module.to_str().unwrap())];
    let demo = Demo::start_with(&cli, &envoy, &["--inside"], &environment).await;
    assert!(demo.screen.contains("inside Envoy: "), "{}", demo.screen);
    assert!(!demo.screen.contains("console"), "{}", demo.screen);
    let gateway = demo.at("Envoy");
    let password = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
    cli.run_with(&["auth", "login", &gateway], &password, "").await.assert(0, &["as alice"]);
    let token = cli.run(&["auth", "token"]).await.assert(0, &[]).stdout.clone();
    let seen = Echoed::of(&demo.send(raw::get("/hello").bearer(token.trim_end())).await);
    assert_eq!(seen.header("x-nmp-principal-id"), Some("alice"));
    demo.shows("allowed 200 GET /hello  alice\n").await;
    demo.shows("open    200 GET /apis/auth/discovery ").await;
    assert_eq!(demo.send(raw::get("/hello")).await.status, 401);
    demo.shows("denied  401 GET /hello  missing_token\n").await;
}
