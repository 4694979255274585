//! The device flow (RFC 8628): a code to enter in a browser, anywhere, while this waits.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::error::{Grant, LoginError};
use super::exchange::{Exchange, bad_answer};
use super::lenient::DeviceAnswer;
use super::tokens::Tokens;
use crate::discovery::{FetchError, FetchErrorKind};
use crate::pkce;

/// Longest wait, whatever lifetime the provider gives its code.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Least time between two polls: "0" in an answer must not become a busy loop.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long a code is good for when nobody says; RFC 8628 §3.2 wants it said.
const USUAL_LIFETIME: Duration = Duration::from_secs(600);
/// What "slow down" adds to the time between two polls, for good (RFC 8628 §3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// Longest pause after polls without an answer, which doubles with each.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How many polls in a row may meet a failing server before the login is given up.
const MOST_FAILURES: u32 = 5;
/// How often the one who waits is told.
const TICK: Duration = Duration::from_secs(1);

/// What the person has to know to log in. The texts are the provider's own; whoever shows
/// them makes them printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePrompt {
    /// What to open; an http or https URL.
    pub verification_uri: Url,
    /// The same with the code in it, when the provider offers that.
    pub verification_uri_complete: Option<Url>,
    /// What to enter there.
    pub user_code: String,
    /// How long there is to do it.
    pub expires_in: Duration,
}

/// What happens while one waits.
#[derive(Debug)]
pub enum DeviceEvent<'e> {
    /// There is a code. Comes first, once.
    Code(&'e DevicePrompt),
    /// Another second has passed.
    Waiting {
        /// How long the code is still good for.
        left: Duration,
    },
    /// A poll had no answer; it is tried again.
    NoAnswer(&'e FetchError),
}

impl Exchange<'_> {
    /// Logs in by the device flow: asks for a code, hands it to `watch`, and waits until
    /// somebody has logged in with it. With PKCE (RFC 7636, S256) where the provider offers
    /// that: some demand it.
    ///
    /// # Errors
    /// It was refused, nobody came in time, or there was no usable answer. A poll that is not
    /// answered is repeated, more slowly, until the code has expired (RFC 8628 §3.5); one that
    /// a failing server (5xx) answers, five times in a row at most.
    pub async fn by_device(
        &self,
        scopes: &[String],
        watch: &dyn Fn(DeviceEvent<'_>),
    ) -> Result<Tokens, LoginError> {
        let endpoint = self.provider.device_authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| LoginError::NotOffered {
            issuer: self.provider.issuer.clone(),
            endpoint: "device_authorization_endpoint",
        })?;
        let verifier = if self.provider.pkce { pkce::verifier() } else { None };
        let challenge = verifier.as_deref().map(pkce::s256);
        let scopes = scopes.join(" ");
        let mut form = Vec::new();
        form.extend((!scopes.is_empty()).then_some(("scope", &*scopes)));
        if let Some(challenge) = &challenge {
            form.push(("code_challenge", challenge));
            form.push(("code_challenge_method", pkce::METHOD));
        }
        let reply = self.ask(endpoint, &form).await.map_err(LoginError::Unreachable)?;
        let answer: DeviceAnswer = self.read(Grant::Device, endpoint, &reply)?;
        let prompt = prompt(&answer, endpoint)?;
        watch(DeviceEvent::Code(&prompt));

        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &answer.device_code),
        ];
        form.extend(verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        let deadline = Instant::now() + prompt.expires_in;
        let polling = self.poll(&form, answer.interval(), deadline, watch);
        tokio::time::timeout_at(deadline + TICK, polling)
            .await
            .unwrap_or(Err(LoginError::CodeExpired(prompt.expires_in)))
    }

    async fn poll(
        &self,
        form: &[(&str, &str)],
        mut interval: Duration,
        deadline: Instant,
        watch: &dyn Fn(DeviceEvent<'_>),
    ) -> Result<Tokens, LoginError> {
        let endpoint = &self.provider.token_endpoint;
        let (mut pause, mut failures) = (interval, 0);
        loop {
            wait(pause, deadline, watch).await;
            let reply = match self.ask(endpoint, form).await {
                Ok(reply) => reply,
                Err(error) => {
                    watch(DeviceEvent::NoAnswer(&error));
                    pause = pause.saturating_mul(2).min(LONGEST_BACKOFF.max(interval));
                    continue;
                }
            };
            let error = match self.read(Grant::Device, endpoint, &reply) {
                Ok(answer) => return self.tokens_of(answer),
                Err(error) => error,
            };
            match (reply.status.as_u16(), code(&error)) {
                (_, "authorization_pending") => {
                    (pause, failures) = (interval, 0);
                }
                (429, _) | (_, "slow_down") => {
                    interval = interval.saturating_add(SLOW_DOWN);
                    (pause, failures) = (interval.max(reply.retry_after().unwrap_or_default()), 0);
                }
                (status @ 500.., _) if failures < MOST_FAILURES => {
                    failures += 1;
                    pause = pause.saturating_mul(2).min(LONGEST_BACKOFF.max(interval));
                    let kind = FetchErrorKind::Status { status, retry_after: None };
                    watch(DeviceEvent::NoAnswer(&FetchError { url: endpoint.to_string(), kind }));
                }
                (..) => return Err(error),
            }
        }
    }
}

/// What the provider said, when it said something.
fn code(error: &LoginError) -> &str {
    if let LoginError::Refused { code, .. } = error { code } else { "" }
}

fn prompt(answer: &DeviceAnswer, endpoint: &Url) -> Result<DevicePrompt, LoginError> {
    let page = |url: &str| Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    let not_a_url = "`verification_uri` is not an http or https URL";
    Ok(DevicePrompt {
        verification_uri: page(answer.page())
            .ok_or_else(|| bad_answer(endpoint, not_a_url.into()))?,
        verification_uri_complete: answer.verification_uri_complete.as_deref().and_then(page),
        user_code: answer.user_code.clone(),
        expires_in: answer.expires_in.unwrap_or(USUAL_LIFETIME).min(LONGEST_WAIT),
    })
}

/// The pause between two polls, told second by second.
async fn wait(interval: Duration, deadline: Instant, watch: &dyn Fn(DeviceEvent<'_>)) {
    let until = Instant::now() + interval.clamp(SHORTEST_INTERVAL, LONGEST_WAIT);
    loop {
        let now = Instant::now();
        watch(DeviceEvent::Waiting { left: deadline.saturating_duration_since(now) });
        if now >= until {
            return;
        }
        tokio::time::sleep_until(until.min(now + TICK)).await;
    }
}
