//! The composition root: settings → a running server. The only place that knows all modules;
//! threads and long-lived tasks are started in `tasks`.
//!
//! One background thread obtains keys, accepts connections and answers the admin port;
//! the workers do nothing but answer checks.

mod admin;
mod announce;
mod assembly;
mod console;
mod documents;
mod embedded;
mod expiry;
mod files;
mod fixed;
mod health;
mod offline;
mod shortage;
mod start_error;
mod tasks;
mod trial;

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward_core::clock::SystemClock;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use self::admin::Overview;
pub use self::announce::announce;
use self::assembly::{Assembly, Shared};
use self::console::{About, Console};
pub use self::embedded::{Asked, Embedded, Later};
use self::expiry::ExpiryLog;
pub use self::fixed::needs_restart;
use self::fixed::{Bound, Fixed};
use self::health::SERVICES;
pub use self::offline::explain_request;
pub use self::start_error::StartError;
use self::tasks::{background, spawn_thread, worker};
pub use self::trial::{MadeUp, Trial, TrialError};
use crate::config::{ListenAddress, ListenerSettings, ServerSettings, Settings};
use crate::telemetry::{Metrics, Reload};
use crate::transport::{
    AdminFront, CheckService, ConsoleFront, Front, GrpcFront, HttpFront, Job, Listener,
    ListenerTls, MAX_OTHER_MESSAGE_BYTES, Port, PreparedTls, Resources, Watcher, Workers,
};

/// How long, at the end, what is being read from or written to a disk may take.
const LAST_READS: Duration = Duration::from_secs(1);

/// A server that runs. It stops when told, or when this is dropped.
pub struct Running {
    addresses: Bound,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Reload(Box<Settings>, oneshot::Sender<Result<(), StartError>>),
    /// There is nothing to reload: the configuration has faults.
    Refused,
    Stop,
}

