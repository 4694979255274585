//! The console's listener: on unless it is switched off, in nobody's way, and no burden to those
//! who ask for decisions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::check::{Checker, get};
use crate::support::console::{config, state};
use crate::support::doorward::Doorward;
use crate::support::idp::Idp;
use crate::support::served::{FREE_PORTS, Served, listening, serve};
use crate::support::signer::RSA;
use crate::support::{PATIENCE, eventually, http, tls};

/// What was bound for those who show certificates never becomes everybody's by a reload, and what
/// listened on loopback keeps to the names of this machine.
#[tokio::test]
async fn a_reload_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    tls::certificates(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let idp = Idp::start([&*RSA]).await;
    let with = |console: Value| {
        let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
        config["server"]["console"] = console;
        config.to_string()
    };
    let tls =
        json!({"cert": file("server.pem"), "key": file("server.key"), "client_ca": file("ca.pem")});
    let guarded = with(json!({"enabled": true, "tls": tls}));
    let doorward = Doorward::start(&guarded).await;
    for console in [
        json!({"enabled": true}),
        json!({"enabled": true, "tls": {"cert": file("server.pem"), "key": file("server.key")}}),
        json!({"enabled": false}),
    ] {
        doorward.reload(&with(console.clone())).await;
        let host = doorward.console_address();
        for url in [format!("http://{host}/api/state"), format!("https://{host}/api/state")] {
            let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
            let told = client.build().unwrap().get(&url).send().await;
            assert!(told.is_err(), "{console}, {url}: {told:?}");
        }
    }
}

/// What the page shows of a flood is bounded.
#[tokio::test]
async fn a_flood_of_denials_is_a_hundred_lines() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let mut checker = doorward.checker().await;
    for number in 0..3000 {
        let path = format!("/{number}/{}", "long".repeat(500));
        assert_eq!(checker.ask(get(&path)).await.status, 401);
    }
    let told = state(&doorward).await;
    let denials = told["denials"].as_array().unwrap();
    assert!((1..=100).contains(&denials.len()), "{}", denials.len());
    assert!(told.to_string().len() < 200_000, "{}", told.to_string().len());
    // The counters are looked at every ten seconds.
    eventually("the flood is counted", PATIENCE, async || {
        let told = state(&doorward).await;
        (told["decisions"]["minutes"]["decisions"]["missing_token"] == 3000).then_some(())
    })
    .await;
}

/// What stays as it was is said.
#[tokio::test]
async fn a_reload_says_what_of_it_counts_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    tls::certificates(dir.path());
    let file = dir.path().join("doorward.yaml");
    let write = |console: &str| {
        let ports = FREE_PORTS.replace("  console: { listen: 127.0.0.1:0 }\n", "");
        std::fs::write(&file, format!("auth: {{ enabled: false }}\n{ports}{console}\n")).unwrap();
    };
    let [cert, key] = ["server.pem", "server.key"].map(|name| dir.path().join(name));
    let (cert, key) = (cert.display(), key.display());
    write("  console: { listen: 127.0.0.1:0 }");
    let mut process = serve(&[&file], &[]);
    listening(&mut process).await;
    for (console, keys) in [
        (
            format!("  console: {{ listen: 127.0.0.1:0, tls: {{ cert: {cert}, key: {key} }} }}"),
            "\"server.console.tls\"",
        ),
        ("  console: { listen: 127.0.0.1:1 }".to_owned(), "\"server.console.listen\""),
        ("  console: { enabled: false }".to_owned(), "\"server.console.enabled\""),
    ] {
        write(&console);
        process.signal("HUP");
        eventually(keys, PATIENCE, async || {
            let said = process.stderr();
            let mut lines = said.lines().filter(|line| line.contains("after a restart only"));
            lines.any(|line| line.contains(keys)).then_some(())
        })
        .await;
    }
}

