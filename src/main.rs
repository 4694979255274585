//! The `doorward` command: parse, run, pick the exit code.

use std::process::ExitCode;

use clap::Parser as _;
use doorward::cli::{Cli, Exit};

fn main() -> ExitCode {
    // Wrong usage ends in here with exit code 2, `--help` with 0.
    ExitCode::from(match Cli::parse().run() {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
    })
}
