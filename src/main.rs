//! The `doorward` command: parse, run, print what went wrong, pick the exit code.

use std::process::ExitCode;

use clap::Parser as _;
use doorward::cli::{Cli, Exit};

fn main() -> ExitCode {
    // Wrong usage ends in here with exit code 2, `--help` with 0.
    let exit = match Cli::parse().run() {
        Ok(exit) => exit,
        Err(error) => {
            error.print();
            error.exit()
        }
    };
    ExitCode::from(match exit {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
    })
}