/// Starts a server with these settings. Returns once every listener is bound; keys are
/// obtained in the background, and an issuer that cannot be reached delays nothing.
/// `watcher`, when given, is told of every decision.
///
/// # Errors
/// An address cannot be bound, a certificate not be used, a thread not be started.
pub fn start(settings: Settings, watcher: Option<Watcher>) -> Result<Running, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (ready, is_ready) = std_mpsc::channel();
    let (orders, inbox) = mpsc::unbounded_channel();
    let thread = spawn_thread("doorward", move || {
        let server = runtime.block_on(Server::start(settings, watcher));
        match server {
            Ok(server) => {
                let _ = ready.send(Ok(server.addresses()));
                runtime.block_on(server.run(inbox));
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
        // A file on a dead mount may hold its reader up for ever; the server ends all the same.
        runtime.shutdown_timeout(LAST_READS);
    })?;
    let addresses = is_ready.recv().map_err(|_| StartError::Died)??;
    Ok(Running { addresses, orders, thread: Some(thread) })
}

impl Running {
    /// Where Envoy calls by gRPC.
    #[must_use]
    pub fn grpc(&self) -> &ListenAddress {
        &self.addresses.grpc
    }

    /// Where the HTTP front listens.
    #[must_use]
    pub fn http(&self) -> &ListenAddress {
        &self.addresses.http
    }

    /// Where health and metrics are.
    #[must_use]
    pub fn admin(&self) -> &ListenAddress {
        &self.addresses.admin
    }

    /// Where the console is, unless it is switched off.
    #[must_use]
    pub fn console(&self) -> Option<&ListenAddress> {
        self.addresses.console.as_ref()
    }

    /// Decides by other settings from the next request on, and shows the certificates that
    /// are in the files now from the next connection on; keys that are still wanted are
    /// kept. Addresses, threads and the form of the log stay as they are, and a line in the
    /// log says so where the new settings have them otherwise.
    ///
    /// # Errors
    /// The new settings cannot be put to work, or are not safe on the sockets that are bound;
    /// the old ones stay in force.
    pub fn reload(&self, settings: Settings) -> Result<(), StartError> {
        let (answer, answered) = oneshot::channel();
        self.orders
            .send(Order::Reload(Box::new(settings), answer))
            .map_err(|_| StartError::Died)?;
        answered.blocking_recv().map_err(|_| StartError::Died)?
    }

    /// Takes note of a new configuration that has faults: the old one stays in force.
    pub fn reload_refused(&self) {
        let _ = self.orders.send(Order::Refused);
    }

    /// Stops: not ready first, requests under way are answered, then everything ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The background thread's part.
struct Server {
    shared: Shared,
    assembly: Assembly,
    /// What the fronts decide with: that of the assembly.
    service: Arc<ArcSwap<CheckService>>,
    drain: Duration,
    fixed: Fixed,
    tls: Vec<(&'static str, ListenerTls)>,
    stop: watch::Sender<bool>,
    workers: Vec<(mpsc::UnboundedSender<Job>, JoinHandle<()>)>,
    health: tonic_health::server::HealthReporter,
    overview: Arc<Overview>,
    console: Arc<Console>,
}

impl Server {
    async fn start(settings: Settings, watcher: Option<Watcher>) -> Result<Self, StartError> {
        let ServerSettings { grpc, http, admin, workers, max_connections, drain, .. } =
            settings.server.clone();
        // All sockets before anything else: a port that is taken ends the start at once.
        let grpc_listener = Listener::bind(&grpc.listen).await?;
        let http_listener = Listener::bind(&http.listen).await?;
        let admin_listener = Listener::bind(&admin.listen).await?;
        let console_listener = console::bind(&settings.server).await?;
        let bound = Bound {
            grpc: grpc_listener.address().clone(),
            http: http_listener.address().clone(),
            admin: admin_listener.address().clone(),
            console: console_listener.as_ref().map(|(listener, _)| listener.address().clone()),
        };
        let fixed = Fixed::new(&settings, bound);
        fixed.check_safe(&settings)?;
        let grpc_port = port::<GrpcFront>("grpc", grpc_listener, &grpc)?;
        let http_port = port::<HttpFront>("http", http_listener, &http)?;
        let admin_port = port::<AdminFront>("admin", admin_listener, &admin)?;
        let console_port = console_listener
            .map(|(listener, console)| port::<ConsoleFront>("console", listener, console))
            .transpose()?;
        let console_tls = settings.server.console.as_ref().and_then(|console| console.tls.clone());
        let mut tls =
            vec![("grpc", grpc_port.tls()), ("http", http_port.tls()), ("admin", admin_port.tls())];
        tls.extend(console_port.as_ref().map(|port| ("console", port.tls())));

        let shared = Shared {
            metrics: Metrics::new()?,
            cache_counters: Arc::default(),
            policy_loads: Arc::default(),
            denials: console_port.as_ref().map(|_| Arc::default()),
            clock: Arc::new(SystemClock),
            watcher,
        };
        let about = About::new(&settings);
        let assembly = Assembly::new(settings, &shared, &[])?;
        shared.metrics.config().started(shared.clock.now());
        let expiry = ExpiryLog::new(&tls, shared.metrics.config().clone());
        let (health, health_service) = tonic_health::server::health_reporter();
        // tonic-health says SERVING for the empty name from the start, and knows no other.
        for name in SERVICES {
            health.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
        }
        let service = Arc::new(ArcSwap::new(Arc::clone(assembly.service())));
        let most = files::most_connections(max_connections);
        let resources = Resources::new(most, shared.metrics.connections().clone());
        let overview = Arc::new(Overview::new(
            &assembly,
            Arc::clone(&service),
            shared.clone(),
            resources.clone(),
        ));

        let (stop, stopped) = watch::channel(false);
        let (admin_queue, mut admin_jobs) = mpsc::unbounded_channel();
        let named = (0..workers.max(1)).map(|number| worker(&format!("worker-{number}")));
        let mut threads: Vec<_> = named.collect::<Result<_, _>>()?;
        let dealt = Workers::new(threads.iter().map(|(queue, _)| queue.clone()).collect());
        let health_service = health_service.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
        let grpc_front = GrpcFront::new(Arc::clone(&service), health_service)?;
        let admin_resources = resources.apart(files::ADMIN_CONNECTIONS);
        background(grpc_port.serve(grpc_front, dealt.clone(), resources.clone(), stopped.clone()));
        let http_front = HttpFront::new(Arc::clone(&service));
        background(http_port.serve(http_front, dealt, resources.clone(), stopped.clone()));
        let admin_front = AdminFront::new(Arc::clone(&overview) as _);
        let background_thread = Workers::new(vec![admin_queue]);
        background(admin_port.serve(
            admin_front,
            background_thread,
            admin_resources,
            stopped.clone(),
        ));
        let known =
            Console::new(shared.clone(), Arc::clone(&service), Arc::clone(&overview), about);
        let known = Arc::new(known);
        if let Some(port) = console_port {
            let front = ConsoleFront::new(Arc::clone(&known) as _, console_tls.as_ref());
            let apart = resources.apart(files::CONSOLE_CONNECTIONS);
            // A thread of its own: what is asked of it delays no probe and no new connection.
            let thread = worker("console")?;
            let of_console = Workers::new(vec![thread.0.clone()]);
            threads.push(thread);
            background(port.serve(front, of_console, apart, stopped));
            background(Arc::clone(&known).look_regularly());
        }
        background(async move {
            while let Some(job) = admin_jobs.recv().await {
                background(job);
            }
        });
        background(health::report(health.clone(), Arc::clone(&overview), expiry));
        let (workers, console) = (threads, known);
        Ok(Self {
            shared,
            assembly,
            service,
            drain,
            fixed,
            tls,
            stop,
            workers,
            health,
            overview,
            console,
        })
    }

    fn addresses(&self) -> Bound {
        self.fixed.bound().clone()
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        loop {
            match inbox.recv().await {
                Some(Order::Reload(settings, answer)) => {
                    let done = self.reload(*settings);
                    let outcome = if done.is_ok() { Reload::Accepted } else { Reload::Refused };
                    self.note(outcome);
                    let _ = answer.send(done);
                }
                Some(Order::Refused) => self.note(Reload::Refused),
                Some(Order::Stop) | None => break,
            }
        }
        self.drain().await;
    }

    fn note(&self, outcome: Reload) {
        self.shared.metrics.config().reloaded(outcome, self.shared.clock.now());
    }

    /// All of it, or nothing.
    fn reload(&mut self, settings: Settings) -> Result<(), StartError> {
        self.fixed.check_safe(&settings)?;
        let drain = settings.server.drain;
        let unchanged = self.fixed.changed(&settings);
        let mut prepared = Vec::new();
        for (name, listener) in settings.server.listeners() {
            // One that was not there at the start comes with the next.
            let known = self.tls.iter().find(|(known, _)| *known == name);
            if let Some((name, tls)) = known.filter(|_| self.fixed.may_renew_tls(name, &settings)) {
                prepared.push((tls, prepare(name, tls, listener)?));
            }
        }
        let about = About::new(&settings);
        let assembly = Assembly::new(settings, &self.shared, &[&self.assembly])?;
        self.service.store(Arc::clone(assembly.service()));
        for (tls, prepared) in prepared {
            tls.put_to_work(prepared);
        }
        self.assembly = assembly;
        self.drain = drain;
        self.overview.follow(&self.assembly);
        self.console.follow(about);
        if !unchanged.is_empty() {
            let keys = unchanged.join(", ");
            tracing::warn!(
                keys,
                "these settings take effect after a restart only; the old values stay in use"
            );
        }
        Ok(())
    }

    /// Not ready first, so that nobody new is sent here; then no new calls, and those
    /// under way are answered.
    async fn drain(self) {
        self.overview.stop_being_ready();
        for name in SERVICES {
            self.health.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
        }
        let _ = self.stop.send(true);
        if tokio::time::timeout(self.drain, self.stop.closed()).await.is_err() {
            tracing::warn!(after = ?self.drain, "some requests were still in flight");
        }
        for (queue, thread) in self.workers {
            drop(queue);
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn port<F: Front>(
    name: &'static str,
    listener: Listener,
    settings: &ListenerSettings,
) -> Result<Port, StartError> {
    Port::new::<F>(name, listener, settings.tls.as_ref())
        .map_err(|source| StartError::Tls { listener: name, source })
}

fn prepare(
    name: &'static str,
    tls: &ListenerTls,
    settings: &ListenerSettings,
) -> Result<PreparedTls, StartError> {
    tls.prepare(settings.tls.as_ref()).map_err(|source| StartError::Tls { listener: name, source })
}
