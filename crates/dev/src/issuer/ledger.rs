//! All that the issuer remembers: what it gave out, each until its own moment, and never more than a
//! fixed number of them.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::directory::{OAuthFault, User};
use crate::signer::{encode, secret};

/// How many entries there are at most, of all kinds.
const CAPACITY: usize = 8192;
/// How long an authorization code can be redeemed, in seconds.
const CODE_LIFETIME: u64 = 60;
/// How long an unused refresh token is good for, in seconds.
const REFRESH_LIFETIME: u64 = 30 * 24 * 3600;
/// How long a device code can be answered, in seconds.
pub(super) const DEVICE_LIFETIME: u64 = 600;
/// An expired device code is remembered this much longer, to be called expired, not unknown.
const AFTERLIFE: u64 = 600;
/// What `slow_down` adds to the interval (RFC 8628 §3.5).
const SLOW_DOWN: u64 = 5;
/// Longest `scope` accepted, in bytes: it is kept, and it ends up in every token.
const MAX_SCOPE_BYTES: usize = 1024;
/// RFC 8628 §6.1: no vowels, so no words; nothing that looks like something else.
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A person's login, as every grant hands it on.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: &'static User,
    pub(super) client_id: String,
    pub(super) scope: Scope,
    /// OpenID Connect Core §3.1.2.1: goes into the ID token.
    pub(super) nonce: Option<String>,
    pub(super) authenticated_at: u64,
    /// The same for all that descends from one login: it is revoked together.
    pub(super) family: String,
}

impl Session {
    /// A login that begins now.
    pub(super) fn new(
        user: &'static User,
        client_id: &str,
        scope: Scope,
        nonce: Option<String>,
        now: u64,
    ) -> Self {
        let client_id = client_id.to_owned();
        Self { user, client_id, scope, nonce, authenticated_at: now, family: secret() }
    }
}

/// What an entry is.
#[derive(Debug)]
pub(super) enum Held {
    /// An authorization code: redeemed once (RFC 6749 §4.1).
    Code { session: Session, redirect_uri: String, challenge: Challenge, spent: bool },
    /// A refresh token: good for one use and replaced by the next (RFC 9700 §4.14.2).
    Refresh { session: Session, spent: bool },
    /// A device code: asked for by a device, answered by a person, polled for (RFC 8628).
    Device(Device),
    /// An access token, which Doorward verifies without asking.
    Access { subject: String, client_id: String },
}

/// A device that waits.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) user_code: String,
    pub(super) client_id: String,
    pub(super) scope: Scope,
    challenge: Challenge,
    expires: u64,
    /// Least time between two polls, in seconds.
    interval: u64,
    polled: Option<u64>,
    answer: Option<Result<Session, OAuthFault>>,
}

/// The ledger itself.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<String, (u64, Held)>);

