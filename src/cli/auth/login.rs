//! `doorward auth login`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use doorward_core::clock::{Clock, SystemClock};
use url::Url;

use super::password::{self, PasswordSource};
use super::progress::Progress;
use super::unsigned::{self, UnsignedArgs};
use super::{Failure, words};
use crate::cli::completions::contexts;
use crate::cli::{ConfigArgs, Exit, refuse_config};
use crate::config;
use crate::discovery::{Access, HttpFetcher};
use crate::login::{
    ClientOptions, Contexts, Exchange, Login, LoginError, Logins, Place, Provider, TIMEOUT, Tokens,
    client_secret, not_granted, requested,
};
use crate::loopback::is_loopback;
use crate::printable::printable;
use crate::secret::{ClientSecret, Secret};

/// Log in with the device flow, or with a password.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward auth login https://nmp.example
  doorward auth login https://nmp.example --scope models:read,models:write
  doorward auth login --issuer https://idp.example/realms/nmp --client-id nmp
  doorward auth login https://nmp.example --username alice --password-stdin < password
  NMP_OIDC_USERNAME=alice NMP_OIDC_PASSWORD=… doorward auth login https://nmp.example
  doorward auth login http://localhost:8080 --unsigned-token --email alice@example.com

Without a user name this is the device flow: open the URL shown in any browser, on any
machine, and enter the code. Without a base URL or issuer it logs in again to the current
context. --scope replaces the platform's scopes (those with a ':' and those that end in
'.default'), not 'openid', 'email' and the like; scope_prefix is added to them.")]
pub(super) struct LoginArgs {
    /// The platform; {BASE_URL}/apis/auth/discovery says how to log in
    /// [env: NMP_BASE_URL]
    #[arg(value_name = "BASE_URL")]
    base_url: Option<String>,
    /// The same as BASE_URL, by the name that it has in `nemo auth login`
    #[arg(long = "base-url", value_name = "URL", conflicts_with = "base_url")]
    #[arg(help_heading = "Where to log in")]
    base_url_flag: Option<String>,
    /// Log in directly at this issuer; needs --client-id
    #[arg(long, value_name = "URL", help_heading = "Where to log in")]
    issuer: Option<String>,
    /// The client to log in with [default: the platform's]
    #[arg(long, value_name = "ID", help_heading = "Where to log in")]
    client_id: Option<String>,
    /// File with the client's secret, where the provider requires one [default:
    /// auth.oidc.client_secret or client_secret_file of --config, or their variables]
    #[arg(long, value_name = "FILE", help_heading = "Where to log in")]
    client_secret_file: Option<PathBuf>,
    /// PEM file of authorities to trust in addition to the system's
    #[arg(long, value_name = "FILE", help_heading = "Where to log in")]
    ca_file: Option<PathBuf>,
    /// Platform scopes to request, instead of the default ones
    #[arg(long, value_name = "SCOPES", help_heading = "What to ask for")]
    scope: Option<String>,
    /// The prefix of platform scopes [default: the platform's]
    #[arg(long, value_name = "PREFIX", help_heading = "What to ask for")]
    scope_prefix: Option<String>,
    /// The API that the token is for, for providers that use `audience` (Auth0)
    #[arg(long, help_heading = "What to ask for")]
    audience: Option<String>,
    /// The API that the token is for, for providers that use `resource` (RFC 8707)
    #[arg(long, help_heading = "What to ask for")]
    resource: Option<String>,
    /// Do not open a browser, just print the URL
    #[arg(long, help_heading = "How to log in")]
    no_browser: bool,
    /// User name; logs in with a password, bypassing multi-factor authentication
    #[arg(long, value_name = "NAME", env = "NMP_OIDC_USERNAME", help_heading = "How to log in")]
    username: Option<String>,
    /// The password, visible in the process list; prefer NMP_OIDC_PASSWORD,
    /// --password-stdin, or none of them to be asked
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_stdin",
        help_heading = "How to log in"
    )]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, help_heading = "How to log in")]
    password_stdin: bool,
    /// Name of this login [default: the base URL or issuer]
    #[arg(long, value_name = "NAME", help_heading = "Where to keep the tokens")]
    #[arg(add = ArgValueCandidates::new(contexts))]
    context: Option<String>,
    #[command(flatten)]
    unsigned: UnsignedArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: &LoginArgs, logins: &Logins, place: Place) -> Result<Exit, Failure> {
    // Before anybody types a password: what is there can be read, and replaced.
    let known = logins.lock().await?.read()?;
    let target = target(args, &known)?;
    if let Some(tokens) = args.unsigned.tokens() {
        return by_word(args, &target, &tokens, logins, place).await;
    }
    let username = args.username.as_deref().filter(|name| !name.is_empty());
    let source = PasswordSource { flag: args.password.as_deref(), stdin: args.password_stdin };
    if username.is_none() && (source.flag.is_some() || source.stdin) {
        return Err(Failure::Usage {
            what: "a password without a user name".into(),
            next: "name the user with --username, or leave the password out".into(),
        });
    }
    let password = username.map(|name| password::obtain(name, &source)).transpose()?;

    let options = options(args, &target);
    let access = Access { ca_file: options.ca_file.clone(), ..Access::default() };
    let http = HttpFetcher::new(&access, TIMEOUT).await.map_err(LoginError::from)?;
    let mut provider = match &target {
        Target::Issuer(issuer) => Provider::of_issuer(&http, issuer, options).await?,
        Target::Platform(base_url) => {
            warn_of_plain_http(base_url);
            Provider::of_platform(&http, base_url, options).await?
        }
        Target::Again(_, Login { provider: before, .. }) => match &before.base_url {
            Some(base_url) => Provider::of_platform(&http, base_url, options).await?,
            None => Provider::of_issuer(&http, &before.issuer, options).await?,
        },
    };
    let secret = secret(args, &target, logins, &mut provider)?;
    // Whoever logs in again without a word on scopes wants those of before.
    let defaults = match &target {
        Target::Again(_, before) => before.requested.join(" "),
        Target::Issuer(_) | Target::Platform(_) => provider.default_scopes.clone(),
    };
    let scopes = requested(&defaults, args.scope.as_deref(), provider.scope_prefix.as_deref());

    words::asking(&provider, &scopes);

    let exchange = Exchange::new(&provider, &http, &SystemClock).with_secret(secret);
    let tokens = match (username, &password) {
        (Some(username), Some(password)) => {
            exchange.by_password(username, password, &scopes).await?
        }
        _ => {
            let progress = Progress::new(provider.name(), !args.no_browser);
            let tokens = exchange.by_device(&scopes, &|event| progress.show(&event)).await;
            progress.finish();
            tokens?
        }
    };
    let name = name(args, &target, &provider);
    let login = keep(logins, &name, provider, scopes, &tokens, place).await?;
    report(&name, &login, &tokens, logins);
    Ok(Exit::Done)
}

