//! The command line: one file a verb.

mod serve;

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Sources;

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
            Command::Serve(args) => serve::run(args),
        }
    }
}
