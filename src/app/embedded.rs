//! Doorward inside another program, which has the listeners: Envoy, with the module of
//! `crates/envoy-module`.
//!
//! One thread a process obtains keys, asks where somebody has to be asked, and looks at what is
//! counted; it starts with the first configuration and ends with the last. Configurations come and
//! go while others serve: what is wanted alike by several is shared by them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ::http::Response;
use bytes::Bytes;
use doorward_core::clock::SystemClock;
use doorward_core::decision::{Decision, Denial, Fault};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::admin::facts;
use super::assembly::{Assembly, Shared, Task};
use super::shortage::ShortageLog;
use super::start_error::StartError;
use super::tasks::{background_on, spawn_thread};
use crate::config::Settings;
use crate::discovery::{Call, Carrier, Cluster};
use crate::telemetry::{Change, Metrics, Tally};
use crate::transport::{CheckService, KeptRequest};

/// How often what is counted is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One configuration at work inside another program. It ends by [`end`](Self::end).
pub struct Embedded {
    assembly: Assembly,
    documents: bool,
    metadata: bool,
    /// Asks the program to fetch [`changes`](Self::changes) and [`calls`](Self::calls), on the thread
    /// where it can.
    teller: Box<dyn Fn() + Send + Sync>,
    running: Arc<Running>,
}

/// What became of a request for which somebody had to be asked.
#[derive(Debug)]
pub enum Later {
    /// A decision.
    Decided(Decision),
    /// The answer to a request for a document.
    Document(Response<Bytes>),
}

/// Somebody is asked. Dropped, nobody is any more.
pub struct Asked {
    _task: Task,
}

impl Embedded {
    /// Puts settings to work. `teller` is called, from any thread, when there are
    /// [`changes`](Self::changes), at most once a second, or [`calls`](Self::calls).
    ///
    /// # Errors
    /// The system gives no thread, or no random bytes.
    pub fn start(
        mut settings: Settings,
        teller: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Self>, StartError> {
        let running = Running::get()?;
        let background = &running.background;
        let cluster = settings
            .module
            .envoy_cluster
            .take()
            .map(|name| Cluster::new(name, Arc::new(Outgoing(Arc::downgrade(background)))));
        for issuer in &mut settings.issuers {
            issuer.access.ignores_environment = true;
            issuer.access.cluster = cluster.clone();
        }
        let (documents, metadata) = (settings.module.documents, settings.module.metadata);
        let others = background.live();
        let assembly = {
            let _entered = background.runtime.enter();
            let others: Vec<_> = others.iter().rev().map(|other| &other.assembly).collect();
            Assembly::new(settings, &background.shared, &others)?
        };
        let teller = Box::new(teller);
        let embedded = Arc::new(Self { assembly, documents, metadata, teller, running });
        embedded.background().add(&embedded);
        Ok(embedded)
    }

    /// Ends it: when this returns, `teller` is called no more, and has been dropped. If no other
    /// configuration is at work, the thread has ended, too.
    pub fn end(self: Arc<Self>) {
        let it = Arc::as_ptr(&self);
        lock(&self.background().configurations).retain(|one| !std::ptr::eq(one.as_ptr(), it));
    }

    fn background(&self) -> &Background {
        &self.running.background
    }

    /// Decides requests.
    #[must_use]
    pub fn service(&self) -> &CheckService {
        self.assembly.service()
    }

    /// Whether other filters and access logs are told of decisions, by dynamic metadata.
    #[must_use]
    pub fn leaves_metadata(&self) -> bool {
        self.metadata
    }

    /// Whether a request with this path is answered with a document.
    #[must_use]
    pub fn serves(&self, path: &[u8]) -> bool {
        self.documents && CheckService::is_document(path)
    }

    /// Decides a request for which somebody has to be asked, or answers one for a document. `done`
    /// is called from another thread, once, whatever happens.
    #[must_use]
    pub fn ask(&self, request: KeptRequest, done: impl FnOnce(Later) + Send + 'static) -> Asked {
        let service = Arc::clone(self.assembly.service());
        let is_document = self.serves(request.path());
        let answer = Answer(Some(done));
        let task = background_on(&self.background().runtime, async move {
            answer.give(if is_document {
                Later::Document(service.document(&request).await)
            } else {
                Later::Decided(service.decide_kept(&request).await)
            });
        });
        Asked { _task: Task::new(task) }
    }

    /// What the program's own statistics are to be told: of all configurations, by whichever asks.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.background().statistics().pending)
    }

    /// What is to be fetched through the program's clusters, for any of the configurations.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.background().outgoing))
    }

    /// Gives back what this one will not see answered: another may.
    pub fn return_calls(&self, calls: impl IntoIterator<Item = Call>) {
        lock(&self.background().outgoing).extend(calls);
    }
}

/// Calls on their way to the program.
struct Outgoing(Weak<Background>);

