//! Who is asked about the tokens of one issuer, and when: one question a token at a time, so many
//! at once, and few about tokens that nobody has signed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::clock::Clock;
use doorward_core::status::{StatusAnswer, StatusFault, StatusQuestion, StatusSource};
use doorward_core::token_cache::{NoRandomness, TokenHash, TokenHasher};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tracing::warn;
use url::Url;

use super::http::HttpFetcher;
use super::introspection::{Protocol, QuestionError, Said};
use super::location::Access;
use crate::turns::Turns;

/// So many questions are under way at once.
const MOST_UNDER_WAY: usize = 64;
/// So many tokens are asked about in a second that nobody signed and that were not active before:
/// anybody can make up such tokens.
const UNSIGNED_PER_SECOND: u32 = 20;
/// So many tokens are kept in mind that were active lately, and as many that were not. A hash each.
const MOST_REMEMBERED: u64 = 20_000;
/// How long a token that was active is known for one that was issued.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// All that decides how tokens are asked about. Two equal ones ask alike: on a reload, what is
/// known is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntrospectionSpec {
    /// The issuer, as configured.
    pub issuer: String,
    /// Who is asked.
    pub endpoint: Url,
    /// How.
    pub protocol: Protocol,
    /// How to get there.
    pub access: Access,
    /// How long one question may take.
    pub timeout: Duration,
    /// How long an answer counts.
    pub recheck: Duration,
}

/// Asks about the tokens of one issuer. The questions are sent by a task of its own, since those
/// who wait for the answers live on other runtimes; it ends when this is dropped.
pub struct Introspector {
    shared: Arc<Shared>,
    questions: mpsc::UnboundedSender<Question>,
}

struct Shared {
    spec: IntrospectionSpec,
    clock: Arc<dyn Clock>,
    hasher: TokenHasher,
    inactive: Cache<TokenHash, ()>,
    once_active: Cache<TokenHash, ()>,
    unsigned: Turns,
    places: Arc<Semaphore>,
    /// By token: these are not kept, only under way.
    under_way: Mutex<UnderWay>,
    http: Mutex<Option<Arc<HttpFetcher>>>,
    counts: Counts,
    last_error: Mutex<Option<String>>,
}

type UnderWay = HashMap<Box<[u8]>, Pending>;

/// The answer, once there is one.
type Pending = watch::Receiver<Option<StatusAnswer>>;

/// A question on its way.
struct Question {
    about: StatusQuestion,
    answered: watch::Sender<Option<StatusAnswer>>,
    place: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Counts {
    active: AtomicU64,
    inactive: AtomicU64,
    error: AtomicU64,
    held_back: AtomicU64,
}

/// How many questions ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuestionCounts {
    /// The token is active.
    pub active: u64,
    /// It is not.
    pub inactive: u64,
    /// There was no answer that makes sense.
    pub error: u64,
    /// Nobody was asked: too many were under way, or too many made up.
    pub held_back: u64,
}

impl Introspector {
    /// One that asks as `spec` has it, and the task that sends its questions.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(
        spec: IntrospectionSpec,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), NoRandomness> {
        let remembered = |time: Duration| {
            Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(time).build()
        };
        let (questions, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            clock,
            hasher: TokenHasher::new()?,
            inactive: remembered(spec.recheck),
            once_active: remembered(KNOWN_FOR),
            unsigned: Turns::new(UNSIGNED_PER_SECOND),
            places: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            under_way: Mutex::default(),
            http: Mutex::default(),
            counts: Counts::default(),
            last_error: Mutex::default(),
            spec,
        });
        let task = send_all(Arc::clone(&shared), queue);
        Ok((Arc::new(Self { shared, questions }), task))
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &IntrospectionSpec {
        &self.shared.spec
    }

    /// How many questions ended how.
    #[must_use]
    pub fn counts(&self) -> QuestionCounts {
        let Counts { active, inactive, error, held_back } = &self.shared.counts;
        let [active, inactive, error, held_back] =
            [active, inactive, error, held_back].map(|count| count.load(Ordering::Relaxed));
        QuestionCounts { active, inactive, error, held_back }
    }

    /// Joins the question about this token, or begins one.
    fn join(&self, about: &StatusQuestion) -> Result<Pending, StatusFault> {
        let shared = &self.shared;
        let mut under_way = shared.under_way();
        if let Some(answer) = under_way.get(about.token().as_bytes()) {
            return Ok(answer.clone());
        }
        let hash = shared.hasher.hash(about.token()).ok_or(StatusFault::NoAnswer)?;
        let is_credible = about.is_signed() || shared.once_active.contains_key(&hash);
        let place = Arc::clone(&shared.places).try_acquire_owned();
        let place = match place {
            Ok(place) if is_credible || shared.unsigned.take(shared.clock.now()) => place,
            Ok(_) | Err(_) => {
                shared.counts.held_back.fetch_add(1, Ordering::Relaxed);
                return Err(StatusFault::Crowded);
            }
        };
        let (answered, answer) = watch::channel(None);
        let question = Question { about: about.clone(), answered, place };
        self.questions.send(question).map_err(|_| StatusFault::NoAnswer)?;
        under_way.insert(about.token().as_bytes().into(), answer.clone());
        Ok(answer)
    }
}

