//! Log set-up: to stderr, as text for people or one JSON object a line.

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::LogSettings;

/// What these say in warning, a client can have them say as often as it likes: for whoever
/// asks for it.
const QUIET: &str = "h2=error,rustls=error";

/// Sends all log lines of this process to stderr.
///
/// # Errors
/// The level is no filter, or logging is already set up.
pub fn install(settings: &LogSettings) -> Result<(), LoggingError> {
    let filter: Targets = format!("{QUIET},{}", settings.level).parse()?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if settings.json {
        registry.with(lines.json().flatten_event(true)).try_init()?;
    } else {
        // By the rule of the whole command line: a terminal, NO_COLOR, CLICOLOR_FORCE.
        let colour = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
        registry.with(lines.with_ansi(colour)).try_init()?;
    }
    Ok(())
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` is no filter.
    #[error("`log.level` is not a log filter: write `info`, or `info,doorward=debug`")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else did it first.
    #[error("logging is already set up in this process")]
    AlreadySetUp(#[from] TryInitError),
}
