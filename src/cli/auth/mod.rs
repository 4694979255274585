//! `doorward auth`: log in, use the token, log out. One file a verb; the doing is in
//! [`crate::login`], here are the words.

mod browser;
mod login;
mod logout;
mod password;
mod progress;
mod refresh;
mod status;
mod store_choice;
mod token;
mod unsigned;
mod use_login;
mod words;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use doorward_core::clock::SystemClock;

use self::store_choice::{StoreArgs, logins, of_the_environment};
use super::completions::contexts;
use super::output::{block_on, refuse};
use super::{Exit, print_failure};
use crate::login::{Freshness, LoginError, SignedIn, signed_in};
use crate::secret::Secret;

/// Log in to an identity provider, and use the token.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth login https://nmp.example
  doorward auth login --issuer https://idp.example/realms/nmp --client-id nmp
  curl -H \"Authorization: Bearer $(doorward auth token)\" https://nmp.example/v1/models
  doorward auth status
  doorward auth use https://nmp.example
  doorward auth logout

Several logins can be kept, one per base URL or issuer; the last one is the current one until
`auth use` chooses another, and --context names one for a single command. Tokens are in the
desktop's key ring where there is one, else in logins.json (mode 0600) in
$XDG_CONFIG_HOME/doorward or ~/.config/doorward; --store file leaves the key ring alone.")]
pub struct AuthCommand {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Login(Box<login::LoginArgs>),
    Status(status::StatusArgs),
    Use(use_login::UseArgs),
    Token(token::TokenArgs),
    Refresh(refresh::RefreshArgs),
    Logout(logout::LogoutArgs),
}

/// Which login is meant.
#[derive(Clone, Debug, Args)]
struct Which {
    /// A login's name, base URL or issuer [default: the current one]
    #[arg(long, value_name = "NAME", env = "DOORWARD_CLI_CONTEXT")]
    #[arg(add = ArgValueCandidates::new(contexts))]
    context: Option<String>,
}

/// Why a verb ends without its work done.
#[derive(Debug)]
enum Failure {
    /// Exit code 1.
    Login(LoginError),
    /// Exit code 2: what is wrong with the command line, and what to do.
    Usage { what: String, next: String },
    /// Exit code 1: the system does not do its part.
    System(std::io::Error),
}

impl<E: Into<LoginError>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_usage = matches!(
            error,
            LoginError::NotAUrl { .. } | LoginError::NoClientId | LoginError::Setup(_)
        );
        if is_usage {
            let next = error.next_step().unwrap_or_default();
            Self::Usage { what: error.to_string(), next }
        } else {
            Self::Login(error)
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// Runs the verb.
pub(super) fn run(command: &AuthCommand) -> Exit {
    let done = block_on(perform(command)).map_err(Failure::System).flatten();
    done.unwrap_or_else(|failure| failed(&failure))
}

/// Says why a verb ends without its work done.
fn failed(failure: &Failure) -> Exit {
    match failure {
        Failure::Login(error) => {
            print_failure(error, error.next_step().as_deref());
            Exit::Failed
        }
        Failure::Usage { what, next } => {
            print_failure(&WrongUsage(what.clone()), Some(next));
            Exit::Usage
        }
        Failure::System(error) => refuse(Exit::Failed)(error),
    }
}

/// The access token of the current login, refreshed first when it is near its end: for other
/// verbs that look at a token. Says why not.
pub(super) fn token_at_hand() -> Result<Secret, Exit> {
    let context = set("DOORWARD_CLI_CONTEXT");
    let found = block_on(async {
        let logins = logins(of_the_environment()?)?;
        let when = Freshness::WhenNearItsEnd;
        let found = signed_in(&logins, context.as_deref(), when, &SystemClock).await?;
        warn_of_trouble(&found);
        Ok(found.secrets.access_token)
    });
    found.map_err(Failure::System).flatten().map_err(|failure| failed(&failure))
}

/// A token that holds and will not be followed by another one is told of.
fn warn_of_trouble(found: &SignedIn) {
    if let Some(trouble) = &found.trouble {
        words::warn(&format!("the token was not refreshed, but is still valid: {trouble}"));
        if let Some(next) = trouble.next_step() {
            words::next(&next);
        }
    }
}

/// A variable that says something.
fn set(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

async fn perform(command: &AuthCommand) -> Result<Exit, Failure> {
    let place = command.store.store;
    let logins = logins(place)?;
    let done = match &command.verb {
        Verb::Login(args) => login::run(args, &logins, place).await,
        Verb::Use(args) => use_login::run(args, &logins).await,
        Verb::Status(args) => status::run(args, &logins),
        Verb::Token(args) => token::run(args, &logins).await,
        Verb::Refresh(args) => refresh::run(args, &logins).await,
        Verb::Logout(args) => logout::run(args, &logins).await,
    };
    for notice in logins.notices() {
        words::warn(&notice.to_string());
    }
    done
}
