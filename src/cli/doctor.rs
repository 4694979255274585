//! `doorward doctor`: what is wrong with an identity provider, a token or a gateway, and
//! how to mend it there.

mod gateway;
mod screen;

use std::io;
use std::time::Duration;

use clap::Args;
use doorward_core::clock::{Clock as _, SystemClock};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::issuer_args::IssuerArgs;
use super::output::{block_on, print, refuse, wrong};
use super::{ConfigArgs, Exit, OUTPUT, auth, pasted};
use crate::config::Settings;
use crate::doctor::{Examination, KnownIssuer, Outcome, Report, examine_token};

/// Diagnose the identity provider, its tokens, or the gateway
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward doctor --config doorward.yaml
  doorward doctor --issuer https://idp.example/realms/nmp --client-id nmp
  doorward doctor --config doorward.yaml --logged-in
  doorward doctor --config doorward.yaml --token - < token.txt
  doorward doctor --envoy envoy.yaml
  curl -s localhost:9901/config_dump | doorward doctor --envoy -
  doorward doctor --gateway https://gateway.example --echo /headers --logged-in

One line a check: pass, warn or fail, and how to fix it in that provider; not seen is what could
not be tried. Nothing is changed there; one device authorization is requested and left to expire,
the only way to learn whether the client may. Exit code 0: nothing failed, all was seen; 1: not so;
2: wrong usage or configuration.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Also examine this access token; - reads it from standard input, which keeps it out of the
    /// process list
    #[arg(long, value_name = "TOKEN", help_heading = "Token")]
    token: Option<String>,
    /// Also examine the access token of `auth login`, refreshed first if it expires soon
    #[arg(long, conflicts_with = "token", help_heading = "Token")]
    logged_in: bool,
    #[command(flatten)]
    gateway: gateway::GatewayArgs,
    /// Print the findings as JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Exit {
    let report = match examine(args) {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    let exit = if report.worst() >= Outcome::NotSeen { Exit::Failed } else { Exit::Done };
    let show = if args.json { screen::as_json } else { screen::as_lines };
    print(exit, |out| show(&report, out).map(|()| exit))
}

/// Every examination that was asked for; each adds its sections.
fn examine(args: &DoctorArgs) -> Result<Report, Exit> {
    if args.gateway.asked() {
        return args.gateway.examine(&args.config, token(args)?);
    }
    let settings = settings(args)?;
    let token = token(args)?;
    issuers(&settings, token.as_deref()).map_err(refuse(Exit::Failed))
}

/// Examines all issuers at once, so that one that hangs costs its own time only, and then
/// the token with what was learned.
fn issuers(settings: &Settings, token: Option<&str>) -> io::Result<Report> {
    let issuers = Examination::all(settings);
    let plural = if issuers.len() == 1 { "" } else { "s" };
    let spinner = spinner(format!("contacting the issuer{plural}"));
    let examined = block_on(async {
        let mut under_way = JoinSet::new();
        for (index, issuer) in issuers.iter().cloned().enumerate() {
            under_way.spawn(async move { (index, issuer.run(&SystemClock).await) });
        }
        let mut examined = under_way.join_all().await;
        examined.sort_by_key(|(index, _)| *index);
        examined.into_iter().map(|(_, examined)| examined).collect::<Vec<_>>()
    })?;
    spinner.finish_and_clear();

    let mut sections = Vec::new();
    let mut known: Vec<KnownIssuer> = Vec::new();
    for (issuer, examined) in issuers.iter().zip(examined) {
        let lender = known.first().filter(|_| issuer.settings.borrows_from_primary);
        let keys = examined.keys.or_else(|| lender?.keys.clone());
        let client = issuer.client().map(str::to_owned);
        known.push(KnownIssuer { product: examined.provider, client, keys });
        sections.push(examined.section);
    }
    let of_token = token.map(|token| examine_token(token, settings, &known, SystemClock.now()));
    sections.extend(of_token);
    Ok(Report { sections })
}

/// Shown on a terminal only, and gone when the findings come.
pub(super) fn spinner(message: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(80));
    spinner
}

fn settings(args: &DoctorArgs) -> Result<Settings, Exit> {
    let loaded = args.issuer.load(&args.config)?;
    if loaded.settings.issuers.is_empty() {
        // Possible with `auth.enabled: false` only; all would be well with nothing.
        return Err(wrong(Exit::Usage, "no issuer is configured: nothing to examine"));
    }
    Ok(loaded.settings)
}

/// The token to examine, if any.
fn token(args: &DoctorArgs) -> Result<Option<String>, Exit> {
    if args.logged_in {
        return auth::token_at_hand().map(|token| Some(token.expose().to_owned()));
    }
    let Some(argument) = args.token.as_deref() else { return Ok(None) };
    let given = pasted::given(argument).map_err(refuse(Exit::Usage))?;
    Ok(Some(String::from_utf8_lossy(pasted::token_in(&given)).into_owned()))
}
