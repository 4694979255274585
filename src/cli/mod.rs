//! The command line: one file a verb.

pub mod auth;
mod completions;
mod config;
#[cfg(feature = "demo")]
pub mod demo;
mod doctor;
mod explain;
mod init;
mod issuer_args;
mod lines;
mod man;
mod output;
mod pasted;
mod policy;
pub mod serve;
mod style;
mod watched;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::output::{print_error, print_failure, refuse_config};
use crate::config::Sources;

/// Validates bearer tokens for Envoy and hands the upstream a trusted identity.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = examples())]
pub struct Cli {
    /// Show every cause of an error, and more detail
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

/// What each is for stands at its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Serve(serve::ServeArgs),
    Config(config::ConfigCommand),
    Explain(explain::ExplainArgs),
    Policy(policy::PolicyCommand),
    /// Try it out: a development issuer, the server, an echo upstream and a real Envoy
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Auth(auth::AuthCommand),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// What to begin with, for `--help`.
fn examples() -> String {
    let demo = if cfg!(feature = "demo") { "  doorward demo --once\n" } else { "" };
    format!(
        "\
Examples:
{demo}  doorward init --issuer https://idp.example/realms/nmp --client-id nmp --gateway envoy
  doorward config check --config doorward.yaml
  doorward serve --config doorward.yaml
  doorward auth login https://nmp.example
  curl -H \"Authorization: Bearer $(doorward auth token)\" https://nmp.example/v1/models

Exit codes: 0 done; 1 the check or login failed, or the token is denied; 2 wrong usage or
configuration."
    )
}

/// How a command ended: the exit codes 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// The check or login failed, or the token is denied.
    Failed,
    /// Wrong usage or configuration.
    Usage,
}

/// Runs what the command line says, or completes it for a shell.
#[must_use]
pub fn main() -> Exit {
    completions::answer().unwrap_or_else(|| Cli::parse().run())
}

impl Cli {
    /// Runs the command.
    fn run(self) -> Exit {
        output::VERBOSE.store(self.verbose, Ordering::Relaxed);
        match self.command {
            Command::Init(args) => init::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Config(command) => config::run(&command),
            Command::Explain(args) => explain::run(&args),
            Command::Policy(command) => policy::run(&command),
            #[cfg(feature = "demo")]
            Command::Demo(args) => {
                demo::run(&args).map_or_else(output::refuse(Exit::Failed), |()| Exit::Done)
            }
            Command::Doctor(args) => doctor::run(&args),
            Command::Auth(command) => auth::run(&command),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

/// The heading of options that say where the configuration comes from.
const CONFIGURATION: &str = "Configuration";
/// The heading of options that say how results are printed.
const OUTPUT: &str = "Output";

/// Where the configuration comes from, for every verb that needs one.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// A configuration file (.yaml, .toml, .json); repeatable, later ones win
    /// [env: DOORWARD_CONFIG]
    #[arg(short = 'c', long = "config", value_name = "FILE", help_heading = CONFIGURATION)]
    files: Vec<PathBuf>,
    /// One setting, such as `auth.oidc.client_id=nmp`; repeatable, wins over everything
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = CONFIGURATION)]
    overrides: Vec<String>,
}

impl ConfigArgs {
    /// All layers: files, this process's environment, flags.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources::from_process().files(self.files()).overrides(self.overrides.clone())
    }

    /// The files named on the command line, else the one that `DOORWARD_CONFIG` names.
    fn files(&self) -> Vec<PathBuf> {
        if self.files.is_empty() {
            let named = std::env::var_os("DOORWARD_CONFIG").filter(|name| !name.is_empty());
            return named.into_iter().map(PathBuf::from).collect();
        }
        self.files.clone()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
