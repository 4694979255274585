//! Refresh tokens: each is good for one use and replaced by the next (RFC 9700 §4.14.2).

use std::time::Duration;

use doorward_core::clock::UnixTime;

use super::DevIssuerError;
use super::fault::OAuthFault;
use super::session::{Session, secret};
use super::shelf::Shelf;

const MAX_REFRESH_TOKENS: usize = 4096;

/// The refresh tokens that are out, used ones included: using one again is a theft
/// noticed, and ends its whole family.
#[derive(Debug)]
pub(super) struct RefreshTokens(Shelf<RefreshToken>);

#[derive(Debug)]
struct RefreshToken {
    session: Session,
    spent: bool,
}

impl RefreshTokens {
    pub(super) fn new() -> Self {
        Self(Shelf::with_capacity(MAX_REFRESH_TOKENS))
    }

    pub(super) fn give(
        &mut self,
        session: Session,
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<String, DevIssuerError> {
        let token = secret()?;
        let entry = RefreshToken { session, spent: false };
        self.0.put(token.clone(), entry, now.plus(lifetime), now);
        Ok(token)
    }

    pub(super) fn redeem(
        &mut self,
        token: &str,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Session, OAuthFault> {
        let unknown = OAuthFault::InvalidGrant("the refresh token is unknown or has expired");
        let Some(found) = self.0.look(token, now) else { return Err(unknown) };
        if found.session.client_id != client_id {
            return Err(OAuthFault::InvalidGrant("the refresh token is another client's"));
        }
        if found.spent {
            let family = found.session.family.clone();
            self.revoke_family(&family);
            return Err(OAuthFault::InvalidGrant("the refresh token was used before"));
        }
        found.spent = true;
        Ok(found.session.clone())
    }

    /// Ends the login that `token` belongs to; `false` when it is no refresh token of
    /// `client_id`.
    pub(super) fn revoke(&mut self, token: &str, client_id: &str, now: UnixTime) -> bool {
        let family = self
            .0
            .look(token, now)
            .filter(|found| found.session.client_id == client_id)
            .map(|found| found.session.family.clone());
        match family {
            Some(family) => {
                self.revoke_family(&family);
                true
            }
            None => false,
        }
    }

    pub(super) fn revoke_family(&mut self, family: &str) {
        self.0.keep_only(|token| token.session.family != family);
    }
}
