//! The device flow (RFC 8628): a code to enter in a browser, anywhere, while this waits.

use std::time::Duration;

use oauth2::{EmptyExtraDeviceAuthorizationFields, Scope, StandardDeviceAuthorizationResponse};
use tokio::time::Instant;
use url::Url;

use super::error::{Grant, LoginError};
use super::exchange::Exchange;
use super::tokens::Tokens;
use crate::discovery::FetchError;

/// Longest wait, whatever lifetime the provider gives its code.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Least time between two polls: "0" in an answer must not become a busy loop.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
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
    /// somebody has logged in with it.
    ///
    /// # Errors
    /// It was refused, nobody came in time, or there was no usable answer. An exchange that
    /// fails while waiting is repeated until the code has expired (RFC 8628 §3.5).
    pub async fn by_device(
        &self,
        scopes: &[String],
        watch: &dyn Fn(DeviceEvent<'_>),
    ) -> Result<Tokens, LoginError> {
        let client = self.client();
        let not_offered = || LoginError::NotOffered {
            issuer: self.provider.issuer.clone(),
            endpoint: "device_authorization_endpoint",
        };
        let mut request = client
            .exchange_device_code()
            .map_err(|_| not_offered())?
            .add_scopes(scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.provider.parameters {
            request = request.add_extra_param(name, value);
        }
        let answer: StandardDeviceAuthorizationResponse = request
            .request_async::<_, EmptyExtraDeviceAuthorizationFields>(&|r| self.send(r))
            .await
            .map_err(|error| self.fault(Grant::Device, self.device_endpoint(), error))?;
        let prompt = self.prompt(&answer)?;
        watch(DeviceEvent::Code(&prompt));

        let deadline = Instant::now() + prompt.expires_in;
        let mut request = client.exchange_device_access_token(&answer);
        for (name, value) in &self.provider.parameters {
            request = request.add_extra_param(name, value);
        }
        let send = |request| async move {
            let answer = self.send(request).await;
            answer.inspect_err(|error| watch(DeviceEvent::NoAnswer(error)))
        };
        let poll = request.request_async(
            &send,
            |interval| wait(interval, deadline, watch),
            // Ours ends first: the crate looks at the clock between polls only.
            Some(prompt.expires_in * 2 + LONGEST_WAIT),
        );
        let answer = tokio::time::timeout_at(deadline + TICK, poll)
            .await
            .map_err(|_| LoginError::CodeExpired(prompt.expires_in))?;
        self.tokens(
            answer
                .map_err(|error| self.fault(Grant::Device, &self.provider.token_endpoint, error))?,
        )
    }

    fn prompt(
        &self,
        answer: &StandardDeviceAuthorizationResponse,
    ) -> Result<DevicePrompt, LoginError> {
        let page =
            |url: &str| Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let bad = || LoginError::BadAnswer {
            endpoint: self.device_endpoint().clone(),
            why: "`verification_uri` is not an http or https URL".into(),
        };
        let complete = answer.verification_uri_complete().map(|url| url.secret().as_str());
        Ok(DevicePrompt {
            verification_uri: page(answer.verification_uri().as_str()).ok_or_else(bad)?,
            verification_uri_complete: complete.and_then(page),
            user_code: answer.user_code().secret().clone(),
            expires_in: answer.expires_in().min(LONGEST_WAIT),
        })
    }

    fn device_endpoint(&self) -> &Url {
        let endpoint = self.provider.device_authorization_endpoint.as_ref();
        endpoint.unwrap_or(&self.provider.token_endpoint)
    }
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
