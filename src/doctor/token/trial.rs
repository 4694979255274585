//! A token that the engine decides on again and again, each time without the check that refused it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::UnixTime;
use doorward_core::decision::Fault;
use doorward_core::identity::{ClaimPath, Delegation, IdentityRules};
use doorward_core::issuers::Issuers;
use doorward_core::keys::StaticKeys;
use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_core::token::{
    ACCESS_KEY, AudienceRule, BoundTokens, TenantRule, TokenFault, TokenRules, TokenUse,
    UnsignedTokens,
};
use serde_json::{Map, Value, json};

use super::KnownIssuer;
use crate::config::Settings;
use crate::explain::{Asked, Check, Evidence, IssuerFacts};
use crate::token_parts::TokenParts;

/// The check that refused the token.
pub(super) struct Failed {
    pub(super) check: Check,
    pub(super) fault: Fault,
    /// The position of the issuer whose rules it goes by.
    issuer: usize,
}

impl Failed {
    pub(super) fn new(check: Check, evidence: &Evidence<'_>) -> Option<Self> {
        let issuer = evidence.issuer.map_or(0, |issuer| issuer.id().0);
        Some(Self { check, fault: evidence.fault?, issuer })
    }
}

/// The token, and what of the settings still counts.
pub(super) struct Trial<'a> {
    settings: &'a Settings,
    known: &'a [KnownIssuer],
    facts: Vec<IssuerFacts>,
    rules: Vec<(TokenRules, IdentityRules)>,
    is_asked_about: bool,
    now: UnixTime,
    /// The value of the `Authorization` header.
    authorization: String,
    header: Map<String, Value>,
    claims: Option<Map<String, Value>>,
    /// Whether its signature does not count any more: then it is written anew, without one.
    is_unsigned: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        token: &str,
        settings: &'a Settings,
        known: &'a [KnownIssuer],
        now: UnixTime,
    ) -> Self {
        let facts = |known: &KnownIssuer| IssuerFacts {
            product: known.product,
            client: known.client.clone(),
            keys: None,
        };
        let parts = TokenParts::of(token.as_bytes());
        let (name, value) = ACCESS_KEY;
        let is_access_key = parts.text(name) == Some(value);
        let named = parts.text("iss").unwrap_or_default();
        let mut is_asked_about = false;
        let rules = settings.issuers.iter().map(|issuer| {
            let access_keys = issuer.access_keys.as_ref().filter(|_| is_access_key);
            let rules = access_keys.unwrap_or(&issuer.token);
            is_asked_about |= rules.asked_about && rules.issuer == named;
            // Nobody is asked about the token here.
            (TokenRules { asked_about: false, ..rules.clone() }, issuer.identity.clone())
        });
        let rules = rules.collect();
        Self {
            settings,
            known,
            facts: known.iter().map(facts).collect(),
            rules,
            is_asked_about,
            now,
            authorization: format!("Bearer {token}"),
            header: parts.header.unwrap_or_default(),
            claims: parts.claims,
            is_unsigned: false,
        }
    }

    /// Whether the token counts only when somebody says so.
    pub(super) fn is_asked_about(&self) -> bool {
        self.is_asked_about
    }

    /// Has the engine decide, by what counts now.
    pub(super) fn decide<R>(&self, look: impl FnOnce(&Evidence<'_>) -> R) -> R {
        let mut issuers = Issuers::default();
        for ((rules, identity), known) in self.rules.iter().zip(self.known) {
            let keys = StaticKeys::new(known.keys.clone().unwrap_or_default());
            issuers.add(rules.clone(), identity.clone(), Arc::new(keys));
        }
        let unsigned = if self.is_unsigned || self.settings.allow_unsigned_jwt {
            UnsignedTokens::Accepted
        } else {
            UnsignedTokens::Refused
        };
        let authorizer = Authorizer::new(issuers, self.settings.headers.clone())
            .with_max_token_bytes(self.settings.max_token_bytes)
            .with_unsigned(unsigned);
        let value = self.authorization.as_bytes();
        let headers = [HeaderView { name: b"authorization", value }];
        let route = RouteView::default();
        let request =
            RequestView { method: b"GET", path: b"/", authority: b"", headers: &headers, route };
        let decision = authorizer.decide(&request, self.now).or_deny();
        look(&Evidence::new(&Asked {
            authorizer: &authorizer,
            issuers: &self.facts,
            request: &request,
            now: self.now,
            decision: &decision,
        }))
    }

    /// Whether a check says anything about the token: the request is made up here, which keys there
    /// are is said of the issuer, and a token that is written anew was never signed.
    pub(super) fn tells(&self, check: Check) -> bool {
        let of_signature = [Check::Header, Check::Algorithm, Check::Key, Check::Signature];
        check != Check::KeySet && !(self.is_unsigned && of_signature.contains(&check))
    }

    /// Whether the keys of the token's issuer could be had.
    pub(super) fn has_keys(&self, failed: &Failed) -> bool {
        self.known.get(failed.issuer).is_some_and(|known| known.keys.is_some())
    }

    /// Lets what was refused pass from now on. `false` where nothing behind it matters: the token
    /// cannot be read, or is none for access.
    pub(super) fn look_past(&mut self, failed: &Failed) -> bool {
        let Some(claims) = &mut self.claims else { return false };
        let Some((rules, identity)) = self.rules.get_mut(failed.issuer) else { return false };
        let is = |fault| failed.fault == Fault::Token(fault);
        let odd_type = is(TokenFault::HeaderNotAnObject) || is(TokenFault::WrongType);
        match failed.check {
            Check::Form | Check::Header if odd_type => drop(self.header.remove("typ")),
            Check::Header | Check::Algorithm | Check::Key | Check::Signature => {}
            Check::Issuer | Check::Tenant => {
                let name = claims.get("iss").and_then(Value::as_str).unwrap_or("any");
                name.clone_into(&mut rules.issuer);
                rules.tenants = TenantRule::NotChecked;
                claims.insert("iss".to_owned(), json!(rules.issuer));
            }
            // Its signature still counts.
            Check::Kind if is(TokenFault::BoundToKey) => {
                rules.bound_tokens = BoundTokens::Ignored;
                return true;
            }
            Check::Expiry | Check::NotBefore | Check::IssuedAt | Check::Lifetime => {
                claims.retain(|name, _| name != "nbf" && name != "iat");
                claims.insert("exp".to_owned(), json!(self.now.0 + 1));
                rules.max_lifetime = None;
            }
            Check::Use => rules.token_use = TokenUse::OidcAccessToken,
            Check::Audience => rules.audience = AudienceRule::NotChecked,
            Check::Client => rules.allowed_clients.clear(),
            Check::Email => identity.email = ClaimPath::claim_named(""),
            Check::Actor => identity.delegation = Delegation::Ignored,
            Check::Subject => {
                identity.subject = ClaimPath::claim_named("sub");
                claims.insert("sub".to_owned(), json!("anybody"));
                (identity.subject_prefix, identity.groups_prefix) = (None, None);
            }
            Check::Enabled | Check::Request | Check::Route | Check::Credentials => return false,
            Check::Form | Check::KeySet | Check::Kind | Check::Groups | Check::Scopes => {
                return false;
            }
            Check::RouteAudience | Check::RouteScopes | Check::Endpoint | Check::Policy => {
                return false;
            }
            Check::Status | Check::Engine => return false,
        }
        self.header.retain(|name, _| name != "kid" && name != "crit");
        self.header.insert("alg".to_owned(), json!("none"));
        let part = |json: &Map<String, Value>| URL_SAFE_NO_PAD.encode(json!(json).to_string());
        self.authorization = format!("Bearer {}.{}.", part(&self.header), part(claims));
        self.is_unsigned = true;
        true
    }
}