/// Keeps tokens that rest on nobody's word but that of who logs in.
async fn by_word(
    args: &LoginArgs,
    target: &Target<'_>,
    tokens: &Tokens,
    logins: &Logins,
    place: Place,
) -> Result<Exit, Failure> {
    let base_url = match target {
        Target::Platform(base_url) => base_url,
        Target::Again(_, login) => {
            login.provider.base_url.as_ref().unwrap_or(&login.provider.issuer)
        }
        Target::Issuer(issuer) => *issuer,
    };
    let provider = unsigned::provider(base_url)?;
    let name = name(args, target, &provider);
    let login = keep(logins, &name, provider, Vec::new(), tokens, place).await?;
    words::logged_in(&name, &login, SystemClock.now(), &logins.path());
    Ok(Exit::Done)
}

fn name(args: &LoginArgs, target: &Target<'_>, provider: &Provider) -> String {
    match (&args.context, target) {
        (Some(name), _) => name.clone(),
        (None, Target::Again(name, _)) => (*name).to_owned(),
        (None, Target::Issuer(_) | Target::Platform(_)) => provider.name().to_owned(),
    }
}

/// Where to log in.
enum Target<'a> {
    Issuer(&'a str),
    Platform(String),
    /// Where one was logged in before, under this name.
    Again(&'a str, &'a Login),
}

/// What the command line says comes first, then a login named there, then the environment,
/// then the current login.
fn target<'a>(args: &'a LoginArgs, known: &'a Contexts) -> Result<Target<'a>, Failure> {
    if let Some(issuer) = &args.issuer {
        return Ok(Target::Issuer(issuer));
    }
    if let Some(base_url) = args.base_url.as_ref().or(args.base_url_flag.as_ref()) {
        return Ok(Target::Platform(base_url.clone()));
    }
    if args.context.is_some()
        && let Ok((name, login)) = known.find(args.context.as_deref())
    {
        return Ok(Target::Again(name, login));
    }
    if let Some(base_url) = std::env::var_os("NMP_BASE_URL").filter(|url| !url.is_empty()) {
        return Ok(Target::Platform(base_url.to_string_lossy().into_owned()));
    }
    match known.find(None) {
        Ok((name, login)) if args.context.is_none() => Ok(Target::Again(name, login)),
        Ok(_) | Err(_) => {
            let names: Vec<_> = known.logins.keys().map(|name| printable(name)).collect();
            let again = match names.as_slice() {
                [] => String::new(),
                names => format!(", or --context with one of: {}", names.join(", ")),
            };
            let next = "run doorward auth login BASE_URL, or pass --issuer URL --client-id ID";
            Err(Failure::Usage {
                what: "no base URL or issuer to log in to".into(),
                next: format!("{next}{again}"),
            })
        }
    }
}

