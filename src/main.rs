//! The `doorward` command: parse, run, pick the exit code.

use std::process::ExitCode;

use doorward::cli::{self, Exit};

fn main() -> ExitCode {
    // Wrong usage ends in here with exit code 2, `--help` with 0.
    ExitCode::from(match cli::main() {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
    })
}
