//! The command line: one file a verb.

mod config;
pub mod demo;
mod doctor;
mod explain;
pub mod serve;
mod style;

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use self::style::BAD;
use crate::config::Sources;
use crate::dev::envoy::EnvoySearch;

/// Validates bearer tokens for Envoy and hands the upstream a trusted identity.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server that Envoy asks
    Serve(serve::ServeArgs),
    /// Check the configuration, or show what it comes to
    Config(config::ConfigCommand),
    /// Say what the server would decide for a token, and why
    Explain(explain::ExplainArgs),
    /// Try it: a development issuer, the server, an echo upstream and a real Envoy
    Demo(demo::DemoArgs),
    /// Examine the identity provider, and with --token what it issues
    Doctor(doctor::DoctorArgs),
}

/// How a command ended: the exit codes 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The check or login failed, or the token is denied.
    Failed,
    /// Wrong usage or configuration.
    Usage,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Exit {
        match self.command {
            Command::Serve(args) => serve::run(&args),
            Command::Config(command) => config::run(&command),
            Command::Explain(args) => explain::run(&args),
            Command::Demo(args) => match demo::run(&args, &envoy_search()) {
                Ok(()) => Exit::Done,
                Err(error) => {
                    print_error(&error);
                    Exit::Failed
                }
            },
            Command::Doctor(args) => doctor::run(&args),
        }
    }
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

/// Where the configuration comes from, for every verb that needs one.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// A configuration file (.yaml, .toml, .json); later ones win
    #[arg(long = "config", value_name = "FILE", env = "DOORWARD_CONFIG")]
    files: Vec<PathBuf>,
    /// One setting, such as `auth.oidc.client_id=nmp`; wins over everything
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl ConfigArgs {
    /// All layers: files, this process's environment, flags.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources::from_process().files(self.files.clone()).overrides(self.overrides.clone())
    }
}

/// Says what went wrong and all that caused it.
pub(crate) fn print_error(error: &dyn Error) {
    let mut text = format!("{BAD}error:{BAD:#} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    anstream::eprintln!("{text}");
}
