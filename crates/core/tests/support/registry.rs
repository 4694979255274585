//! Somebody to ask about tokens, who does as told.

use std::future::{Future, ready};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::Authorizer;
use doorward_core::clock::UnixTime;
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::status::{Active, StatusAnswer, StatusFault, StatusQuestion, StatusSource};
use doorward_core::token::TokenRules;
use doorward_core::token_cache::TokenCache;
use serde_json::Value;

use super::{ISSUER, Source, from_now, signer};

/// How long requests wait.
pub const WAIT: Duration = Duration::from_secs(2);
const RECHECK: Duration = Duration::from_secs(15);

/// Answers as it is told, and notes what it is asked.
pub struct Registry {
    answer: Mutex<Result<Arc<[u8]>, StatusFault>>,
    pub known: Mutex<Option<StatusAnswer>>,
    /// When it is asked, in seconds from now.
    at: Mutex<i64>,
    pub asked: Mutex<Vec<(String, bool)>>,
}

impl Registry {
    pub fn saying(answer: Result<Value, StatusFault>) -> Arc<Self> {
        let registry = Self {
            answer: Mutex::new(Err(StatusFault::NoAnswer)),
            known: Mutex::default(),
            at: Mutex::default(),
            asked: Mutex::default(),
        };
        registry.say(answer);
        Arc::new(registry)
    }

    pub fn say(&self, answer: Result<Value, StatusFault>) {
        *self.answer.lock().unwrap() = answer.map(|json| json.to_string().into_bytes().into());
    }

    pub fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl StatusSource for Registry {
    fn known(&self, _: &StatusQuestion, now: UnixTime) -> Option<StatusAnswer> {
        *self.at.lock().unwrap() = i64::try_from(now.0 - from_now(0)).unwrap();
        self.known.lock().unwrap().clone()
    }

    fn ask<'s>(
        &'s self,
        question: &StatusQuestion,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = StatusAnswer> + Send + 's>> {
        assert_eq!(wait, WAIT);
        let token = String::from_utf8(question.token().as_bytes().to_vec()).unwrap();
        self.asked.lock().unwrap().push((token, question.is_signed()));
        let good_until = UnixTime(from_now(*self.at.lock().unwrap())).plus(RECHECK);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(ready(answer.map(|document| Active { document, good_until })))
    }

    fn recheck(&self) -> Duration {
        RECHECK
    }
}

pub fn of(issuer: Issuer) -> Authorizer {
    let mut issuers = Issuers::default();
    issuers.push(issuer);
    let cache = TokenCache::new(NonZeroU64::new(100).unwrap(), 1 << 20, Arc::default()).unwrap();
    Authorizer::new(issuers, HeaderRules::default()).with_cache(cache)
}

/// An issuer about whose JWTs somebody is asked, and that may have others, too.
pub fn asking(registry: &Arc<Registry>) -> Authorizer {
    let rules = TokenRules { asked_about: true, ..TokenRules::new(ISSUER, ["my-api"]) };
    let issuer = Issuer::new(rules, IdentityRules::default(), Source::of([&signer()]));
    of(issuer.with_status(Arc::clone(registry) as _).with_opaque_tokens("op_"))
}
