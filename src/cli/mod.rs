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
mod pasted;
pub mod serve;
mod style;
mod watched;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

use self::style::{BAD, HEAD};
use crate::config::{ConfigFaults, Sources};

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

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration for an identity provider, and for the gateway
    Init(init::InitArgs),
    /// Run the authorization server
    Serve(serve::ServeArgs),
    /// Check, show or compare configurations
    Config(config::ConfigCommand),
    /// Explain the decision for a token, step by step
    Explain(explain::ExplainArgs),
    /// Try it out: a development issuer, the server, an echo upstream and a real Envoy
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Diagnose the identity provider, its tokens, or the gateway
    Doctor(doctor::DoctorArgs),
    /// Log in to an identity provider, and use the token
    Auth(auth::AuthCommand),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Print the man page, or write one for each command
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
    /// Done.
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
        VERBOSE.store(self.verbose, Ordering::Relaxed);
        match self.command {
            Command::Init(args) => init::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Config(command) => config::run(&command),
            Command::Explain(args) => explain::run(&args),
            #[cfg(feature = "demo")]
            Command::Demo(args) => match demo::run(&args) {
                Ok(()) => Exit::Done,
                Err(error) => {
                    print_error(&error);
                    Exit::Failed
                }
            },
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

/// Whether `--verbose` was given. One process has one command line; every place that shows
/// an error would have to be handed this otherwise.
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Whether more is to be said than usual.
pub(crate) fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Says what is wrong with a configuration, one line for each fault: the same for every verb.
pub(crate) fn print_config_faults(faults: &ConfigFaults) {
    // Whoever closed standard error does not want to read it.
    let _ = write_config_faults(faults, &mut anstream::stderr());
}

fn write_config_faults(faults: &ConfigFaults, out: &mut dyn Write) -> io::Result<()> {
    for fault in faults.faults() {
        writeln!(out, "{BAD}error:{BAD:#} {fault}")?;
    }
    Ok(())
}

/// Says what went wrong and what caused that.
pub(crate) fn print_error(error: &dyn Error) {
    print_failure(error, None);
}

/// Says what went wrong, what caused that in the end (with `--verbose`: each cause on the
/// way), and what to do next.
pub(crate) fn print_failure(error: &dyn Error, next: Option<&str>) {
    anstream::eprintln!("{}", failure(error, next, is_verbose()));
}

fn failure(error: &dyn Error, next: Option<&str>, verbose: bool) -> String {
    let mut text = format!("{BAD}error:{BAD:#} {error}");
    let causes: Vec<_> = std::iter::successors(error.source(), |&error| error.source()).collect();
    let skipped = if verbose { 0 } else { causes.len().saturating_sub(1) };
    for cause in causes.into_iter().skip(skipped) {
        text.push_str(&format!("\n  caused by: {cause}"));
    }
    if let Some(next) = next {
        text.push_str(&format!("\n  {HEAD}fix:{HEAD:#} {next}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn an_error_shows_its_root_and_with_verbose_the_way_there() {
        let root = Layer("root", None);
        let error = Layer("top", Some(Box::new(Layer("middle", Some(Box::new(root))))));
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain(failure(&error, Some("do this"), false)),
            "error: top\n  caused by: root\n  fix: do this"
        );
        assert_eq!(
            plain(failure(&error, None, true)),
            "error: top\n  caused by: middle\n  caused by: root"
        );
        assert_eq!(plain(failure(&Layer("top", None), None, false)), "error: top");
    }
}
