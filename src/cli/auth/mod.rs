//! `doorward auth`: log in, use the token, log out. One file a verb; the doing is in
//! [`crate::login`], here are the words.

mod browser;
mod login;
mod logout;
mod password;
mod progress;
mod refresh;
mod status;
mod token;
mod words;

use clap::{Args, Subcommand, ValueEnum};

use super::{Exit, print_error, print_failure};
use crate::clock::SystemClock;
use crate::login::{Freshness, KeyRing, LoginError, Logins, Secret, signed_in};

/// Log in at an identity provider, and use the token.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth login https://nmp.example
  doorward auth login --issuer https://idp.example/realms/nmp --client-id nmp
  curl -H \"Authorization: Bearer $(doorward auth token)\" https://nmp.example/v1/models
  doorward auth status
  doorward auth logout

Several logins can be kept, one per base URL or issuer; the last one is the current one, and
--context names another. Tokens are in the desktop's key ring where there is one, else in
logins.json (mode 0600) in $XDG_CONFIG_HOME/doorward or ~/.config/doorward.")]
pub struct AuthCommand {
    /// Whether to use the desktop's key ring
    #[arg(
        long = "key-ring",
        value_enum,
        value_name = "auto|off",
        default_value = "auto",
        hide_possible_values = true,
        env = "DOORWARD_CLI_KEYRING",
        global = true
    )]
    key_ring: KeyRingUse,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Log in by device flow, or with a password
    Login(Box<login::LoginArgs>),
    /// Who is logged in, where, with which scopes and for how long
    Status(status::StatusArgs),
    /// Print the access token, refreshed first when it is near its end
    Token(token::TokenArgs),
    /// Obtain a new access token now
    Refresh(refresh::RefreshArgs),
    /// Give the tokens back and forget them
    Logout(logout::LogoutArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyRingUse {
    /// Where there is one
    Auto,
    /// Not at all
    Off,
}

/// Which login is meant.
#[derive(Clone, Debug, Args)]
struct Which {
    /// A login's name, base URL or issuer [default: the current one]
    #[arg(long, value_name = "NAME", env = "DOORWARD_CLI_CONTEXT")]
    context: Option<String>,
}

/// Why a verb ends without its work done.
#[derive(Debug)]
enum Failure {
    /// Exit code 1.
    Login(LoginError),
    /// Exit code 2: what is wrong with the command line, and what to do.
    Usage { what: String, next: String },
    /// Exit code 1: the standard output does not take what it asked for.
    Output(std::io::Error),
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
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&error);
            return Exit::Failed;
        }
    };
    let done = runtime.block_on(perform(command));
    match done {
        Ok(exit) => exit,
        Err(Failure::Login(error)) => {
            print_failure(&error, error.next_step().as_deref());
            Exit::Failed
        }
        Err(Failure::Usage { what, next }) => {
            print_failure(&WrongUsage(what), Some(&next));
            Exit::Usage
        }
        // A reader that went away (`| head`) has seen what it wanted.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(Failure::Output(error)) => {
            print_error(&error);
            Exit::Failed
        }
    }
}

/// The access token of the current login, refreshed first when it is near its end: for other
/// verbs that look at a token. Says why not.
pub(super) fn token_at_hand() -> Result<Secret, Exit> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let context = set("DOORWARD_CLI_CONTEXT").map(|name| name.to_string_lossy().into_owned());
    let key_ring = match set("DOORWARD_CLI_KEYRING") {
        Some(use_it) if use_it == "off" => None,
        Some(_) | None => KeyRing::of_this_desktop(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = runtime.map_err(|error| {
        print_error(&error);
        Exit::Failed
    })?;
    let found = found.block_on(async {
        let logins = Logins::of_this_user(key_ring)?;
        signed_in(&logins, context.as_deref(), Freshness::WhenNearItsEnd, &SystemClock).await
    });
    match found {
        Ok(found) => Ok(found.secrets.access_token),
        Err(error) => {
            print_failure(&error, error.next_step().as_deref());
            Err(Exit::Failed)
        }
    }
}

async fn perform(command: &AuthCommand) -> Result<Exit, Failure> {
    let key_ring = match command.key_ring {
        KeyRingUse::Auto => KeyRing::of_this_desktop(),
        KeyRingUse::Off => None,
    };
    let logins = Logins::of_this_user(key_ring)?;
    let done = match &command.verb {
        Verb::Login(args) => login::run(args, &logins).await,
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
