//! `doorward init`: from an issuer and a client to files that work.

mod words;

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use doorward_core::clock::SystemClock;

use super::doctor::spinner;
use super::output::{self, block_on, refuse, say, wrong};
use super::style::{DIM, GOOD};
use super::{Exit, OUTPUT, refuse_config};
use crate::config::{self, Sources};
use crate::doctor::{Examination, Examined, Outcome};
use crate::init::{Choices, Gateway, Runs, Upstream, every_tenant, published_issuer};
use crate::loopback::with_scheme;
use crate::printable::printable;
use crate::product::Product;
use crate::whole_file::{self, Existing};

/// Write a configuration for an identity provider, and for the gateway
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward init
  doorward init --issuer https://idp.example/realms/nmp --client-id nmp --gateway envoy
  doorward init --issuer https://login.microsoftonline.com/<tenant id>/v2.0 \\
      --client-id <application id> --gateway envoy --upstream 127.0.0.1:8000
  doorward init --issuer https://org.okta.com/oauth2/default --client-id 0oa1 \\
      --gateway istio --upstream api.shop:8080 --out deploy/doorward.yaml

The provider is examined: which product it is (Keycloak, Entra ID, Okta, Auth0, Google, Zitadel,
authentik, Cognito or another), where its keys and endpoints are, and whether this client may log
in from a command line. doorward.yaml explains each line in a comment, the gateway's files are
written next to it, and what is still missing at the provider is listed by menu, with the commands
to run next. Nothing is changed at the provider. Existing files are kept without --force.

Exit codes: 0 written; 1 the provider cannot be used, nothing is written; 2 wrong usage, or a file
exists.")]
pub(super) struct InitArgs {
    /// The provider's issuer URL, the `iss` of its tokens; prompted for if missing
    #[arg(long, value_name = "URL", help_heading = "Identity provider")]
    issuer: Option<String>,
    /// The public client that users log in with; prompted for if missing
    #[arg(long, value_name = "ID", help_heading = "Identity provider")]
    client_id: Option<String>,
    /// The `aud` of its tokens [default: the client id, or what the product uses]
    #[arg(long, value_name = "AUDIENCE", help_heading = "Identity provider")]
    audience: Option<String>,
    /// PEM file of certificates to trust for the provider in addition to the system's
    #[arg(long, value_name = "FILE", help_heading = "Identity provider")]
    ca_file: Option<PathBuf>,
    /// Also write the configuration of this gateway
    #[arg(long, value_name = "GATEWAY", help_heading = "Gateway")]
    gateway: Option<GatewayName>,
    /// The service to guard: HOST:PORT, or SERVICE.NAMESPACE:PORT in a cluster [default:
    /// 127.0.0.1:8080 or platform.platform:8080]
    #[arg(long, value_name = "HOST:PORT", requires = "gateway", help_heading = "Gateway")]
    upstream: Option<Upstream>,
    /// Where to write the configuration; the gateway's files are written beside it
    #[arg(long, value_name = "FILE", default_value = "doorward.yaml", help_heading = OUTPUT)]
    out: PathBuf,
    /// Overwrite existing files
    #[arg(long, help_heading = OUTPUT)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GatewayName {
    /// Envoy on this machine, over gRPC
    Envoy,
    /// Istio's ingress gateway
    Istio,
    /// Envoy Gateway (Gateway API)
    EnvoyGateway,
    /// Envoy on this machine, with Doorward inside it
    Module,
}

pub(super) fn run(args: &InitArgs) -> Exit {
    init(args).map_or_else(|exit| exit, |()| Exit::Done)
}

