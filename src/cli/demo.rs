//! `doorward demo`: everything there is, on one machine, with nothing to configure.
//!
//! [`stage`] brings up issuer, upstream, Doorward and Envoy at their [`places`]; [`words`]
//! says where they are and what to try; [`watch`] shows what becomes of requests; [`once`]
//! tries two requests itself and judges what comes of them. [`door`] is where Doorward is
//! started.

mod door;
mod once;
mod places;
mod scene;
mod stage;
#[cfg(test)]
mod tests;
mod watch;
mod words;

use std::io;
use std::path::PathBuf;

use doorward_dev::envoy::EnvoySearch;
use tokio::sync::mpsc;

use self::door::{DoorFailure, StartDoor};
pub use self::once::Wrong;
pub use self::places::{PortError, Upstream, WriteError};
use self::stage::Stage;
pub use self::stage::StageError;
use super::OUTPUT;

/// Decisions that wait to be shown; more are dropped, never waited for.
const MAX_UNSHOWN: usize = 256;

/// Try Doorward: a development issuer, the server, an echo upstream and a real Envoy.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  doorward demo
  doorward demo --once
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
    /// Run without Envoy: send requests to Doorward's HTTP front
    #[arg(long, help_heading = "What to run")]
    pub no_envoy: bool,
}

/// Why the demonstration did not go as it should. Exit code 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// Not everything came up.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// `--once`: a request did not come out as it should.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// Envoy ended while people were watching.
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
    run_with(args, &envoy_search(), door::start)
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

fn run_with(args: &DemoArgs, search: &EnvoySearch, start: StartDoor) -> Result<(), DemoError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(play(args, search, start))
}

async fn play(args: &DemoArgs, search: &EnvoySearch, start: StartDoor) -> Result<(), DemoError> {
    let mut told_to_stop = std::pin::pin!(told_to_stop()?);
    let (feed, mut decisions) = mpsc::channel(MAX_UNSHOWN);
    let mut stage = tokio::select! {
        stage = Stage::start(args, search, start, feed) => stage?,
        // Dropping what is half up stops it.
        () = &mut told_to_stop => return if args.once { Err(DemoError::Stopped) } else { Ok(()) },
    };
    let outcome = if args.once {
        tokio::select! {
            outcome = once::try_both(&stage.scene) => outcome.map_err(DemoError::from),
            () = &mut told_to_stop => Err(DemoError::Stopped),
        }
    } else {
        anstream::eprintln!("{}", words::screen(&stage.scene, &program()));
        tokio::select! {
            ended = stage.ended() => Err(ended),
            () = watch::show(&mut decisions) => Ok(()),
            () = &mut told_to_stop => Ok(()),
        }
    };
    stage.stop().await;
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
