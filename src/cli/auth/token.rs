//! `doorward auth token`: the token on standard output, and nothing else there.

use clap::Args;
use doorward_core::clock::SystemClock;

use super::{Failure, Which, warn_of_trouble};
use crate::cli::Exit;
use crate::cli::output::print_plain;
use crate::login::{Freshness, Logins, signed_in};
use crate::token_parts::TokenParts;

/// Print the access token, refreshed first if it expires soon.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  curl -H \"Authorization: Bearer $(doorward auth token)\" https://nmp.example/v1/models
  doorward auth token --context https://nmp.example | doorward explain -
  doorward auth token --decode

Refreshed when less than five minutes are left, or half of its lifetime for one that lives less
than ten minutes. Processes may ask at the same time: only one of them makes the request.")]
pub(super) struct TokenArgs {
    #[command(flatten)]
    which: Which,
    /// Print what the token says, as JSON, in place of the token; nothing of it is verified
    #[arg(long)]
    decode: bool,
}

pub(super) async fn run(args: &TokenArgs, logins: &Logins) -> Result<Exit, Failure> {
    let context = args.which.context.as_deref();
    let found = signed_in(logins, context, Freshness::WhenNearItsEnd, &SystemClock).await?;
    warn_of_trouble(&found);
    if args.decode {
        let claims = TokenParts::of(found.secrets.access_token.expose().as_bytes()).claims;
        let Some(claims) = claims else {
            return Err(Failure::Usage {
                what: "the token is not a JWT, so only its provider can read it".into(),
                next: "doorward auth token prints it as it is".into(),
            });
        };
        return Ok(print_plain(format!("{:#}\n", serde_json::Value::Object(claims)).as_bytes()));
    }
    Ok(print_plain(format!("{}\n", found.secrets.access_token.expose()).as_bytes()))
}