fn init(args: &InitArgs) -> Result<(), Exit> {
    let gateway = match args.gateway {
        None => None,
        Some(GatewayName::Envoy) => Some(Gateway::Envoy),
        Some(GatewayName::Istio) => Some(Gateway::Istio),
        Some(GatewayName::EnvoyGateway) => Some(Gateway::EnvoyGateway),
        Some(GatewayName::Module) => Some(Gateway::Module),
    };
    // Faults of the command line first: nobody waits for a provider to be told of them.
    let names: Vec<_> = gateway
        .map_or(&[][..], Gateway::file_names)
        .iter()
        .map(|name| args.out.with_file_name(name))
        .collect();
    let targets: Vec<_> = [&args.out].into_iter().chain(&names).collect();
    if let Some(twice) = names.iter().find(|name| **name == args.out) {
        let what = format!("--out {} is the name of the gateway's file", twice.display());
        return Err(wrong(Exit::Usage, what + ": choose another"));
    }
    if let Some(there) = targets.iter().find(|file| !args.force && file.symlink_metadata().is_ok())
    {
        return Err(exists(there));
    }
    let upstream =
        gateway.map(|gateway| args.upstream.clone().unwrap_or_else(|| gateway.default_upstream()));
    let keys = keys_of_module(&args.out);
    let side = |configuration: &str| match gateway.zip(upstream.as_ref()) {
        Some((gateway, upstream)) => gateway
            .files(upstream, configuration, &keys)
            .map_err(|error| wrong(Exit::Usage, format!("--upstream: {error}"))),
        None => Ok(Vec::new()),
    };
    side("")?;
    let (issuer, client_id) = answers(args)?;

    let provider = examine(Choices {
        issuer,
        client_id,
        audience: args.audience.clone(),
        ca_file: args.ca_file.as_ref().map(|file| file.display().to_string()),
        runs: gateway.map_or(Runs::Here, Gateway::runs),
        product: Product::Other,
    })?;
    let texts = [provider.configuration.clone()].into_iter().chain(side(&provider.configuration)?);
    for (file, text) in targets.iter().zip(texts) {
        write(file, &text, args.force).map_err(|error| {
            // Made by somebody else while the provider was asked.
            let is_new = error.kind() == io::ErrorKind::AlreadyExists;
            if is_new { exists(file) } else { unwritten(file, &error) }
        })?;
        say!("{GOOD}wrote{GOOD:#} {}", file.display());
    }
    write_schema(args)?;
    // Whoever closed standard error does not want to read it.
    let _ = words::say(&provider, gateway, &targets, &mut output::Stderr);
    Ok(())
}

/// Where the module finds the configuration, when Envoy is started from here.
fn keys_of_module(out: &Path) -> String {
    let is_clear = out.is_absolute() || out.starts_with(".");
    if is_clear { out.display().to_string() } else { format!("./{}", out.display()) }
}

/// The schema that the first line of the configuration names to editors. One that is there was
/// written by the same program, or is somebody's.
fn write_schema(args: &InitArgs) -> Result<(), Exit> {
    let file = args.out.with_file_name(config::SCHEMA_FILE);
    match write(&file, &format!("{:#}\n", config::json_schema()), args.force) {
        Ok(()) => {
            say!("{GOOD}wrote{GOOD:#} {} (for editors)", file.display());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unwritten(&file, &error)),
    }
}

fn exists(file: &Path) -> Exit {
    let what = "exists and was not changed: --force overwrites it, --out FILE writes elsewhere";
    wrong(Exit::Usage, format!("{} {what}", file.display()))
}

fn unwritten(file: &Path, error: &io::Error) -> Exit {
    wrong(Exit::Failed, format!("{} cannot be written: {error}", file.display()))
}

/// Issuer and client: as given, or asked for.
fn answers(args: &InitArgs) -> Result<(String, String), Exit> {
    let given = |it: &Option<String>| it.as_deref().map(str::trim).map(str::to_owned);
    let (mut issuer, mut client) = (given(&args.issuer), given(&args.client_id));
    if issuer.is_none() || client.is_none() {
        if !io::stdin().is_terminal() {
            let what = "--issuer URL and --client-id ID are required when there is no terminal to \
                        prompt on";
            return Err(wrong(Exit::Usage, what));
        }
        let ask = |question: &str| {
            ask(question, &mut io::stdin().lock(), &mut io::stderr())
                .map_err(|error| wrong(Exit::Usage, format!("no answer: {error}")))
        };
        if issuer.is_none() {
            issuer = Some(ask("Issuer URL of the identity provider (the `iss` of its tokens)")?);
        }
        if client.is_none() {
            client = Some(ask("Client id that people log in with")?);
        }
    }
    Ok((with_scheme(&issuer.unwrap_or_default()).into_owned(), client.unwrap_or_default()))
}

