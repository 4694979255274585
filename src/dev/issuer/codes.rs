//! Authorization codes: given out once, redeemed once (RFC 6749 §4.1, RFC 7636).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::DevIssuerError;
use super::fault::OAuthFault;
use super::session::{Session, secret};
use super::shelf::Shelf;
use crate::clock::UnixTime;

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
        match (&code.challenge, verifier) {
            (None, None) => Ok(code.session.clone()),
            (Some(challenge), Some(verifier)) if *challenge == s256(verifier) => {
                Ok(code.session.clone())
            }
            (Some(_), Some(_)) => refuse("code_verifier does not match code_challenge"),
            (Some(_), None) => refuse("code_verifier is missing"),
            // RFC 9700 §4.8.2: otherwise PKCE could be stripped from the first request.
            (None, Some(_)) => refuse("code_verifier without a code_challenge"),
        }
    }
}

/// RFC 7636 §4.2.
pub(super) fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn s256_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(super::s256(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
