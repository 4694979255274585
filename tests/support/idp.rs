//! The development issuer as tests use it: it publishes keys of theirs, and answers as it is told.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub use doorward_dev::Answer;
use doorward_dev::DevIssuer;

use super::signer::{Signer, jwks};

const METADATA: &str = "/.well-known/openid-configuration";

pub struct Idp(DevIssuer);

impl Idp {
    /// Publishes the keys of these signers.
    pub async fn start<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Self {
        let issuer = DevIssuer::start_with_faults().await.unwrap();
        issuer.publish(signers);
        Self(issuer)
    }

    /// The same, but connections are refused until [`up`](Self::up).
    pub async fn down<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Self {
        let mut idp = Self::start(signers).await;
        idp.stop().await;
        idp
    }

    pub async fn up(&mut self) {
        self.restart().await.unwrap();
    }

    pub fn issuer(&self) -> String {
        self.url("")
    }

    /// Takes so long to answer from now on, and publishes these keys.
    pub fn slow<'s>(&self, delay: Duration, signers: impl IntoIterator<Item = &'s Signer>) {
        self.answer(METADATA, Answer::Late(delay, self.metadata()));
        self.answer_keys(Answer::Late(delay, jwks(signers)));
    }

    pub fn answer_keys(&self, answer: Answer) {
        self.answer("/keys", answer);
    }

    /// How often keys were asked for, wherever.
    pub fn key_requests(&self) -> usize {
        self.asked().iter().filter(|asked| asked.path.contains("/keys")).count()
    }
}

impl Deref for Idp {
    type Target = DevIssuer;

    fn deref(&self) -> &DevIssuer {
        &self.0
    }
}

impl DerefMut for Idp {
    fn deref_mut(&mut self) -> &mut DevIssuer {
        &mut self.0
    }
}
