//! `doorward completions`: what a shell needs to complete our verbs, options and values.
//!
//! The script calls this program back for each completion, so that names of logins, which
//! only exist at run time, complete too.

use clap::{Args, CommandFactory as _};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::output::{print_plain, refuse};
use super::{Cli, Exit};
use crate::login::Logins;

/// Set by the scripts when they call back. Not clap's `COMPLETE`, which a stranger might set
/// for a server that runs in a container.
const VARIABLE: &str = "DOORWARD_CLI_COMPLETE";

/// Print shell completions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward completions bash > ~/.local/share/bash-completion/completions/doorward
  doorward completions zsh > \"${fpath[1]}/_doorward\"
  doorward completions fish > ~/.config/fish/completions/doorward.fish

The script calls `doorward` for each completion: generate it again after an upgrade.")]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

pub(super) fn run(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    // The names above are those of the shells there are.
    let Some(shell) = shells.completer(&args.shell) else { return Exit::Usage };
    let written =
        shell.write_registration(VARIABLE, "doorward", "doorward", "doorward", &mut script);
    written.map_or_else(refuse(Exit::Failed), |()| print_plain(&script))
}

/// Answers the script of a shell when that has called; `None`: it was a person.
pub(super) fn answer() -> Option<Exit> {
    let completing = CompleteEnv::with_factory(Cli::command).var(VARIABLE);
    let here = std::env::current_dir().ok();
    match completing.try_complete(std::env::args_os(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(Exit::Done),
        Err(error) => Some(refuse(Exit::Usage)(error)),
    }
}

/// The names of the logins that are kept.
pub(super) fn contexts() -> Vec<CompletionCandidate> {
    let kept = Logins::of_this_user(None).and_then(|logins| logins.read());
    let names = kept.map(|contexts| contexts.logins.into_keys()).into_iter().flatten();
    names.map(CompletionCandidate::new).collect()
}
