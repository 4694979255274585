//! What `scripts/bench` drives. Each verb is one process of a measurement:
//!
//! - `floor`: a `Check` server that decides nothing, of the same tonic;
//! - `mint DIR TOKENS`: keys, really signed tokens and the requests that carry them;
//! - `fire …`: load over gRPC, where ghz cannot;
//! - `http …`: load over HTTP/1.1, on an Envoy;
//! - `soak …`: an Envoy with the module inside it, through listener updates (`scripts/soak-module`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod fire;
mod flags;
mod floor;
mod http;
mod mint;
mod soak;
mod spread;
mod stream;
#[path = "../../support/mod.rs"]
mod support;

use self::flags::Flags;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let flags = Flags::read(arguments);
    let runtime = match flags.given("runtime") {
        // `floor --runtime multi`: tokio's work-stealing runtime, on two threads.
        Some("multi") => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.unwrap();
    match verb.as_str() {
        "floor" => runtime.block_on(floor::serve(&flags)),
        "mint" => mint::write(flags.text("out").as_ref(), flags.number("tokens", 2000)),
        "fire" => {
            let local = tokio::task::LocalSet::new();
            println!("{}", local.block_on(&runtime, fire::fire(&flags)));
        }
        "http" => {
            let local = tokio::task::LocalSet::new();
            println!("{}", local.block_on(&runtime, http::fire(&flags)));
        }
        "soak" => {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, soak::soak(&flags));
        }
        other => panic!("no verb {other:?}: see the top of benches/rig/src/main.rs"),
    }
}
