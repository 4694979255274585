//! What was answered when somebody was asked about a token (RFC 7662 §2.2), held against the rules and
//! against the token.

use super::claims::Claims;
use super::fault::TokenFault;
use super::kind::OtherKind;
use super::rules::{BoundTokens, CLIENT_CLAIMS, TokenRules, TokenUse};
use super::verified::{
    Expiry, VerifiedToken, check_audience, check_bound, check_client, check_times,
};
use crate::clock::UnixTime;

impl<'j> VerifiedToken<'j> {
    /// Checks what the issuer says (RFC 7662 §2.2) of a token that only it can read, against the
    /// rules that its other tokens have to satisfy. The caller has seen that it calls the token
    /// active. Without `exp` the token counts for as long as the answer does.
    ///
    /// # Errors
    /// The first check that fails, in the order of the reason codes.
    pub fn introspected(
        answer: Claims<'j>,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<Self, TokenFault> {
        if answer.string("iss").map_or(true, |named| named.is_some_and(|it| it != rules.issuer)) {
            return Err(TokenFault::UnknownIssuer);
        }
        check_answered_kind(&answer, rules)?;
        Self::checked(answer, None, rules, Expiry::Optional, now)
    }

    /// Checks what was answered when somebody was asked whether this token is active, as far as
    /// the answer goes; and says when it expires.
    ///
    /// # Errors
    /// The first check that fails, in the order of the reason codes.
    pub fn confirm(
        &self,
        answer: &Claims<'_>,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<UnixTime, TokenFault> {
        check_answered_kind(answer, rules)?;
        // How long it lives, the token itself has said.
        let rules = &TokenRules { max_lifetime: None, ..rules.clone() };
        let expires_at = check_times(answer, rules, Expiry::Optional, now)?;
        if answer.json("aud").is_some() {
            check_audience(answer, rules)?;
        }
        if CLIENT_CLAIMS.iter().any(|name| answer.json(name).is_some()) {
            check_client(answer, rules)?;
        }
        Ok(expires_at.min(self.expires_at()))
    }

    /// Whether an answer speaks of this token: where both name an issuer or the token, they name the
    /// same. Of its own keys the platform names id and subject.
    #[must_use]
    pub fn is_meant_by(&self, answer: &Claims<'_>) -> bool {
        let (names, required) = match self.token_use() {
            TokenUse::AccessKey => ([("jti", "jti"), ("sub", "principal")], true),
            TokenUse::OidcAccessToken
            | TokenUse::WorkloadAccessToken
            | TokenUse::WorkloadSubjectToken => ([("jti", "jti"), ("iss", "iss")], false),
        };
        names.into_iter().all(|(ours, theirs)| {
            let ours = self.claims().string(ours).ok().flatten();
            // One of another type names nothing that is ours.
            let Ok(theirs) = answer.string(theirs) else { return false };
            ours.zip(theirs).map_or(!required, |(ours, theirs)| ours == theirs)
        })
    }
}

/// Whether what is said of an active token is said of one for access, and for whoever bears it:
/// refresh tokens can be asked about, too (RFC 7662 §2.1), and `token_type` (RFC 7662 §2.2) tells a
/// bound token.
fn check_answered_kind(answer: &Claims<'_>, rules: &TokenRules) -> Result<(), TokenFault> {
    rules.check_kind(answer.kind(None))?;
    check_bound(answer, rules)?;
    for name in ["token_use", "token_type"] {
        let said = answer.string(name).ok().flatten().unwrap_or_default().to_ascii_lowercase();
        match said.as_str() {
            "" | "access" | "access_token" | "access token" | "bearer" => {}
            "urn:ietf:params:oauth:token-type:access_token" => {}
            "dpop" | "pop" | "mac" if rules.bound_tokens == BoundTokens::Ignored => {}
            "dpop" | "pop" | "mac" => return Err(TokenFault::BoundToKey),
            other if other.contains("refresh") => {
                return Err(TokenFault::AnotherKind(OtherKind::Refresh));
            }
            "id" | "id_token" => return Err(TokenFault::AnotherKind(OtherKind::Id)),
            _ => return Err(TokenFault::AnotherKind(OtherKind::Unnamed)),
        }
    }
    Ok(())
}
