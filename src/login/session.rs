//! The token one is logged in with.

use std::time::Duration;

use doorward_core::clock::Clock;

use super::error::LoginError;
use super::exchange::Exchange;
use super::provider::Provider;
use super::store::{Contexts, Login, Logins, Over};
use super::tokens::Secrets;
use crate::discovery::{Access, HttpFetcher};
use crate::secret::{ClientSecret, Secret};

/// How long one request to a provider may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// When to obtain a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// When the one at hand is near its end.
    WhenNearItsEnd,
    /// At once, whatever time is left to the one at hand.
    Now,
}

/// A login with its tokens at hand.
#[derive(Debug)]
pub struct SignedIn {
    /// What the login is called.
    pub context: String,
    /// All about it; `login.provider.issuer` is whose token it is.
    pub login: Login,
    /// Its tokens; the access token is in force.
    pub secrets: Secrets,
    /// Whether they were obtained just now.
    pub refreshed: bool,
    /// Why they were not, though it was time; the access token still holds.
    pub trouble: Option<LoginError>,
}

/// The login called `context`, or the current one, with an access token that holds:
/// refreshed first when it is time.
///
/// However many processes ask at once, one makes the request: it holds the lock from
/// looking to writing, and the others then find the new token.
///
/// Blocks its thread while it waits for the key ring, 20 seconds at most.
///
/// # Errors
/// Nobody is logged in there, or the token has ended and cannot be refreshed.
pub async fn signed_in(
    logins: &Logins,
    context: Option<&str>,
    freshness: Freshness,
    clock: &dyn Clock,
) -> Result<SignedIn, LoginError> {
    let at_hand = |contexts: &Contexts| at_hand(logins, contexts, context, freshness, clock);
    if let Some(signed_in) = at_hand(&logins.read()?)? {
        return Ok(signed_in);
    }
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    if let Some(signed_in) = at_hand(&contexts)? {
        return Ok(signed_in);
    }
    let (name, login) = contexts.find(context)?;
    let (name, login) = (name.to_owned(), login.clone());
    let secrets = logins.secrets(&login)?;
    let tokens = match refreshed(&name, &login, &secrets, clock).await {
        Ok(tokens) => tokens,
        Err(mut trouble) => {
            if let Some(said) = trouble.ends_the_login() {
                // Kept, so that nobody promises or tries another refresh.
                let over = Over { at: clock.now().0, said };
                let ended = Login { over: Some(over.clone()), ..login.clone() };
                contexts.logins.insert(name.clone(), ended);
                changing.write(&contexts)?;
                trouble = LoginError::Ended { context: name.clone(), over: Some(over) };
            }
            if freshness == Freshness::Now || !login.holds(clock.now()) {
                return Err(trouble);
            }
            let (refreshed, trouble) = (false, Some(trouble));
            return Ok(SignedIn { context: name, login, secrets, refreshed, trouble });
        }
    };
    let kept = changing.keep_again(&login.kept, &tokens.secrets);
    let mut next = Login::new(login.provider, login.requested, &tokens, kept);
    // RFC 6749 §6: without a word on scopes they are as before.
    next.granted = next.granted.or(login.granted);
    contexts.logins.insert(name.clone(), next.clone());
    changing.write(&contexts)?;
    let secrets = tokens.secrets;
    Ok(SignedIn { context: name, login: next, secrets, refreshed: true, trouble: None })
}

/// The login when its token will do: it is not near its end, or holds and cannot be refreshed.
fn at_hand(
    logins: &Logins,
    contexts: &Contexts,
    context: Option<&str>,
    freshness: Freshness,
    clock: &dyn Clock,
) -> Result<Option<SignedIn>, LoginError> {
    let (name, login) = contexts.find(context)?;
    let over = login.over.clone();
    let over = over.map(|over| LoginError::Ended { context: name.to_owned(), over: Some(over) });
    let will_do = match over {
        Some(_) => login.holds(clock.now()),
        None => !login.is_near_its_end(clock.now()),
    };
    if freshness == Freshness::Now || !will_do {
        return over.map_or(Ok(None), Err);
    }
    Ok(Some(SignedIn {
        context: name.to_owned(),
        secrets: logins.secrets(login)?,
        login: login.clone(),
        refreshed: false,
        trouble: over,
    }))
}

async fn refreshed(
    name: &str,
    login: &Login,
    secrets: &Secrets,
    clock: &dyn Clock,
) -> Result<super::tokens::Tokens, LoginError> {
    let Some(refresh_token) = &secrets.refresh_token else {
        return Err(LoginError::Ended { context: name.to_owned(), over: None });
    };
    let http = http_for(login).await?;
    let secret = client_secret(&login.provider, secrets)?;
    let exchange = Exchange::new(&login.provider, &http, clock).with_secret(secret);
    exchange.refresh(refresh_token, secrets.id_token.as_ref()).await
}

/// The secret of the client of a login, where it has one.
pub(crate) fn client_secret(
    provider: &Provider,
    secrets: &Secrets,
) -> Result<Option<Secret>, LoginError> {
    match &provider.client_secret_file {
        Some(path) => Ok(Some(ClientSecret::File(path.clone()).read()?)),
        None => Ok(secrets.client_secret.clone()),
    }
}

/// The HTTP client for a login's provider.
pub(crate) async fn http_for(login: &Login) -> Result<HttpFetcher, LoginError> {
    let access = Access { ca_file: login.provider.ca_file.clone(), ..Access::default() };
    Ok(HttpFetcher::new(&access, TIMEOUT).await?)
}
