//! One access token examined: what it is, whether it would be let in, and whether it says
//! who it is about where the configuration looks.
//!
//! Read without belief, so that a token that is refused can be explained; what the engine
//! itself says of it comes last, should it know of anything that was not found here.
//!
//! | file | holds |
//! |---|---|
//! | `form` | is it a JWT at all |
//! | `kind` | an access token, or another kind mistaken for one |
//! | `proof` | issuer, algorithm, signature, times, audience |
//! | `claims` | subject, email, groups, scopes |

mod claims;
mod form;
mod kind;
mod proof;
#[cfg(test)]
mod tests;

use doorward_core::clock::UnixTime;
use doorward_core::identity::{HeaderRules, Identity, IdentityFault};
use doorward_core::keys::KeySet;
use serde_json::Value;

use super::report::{Finding, Outcome, Section};
use crate::config::IssuerSettings;
use crate::product::Product;

use self::form::Parts;
use self::kind::Kind;

/// An issuer that a token may be from.
#[derive(Clone, Copy, Debug)]
pub struct KnownIssuer<'a> {
    /// What its tokens must satisfy and what they mean.
    pub settings: &'a IssuerSettings,
    /// What product it is.
    pub provider: Product,
    /// Its keys, when they could be had.
    pub keys: Option<&'a KeySet>,
    /// What to call its client in a remedy.
    pub client: &'a str,
}

/// What holds for tokens of every issuer.
#[derive(Clone, Copy, Debug)]
pub struct TokenChecks<'a> {
    /// The configured issuers, primary first.
    pub issuers: &'a [KnownIssuer<'a>],
    /// Which headers carry the identity, and what they may hold.
    pub headers: &'a HeaderRules,
    /// Longer tokens are refused unread.
    pub max_token_bytes: usize,
}

/// The token as it is looked at.
struct Specimen<'a> {
    parts: &'a Parts<'a>,
    /// The issuer it names; the primary one when it names none that is configured.
    issuer: KnownIssuer<'a>,
    /// Whether it names that issuer.
    is_from_there: bool,
    kind: Kind,
    headers: &'a HeaderRules,
    now: UnixTime,
}

/// Examines a token. No I/O; the token itself is never shown, its claims are.
#[must_use]
pub fn examine_token(token: &str, checks: &TokenChecks<'_>, now: UnixTime) -> Section {
    let mut section = Section::new("token");
    let fallback = checks.issuers.first().map_or(Product::Other, |issuer| issuer.provider);
    let jws = match form::take_apart(token, checks.max_token_bytes, fallback) {
        Ok(jws) => jws,
        Err(finding) => {
            section.findings.push(finding);
            return section;
        }
    };
    let parts = match Parts::read(&jws) {
        Ok(parts) => parts,
        Err(finding) => {
            section.findings.push(finding);
            return section;
        }
    };
    section.findings.push(Finding::pass("token_form", parts.description()));
    let (from, finding) = proof::issuer(&parts.claims, checks.issuers);
    let Some(issuer) = from.or_else(|| checks.issuers.first().copied()) else {
        return section;
    };
    let provider = proof::provider_of(&parts.claims, issuer.provider);
    let said = kind::said(&parts.header, &parts.claims);
    let kind = Kind::of(said, &parts.header, &parts.claims);
    let judged = kind.judged(said, &issuer.settings.token, &parts.claims, provider);
    let mistaken = judged.outcome == Outcome::Fail;
    section.findings.push(judged);
    if mistaken {
        // What else is wrong with it does not matter: another token has to be sent.
        return section;
    }
    section.findings.push(finding);
    let issuer = KnownIssuer { provider, ..issuer };
    let specimen = Specimen {
        parts: &parts,
        issuer,
        is_from_there: from.is_some(),
        kind,
        headers: checks.headers,
        now,
    };
    section.findings.extend(specimen.examine());
    section
}

impl Specimen<'_> {
    fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let identity = proof::examine(self, &mut findings);
        claims::examine(self, identity.as_ref(), &mut findings);
        findings
    }

    fn claims(&self) -> &Value {
        &self.parts.claims
    }

    /// Whose registration a remedy is about: with Keycloak what a token holds is a matter
    /// of the client that asked for it, elsewhere of the API.
    fn client(&self) -> &str {
        let asked = self.claims().get("azp").and_then(Value::as_str);
        asked.filter(|_| self.issuer.provider == Product::Keycloak).unwrap_or(self.issuer.client)
    }
}

/// A token's identity, its signature being right.
type Proven = Result<Identity, IdentityFault>;
