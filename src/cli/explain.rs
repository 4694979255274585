//! `doorward explain`: the decision for one token, step by step.

mod input;
mod screen;

use std::error::Error;

use clap::Args;
use doorward_core::clock::{Clock as _, SystemClock};
use doorward_core::request::{HeaderView, RequestView, RouteView};

pub(super) use self::input::Header;
use self::input::{InputError, Moment, authorization, pair};
use super::issuer_args::IssuerArgs;
use super::output::print;
use super::{ConfigArgs, Exit, OUTPUT, auth, print_error};
use crate::app;
use crate::explain::{Answer, Explanation};

/// Explain the decision for a token, step by step.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward explain --config doorward.yaml --logged-in
  doorward explain --issuer https://idp.example/realms/nmp --client-id nmp < token.txt
  pbpaste | doorward explain --config doorward.yaml --method POST --path /v1/models
  doorward explain --at -10m < token.txt
  doorward explain --context doorward.scopes=models:write --json < token.txt
  doorward explain --anonymous --path /health

No running server is involved: its configuration is read, the issuer's keys are
fetched, and the same engine decides. While an issuer cannot be reached, a server goes on with
the keys that it has, and explain has none. Claims are shown, the token itself never is.

Exit codes: 0 allowed, 1 denied, 2 wrong usage or configuration.")]
pub(super) struct ExplainArgs {
    /// The token; `-` or none: read it from standard input
    token: Option<String>,
    /// Explain the access token of `auth login`, refreshed first when it is near its end
    #[arg(
        long,
        conflicts_with_all = ["token", "anonymous", "raw_header"],
        help_heading = "Request"
    )]
    logged_in: bool,
    /// Explain a request without a token
    #[arg(long, conflicts_with_all = ["token", "raw_header"], help_heading = "Request")]
    anonymous: bool,
    /// The input is the complete value of the `Authorization` header
    #[arg(long, help_heading = "Request")]
    raw_header: bool,
    /// The request's method
    #[arg(long, default_value = "GET", help_heading = "Request")]
    method: String,
    /// The request's path, as the client sends it
    #[arg(long, default_value = "/", help_heading = "Request")]
    path: String,
    /// The host that the client names, for `rules.routes`
    #[arg(long, default_value = "", hide_default_value = true, help_heading = "Request")]
    host: String,
    /// A further header of the request (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE", help_heading = "Request")]
    headers: Vec<Header>,
    /// An entry of the Envoy route's `context_extensions` (repeatable)
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair, help_heading = "Request")]
    context: Vec<(String, String)>,
    /// Decide as of this time: RFC 3339, Unix seconds, or relative to now (`-10m`, `+1h`)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Request")]
    at: Option<Moment>,
    /// Print JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    issuer: IssuerArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Exit {
    explained(args).unwrap_or_else(|exit| exit)
}

fn explained(args: &ExplainArgs) -> Result<Exit, Exit> {
    let usage = |error: &dyn Error| {
        print_error(error);
        Exit::Usage
    };
    let loaded = args.issuer.load(&args.config)?;
    let authorization = if args.logged_in {
        Some(format!("Bearer {}", auth::token_at_hand()?.expose()).into_bytes())
    } else {
        authorization(args).map_err(|error| usage(&error))?
    };
    let now = SystemClock.now();
    let at = args.at.map_or(Some(now), |moment| moment.from(now));
    let at = at.ok_or_else(|| usage(&InputError::NoSuchMoment))?;
    let mut headers: Vec<HeaderView<'_>> = args.headers.iter().map(Header::view).collect();
    if let Some(value) = &authorization {
        headers.push(HeaderView { name: b"authorization", value });
    }
    let mut route = RouteView::default();
    for (key, value) in &args.context {
        route.note(key.as_bytes(), value.as_bytes());
    }
    let request = RequestView {
        method: args.method.as_bytes(),
        path: args.path.as_bytes(),
        authority: args.host.as_bytes(),
        headers: &headers,
        route,
    };
    let spinner = super::doctor::spinner("deciding".to_owned());
    let explained = app::explain_request(loaded.settings, &request, at);
    spinner.finish_and_clear();
    Ok(show(&explained.map_err(|error| usage(&error))?, args.json))
}

/// Tells people of a decision, or a program.
pub(super) fn show(explanation: &Explanation, json: bool) -> Exit {
    let exit = match explanation.decision {
        Answer::Allow => Exit::Done,
        Answer::Deny => Exit::Failed,
    };
    let shown = if json { screen::json } else { screen::tell };
    print(exit, |out| shown(out, explanation).map(|()| exit))
}