impl StatusSource for Introspector {
    fn known(&self, question: &StatusQuestion) -> Option<StatusFault> {
        let hash = self.shared.hasher.hash(question.token())?;
        self.shared.inactive.contains_key(&hash).then_some(StatusFault::Inactive)
    }

    fn ask<'s>(
        &'s self,
        question: &StatusQuestion,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = StatusAnswer> + Send + 's>> {
        let joined = self.join(question);
        Box::pin(async move {
            let mut answer = joined?;
            let answer = tokio::time::timeout(wait, answer.wait_for(Option::is_some)).await;
            match answer.map_err(|_| StatusFault::StillUnderWay)?.as_deref() {
                Ok(Some(answer)) => answer.clone(),
                Ok(None) | Err(_) => Err(StatusFault::NoAnswer),
            }
        })
    }

    fn recheck(&self) -> Duration {
        self.shared.spec.recheck
    }
}

/// Sends questions until nobody can ask any more, and all that were asked are answered.
async fn send_all(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Question>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            question = queue.recv() => match question {
                Some(question) => under_way.push(Arc::clone(&shared).answer(question)),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

impl Shared {
    async fn answer(self: Arc<Self>, question: Question) {
        let Question { about, answered, place } = question;
        let answer = match self.ask(&about).await {
            Ok(Said::Active(document)) => {
                self.count(&self.counts.active, None);
                Ok(document)
            }
            Ok(Said::Inactive) => {
                self.count(&self.counts.inactive, None);
                Err(StatusFault::Inactive)
            }
            Err(error) => {
                self.count(&self.counts.error, Some(error.to_string()));
                // The files that it reads may be others by now.
                *self.http() = None;
                Err(StatusFault::NoAnswer)
            }
        };
        if let Some(hash) = self.hasher.hash(about.token()) {
            match &answer {
                Ok(_) => self.once_active.insert(hash, ()),
                Err(StatusFault::Inactive) => {
                    self.inactive.insert(hash, ());
                    self.once_active.invalidate(&hash);
                }
                Err(_) => {}
            }
        }
        self.under_way().remove(about.token().as_bytes());
        drop(place);
        answered.send_replace(Some(answer));
    }

    async fn ask(&self, about: &StatusQuestion) -> Result<Said, QuestionError> {
        let known = self.http().clone();
        let http = match known {
            Some(http) => http,
            None => {
                let made = HttpFetcher::new(&self.spec.access, self.spec.timeout).await?;
                Arc::clone(self.http().insert(Arc::new(made)))
            }
        };
        let token = String::from_utf8_lossy(about.token().as_bytes());
        self.spec.protocol.ask(&http, &self.spec.endpoint, &token).await
    }

    /// The client that questions are sent by; `None` where one is to be made.
    fn http(&self) -> MutexGuard<'_, Option<Arc<HttpFetcher>>> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how a question ended, and says so where that is news.
    fn count(&self, count: &AtomicU64, error: Option<String>) {
        count.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let issuer = &self.spec.issuer;
        match &error {
            Some(error) if last.as_ref() != Some(error) => {
                warn!(issuer, %error, "nobody can say whether tokens of this issuer are active");
            }
            None if last.is_some() => {
                tracing::info!(
                    issuer,
                    "whether tokens of this issuer are active is answered again"
                );
            }
            Some(_) | None => {}
        }
        *last = error;
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // No code under the lock can leave it half changed.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
