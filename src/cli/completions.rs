//! `doorward completions`: what a shell needs to complete our verbs and flags.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Exit, print_error};

/// Print a shell's completions.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward completions bash > ~/.local/share/bash-completion/completions/doorward
  doorward completions zsh > \"${fpath[1]}/_doorward\"
  doorward completions fish > ~/.config/fish/completions/doorward.fish")]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Exit {
    // Made in memory: the generator panics when its output goes away (`| head`).
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "doorward", &mut script);
    write_out(&script)
}

/// Data to standard output. A reader that went away has seen what it wanted.
pub(super) fn write_out(data: &[u8]) -> Exit {
    let mut out = std::io::stdout();
    match out.write_all(data).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            print_error(&error);
            Exit::Failed
        }
    }
}
