//! `doorward auth use`: which login the other verbs mean.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use doorward_core::clock::{Clock as _, SystemClock};

use super::{Failure, words};
use crate::cli::Exit;
use crate::cli::completions::contexts;
use crate::cli::output::say;
use crate::cli::style::GOOD;
use crate::explain::Check;
use crate::login::Logins;
use crate::printable::printable;

/// Choose the login that the other commands use.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth use https://nmp.example
  doorward auth status

Without a name in --context or DOORWARD_CLI_CONTEXT, the other commands use the login that was
chosen here or made last. After a logout none is chosen.")]
pub(super) struct UseArgs {
    /// A login's name, base URL or issuer, as `auth status` shows them
    #[arg(add = ArgValueCandidates::new(contexts))]
    name: String,
}

pub(super) async fn run(args: &UseArgs, logins: &Logins) -> Result<Exit, Failure> {
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    let (name, login) = contexts.find(Some(&args.name))?;
    let name = name.to_owned();
    say!("{GOOD}Using{GOOD:#} the login at {}, as {}", printable(&name), login.who.words());
    let expiry = words::expiry(login, SystemClock.now());
    say!("{}", words::line(Check::Expiry.name(), &expiry));
    contexts.current = Some(name);
    changing.write(&contexts)?;
    Ok(Exit::Done)
}