/// What the command line says of the client, else what was said the last time.
fn options(args: &LoginArgs, target: &Target<'_>) -> ClientOptions {
    let mut options = ClientOptions {
        client_id: args.client_id.clone(),
        scope_prefix: args.scope_prefix.clone(),
        parameters: parameters(args),
        ca_file: args.ca_file.clone(),
    };
    if let Target::Again(_, Login { provider: before, .. }) = target {
        options.client_id.get_or_insert_with(|| before.client_id.clone());
        options.scope_prefix = options.scope_prefix.or_else(|| before.scope_prefix.clone());
        options.ca_file = options.ca_file.or_else(|| before.ca_file.clone());
        if options.parameters.is_empty() {
            options.parameters.clone_from(&before.parameters);
        }
    }
    options
}

/// The client's secret: of the command line, of the configuration where that is about this client, or
/// of the last time. A file with it is kept in `provider`.
fn secret(
    args: &LoginArgs,
    target: &Target<'_>,
    logins: &Logins,
    provider: &mut Provider,
) -> Result<Option<Secret>, Failure> {
    let given = match &args.client_secret_file {
        Some(file) => Some(ClientSecret::File(file.clone())),
        None => configured_secret(args, provider)?,
    };
    let Some(secret) = given else {
        let Target::Again(_, before) = target else { return Ok(None) };
        provider.client_secret_file.clone_from(&before.provider.client_secret_file);
        return Ok(client_secret(&before.provider, &logins.secrets(before)?)?);
    };
    let text = secret.read().map_err(LoginError::from)?;
    if let ClientSecret::File(file) = &secret {
        provider.client_secret_file = Some(std::path::absolute(file).map_err(Failure::System)?);
    }
    Ok(Some(text))
}

/// The secret in the configuration. One of another client, or for another issuer, goes nowhere.
fn configured_secret(
    args: &LoginArgs,
    provider: &Provider,
) -> Result<Option<ClientSecret>, Failure> {
    let client = config::login_client(&args.config.sources()).map_err(|faults| {
        refuse_config(&faults);
        Failure::Usage {
            what: "the client's secret cannot be read from the configuration".into(),
            next: "correct it, or use --client-secret-file".into(),
        }
    })?;
    let is_meant = client.id.is_none_or(|id| id == provider.client_id)
        && client.issuer.is_none_or(|issuer| issuer == provider.issuer);
    Ok(client.secret.filter(|_| is_meant))
}

fn parameters(args: &LoginArgs) -> Vec<(String, String)> {
    let named = [("audience", &args.audience), ("resource", &args.resource)];
    let given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn warn_of_plain_http(base_url: &str) {
    if let Ok(url) = Url::parse(base_url)
        && url.scheme() == "http"
        && !is_loopback(&url)
    {
        words::warn(
            "the platform is reached over plain http: anyone on the network path can read tokens \
             and redirect the login",
        );
    }
}

async fn keep(
    logins: &Logins,
    name: &str,
    provider: Provider,
    scopes: Vec<String>,
    tokens: &Tokens,
    place: Place,
) -> Result<Login, Failure> {
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    let kept = changing.keep(name, &tokens.secrets, place)?;
    let login = Login::new(provider, scopes, tokens, kept);
    let before = contexts.logins.insert(name.to_owned(), login.clone());
    contexts.current = Some(name.to_owned());
    changing.write(&contexts)?;
    if let Some(before) = before {
        changing.forget(&before.kept);
    }
    Ok(login)
}

fn report(name: &str, login: &Login, tokens: &Tokens, logins: &Logins) {
    words::logged_in(name, login, SystemClock.now(), &logins.path());
    let provider = &login.provider;
    let came = (tokens.secrets.id_token.is_some(), tokens.secrets.refresh_token.is_some());
    let missing = not_granted(
        &login.requested,
        tokens.granted.as_deref(),
        provider.scope_prefix.as_deref(),
        came,
    );
    words::not_granted(&missing, provider.product());
}
