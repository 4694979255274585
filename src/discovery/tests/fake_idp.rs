//! The development issuer, publishing keys that nobody signs with, and answering as it is told.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) use doorward_dev::Answer;
use doorward_dev::{DevIssuer, Signer};
use serde_json::{Value, json};
use url::Url;

use super::KeyLocation;
use crate::discovery::well_known_url;

const METADATA: &str = "/.well-known/openid-configuration";

pub(super) struct FakeIdp {
    pub(super) issuer: String,
    server: DevIssuer,
    /// How many requests [`credentials`](Self::credentials) has told of.
    told: AtomicUsize,
}

impl FakeIdp {
    /// Publishes fresh keys of these names.
    pub(super) async fn start(kids: &[&str]) -> Self {
        let server = DevIssuer::start_with_faults().await.unwrap();
        server.publish(&kids.iter().map(|kid| Signer::ed(kid)).collect::<Vec<_>>());
        server.answer("/loop", redirect(302, "/loop"));
        server.answer("/moved", redirect(307, "keys"));
        Self { issuer: server.issuer_url().to_owned(), server, told: AtomicUsize::new(0) }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&self.server.url(path)).unwrap()
    }

    pub(super) fn discovery(&self) -> KeyLocation {
        KeyLocation::Discovery(well_known_url(&self.issuer).unwrap())
    }

    pub(super) fn jwks_uri(&self) -> KeyLocation {
        KeyLocation::JwksUri(self.url("/keys"))
    }

    pub(super) fn keys(&self, answer: Answer) {
        self.answer("/keys", answer);
    }

    pub(super) fn metadata(&self, answer: Answer) {
        self.answer(METADATA, answer);
    }

    pub(super) fn key_requests(&self) -> usize {
        self.requests("/keys")
    }

    pub(super) fn metadata_requests(&self) -> usize {
        self.requests(METADATA)
    }

    /// The header `Authorization` of each request since this was last asked.
    pub(super) fn credentials(&self) -> Vec<Option<String>> {
        let asked = self.asked();
        let told = self.told.swap(asked.len(), Ordering::Relaxed);
        asked[told..].iter().map(|asked| asked.authorization.clone()).collect()
    }
}

impl Deref for FakeIdp {
    type Target = DevIssuer;

    fn deref(&self) -> &DevIssuer {
        &self.server
    }
}

impl DerefMut for FakeIdp {
    fn deref_mut(&mut self) -> &mut DevIssuer {
        &mut self.server
    }
}

pub(super) fn redirect(status: u16, location: impl Into<String>) -> Answer {
    Answer::Raw(status, ("location", location.into()), String::new())
}

/// A key set of fresh Ed25519 keys.
pub(super) fn jwks(kids: &[&str]) -> Value {
    json!({ "keys": kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>() })
}

pub(super) fn jwk(kid: &str) -> Value {
    Signer::ed(kid).jwk()
}