impl Ledger {
    /// Keeps an entry until `until`. When it is full, what would expire next goes first, and what
    /// has expired before that.
    pub(super) fn put(&mut self, key: String, held: Held, until: u64, now: u64) {
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, (until, _)| *until > now);
        }
        if self.0.len() >= CAPACITY {
            let next = self.0.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(key) = next.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
        self.0.insert(key, (until, held));
    }

    pub(super) fn look(&mut self, key: &str, now: u64) -> Option<&mut Held> {
        self.0.get_mut(key).filter(|(until, _)| *until > now).map(|(_, held)| held)
    }

    pub(super) fn give_code(
        &mut self,
        session: Session,
        redirect_uri: String,
        challenge: Challenge,
        now: u64,
    ) -> String {
        let code = secret();
        let held = Held::Code { session, redirect_uri, challenge, spent: false };
        self.put(code.clone(), held, now + CODE_LIFETIME, now);
        code
    }

    pub(super) fn redeem_code(
        &mut self,
        code: &str,
        client_id: &str,
        redirect: Option<&str>,
        verifier: Option<&str>,
        now: u64,
    ) -> Result<Session, OAuthFault> {
        let fault = |why| OAuthFault("invalid_grant", why);
        let Some(Held::Code { session, redirect_uri, challenge, spent }) = self.look(code, now)
        else {
            return Err(fault("the code is unknown or has expired"));
        };
        if session.client_id != client_id {
            return Err(fault("the code was given to another client"));
        }
        if *spent {
            // Somebody has it twice: what this login obtained is revoked (RFC 6749 §4.1.2).
            let family = session.family.clone();
            self.revoke_family(&family);
            return Err(fault("the code was used before"));
        }
        if redirect != Some(redirect_uri) {
            return Err(fault("redirect_uri is not the one of the authorization request"));
        }
        // Spent even when the verifier is wrong: there is one try.
        *spent = true;
        challenge.met_by(verifier)?;
        Ok(session.clone())
    }

    pub(super) fn give_refresh(&mut self, session: Session, now: u64) -> String {
        let token = secret();
        let held = Held::Refresh { session, spent: false };
        self.put(token.clone(), held, now + REFRESH_LIFETIME, now);
        token
    }

    pub(super) fn redeem_refresh(
        &mut self,
        token: &str,
        client_id: &str,
        now: u64,
    ) -> Result<Session, OAuthFault> {
        let fault = |why| OAuthFault("invalid_grant", why);
        let Some(Held::Refresh { session, spent }) = self.look(token, now) else {
            return Err(fault("the refresh token is unknown or has expired"));
        };
        if session.client_id != client_id {
            return Err(fault("the refresh token is another client's"));
        }
        if *spent {
            let family = session.family.clone();
            self.revoke_family(&family);
            return Err(fault("the refresh token was used before"));
        }
        *spent = true;
        Ok(session.clone())
    }

    /// Ends a token of this client, and the login that a refresh token belongs to.
    pub(super) fn revoke(&mut self, token: &str, client: &str, now: u64) {
        match self.look(token, now) {
            Some(Held::Refresh { session, .. }) if session.client_id == client => {
                let family = session.family.clone();
                self.revoke_family(&family);
            }
            Some(Held::Access { client_id, .. }) if client_id == client => {
                self.0.remove(token);
            }
            Some(_) | None => {}
        }
    }

    fn revoke_family(&mut self, ended: &str) {
        self.0.retain(|_, (_, held)| match held {
            Held::Code { session, .. } | Held::Refresh { session, .. } => session.family != ended,
            Held::Device(_) | Held::Access { .. } => true,
        });
    }

    /// The device code, and the code that the person types.
    pub(super) fn start_device(
        &mut self,
        client_id: &str,
        scope: Scope,
        challenge: Challenge,
        interval: Duration,
        now: u64,
    ) -> (String, String) {
        let (device_code, user_code) = (secret(), user_code());
        let expires = now + DEVICE_LIFETIME;
        let device = Device {
            user_code: user_code.clone(),
            client_id: client_id.to_owned(),
            scope,
            challenge,
            expires,
            interval: interval.as_secs(),
            polled: None,
            answer: None,
        };
        self.put(device_code.clone(), Held::Device(device), expires + AFTERLIFE, now);
        (device_code, user_code)
    }

    /// The device behind a user code that still awaits its answer. People type it in any case, with
    /// or without the dash (RFC 8628 §6.1).
    pub(super) fn awaiting(&mut self, typed: &str, now: u64) -> Option<&mut Device> {
        let normal = |code: &str| code.replace(['-', ' '], "").to_ascii_uppercase();
        let typed = normal(typed);
        let devices = self.0.values_mut().filter_map(|(_, held)| match held {
            Held::Device(device) => Some(device),
            Held::Code { .. } | Held::Refresh { .. } | Held::Access { .. } => None,
        });
        let mut waiting = devices.filter(|it| it.expires > now && it.answer.is_none());
        waiting.find(|device| normal(&device.user_code) == typed)
    }

    pub(super) fn poll(
        &mut self,
        device_code: &str,
        client_id: &str,
        verifier: Option<&str>,
        now: u64,
    ) -> Result<Session, OAuthFault> {
        let fault = |why| OAuthFault("invalid_grant", why);
        let Some(Held::Device(device)) = self.look(device_code, now) else {
            return Err(fault("the device code is unknown or was used"));
        };
        if device.client_id != client_id {
            return Err(fault("the device code was given to another client"));
        }
        device.challenge.met_by(verifier)?;
        if device.expires <= now {
            return Err(OAuthFault("expired_token", "the device code has expired"));
        }
        let before = device.polled.replace(now);
        match &device.answer {
            Some(Ok(_)) => {}
            Some(Err(denied)) => return Err(*denied),
            // Whole seconds: two polls a full interval apart never count as less.
            None if before.is_some_and(|at| now - at < device.interval) => {
                device.interval += SLOW_DOWN;
                let why = "polled before the interval was over: it is now 5 seconds longer";
                return Err(OAuthFault("slow_down", why));
            }
            None => {
                return Err(OAuthFault("authorization_pending", "the user has not answered yet"));
            }
        }
        match self.0.remove(device_code) {
            Some((_, Held::Device(Device { answer: Some(answer), .. }))) => answer,
            Some(_) | None => Err(fault("the device code is unknown or was used")),
        }
    }
}

