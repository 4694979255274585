//! Device codes: asked for by a device, answered by a person, polled for (RFC 8628).

use std::time::Duration;

use doorward_core::clock::UnixTime;

use super::DevIssuerError;
use super::codes::proven;
use super::fault::OAuthFault;
use super::session::{Scope, Session, random, secret};
use super::shelf::Shelf;

/// What `slow_down` adds to the interval (§3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// An expired code is remembered this much longer, to be called expired, not unknown.
const AFTERLIFE: Duration = Duration::from_secs(600);
const MAX_DEVICES: usize = 1024;
/// §6.1: no vowels, so no words; nothing that looks like something else.
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// The device codes that are out.
#[derive(Debug)]
pub(super) struct Devices(Shelf<Device>);

#[derive(Debug)]
struct Device {
    user_code: String,
    client_id: String,
    scope: Scope,
    challenge: Option<String>,
    expires: UnixTime,
    interval: Duration,
    polled: Option<UnixTime>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Denied,
    Approved(Box<Session>),
}

/// A device's request, as the person sees it.
#[derive(Clone, Debug)]
pub(super) struct DeviceRequest {
    pub(super) client_id: String,
    pub(super) scope: Scope,
    /// PKCE, S256.
    pub(super) challenge: Option<String>,
}

/// What the device gets, and what it shows.
#[derive(Debug)]
pub(super) struct DeviceCodes {
    pub(super) device_code: String,
    pub(super) user_code: String,
}

impl Devices {
    pub(super) fn new() -> Self {
        Self(Shelf::with_capacity(MAX_DEVICES))
    }

    pub(super) fn start(
        &mut self,
        request: DeviceRequest,
        interval: Duration,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<DeviceCodes, DevIssuerError> {
        let codes = DeviceCodes { device_code: secret()?, user_code: user_code()? };
        let expires = now.plus(lifetime);
        let device = Device {
            user_code: codes.user_code.clone(),
            client_id: request.client_id,
            scope: request.scope,
            challenge: request.challenge,
            expires,
            interval,
            polled: None,
            answer: Answer::Awaited,
        };
        self.0.put(codes.device_code.clone(), device, expires.plus(AFTERLIFE), now);
        Ok(codes)
    }

    /// The request behind a user code that still awaits its answer.
    pub(super) fn awaiting(&mut self, user_code: &str, now: UnixTime) -> Option<DeviceRequest> {
        self.by_user_code(user_code, now).map(|device| DeviceRequest {
            client_id: device.client_id.clone(),
            scope: device.scope.clone(),
            challenge: device.challenge.clone(),
        })
    }

    /// The person's answer: a session, or none to deny. `false` when nothing awaits it.
    pub(super) fn answer(&mut self, user_code: &str, yes: Option<Session>, now: UnixTime) -> bool {
        let Some(device) = self.by_user_code(user_code, now) else { return false };
        device.answer = yes.map_or(Answer::Denied, |session| Answer::Approved(Box::new(session)));
        true
    }

    pub(super) fn poll(
        &mut self,
        device_code: &str,
        client_id: &str,
        verifier: Option<&str>,
        now: UnixTime,
    ) -> Result<Session, OAuthFault> {
        let unknown = OAuthFault::InvalidGrant("the device code is unknown or was used");
        let Some(device) = self.0.look(device_code, now) else { return Err(unknown) };
        if device.client_id != client_id {
            return Err(OAuthFault::InvalidGrant("the device code was given to another client"));
        }
        proven(device.challenge.as_deref(), verifier)?;
        if device.expires <= now {
            return Err(OAuthFault::ExpiredToken);
        }
        let before = device.polled.replace(now);
        match &device.answer {
            Answer::Denied => Err(OAuthFault::AccessDenied),
            // Whole seconds: two polls a full interval apart never count as less.
            Answer::Awaited if before.is_some_and(|at| now.since(at) < device.interval) => {
                device.interval += SLOW_DOWN;
                Err(OAuthFault::SlowDown)
            }
            Answer::Awaited => Err(OAuthFault::AuthorizationPending),
            Answer::Approved(session) => {
                let session = Session::clone(session);
                self.0.take(device_code);
                Ok(session)
            }
        }
    }

    fn by_user_code(&mut self, typed: &str, now: UnixTime) -> Option<&mut Device> {
        let typed = normalized(typed);
        self.0.find(now, |device| {
            normalized(&device.user_code) == typed
                && device.expires > now
                && matches!(device.answer, Answer::Awaited)
        })
    }
}

/// §6.1: people type it in any case, with or without the dash.
fn normalized(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

fn user_code() -> Result<String, DevIssuerError> {
    let letter = |byte: u8| {
        let letter = USER_CODE_LETTERS.get(usize::from(byte) % USER_CODE_LETTERS.len());
        letter.copied().map_or('X', char::from)
    };
    let letters: String = random::<8>()?.into_iter().map(letter).collect();
    let (front, back) = letters.split_at(4);
    Ok(format!("{front}-{back}"))
}
