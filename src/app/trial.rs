//! Requests that somebody makes up, decided as a server with these settings would: tokens are signed
//! here, by a key that nobody else has, so that all of it is real but the issuer.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::clock::UnixTime;
use doorward_core::keys::{Algorithm, AlgorithmSet};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_core::token::{AudienceRule, TENANT_PLACEHOLDER};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use super::StartError;
use super::assembly::Assembly;
use super::offline::{keep_nothing, shared_at, told};
use crate::config::{IssuerSettings, Settings};
use crate::discovery::KeyLocation;
use crate::explain::Explanation;

/// A request that somebody makes up.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// What its token claims; `None`: it has none.
    pub claims: Option<Map<String, Value>>,
    /// The method.
    pub method: String,
    /// The path, as a client would send it.
    pub path: String,
    /// The host that the client names.
    pub host: String,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
}

/// Settings at work for requests that somebody makes up.
pub struct Trial {
    runtime: Runtime,
    assembly: Assembly,
    issuer: String,
    audience: Option<String>,
    signer: Ed25519KeyPair,
    now: UnixTime,
}

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The settings cannot be put to work.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no issuer of that name.
    #[error("`{0}` is none of the configured issuers")]
    NoSuchIssuer(String),
    /// Nobody's tokens would be believed.
    #[error("no issuer is configured")]
    NoIssuer,
    /// The system gave no random bytes.
    #[error("there are no random bytes for a key")]
    NoKey,
}

impl Trial {
    /// Puts settings to work as of `now`. The tokens are those of `issuer`, or else of the first one;
    /// nobody is asked for keys, or about tokens.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub fn new(
        mut settings: Settings,
        issuer: Option<&str>,
        now: UnixTime,
    ) -> Result<Self, TrialError> {
        let signer = Ed25519KeyPair::generate().map_err(|_| TrialError::NoKey)?;
        let is_meant = |it: &IssuerSettings| issuer.is_none_or(|name| it.token.issuer == name);
        let place = settings.issuers.iter().position(is_meant);
        let place = place.ok_or_else(|| match issuer {
            Some(name) => TrialError::NoSuchIssuer(name.to_owned()),
            None => TrialError::NoIssuer,
        })?;
        let mut issuer = settings.issuers.swap_remove(place);
        issuer.keys = KeyLocation::Inline(key_set(&signer));
        issuer.token.algorithms = AlgorithmSet::from_iter([Algorithm::EdDSA]);
        issuer.token.asked_about = false;
        issuer.borrows_from_primary = false;
        issuer.introspection = None;
        issuer.access_keys = None;
        issuer.opaque_prefix = None;
        let name = issuer.token.issuer.clone();
        let audience = match &issuer.token.audience {
            AudienceRule::AnyOf(audiences) => audiences.first().cloned(),
            AudienceRule::NotChecked => None,
        };
        settings.issuers = vec![issuer];
        keep_nothing(&mut settings);
        let patience = settings.fetch.timeout;
        settings.platform.discovery_url = None;
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let assembly = runtime.block_on(async {
            let shared = shared_at(now)?;
            let assembly = Assembly::new(settings, &shared, &[])?;
            if let Some(policy) = assembly.policy() {
                let _ = tokio::time::timeout(patience, policy.tried()).await;
            }
            Ok::<_, StartError>(assembly)
        })?;
        Ok(Self { runtime, assembly, issuer: name, audience, signer, now })
    }

    /// Decides a request, and tells how.
    #[must_use]
    pub fn explain(&self, made_up: &MadeUp) -> Explanation {
        let authorization = made_up.claims.as_ref().map(|claims| {
            let token = self.token(claims);
            format!("Bearer {token}")
        });
        let header = |(name, value): (&'_ str, &'_ str)| (name.to_owned(), value.to_owned());
        let headers: Vec<(String, String)> = made_up
            .headers
            .iter()
            .map(|(name, value)| header((name, value)))
            .chain(authorization.map(|value| ("authorization".to_owned(), value)))
            .collect();
        let views: Vec<_> = headers
            .iter()
            .map(|(name, value)| HeaderView { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let request = RequestView {
            method: made_up.method.as_bytes(),
            path: made_up.path.as_bytes(),
            authority: made_up.host.as_bytes(),
            headers: &views,
            route: RouteView::default(),
        };
        let service = Arc::clone(self.assembly.service());
        let keys = self.assembly.keys();
        self.runtime.block_on(async {
            for keys in &keys {
                keys.tried().await;
            }
            if let Some(policy) = self.assembly.policy() {
                policy.tried().await;
            }
            let authorizer = service.authorizer();
            let decision = authorizer.authorize(&request, self.now, service.wait(None)).await;
            told(&service, &keys, &None, &request, self.now, &decision)
        })
    }

    /// A token with these claims. What every token has is added; a claim that is `null` is left out.
    fn token(&self, claims: &Map<String, Value>) -> String {
        let UnixTime(now) = self.now;
        let tenant = claims.get("tid").and_then(Value::as_str).unwrap_or_default();
        let mut all = Map::new();
        all.insert("iss".into(), self.issuer.replace(TENANT_PLACEHOLDER, tenant).into());
        all.extend(self.audience.as_ref().map(|audience| ("aud".into(), audience.clone().into())));
        all.insert("iat".into(), now.into());
        all.insert("exp".into(), now.saturating_add(300).into());
        all.extend(claims.clone());
        all.retain(|_, value| !value.is_null());
        let header = json!({"alg": "EdDSA", "kid": KEY_ID});
        let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&Value::Object(all)));
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

const KEY_ID: &str = "made-up";

fn key_set(signer: &Ed25519KeyPair) -> String {
    let x = URL_SAFE_NO_PAD.encode(signer.public_key());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": KEY_ID, "x": x});
    json!({"keys": [key]}).to_string()
}
