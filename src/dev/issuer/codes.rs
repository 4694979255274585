//! Authorization codes: given out once, redeemed once (RFC 6749 §4.1, RFC 7636).

use doorward_core::clock::UnixTime;

use super::DevIssuerError;
use super::fault::OAuthFault;
use super::session::{Session, secret};
use super::shelf::Shelf;
use crate::pkce::{self, s256};

/// How long a code can be redeemed, in seconds.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(60);
const MAX_CODES: usize = 1024;

/// The codes that are out.
#[derive(Debug)]
pub(super) struct Codes(Shelf<Code>);

#[derive(Debug)]
struct Code {
    session: Session,
    redirect_uri: String,
    /// PKCE, S256.
    challenge: Option<String>,
    spent: bool,
}

/// Why a code was not redeemed.
#[derive(Debug)]
pub(super) enum Unredeemed {
    Refused(OAuthFault),
    /// Somebody has it twice: what this login obtained must be revoked (§4.1.2).
    Replayed {
        family: String,
    },
}

impl Codes {
    pub(super) fn new() -> Self {
        Self(Shelf::with_capacity(MAX_CODES))
    }

    pub(super) fn give(
        &mut self,
        session: Session,
        redirect_uri: String,
        challenge: Option<String>,
        now: UnixTime,
    ) -> Result<String, DevIssuerError> {
        let code = secret()?;
        let entry = Code { session, redirect_uri, challenge, spent: false };
        self.0.put(code.clone(), entry, now.plus(LIFETIME), now);
        Ok(code)
    }

    pub(super) fn redeem(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        now: UnixTime,
    ) -> Result<Session, Unredeemed> {
        let refuse = |why| Err(Unredeemed::Refused(OAuthFault::InvalidGrant(why)));
        let Some(code) = self.0.look(code, now) else {
            return refuse("the code is unknown or has expired");
        };
        if code.session.client_id != client_id {
            return refuse("the code was given to another client");
        }
        if code.spent {
            return Err(Unredeemed::Replayed { family: code.session.family.clone() });
        }
        if redirect_uri != Some(code.redirect_uri.as_str()) {
            return refuse("redirect_uri is not the one of the authorization request");
        }
        // Spent even when the verifier is wrong: there is one try.
        code.spent = true;
        proven(code.challenge.as_deref(), verifier).map_err(Unredeemed::Refused)?;
        Ok(code.session.clone())
    }
}

/// Whether who redeems a code is the one who asked for it (RFC 7636 §4.6).
pub(super) fn proven(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthFault> {
    Err(OAuthFault::InvalidGrant(match (challenge, verifier) {
        (None, None) => return Ok(()),
        (Some(challenge), Some(verifier)) if challenge == s256(verifier) => return Ok(()),
        (Some(_), Some(_)) => "code_verifier does not match code_challenge",
        (Some(_), None) => "code_verifier is missing",
        // RFC 9700 §4.8.2: otherwise PKCE could be stripped from the first request.
        (None, Some(_)) => "code_verifier without a code_challenge",
    }))
}

/// The challenge of a request, of the one method there is.
pub(super) fn challenge(
    challenge: Option<String>,
    method: Option<&str>,
) -> Result<Option<String>, OAuthFault> {
    match (challenge, method) {
        (None, None) => Ok(None),
        (Some(challenge), Some(pkce::METHOD)) => Ok(Some(challenge)),
        (..) => Err(OAuthFault::InvalidRequest("PKCE needs code_challenge_method S256")),
    }
}
