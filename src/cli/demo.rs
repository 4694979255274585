//! `doorward demo`: everything there is, on one machine, with nothing to configure.
//!
//! [`stage`] brings up issuer, upstream, Doorward and Envoy; [`words`] says where they
//! are and what to try; [`watch`] shows decisions as they are made; [`once`] tries two
//! requests itself and judges what comes of them. [`door`] is where Doorward is started.

mod door;
mod once;
mod stage;
#[cfg(test)]
mod tests;
mod watch;
mod words;

use std::io;

use tokio::sync::mpsc;

use self::door::{DoorFailure, StartDoor};
pub use self::once::Wrong;
use self::stage::Stage;
pub use self::stage::StageError;
use crate::dev::envoy::EnvoySearch;

/// Decisions that wait to be shown; more are dropped, never waited for.
const MAX_UNSHOWN: usize = 256;

/// Try Doorward: a development issuer, the server, an echo upstream and a real Envoy.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  doorward demo
  doorward demo --once
  doorward demo --no-envoy    (then: doorward auth login http://127.0.0.1:8181)")]
pub struct DemoArgs {
    /// Make one allowed and one denied request, show both, and exit: 0 when both came
    /// out right
    #[arg(long)]
    pub once: bool,
    /// Where requests come in [default: 10000, or a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Do without Envoy: ask Doorward's HTTP front directly
    #[arg(long)]
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
    #[error("Envoy ended by itself")]
    EnvoyEnded,
    /// `--once` was told to stop before it was done.
    #[error("stopped before it was done")]
    Stopped,
    /// The system gave no threads or no signals.
    #[error("cannot start")]
    System(#[from] io::Error),
}

/// Runs the demonstration until it is told to stop, or with `--once` until it is done.
/// `search` says where an Envoy may be.
///
/// # Errors
/// When something did not come up, or, with `--once`, did not come out as it should.
pub fn run(args: &DemoArgs, search: &EnvoySearch) -> Result<(), DemoError> {
    run_with(args, search, door::start)
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
        words::invite(&stage.scene);
        tokio::select! {
            ended = stage.ended() => Err(ended),
            () = watch::show(&mut decisions) => Ok(()),
            () = &mut told_to_stop => Ok(()),
        }
    };
    stage.stop().await;
    outcome
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