impl Device {
    /// Notes what the person said.
    pub(super) fn settle(&mut self, answer: Result<Session, OAuthFault>) {
        self.answer = Some(answer);
    }
}

/// What proves that who redeems a code is the one who asked for it (RFC 7636, S256); nothing, where
/// the client does without.
#[derive(Clone, Debug)]
pub(super) struct Challenge(Option<String>);

impl Challenge {
    pub(super) fn parse(
        challenge: Option<String>,
        method: Option<&str>,
    ) -> Result<Self, OAuthFault> {
        match (challenge, method) {
            (None, None) => Ok(Self(None)),
            (Some(challenge), Some("S256")) => Ok(Self(Some(challenge))),
            (..) => Err(OAuthFault("invalid_request", "PKCE needs code_challenge_method S256")),
        }
    }

    fn met_by(&self, verifier: Option<&str>) -> Result<(), OAuthFault> {
        let s256 = |verifier: &str| encode(digest(&SHA256, verifier.as_bytes()).as_ref());
        Err(OAuthFault(
            "invalid_grant",
            match (&self.0, verifier) {
                (None, None) => return Ok(()),
                (Some(challenge), Some(verifier)) if *challenge == s256(verifier) => return Ok(()),
                (Some(_), Some(_)) => "code_verifier does not match code_challenge",
                (Some(_), None) => "code_verifier is missing",
                // RFC 9700 §4.8.2: otherwise PKCE could be stripped from the first request.
                (None, Some(_)) => "code_verifier without a code_challenge",
            },
        ))
    }
}

/// A well-formed scope (RFC 6749 §3.3). This issuer grants whatever is asked for.
#[derive(Clone, Debug)]
pub(super) struct Scope(pub(super) String);

impl Scope {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, OAuthFault> {
        let text = text.unwrap_or_default();
        let well_formed = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.len() > MAX_SCOPE_BYTES || !text.bytes().all(well_formed) {
            return Err(OAuthFault("invalid_scope", "scope is malformed or too long"));
        }
        Ok(Self(text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.split(' ').any(|have| have == name)
    }

    /// A part of this scope, as a refresh may ask for (RFC 6749 §6); without a wish, all.
    pub(super) fn narrowed(&self, wish: Option<&str>) -> Result<Self, OAuthFault> {
        let Some(wish) = wish else { return Ok(self.clone()) };
        let wish = Self::parse(Some(wish))?;
        let within = wish.0.split_ascii_whitespace().all(|name| self.contains(name));
        let wider = OAuthFault("invalid_scope", "scope is more than was granted");
        if within { Ok(wish) } else { Err(wider) }
    }
}

fn user_code() -> String {
    let random = secret();
    let letter = |byte: u8| {
        let letter = USER_CODE_LETTERS.get(usize::from(byte) % USER_CODE_LETTERS.len());
        letter.copied().map_or('X', char::from)
    };
    let letters: String = random.bytes().take(8).map(letter).collect();
    let (front, back) = letters.split_at(4);
    format!("{front}-{back}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ledger_drops_what_expires_first() {
        let mut ledger = Ledger::default();
        let held = || Held::Access { subject: "a".into(), client_id: "b".into() };
        for number in 0..CAPACITY - 1 {
            ledger.put(number.to_string(), held(), 300, 100);
        }
        ledger.put("soon".into(), held(), 200, 100);
        ledger.put("new".into(), held(), 250, 100);
        assert!(ledger.look("soon", 100).is_none());
        assert!(ledger.look("0", 100).is_some() && ledger.look("new", 249).is_some());
        assert!(ledger.look("0", 300).is_none(), "expired to the second");
        assert_eq!(ledger.0.len(), CAPACITY);
    }

    #[test]
    fn a_refresh_never_widens_the_scope() {
        let scope = Scope::parse(Some("openid  email")).unwrap();
        assert_eq!(scope.0, "openid email");
        assert_eq!(scope.narrowed(Some("email")).unwrap().0, "email");
        assert!(scope.narrowed(Some("email admin")).is_err());
        assert!(Scope::parse(Some("a\"b")).is_err());
    }
}
