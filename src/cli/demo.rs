//! `doorward demo`: everything there is, on one machine, with nothing to configure.
//!
//! [`running`] starts issuer, upstream, Doorward and Envoy at their [`ports`]; [`words`]
//! says where they are and what to try; [`watch`] shows what becomes of requests; [`once`]
//! tries two requests itself and judges what comes of them. [`server`] is where Doorward is
//! started.

mod once;
mod ports;
mod running;
mod server;
mod setup;
#[cfg(test)]
mod tests;
mod watch;
mod words;

use std::io;
use std::path::PathBuf;

use doorward_dev::envoy::{EnvoyError, EnvoySearch, SearchError};
use doorward_dev::{DevIssuerError, ListenError};
use tokio::sync::mpsc;

pub use self::once::Wrong;
pub use self::ports::Upstream;
use self::running::{Demo, READY_WITHIN};
use self::server::{ServerFailure, StartServer};
use super::OUTPUT;
use super::output::say;

/// Decisions that wait to be shown; more are dropped, never waited for.
const MAX_UNSHOWN: usize = 256;

/// Try Doorward: a development issuer, the server, an echo upstream and a real Envoy.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  doorward demo
  doorward demo --once
  doorward demo --inside
  doorward demo --upstream http://127.0.0.1:3000
  doorward demo --no-envoy    (then: doorward auth login http://127.0.0.1:8181)

Guard your own service with your own server and Envoy, in three terminals:
  doorward demo --issuer-only --upstream http://127.0.0.1:3000 --write guard
  doorward serve --config guard/doorward.yaml
  envoy -c guard/envoy.yaml

While the demo runs:
  curl -s http://127.0.0.1:9180/dev/token/bob                        bob's token
  curl -s -X POST 'http://127.0.0.1:9180/dev/rotate?keep=true'       a new signing key
  curl -i http://127.0.0.1:10000/optional/                           a token is optional, but
                                                                     must be valid
  curl -s http://127.0.0.1:10000/apis/auth/discovery                 where clients log in")]
pub struct DemoArgs {
    /// Make one allowed and one denied request, show both, and exit: 0 if both are as expected
    #[arg(long, help_heading = OUTPUT)]
    pub once: bool,
    /// Guard this service instead of the built-in echo service
    #[arg(long, value_name = "URL", conflicts_with_all = ["once", "no_envoy"], help_heading = "What to run")]
    pub upstream: Option<Upstream>,
    /// Run only the development issuer, and leave the other ports to `doorward serve`
    #[arg(long, conflicts_with_all = ["once", "no_envoy"], help_heading = "What to run")]
    pub issuer_only: bool,
    /// Write the configurations in use, doorward.yaml and envoy.yaml, to this directory; never
    /// overwrites
    #[arg(long, value_name = "DIR", conflicts_with = "once", help_heading = OUTPUT)]
    pub write: Option<PathBuf>,
    /// Port for requests; 0: use free ports for everything [default: 10000, or a free one]
    #[arg(long, value_name = "PORT", help_heading = "What to run")]
    pub port: Option<u16>,
    /// Run Doorward inside Envoy, as a dynamic module, where that has been built (`make module`, or
    /// DOORWARD_MODULE names it)
    #[arg(long, conflicts_with_all = ["no_envoy", "issuer_only", "write"], help_heading = "What to run")]
    pub inside: bool,
    /// Run without Envoy: send requests to Doorward's HTTP front
    #[arg(long, help_heading = "What to run")]
    pub no_envoy: bool,
}

/// Why the demonstration did not go as it should. Exit code 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is what its message says")]
pub enum DemoError {
    #[error("the development issuer did not start")]
    Issuer(#[from] DevIssuerError),
    #[error("the upstream did not start")]
    Upstream(#[from] ListenError),
    #[error(
        "port {port} {} (--port N chooses another, --port 0 any)",
        if source.kind() == io::ErrorKind::AddrInUse { "is already in use" } else { "cannot be opened" }
    )]
    Port { port: u16, source: io::Error },
    #[error("{} exists, and `--write` never overwrites: remove it, or choose another directory", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Search(SearchError),
    #[error("Envoy did not start (`--no-envoy` runs without it)")]
    Envoy(#[from] EnvoyError),
    #[error(
        "--inside: there is no libdoorward_envoy.so: build it (`make module`), or set \
         DOORWARD_MODULE to its path"
    )]
    NoModule,
    #[error("--inside: there is no Envoy to run inside of")]
    NoEnvoy,
    #[error("the server did not start")]
    Server(#[source] ServerFailure),
    #[error("the server was not ready within {} s", READY_WITHIN.as_secs())]
    NotReady,
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
    /// `--once`: a request did not come out as it should.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    #[error("Envoy exited unexpectedly")]
    EnvoyEnded,
    /// `--once` was told to stop before it was done.
    #[error("interrupted before it finished")]
    Stopped,
    /// The system gave no threads or no signals.
    #[error("cannot start")]
    System(#[from] io::Error),
}

/// Runs the demonstration until it is told to stop, or with `--once` until it is done.
///
/// # Errors
/// When something did not come up, or, with `--once`, did not come out as it should.
pub fn run(args: &DemoArgs) -> Result<(), DemoError> {
    run_with(args, &envoy_search(), server::start)
}

/// The file of the module: where this process says it is, beside this program, or where `make
/// module` puts it.
fn find_module() -> Option<PathBuf> {
    const NAME: &str = "libdoorward_envoy.so";
    let named = std::env::var_os("DOORWARD_MODULE").filter(|value| !value.is_empty());
    if let Some(named) = named {
        return Some(PathBuf::from(named)).filter(|file| file.is_file());
    }
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name(NAME));
    let built = PathBuf::from("target/release").join(NAME);
    beside.into_iter().chain([built]).find(|file| file.is_file())
}

/// Where this process says an Envoy may be.
fn envoy_search() -> EnvoySearch {
    let path = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    EnvoySearch {
        named: path("DOORWARD_ENVOY").map(PathBuf::from),
        path: path("PATH"),
        cache_home: path("XDG_CACHE_HOME").map(PathBuf::from),
        home: path("HOME").map(PathBuf::from),
    }
}

fn run_with(args: &DemoArgs, search: &EnvoySearch, start: StartServer) -> Result<(), DemoError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(until_done(args, search, start))
}

