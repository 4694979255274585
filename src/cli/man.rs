//! `doorward man`: the man page, from the same texts as `--help`.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use super::output::print_plain;
use super::{Cli, Exit, print_failure};

/// Print the man page, or write one for each command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward man | man -l -
  doorward man --out ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write doorward.1, doorward-serve.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs) -> Exit {
    let written = match &args.out {
        Some(directory) => write_all(directory),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            rendered.map(|()| print_plain(&page))
        }
    };
    written.unwrap_or_else(|error| {
        print_failure(&error, Some("choose a writable directory with --out"));
        Exit::Failed
    })
}

fn write_all(directory: &Path) -> std::io::Result<Exit> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)?;
    Ok(Exit::Done)
}
