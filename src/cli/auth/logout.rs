//! `doorward auth logout`: tokens are given back where the provider takes them, and
//! forgotten in any case.

use clap::Args;
use doorward_core::clock::SystemClock;

use super::{Failure, Which, words};
use crate::cli::output::say;
use crate::cli::style::GOOD;
use crate::cli::{Exit, print_failure};
use crate::login::{Exchange, Login, LoginError, Logins, Revocation, client_secret, http_for};
use crate::printable::printable;

/// Revoke and delete the tokens.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth logout
  doorward auth logout --context https://nmp.example
  doorward auth logout --all

Tokens are revoked where the provider supports it (RFC 7009), the refresh token first, and
deleted locally in any case. Exit code 1 when revocation is supported and failed.")]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    which: Which,
    /// Log out everywhere, regardless of --context
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: &LogoutArgs, logins: &Logins) -> Result<Exit, Failure> {
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    let names: Vec<String> = if args.all {
        contexts.logins.keys().cloned().collect()
    } else {
        vec![contexts.find(args.which.context.as_deref())?.0.to_owned()]
    };
    if names.is_empty() {
        say!("Not logged in.");
    }
    let chosen = contexts.current.clone();
    let mut exit = Exit::Done;
    for name in names {
        let Some(login) = contexts.logins.remove(&name) else { continue };
        let gone = give_back(logins, &login).await;
        changing.forget(&login.kept);
        if contexts.current.as_ref() == Some(&name) {
            contexts.current = None;
        }
        // One by one: what is given back must not be found again if this is stopped.
        changing.write(&contexts)?;
        if !say(&name, &gone) {
            exit = Exit::Failed;
        }
    }
    // Whose login would be used next is not for a logout to say.
    if contexts.current != chosen && !contexts.logins.is_empty() {
        let left: Vec<_> = contexts.logins.keys().map(|name| printable(name)).collect();
        say!("No login is chosen now; there are others: {}", left.join(", "));
        words::next("doorward auth use NAME");
    }
    Ok(exit)
}

/// Revokes the refresh token, which ends what hangs on it at most providers, then the
/// access token.
async fn give_back(logins: &Logins, login: &Login) -> Result<Revocation, LoginError> {
    let secrets = logins.secrets(login)?;
    let http = http_for(login).await?;
    let secret = client_secret(&login.provider, &secrets)?;
    let exchange = Exchange::new(&login.provider, &http, &SystemClock).with_secret(secret);
    let mut outcome = Revocation::Revoked;
    if let Some(token) = &secrets.refresh_token {
        outcome = exchange.revoke(token, "refresh_token").await;
    }
    let access = exchange.revoke(&secrets.access_token, "access_token").await;
    Ok(match (outcome, access, secrets.refresh_token.is_some()) {
        // Many providers revoke refresh tokens only. Access tokens end by themselves soon.
        (Revocation::Revoked, Revocation::Failed(LoginError::Refused { .. }), true) => {
            Revocation::Revoked
        }
        (Revocation::Revoked, access, _) => access,
        (outcome, _, _) => outcome,
    })
}

/// Says what came of it, and whether that is as it should be.
fn say(name: &str, gone: &Result<Revocation, LoginError>) -> bool {
    let (fine, how) = match gone {
        Ok(Revocation::Revoked) => (true, "the tokens are revoked and deleted"),
        Ok(Revocation::NotOffered) => {
            (true, "the tokens are deleted; the provider does not support revocation")
        }
        Ok(Revocation::Failed(_)) | Err(_) => (false, "the tokens are deleted, but not revoked"),
    };
    say!("{GOOD}Logged out{GOOD:#} at {}: {how}", printable(name));
    match gone {
        Ok(Revocation::Failed(error)) | Err(error) => {
            words::warn("anyone with a copy of the tokens can use them until they expire");
            print_failure(error, Some("end the session on the provider's account page"));
        }
        Ok(Revocation::Revoked | Revocation::NotOffered) => {}
    }
    fine
}