async fn until_done(
    args: &DemoArgs,
    search: &EnvoySearch,
    start: StartServer,
) -> Result<(), DemoError> {
    let mut told_to_stop = std::pin::pin!(told_to_stop()?);
    let (feed, mut decisions) = mpsc::channel(MAX_UNSHOWN);
    let mut demo = tokio::select! {
        demo = Demo::start(args, search, start, feed) => demo?,
        // Dropping what is half up stops it.
        () = &mut told_to_stop => return if args.once { Err(DemoError::Stopped) } else { Ok(()) },
    };
    let outcome = if args.once {
        tokio::select! {
            outcome = once::try_both(&demo.setup) => outcome.map_err(DemoError::from),
            () = &mut told_to_stop => Err(DemoError::Stopped),
        }
    } else {
        say!("{}", words::screen(&demo.setup, &program()));
        tokio::select! {
            ended = demo.ended() => Err(ended),
            () = watch::show(&mut decisions) => Ok(()),
            () = &mut told_to_stop => Ok(()),
        }
    };
    demo.stop().await;
    outcome
}

/// How this program was called, when that can be pasted.
fn program() -> String {
    let plain =
        |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    std::env::args().next().filter(plain).unwrap_or_else(|| "doorward".to_owned())
}

/// Resolves at Ctrl-C or, on Unix, SIGTERM.
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => (),
            // An error would mean that Ctrl-C cannot be heard: then SIGTERM still is.
            Ok(()) = tokio::signal::ctrl_c() => (),
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    })
}
