//! `doorward auth refresh`.

use clap::Args;
use doorward_core::clock::{Clock as _, SystemClock};

use super::{Failure, Which, words};
use crate::cli::Exit;
use crate::cli::output::say;
use crate::cli::style::GOOD;
use crate::explain::Check;
use crate::login::{Freshness, Logins, signed_in};
use crate::printable::printable;

/// Get a new access token now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth refresh
  doorward auth refresh --context https://nmp.example

`doorward auth token` refreshes automatically when needed.")]
pub(super) struct RefreshArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: &RefreshArgs, logins: &Logins) -> Result<Exit, Failure> {
    let context = args.which.context.as_deref();
    let found = signed_in(logins, context, Freshness::Now, &SystemClock).await?;
    say!("{GOOD}Refreshed{GOOD:#} the token at {}", printable(&found.context));
    let expiry = words::expiry(&found.login, SystemClock.now());
    say!("{}", words::line(Check::Expiry.name(), &expiry));
    Ok(Exit::Done)
}
