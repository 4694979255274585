//! `doorward serve`: the server, until it is told to stop.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::output::refuse;
use super::watched::Watched;
use super::{ConfigArgs, Exit, OUTPUT, refuse_config};
use crate::app::{self, Running, announce};
use crate::config::{self, Loaded, Sources};
use crate::telemetry;

/// Run the authorization server.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward serve --config doorward.yaml
  NMP_CONFIG_FILE_PATH=/etc/nmp/config.yaml doorward serve
  DOORWARD_AUTH__OIDC__ISSUER=https://idp.example doorward serve --set auth.oidc.client_id=nmp

SIGHUP, or a change of a configuration or certificate file, reloads them; an invalid
configuration is rejected and the old one stays in use.
SIGTERM stops it once requests in flight are answered.")]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Format of log lines [default: `log.format`, else text on a terminal and json elsewhere]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT)]
    log_format: Option<LineFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LineFormat {
    Text,
    Json,
}

impl ServeArgs {
    /// Every layer; the flag is the last word on its setting.
    fn sources(&self) -> Sources {
        let format = self.log_format.map(|format| match format {
            LineFormat::Text => "log.format=text".to_owned(),
            LineFormat::Json => "log.format=json".to_owned(),
        });
        self.config.sources().overrides(format)
    }
}

pub(super) fn run(args: &ServeArgs) -> Exit {
    let loaded = match config::load(&args.sources()) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse_config(&faults),
    };
    if let Err(error) = telemetry::install(&loaded.settings.log) {
        return refuse(Exit::Usage)(error);
    }
    announce(&loaded);
    let mut watched = Watched::new(files(&loaded));
    let running = match app::start(loaded.settings, None) {
        Ok(running) => running,
        Err(error) => return refuse(Exit::Failed)(error),
    };
    tracing::info!(
        grpc = %running.grpc(), http = %running.http(), admin = %running.admin(),
        console = running.console().map(ToString::to_string),
        version = env!("CARGO_PKG_VERSION"), "listening",
    );
    match until_told_to_stop(args, &running, &mut watched) {
        Ok(()) => {
            tracing::info!("stopping");
            running.stop();
            Exit::Done
        }
        Err(error) => refuse(Exit::Failed)(error),
    }
}

/// What a configuration was read from, certificates, tables and policies included.
fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let certificates = loaded.settings.server.tls_files().map(Path::to_owned);
    let tables = loaded.settings.endpoints_file.clone();
    let policies = loaded.settings.policy_files.iter().cloned();
    loaded.files.iter().cloned().chain(certificates).chain(tables).chain(policies).collect()
}

/// Waits for SIGTERM or SIGINT, and reloads at each SIGHUP and when a file has changed.
fn until_told_to_stop(
    args: &ServeArgs,
    running: &Running,
    watched: &mut Watched,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt, mut hangup) = runtime.block_on(async {
        Ok::<_, io::Error>((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ))
    })?;
    loop {
        let reload = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => false,
                _ = interrupt.recv() => false,
                _ = hangup.recv() => true,
                () = watched.changed() => true,
            }
        });
        if !reload {
            return Ok(());
        }
        reload_from(args, running, watched);
    }
}

fn reload_from(args: &ServeArgs, running: &Running, watched: &mut Watched) {
    match config::load(&args.sources()) {
        Ok(loaded) => {
            announce(&loaded);
            watched.follow(files(&loaded));
            match running.reload(loaded.settings) {
                Ok(()) => tracing::info!("configuration reloaded"),
                Err(error) => {
                    let why = error.source().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, why, "the old configuration stays in use");
                }
            }
        }
        Err(faults) => {
            running.reload_refused();
            tracing::error!(%faults, "the new configuration is rejected, the old one stays in use");
        }
    }
}
