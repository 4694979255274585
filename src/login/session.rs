//! The token one is logged in with.

use std::time::Duration;

use super::error::LoginError;
use super::exchange::Exchange;
use super::store::{Contexts, Login, Logins};
use super::tokens::Secrets;
use crate::clock::Clock;
use crate::discovery::{Access, HttpFetcher};

/// How long one request to a provider may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// When to obtain a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// When the one at hand is near its end.
    WhenNearItsEnd,
    /// Now.
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
    let is_fresh = |login: &Login| {
        freshness == Freshness::WhenNearItsEnd && !login.is_near_its_end(clock.now())
    };
    if let Some(signed_in) = at_hand(logins, &logins.read()?, context, is_fresh)? {
        return Ok(signed_in);
    }
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    if let Some(signed_in) = at_hand(logins, &contexts, context, is_fresh)? {
        return Ok(signed_in);
    }
    let (name, login) = contexts.find(context)?;
    let (name, login) = (name.to_owned(), login.clone());
    let secrets = logins.secrets(&login)?;
    let tokens = match refreshed(&name, &login, &secrets, clock).await {
        Ok(tokens) => tokens,
        Err(trouble) if freshness == Freshness::Now || !login.holds(clock.now()) => {
            return Err(trouble);
        }
        Err(trouble) => {
            let trouble = Some(trouble);
            return Ok(SignedIn { context: name, login, secrets, refreshed: false, trouble });
        }
    };
    let kept = changing.keep_again(&login.kept, &tokens.secrets);
    let mut next = Login::new(login.provider, login.requested, &tokens, kept);
    // RFC 6749 §6: without a word on scopes they are as before.
    next.granted = next.granted.or(login.granted);
    contexts.logins.insert(name.clone(), next.clone());
    changing.write(&contexts)?;
    Ok(SignedIn {
        context: name,
        login: next,
        secrets: tokens.secrets,
        refreshed: true,
        trouble: None,
    })
}

fn at_hand(
    logins: &Logins,
    contexts: &Contexts,
    context: Option<&str>,
    is_fresh: impl Fn(&Login) -> bool,
) -> Result<Option<SignedIn>, LoginError> {
    let (name, login) = contexts.find(context)?;
    if !is_fresh(login) {
        return Ok(None);
    }
    Ok(Some(SignedIn {
        context: name.to_owned(),
        secrets: logins.secrets(login)?,
        login: login.clone(),
        refreshed: false,
        trouble: None,
    }))
}

async fn refreshed(
    name: &str,
    login: &Login,
    secrets: &Secrets,
    clock: &dyn Clock,
) -> Result<super::tokens::Tokens, LoginError> {
    let Some(refresh_token) = &secrets.refresh_token else {
        return Err(LoginError::Ended { context: name.to_owned() });
    };
    let http = http_for(login).await?;
    let exchange = Exchange::new(&login.provider, &http, clock);
    exchange.refresh(refresh_token, secrets.id_token.as_ref()).await
}

/// The HTTP client for a login's provider.
pub(crate) async fn http_for(login: &Login) -> Result<HttpFetcher, LoginError> {
    let access = Access { ca_file: login.provider.ca_file.clone(), ..Access::default() };
    Ok(HttpFetcher::new(&access, TIMEOUT).await?)
}
