//! Handle → what it stands for, as modules hold handles; what they did wrong; and their log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::config::ConfigPeer;
use crate::stream::StreamPeer;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

/// What a handle stands for. Streams and configurations are owned by the host, schedulers by the module.
pub(crate) enum Peer {
    Stream(Weak<StreamPeer>),
    Config(Weak<ConfigPeer>),
    StreamScheduler(Weak<StreamPeer>),
    ConfigScheduler(Weak<ConfigPeer>),
}

struct Registry {
    /// By handle; none is used twice.
    peers: Option<HashMap<usize, Peer>>,
    next: usize,
    routes: usize,
    violations: Vec<Violation>,
    log: Vec<(u32, String)>,
}

/// Something that a module did and may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// What modules and the host have of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Configurations of filters.
    pub configs: usize,
    /// Requests under way.
    pub streams: usize,
    /// Schedulers that the module has not deleted yet.
    pub schedulers: usize,
    /// Configurations of routes.
    pub routes: usize,
}

impl Registry {
    const fn new() -> Self {
        Self { peers: None, next: 0, routes: 0, violations: Vec::new(), log: Vec::new() }
    }

    fn peers(&mut self) -> &mut HashMap<usize, Peer> {
        self.peers.get_or_insert_default()
    }
}

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle for this. No handle is an address that anything could be read from.
pub(crate) fn enter(peer: Peer) -> usize {
    let mut registry = registry();
    registry.next += 1;
    // In the first page, which no process has, for as long as there is room; odd, so that nothing
    // that wants to be aligned can be there afterwards either.
    let handle = registry.next * 2 + 1;
    registry.peers().insert(handle, peer);
    handle
}

/// The handle stands for nothing any more.
pub(crate) fn leave(handle: usize) -> Option<Peer> {
    registry().peers().remove(&handle)
}

pub(crate) fn stream(handle: usize, callback: &str) -> Option<Arc<StreamPeer>> {
    let found = match registry().peers().get(&handle) {
        Some(Peer::Stream(stream)) => stream.upgrade(),
        _ => None,
    };
    found.or_else(|| violation(format!("{callback}: {handle} is no stream that is under way")))
}

pub(crate) fn config(handle: usize, callback: &str) -> Option<Arc<ConfigPeer>> {
    let found = match registry().peers().get(&handle) {
        Some(Peer::Config(config)) => config.upgrade(),
        _ => None,
    };
    found.or_else(|| violation(format!("{callback}: {handle} is no configuration in force")))
}

/// The stream of a scheduler; `None` when it has ended, which is nobody's fault.
pub(crate) fn scheduled_stream(handle: usize) -> Option<Arc<StreamPeer>> {
    match registry().peers().get(&handle) {
        Some(Peer::StreamScheduler(stream)) => return stream.upgrade(),
        Some(Peer::Stream(_) | Peer::Config(_) | Peer::ConfigScheduler(_)) | None => {}
    }
    violation(format!("commit: {handle} is no scheduler of a stream"))
}

/// The configuration of a scheduler; `None` when it is gone, which is nobody's fault.
pub(crate) fn scheduled_config(handle: usize) -> Option<Weak<ConfigPeer>> {
    match registry().peers().get(&handle) {
        Some(Peer::ConfigScheduler(config)) => return Some(Weak::clone(config)),
        Some(Peer::Stream(_) | Peer::Config(_) | Peer::StreamScheduler(_)) | None => {}
    }
    violation(format!("commit: {handle} is no scheduler of a configuration"))
}

/// Takes note of what a module did wrong.
pub(crate) fn violation<T>(text: String) -> Option<T> {
    registry().violations.push(Violation(text));
    None
}

/// What modules of this process did wrong so far.
#[must_use]
pub fn violations() -> Vec<Violation> {
    registry().violations.clone()
}

/// What is there of each kind.
#[must_use]
pub fn live() -> Live {
    let mut registry = registry();
    let routes = registry.routes;
    let mut live = Live { configs: 0, streams: 0, schedulers: 0, routes };
    for peer in registry.peers().values() {
        match peer {
            Peer::Config(_) => live.configs += 1,
            Peer::Stream(_) => live.streams += 1,
            Peer::StreamScheduler(_) | Peer::ConfigScheduler(_) => live.schedulers += 1,
        }
    }
    live
}

pub(crate) fn route_is_new() {
    registry().routes += 1;
}

pub(crate) fn route_is_gone() {
    registry().routes -= 1;
}

pub(crate) fn log(level: u32, line: String) {
    registry().log.push((level, line));
}

/// How many lines modules have written to Envoy's log.
#[must_use]
pub fn logged() -> usize {
    registry().log.len()
}

/// The lines of Envoy's log from this one on, each with its level (0 trace to 5 critical).
#[must_use]
pub fn log_from(line: usize) -> Vec<(u32, String)> {
    registry().log.get(line..).unwrap_or_default().to_vec()
}
