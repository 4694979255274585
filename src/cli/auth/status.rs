//! `doorward auth status`: the logins there are, without asking anybody.

use clap::Args;
use doorward_core::clock::{Clock as _, SystemClock, UnixTime};
use serde_json::{Value, json};

use super::{Failure, Which, words};
use crate::cli::output::print;
use crate::cli::style::{DIM, HEAD};
use crate::cli::{Exit, OUTPUT};
use crate::login::{Contexts, Kept, Login, LoginError, Logins};
use crate::printable::printable;

/// Show logins: who, where, which scopes, and for how long.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward auth status
  doorward auth status --json | jq -r '.[] | select(.current) | .subject'

Reads the stored logins, without a network. Exit code 0 when the login (--context, else the
current one) is usable: its token is valid or can be refreshed, and the provider has not ended it.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    which: Which,
    /// Print JSON: a list of logins
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs, logins: &Logins) -> Result<Exit, Failure> {
    let contexts = logins.read()?;
    let now = SystemClock.now();
    let name = args.which.context.as_deref();
    let meant = contexts.find(name);
    let shown: Vec<(&str, &Login)> = match (name, &meant) {
        (Some(_), Ok(only)) => vec![*only],
        (Some(_), Err(_)) => Vec::new(),
        (None, _) => contexts.logins.iter().map(|(name, login)| (name.as_str(), login)).collect(),
    };
    let text: String = if args.json {
        let list: Value =
            shown.iter().map(|(name, login)| record(name, login, &contexts, now)).collect();
        format!("{list:#}\n")
    } else {
        let entry = |(name, login): &(&str, &Login)| {
            let current = contexts.current.as_deref() == Some(*name);
            entry(name, login, current, now, logins)
        };
        shown.iter().map(entry).collect()
    };
    let written = print(Exit::Done, |out| write!(out, "{text}").map(|()| Exit::Done));
    if written != Exit::Done {
        return Ok(written);
    }
    let (name, login) = meant?;
    if login.over.is_none() && (login.holds(now) || login.can_be_refreshed()) {
        Ok(Exit::Done)
    } else {
        Err(LoginError::Ended { context: name.to_owned(), over: login.over.clone() }.into())
    }
}

fn entry(name: &str, login: &Login, current: bool, now: UnixTime, logins: &Logins) -> String {
    let mark = if current { format!("  {DIM}(current){DIM:#}") } else { String::new() };
    let mut text = format!("{HEAD}{}{HEAD:#}{mark}\n", printable(name));
    let over = login.over.as_ref().map(|over| words::line("login", &words::over(over, now)));
    for fact in words::facts(login, now, &logins.path()).into_iter().chain(over) {
        text.push_str(&fact);
        text.push('\n');
    }
    text
}

fn record(name: &str, login: &Login, contexts: &Contexts, now: UnixTime) -> Value {
    json!({
        "context": name,
        "current": contexts.current.as_deref() == Some(name),
        "subject": login.who.subject,
        "email": login.who.email,
        "name": login.who.name,
        "base_url": login.provider.base_url,
        "issuer": login.provider.issuer,
        "client_id": login.provider.client_id,
        "scopes": login.scopes(),
        "expires_at": login.expires_at,
        "holds": login.holds(now),
        "refreshable": login.can_be_refreshed(),
        "over": login.over,
        "kept_in": match &login.kept { Kept::KeyRing(_) => "key_ring", Kept::File(_) => "file" },
    })
}