/// Asks until there is an answer.
fn ask(question: &str, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<String> {
    loop {
        write!(output, "{question}: ")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !line.trim().is_empty() {
            return Ok(line.trim().to_owned());
        }
    }
}

/// A provider that can be used.
struct Provider {
    choices: Choices,
    configuration: String,
    examined: Examined,
}

/// Looks at the provider twice: at what it publishes, to choose by, and then by what was
/// chosen, as `doctor` will.
fn examine(mut choices: Choices) -> Result<Provider, Exit> {
    let spinner = spinner(format!("asking {}", printable(&choices.issuer)));
    let sources = match choices.runs {
        Runs::Here | Runs::InCluster => Sources::none(),
        Runs::InsideEnvoy => Sources::of_module(),
    };
    let look = |text: &str, login: bool| -> Result<Examined, Exit> {
        let sources = sources.clone().inline_yaml("--issuer, --client-id", text);
        let settings = config::load(&sources).map_err(|faults| refuse_config(&faults))?.settings;
        // The primary one; Entra's other name for itself comes after it.
        let Some(mut issuer) = Examination::all(&settings).into_iter().next() else {
            return Err(wrong(Exit::Usage, "--issuer: expected a URL"));
        };
        issuer.login = issuer.login.filter(|_| login);
        block_on(issuer.run(&SystemClock)).map_err(refuse(Exit::Failed))
    };
    let plain = |choices: &Choices| {
        let oidc = serde_json::json!({
            "issuer": choices.issuer, "client_id": choices.client_id, "ca_file": choices.ca_file,
        });
        serde_json::json!({"auth": {"oidc": oidc}}).to_string()
    };
    let first = look(&plain(&choices), false)?;
    choices.product = first.provider;
    let Some(document) = &first.document else { return Err(unusable(&choices, &first)) };
    if every_tenant(document) {
        let what = format!(
            "{} covers every tenant: use your own, as in \
             https://login.microsoftonline.com/<tenant id>/v2.0 (Overview > Directory (tenant) ID); \
             nothing is written",
            printable(&choices.issuer)
        );
        return Err(wrong(Exit::Failed, what));
    }
    if let Some(published) = published_issuer(&choices.issuer, choices.product, document) {
        say!(
            "{DIM}note:{DIM:#} the provider calls itself {}, in its tokens too: that name is \
             written",
            printable(&published)
        );
        choices.issuer = published;
    }
    let configuration = choices.configuration(document);
    let examined = look(&configuration, true)?;
    spinner.finish_and_clear();
    let mut findings = examined.section.findings.iter();
    let other_issuer = findings.any(|it| it.check == "issuer_match" && it.outcome == Outcome::Fail);
    if other_issuer || examined.keys.is_none() {
        return Err(unusable(&choices, &examined));
    }
    Ok(Provider { choices, configuration, examined })
}

fn unusable(choices: &Choices, examined: &Examined) -> Exit {
    let issuer = printable(&choices.issuer);
    let exit = wrong(Exit::Failed, format!("{issuer} cannot be used as it is; nothing is written"));
    let _ = words::faults(examined, &mut output::Stderr);
    exit
}

/// There is no secret in it, and the server runs as somebody else.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let existing = if force { Existing::Replaced } else { Existing::Kept };
    whole_file::write(path, text.as_bytes(), 0o644, existing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_until_it_is_answered() {
        let mut said = Vec::new();
        let answer = ask("Issuer", &mut &b"\n  \n https://idp.example \nx"[..], &mut said).unwrap();
        assert_eq!(answer, "https://idp.example");
        assert_eq!(String::from_utf8(said).unwrap(), "Issuer: Issuer: Issuer: ");
        assert!(ask("Issuer", &mut &b"\n"[..], &mut Vec::new()).is_err());
    }
}
