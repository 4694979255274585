//! A real Envoy with the module inside it, under a load of every kind of request while listeners are
//! updated and keys rotate: each answer is checked, and memory and threads are looked at.
//!
//!   --envoy PATH  --modules DIRECTORY  --workers 2  --requests 400000  --updates 20

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use doorward_dev::DevIssuer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::cases::Case;
use self::envoy::Envoy;
use super::flags::Flags;
use super::support::signer::Signer;

mod cases;
mod envoy;

/// Connections, each with one request at a time.
const CONNECTIONS: usize = 16;
/// What memory may grow by once all kinds of requests and updates were there: what is kept for
/// issuers, tokens and connections comes and goes.
const GROWTH_KIB: u64 = 8 * 1024;

/// What the load is, and what came of it.
struct Load {
    address: String,
    requests: u64,
    cases: RefCell<Rc<Vec<Case>>>,
    sent: Cell<u64>,
    /// Connections that Envoy closed while a request was on its way, which was sent again.
    again: Cell<u64>,
    wrong: RefCell<Vec<String>>,
    kinds: RefCell<BTreeMap<&'static str, u64>>,
    stop: Cell<bool>,
}

pub async fn soak(flags: &Flags) {
    let (workers, requests) = (flags.number("workers", 2), flags.number("requests", 400_000));
    let updates = flags.number("updates", 20);
    let started = Instant::now();
    let issuer = DevIssuer::start_with_faults().await.unwrap();
    let mut signers = [Signer::ed("key-0"), Signer::ed("key-1")];
    issuer.publish(&signers);
    let (binary, modules) = (flags.text("envoy"), flags.text("modules"));
    let envoy = Envoy::start(binary, modules, workers, &config(&issuer, 0)).await;
    let load = Rc::new(Load {
        address: envoy.address(),
        requests: requests as u64,
        cases: RefCell::new(Rc::new(cases::of(&issuer, &signers[1], 0))),
        sent: Cell::default(),
        again: Cell::default(),
        wrong: RefCell::default(),
        kinds: RefCell::default(),
        stop: Cell::default(),
    });
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| tokio::task::spawn_local(client(Rc::clone(&load), number)))
        .collect();
    let mut memory = Vec::new();
    for update in 1..=updates {
        let due = (requests * update / (updates + 1)) as u64;
        while load.sent.get() < due {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if update % 2 == 1 {
            // What comes next is signed with a key that nobody has heard of.
            let new = Signer::ed(&format!("key-{}", update + 1));
            let [_, old] = std::mem::replace(&mut signers, [Signer::ed("none"), new]);
            signers[0] = old;
            issuer.publish(&signers);
            load.cases.replace(Rc::new(cases::of(&issuer, &signers[1], update)));
        }
        if update % 5 == 4 {
            envoy.refuses(&json!({"auth": {"oidc": {"isuer": "a typo"}}})).await;
        }
        envoy.takes(&config(&issuer, update)).await;
        memory.push(envoy.memory_kib());
        let threads = envoy.threads_of_ours();
        assert_eq!(threads, 1, "threads of ours after update {update}");
    }
    while load.sent.get() < load.requests {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.stop.set(true);
    for client in clients {
        client.await.unwrap();
    }
    memory.push(envoy.memory_kib());
    envoy.has_no_listener().await;
    let idle = envoy.memory_kib();
    let wrong = load.wrong.take();
    println!(
        "{workers} workers: {} requests over {updates} updates in {:.0} s, {} sent again, {} wrong",
        load.sent.get(),
        started.elapsed().as_secs_f64(),
        load.again.get(),
        wrong.len()
    );
    println!("  {:?}", load.kinds.borrow());
    let mib: Vec<_> = memory.iter().map(|kib| kib / 1024).collect();
    println!(
        "  MiB after each update and at the end: {mib:?}; without the listener {}",
        idle / 1024
    );
    println!("  key fetches: {}; threads of ours left: 0", issuer.requests("/keys"));
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(10)]);
    // By then every kind of configuration was there.
    let settled = memory[memory.len() / 2];
    let end = memory[memory.len() - 1];
    assert!(end <= settled + GROWTH_KIB, "memory grows: {settled} KiB, and {end} at the end");
    envoy.ends().await;
}

/// What the module is configured with at this update: no two after each other are equal.
fn config(issuer: &DevIssuer, update: usize) -> Value {
    let claims = if update % 3 == 2 { json!({"X-Tenant": "tid"}) } else { json!({}) };
    json!({
        "auth": {"oidc": {"issuer": issuer.url(""), "client_id": "nmp"}},
        "keys": {"cool_down": "100ms"},
        "headers": {"claims": claims},
        "rules": {"bypass": ["/open/*", format!("/update-{update}")]},
        "cache": {"max_entries": 2000},
    })
}

async fn client(load: Rc<Load>, number: usize) {
    let mut connection = None;
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut turn = number * 7919;
    while !load.stop.get() {
        let cases = Rc::clone(&load.cases.borrow());
        // Step by a prime, so that every client comes to every case.
        turn += 104_729;
        let case = &cases[turn % cases.len()];
        let answer = loop {
            match ask(&load.address, &mut connection, &case.request, &mut buffer).await {
                Some(answer) => break answer,
                None => load.again.set(load.again.get() + 1),
            }
        };
        if let Err(found) = case.judge(&answer) {
            load.wrong.borrow_mut().push(format!("{}: {found}", case.kind));
        }
        load.sent.set(load.sent.get() + 1);
        *load.kinds.borrow_mut().entry(case.kind).or_default() += 1;
        if answer.to_ascii_lowercase().contains("\r\nconnection: close") {
            connection = None;
        }
    }
}

/// One answer with a `content-length`; `None`: the connection ended before.
async fn ask(
    address: &str,
    connection: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Option<String> {
    if connection.is_none() {
        let new = TcpStream::connect(address).await.ok()?;
        new.set_nodelay(true).ok()?;
        *connection = Some(new);
    }
    let answer = exchange(connection.as_mut()?, request, buffer).await;
    if answer.is_none() {
        *connection = None;
    }
    answer
}

async fn exchange(
    connection: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Option<String> {
    connection.write_all(request).await.ok()?;
    buffer.clear();
    let mut needed = None;
    loop {
        if connection.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        if needed.is_none()
            && let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            needed = Some(end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap()));
        }
        if needed.is_some_and(|needed| buffer.len() >= needed) {
            return Some(String::from_utf8_lossy(buffer).into_owned());
        }
    }
}

/// A directory that nobody else has.
fn scratch() -> PathBuf {
    let path = std::env::temp_dir().join(format!("doorward-soak-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