/// Whoever says nothing of it has one.
#[tokio::test]
async fn it_is_on_unless_it_is_switched_off() {
    let idp = Idp::start([&*RSA]).await;
    assert!(!config(&idp).contains("console"));
    let doorward = Doorward::start(&config(&idp)).await;
    let page = http().get(doorward.console("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("Explain a decision"));

    let off = json!({"auth": {"enabled": false}, "server": {"console": {"enabled": false}}});
    let mut served = Served::start(&off).await;
    let said = served.process().stderr();
    assert_eq!(served.at.console, None, "{said}");
}

/// A port that is taken by another server of this machine costs the page that nobody asked for,
/// and no more. Who asked for one is told that there is none.
#[tokio::test]
async fn a_port_that_is_taken_costs_only_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (file, ports) = (
        dir.path().join("doorward.yaml"),
        FREE_PORTS.replace("  console: { listen: 127.0.0.1:0 }\n", ""),
    );
    assert!(!ports.contains("console"));
    std::fs::write(&file, format!("auth: {{ enabled: false }}\n{ports}")).unwrap();
    // Unless somebody else has it, which is as good.
    let _taken = std::net::TcpListener::bind("127.0.0.1:9193");

    let mut process = serve(&[&file], &[]);
    let at = listening(&mut process).await;
    assert_eq!(at.console, None);
    assert_eq!(
        http().get(format!("http://{}/health/live", at.admin)).send().await.unwrap().status(),
        200
    );
    let said = process.stderr();
    let warned: Vec<_> = said
        .lines()
        .filter(|line| line.contains("console"))
        .filter(|line| line.contains("WARN"))
        .collect();
    assert_eq!(warned.len(), 1, "{said}");
    for part in [
        "cannot listen on 127.0.0.1:9193",
        "`server.console.listen`",
        "`server.console.enabled: false`",
    ] {
        assert!(warned[0].contains(part), "{part}: {}", warned[0]);
    }
    // Nobody looks, and nothing is kept for them; a reload is no reason to complain again.
    process.signal("HUP");
    eventually("it has reloaded", PATIENCE, async || {
        process.stderr().contains("configuration reloaded").then_some(())
    })
    .await;
    assert_eq!(
        process.stderr().matches("take effect after a restart").count(),
        0,
        "{}",
        process.stderr()
    );

    for asked in [
        ("DOORWARD_SERVER__CONSOLE__ENABLED", "true"),
        ("DOORWARD_SERVER__CONSOLE__LISTEN", "127.0.0.1:9193"),
    ] {
        let mut process = serve(&[&file], &[asked]);
        assert_eq!(process.ended().await.code(), Some(1), "{asked:?}");
        let said = process.stderr();
        assert!(said.contains("cannot listen on 127.0.0.1:9193: the address is in use"), "{said}");
    }
}

/// No browser speaks HTTP/2 to a port without TLS, and with it is offered HTTP/1.1.
#[tokio::test]
async fn http_2_is_not_spoken() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    let mut stream = TcpStream::connect(doorward.console_address()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection stays");
    assert!(answer.is_empty(), "{answer:?}");
}

/// What is asked of the page is answered by a thread that does nothing else: no decision waits for
/// it, and no probe.
#[tokio::test]
async fn a_flood_of_looks_is_a_burden_to_nobody_else() {
    let idp = Idp::start([&*RSA]).await;
    let config = json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}});
    let mut served = Served::start(&config).await;
    let console = served.at.console.clone().unwrap();
    let looks = (0..20).map(|_| {
        let url = format!("http://{console}/api/state");
        tokio::spawn(async move {
            let client = http();
            for _ in 0..1000 {
                let looked = client.get(&url).send().await.unwrap();
                assert_eq!(looked.status(), 200);
                looked.bytes().await.unwrap();
            }
        })
    });
    let looks: Vec<_> = looks.collect();
    let mut checker = Checker::connect(&served.at.grpc).await;
    let (client, ready) = (http(), format!("http://{}/health/ready", served.at.admin));
    let mut slowest = Duration::ZERO;
    while !looks.iter().all(tokio::task::JoinHandle::is_finished) {
        let begun = Instant::now();
        assert_eq!(checker.ask(get("/")).await.reason, "missing_token");
        assert_eq!(client.get(&ready).send().await.unwrap().status(), 200);
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for look in looks {
        look.await.unwrap();
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let threads = cpu_of_threads(served.process().id());
    let others = threads.iter().filter(|(name, _)| name != "console").map(|(_, spent)| spent).max();
    let console = threads.iter().find(|(name, _)| name == "console").unwrap().1;
    assert!(console > 2 * others.unwrap(), "{threads:?}");
}

/// The threads of a process by name, and the nanoseconds that each has run.
fn cpu_of_threads(process: u32) -> Vec<(String, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let told = |thread: std::fs::DirEntry| {
        let spent = read(thread.path().join("schedstat"));
        let spent = spent.split_whitespace().next().unwrap().parse().unwrap();
        (read(thread.path().join("comm")).trim().to_owned(), spent)
    };
    threads.map(|thread| told(thread.unwrap())).collect()
}
