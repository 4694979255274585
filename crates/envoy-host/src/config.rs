//! Configurations of filters and of routes, as Envoy makes them of what it is configured with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::abi::ModulePointer;
use crate::callbacks;
use crate::hooks;
use crate::main_thread::MainThread;
use crate::registry::{self, Peer, enter, leave, log_from, logged};
use crate::statistics::Statistics;
use crate::stream::{Reply, Request, Stream};

/// How long a module may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration in force. It goes when nobody has it and the last of its streams has ended.
#[derive(Clone)]
pub struct Config(Arc<ConfigPeer>);

/// What the handle of a configuration stands for.
pub(crate) struct ConfigPeer {
    handle: usize,
    /// What the module made of it.
    module: OnceLock<ModulePointer>,
    clusters: HashMap<String, Cluster>,
    statistics: Mutex<Statistics>,
    main: Arc<MainThread>,
    calls: Mutex<u64>,
    told: AtomicU64,
}

/// Answers what a module asks a cluster for; `None`: the connection is reset.
pub type Cluster = Arc<dyn Fn(Call) -> Option<Called> + Send + Sync>;

/// What a module asks a cluster for.
#[derive(Clone, Debug)]
pub struct Call {
    /// Pseudo headers included.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it waits.
    pub timeout: Duration,
}

/// What a cluster answers.
#[derive(Clone, Debug)]
pub struct Called {
    /// `:status` included.
    pub headers: Vec<(String, String)>,
    /// The body, as it came in.
    pub chunks: Vec<Vec<u8>>,
}

/// The module took no configuration of what it was given.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What was written to the log meanwhile.
    pub log: Vec<String>,
}

impl Config {
    /// Puts `config` to work: what Envoy hands over of `filter_config`.
    ///
    /// # Errors
    /// The module refuses it.
    pub fn new(config: &str) -> Result<Self, Refused> {
        Self::with_clusters(config, HashMap::new())
    }

    /// The same in an Envoy that has these clusters.
    ///
    /// # Errors
    /// The module refuses it.
    pub fn with_clusters(
        config: &str,
        clusters: HashMap<String, Cluster>,
    ) -> Result<Self, Refused> {
        Self::made(config, clusters, false)
    }

    /// What `envoy --mode validate` does with it.
    ///
    /// # Errors
    /// The module refuses it.
    pub fn validate(config: &str) -> Result<(), Refused> {
        Self::made(config, HashMap::new(), true).map(drop)
    }

    fn made(
        config: &str,
        clusters: HashMap<String, Cluster>,
        validation: bool,
    ) -> Result<Self, Refused> {
        let main = MainThread::current();
        let bytes = config.to_owned();
        main.run({
            let main = Arc::clone(&main);
            move || {
                let before = logged();
                let peer = Arc::new_cyclic(|weak| ConfigPeer {
                    handle: enter(Peer::Config(weak.clone())),
                    module: OnceLock::new(),
                    clusters,
                    statistics: Mutex::default(),
                    main,
                    calls: Mutex::new(0),
                    told: AtomicU64::new(0),
                });
                callbacks::set_validation(validation);
                let made = hooks::config_new(peer.handle, "doorward", bytes.as_bytes());
                callbacks::set_validation(false);
                peer.statistics().freeze();
                match made {
                    Some(module) => {
                        let _ = peer.module.set(module);
                        Ok(Self(peer))
                    }
                    None => Err(refused(before)),
                }
            }
        })
    }

    /// Sends a request, and waits for what becomes of it.
    #[must_use]
    pub fn send(&self, request: Request) -> Reply {
        let mut stream = self.begin(request);
        assert!(stream.wait(PATIENCE), "neither let on nor answered: {stream:?}");
        stream.end()
    }

    /// Sends a request. Its stream belongs to the thread that calls this, as to a worker of Envoy's.
    #[must_use]
    pub fn begin(&self, request: Request) -> Stream {
        Stream::begin(Arc::clone(&self.0), request)
    }

    /// How often the module has had the main thread come to this configuration.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.0.told.load(Ordering::Relaxed)
    }
}

fn refused(logged_before: usize) -> Refused {
    Refused { log: log_from(logged_before).into_iter().map(|(_, line)| line).collect() }
}

impl ConfigPeer {
    pub(crate) fn module(&self) -> Option<ModulePointer> {
        self.module.get().copied()
    }

    pub(crate) fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scheduler of the module's wants its hook called, on the main thread.
    pub(crate) fn schedule(self: &Arc<Self>, event: u64) {
        let config = Arc::downgrade(self);
        self.main.post(move || {
            if let Some(config) = config.upgrade()
                && let Some(module) = config.module()
            {
                hooks::config_scheduled(config.handle, module, event);
                config.told.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Calls a cluster; its answer comes by a hook, on the main thread. The number of the call, or
    /// `envoy_dynamic_module_type_http_callout_init_result`.
    pub(crate) fn call(self: &Arc<Self>, cluster: &str, call: Call) -> Result<u64, u32> {
        const MISSING_REQUIRED_HEADERS: u32 = 1;
        const CLUSTER_NOT_FOUND: u32 = 2;
        for required in [&[":method"][..], &[":path"], &["host", ":authority"]] {
            if !call.headers.iter().any(|(name, _)| required.contains(&name.as_str())) {
                return Err(MISSING_REQUIRED_HEADERS);
            }
        }
        let cluster = self.clusters.get(cluster).cloned().ok_or(CLUSTER_NOT_FOUND)?;
        let id = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            *calls += 1;
            *calls
        };
        let (config, main) = (Arc::downgrade(self), Arc::clone(&self.main));
        std::thread::spawn(move || {
            let answer = cluster(call);
            main.post(move || {
                if let Some(config) = config.upgrade()
                    && let Some(module) = config.module()
                {
                    hooks::config_callout_done(config.handle, module, id, answer.as_ref());
                }
            });
        });
        Ok(id)
    }
}

impl Drop for ConfigPeer {
    fn drop(&mut self) {
        // On whatever thread had it last, as in Envoy.
        if let Some(module) = self.module() {
            hooks::config_destroy(module);
        }
        leave(self.handle);
    }
}

/// What a route is configured with for the filter. It goes when nobody has it and the last of the
/// streams on it has ended.
#[derive(Clone, Debug)]
pub struct Route(Arc<RoutePeer>);

#[derive(Debug)]
struct RoutePeer(ModulePointer);

impl Route {
    /// Takes `config` for a route.
    ///
    /// # Errors
    /// The module refuses it.
    pub fn new(config: &str) -> Result<Self, Refused> {
        let bytes = config.to_owned();
        MainThread::current().run(move || {
            let before = logged();
            let made = hooks::route_new("doorward", bytes.as_bytes());
            let made = made.ok_or_else(|| refused(before))?;
            registry::route_is_new();
            Ok(Self(Arc::new(RoutePeer(made))))
        })
    }

    pub(crate) fn module(&self) -> ModulePointer {
        self.0.0
    }
}

impl Drop for RoutePeer {
    fn drop(&mut self) {
        hooks::route_destroy(self.0);
        registry::route_is_gone();
    }
}