impl Carrier for Outgoing {
    fn carry(&self, call: Call) {
        if let Some(background) = self.0.upgrade() {
            lock(&background.outgoing).push(call);
            background.tell();
        }
    }
}

/// Gives an answer even if nobody comes to one: whoever asked holds a request up.
struct Answer<D: FnOnce(Later)>(Option<D>);

impl<D: FnOnce(Later)> Answer<D> {
    fn give(mut self, later: Later) {
        if let Some(done) = self.0.take() {
            done(later);
        }
    }
}

impl<D: FnOnce(Later)> Drop for Answer<D> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Later::Decided(Decision::Deny(Denial::from(Fault::Internal))));
        }
    }
}

/// The thread, for as long as a configuration is at work. Only configurations have this, and that
/// thread has none of them: so it is never itself that waits for its own end.
struct Running {
    background: Arc<Background>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What all configurations of a process share with the thread.
struct Background {
    runtime: Handle,
    shared: Shared,
    /// The oldest first. The thread holds one only while it holds the lock: what has been taken out
    /// is the program's alone.
    configurations: Mutex<Vec<Weak<Embedded>>>,
    statistics: Mutex<Statistics>,
    outgoing: Mutex<Vec<Call>>,
}

#[derive(Default)]
struct Statistics {
    tally: Tally,
    pending: Vec<Change>,
    shortages: ShortageLog,
}

static RUNNING: Mutex<Weak<Running>> = Mutex::new(Weak::new());

impl Running {
    /// The one of this process; started if there is none.
    fn get() -> Result<Arc<Self>, StartError> {
        let mut last = lock(&RUNNING);
        if let Some(running) = last.upgrade() {
            return Ok(running);
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("doorward")
            .build()
            .map_err(StartError::Thread)?;
        let shared = Shared {
            metrics: Metrics::new()?,
            cache_counters: Arc::default(),
            policy_loads: Arc::default(),
            denials: None,
            clock: Arc::new(SystemClock),
            watcher: None,
        };
        let background = Arc::new(Background {
            runtime: runtime.handle().clone(),
            shared,
            configurations: Mutex::default(),
            statistics: Mutex::default(),
            outgoing: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let there = Arc::clone(&background);
        let thread = spawn_thread("doorward", move || run(runtime, &there, stopped))?;
        let running = Arc::new(Self { background, thread: Some((stop, thread)) });
        *last = Arc::downgrade(&running);
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

impl Background {
    fn live(&self) -> Vec<Arc<Embedded>> {
        lock(&self.configurations).iter().filter_map(Weak::upgrade).collect()
    }

    fn add(&self, embedded: &Arc<Embedded>) {
        let mut configurations = lock(&self.configurations);
        configurations.retain(|one| one.strong_count() > 0);
        configurations.push(Arc::downgrade(embedded));
        drop(configurations);
        // What the last one showed is gone with it: the new one shows it from the start.
        let mut statistics = self.statistics();
        let again = statistics.tally.again();
        statistics.pending.extend(again);
        drop(statistics);
        self.tell();
    }

    /// Has the newest configuration told that there is something to fetch, if there is.
    fn tell(&self) {
        let is_any = !lock(&self.outgoing).is_empty() || !self.statistics().pending.is_empty();
        let configurations = lock(&self.configurations);
        if let Some(newest) = configurations.iter().rev().find_map(Weak::upgrade)
            && is_any
        {
            (newest.teller)();
        }
    }

    fn statistics(&self) -> MutexGuard<'_, Statistics> {
        lock(&self.statistics)
    }

    /// Looks at what was counted and at the keys.
    fn look(&self) {
        let configurations = lock(&self.configurations);
        let live: Vec<_> = configurations.iter().filter_map(Weak::upgrade).collect();
        let now = self.shared.clock.now();
        let mut keys: Vec<_> = live.iter().flat_map(|one| one.assembly.keys()).collect();
        // The newest of an issuer's counts.
        keys.reverse();
        let mut seen = std::collections::HashSet::new();
        keys.retain(|keys| seen.insert(keys.spec().issuer.clone()));
        let facts: Vec<_> = keys.iter().map(|keys| facts(keys, now)).collect();
        let mut caches: Vec<_> = live.iter().filter_map(|one| one.assembly.remembered()).collect();
        caches.sort_unstable();
        caches.dedup_by_key(|(cache, _)| *cache);
        let entries = caches.iter().map(|(_, tokens)| tokens).sum();
        let families = self.shared.metrics.gather(&self.shared.cache_counters, entries, &facts);
        let mut statistics = self.statistics();
        let changes = statistics.tally.changes(&families);
        statistics.pending.extend(changes);
        statistics.shortages.look(&keys, now);
        drop(statistics);
        drop((keys, live));
        drop(configurations);
        self.tell();
    }
}

/// The body of the thread.
fn run(runtime: Runtime, background: &Background, mut stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                _ = looks.tick() => background.look(),
            }
        }
    });
    // A look-up of a name may hold its helper up for long; nobody waits for that.
    runtime.shutdown_background();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
