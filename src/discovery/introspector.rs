//! Who is asked about the tokens of one issuer, and when: one question a token at a time, so many
//! at once, and few about tokens that nobody has signed.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorward_core::clock::{Clock, UnixTime};
use doorward_core::status::{Active, StatusAnswer, StatusFault, StatusQuestion, StatusSource};
use doorward_core::token_cache::{NoRandomness, TokenHash, TokenHasher};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tracing::warn;
use url::Url;

use super::answering::answer_all;
use super::http::HttpFetcher;
use super::introspection::{Protocol, QuestionError, Said};
use super::location::Access;
use crate::turns::Turns;

/// So many questions are under way at once about tokens that an issuer signed, or that were active
/// before; and so many about others.
const PLACES: (usize, usize) = (64, 16);
/// So many requests wait for answers at once, about the ones and the others.
const MOST_WAITING: (usize, usize) = (256, 64);
/// What is remembered of answers, in bytes, and of tokens that were active, in entries.
const REMEMBERED_BYTES: u64 = 8 * 1024 * 1024;
const REMEMBERED_ACTIVE: u64 = 50_000;
/// How long a token that was active is known for one that was issued.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// How long an answer waits for a request that could not wait for it.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// How long nobody is asked about a token again after there was no answer; and at most, where the
/// other side wants to be left alone.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Between two lines in the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

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
    /// So many tokens are asked about in a second that nobody signed and that were not active
    /// before: anybody can make up such tokens.
    pub unknown_per_second: u32,
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
    lately: Cache<TokenHash, Lately>,
    recognized: Arc<Recognized>,
    unknown: Turns,
    places: [Arc<Semaphore>; 2],
    waiting: [Semaphore; 2],
    under_way: Mutex<UnderWay>,
    http: Mutex<Option<Arc<HttpFetcher>>>,
    counts: Counts,
    /// Until when the other side wants to be left alone, in Unix seconds.
    paused_until: AtomicU64,
    warned_at: AtomicU64,
}

/// Which tokens were active in the last hour, by hash: whoever has one of those made nothing up.
struct Recognized {
    hasher: TokenHasher,
    active: Cache<TokenHash, ()>,
}

/// An answer, and until when it is remembered.
type Lately = (StatusAnswer, UnixTime);

/// By token: these are not kept, only under way.
type UnderWay = HashMap<Box<[u8]>, Pending>;

/// The answer, once there is one, and since when it is under way.
#[derive(Clone)]
struct Pending {
    answer: watch::Receiver<Option<StatusAnswer>>,
    since: Instant,
    /// Whether the token is signed, or was active before.
    is_known: bool,
}

/// A question on its way.
struct Question {
    about: StatusQuestion,
    /// Whether the token is signed, or was active before.
    is_known: bool,
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
    /// One that asks as `spec` has it, and the task that sends its questions. It knows the tokens
    /// that its predecessor at the same endpoint knew.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(
        spec: IntrospectionSpec,
        predecessor: Option<&Self>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), NoRandomness> {
        let known = predecessor.map(|before| &before.shared).filter(|before| {
            (&before.spec.issuer, &before.spec.endpoint) == (&spec.issuer, &spec.endpoint)
        });
        let recognized = match known {
            Some(before) => Arc::clone(&before.recognized),
            None => {
                let active = Cache::builder().max_capacity(REMEMBERED_ACTIVE);
                let active = active.time_to_live(KNOWN_FOR).build();
                Arc::new(Recognized { hasher: TokenHasher::new()?, active })
            }
        };
        let lately = Cache::builder()
            .max_capacity(REMEMBERED_BYTES)
            .weigher(|_, (answer, _): &Lately| {
                let document = answer.as_ref().map_or(0, |active| active.document.len());
                u32::try_from(document + 128).unwrap_or(u32::MAX)
            })
            .time_to_live(spec.recheck.max(KEPT_FOR))
            .build();
        let (questions, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            clock,
            lately,
            recognized,
            unknown: Turns::new(spec.unknown_per_second),
            places: [PLACES.0, PLACES.1].map(|places| Arc::new(Semaphore::new(places))),
            waiting: [MOST_WAITING.0, MOST_WAITING.1].map(Semaphore::new),
            under_way: Mutex::default(),
            http: Mutex::default(),
            counts: Counts::default(),
            paused_until: AtomicU64::new(0),
            warned_at: AtomicU64::new(0),
            spec,
        });
        let asker = Arc::clone(&shared);
        let task = answer_all(queue, move |question| Arc::clone(&asker).answer(question));
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
        if let Some(pending) = under_way.get(about.token().as_bytes()) {
            return Ok(pending.clone());
        }
        let hash = shared.hash(about).ok_or(StatusFault::NoAnswer)?;
        let is_known = about.is_signed() || shared.recognized.active.contains_key(&hash);
        let [known_places, other_places] = &shared.places;
        let place = Arc::clone(if is_known { known_places } else { other_places });
        let place = match place.try_acquire_owned() {
            Ok(place) if is_known || shared.unknown.take(shared.clock.now()) => place,
            Ok(_) | Err(_) => {
                shared.counts.held_back.fetch_add(1, Ordering::Relaxed);
                return Err(StatusFault::Crowded);
            }
        };
        let (answered, answer) = watch::channel(None);
        let question = Question { about: about.clone(), is_known, answered, place };
        self.questions.send(question).map_err(|_| StatusFault::NoAnswer)?;
        let pending = Pending { answer, since: Instant::now(), is_known };
        under_way.insert(about.token().as_bytes().into(), pending.clone());
        Ok(pending)
    }
}

impl StatusSource for Introspector {
    fn known(&self, question: &StatusQuestion, now: UnixTime) -> Option<StatusAnswer> {
        let shared = &self.shared;
        let lately = shared.lately.get(&shared.hash(question)?);
        let remembered = lately.filter(|(_, until)| now < *until).map(|(answer, _)| answer);
        let is_paused = || now.0 < shared.paused_until.load(Ordering::Relaxed);
        remembered.or_else(|| is_paused().then_some(Err(StatusFault::NoAnswer)))
    }

    fn ask<'s>(
        &'s self,
        question: &StatusQuestion,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = StatusAnswer> + Send + 's>> {
        let joined = self.join(question);
        Box::pin(async move {
            let Pending { mut answer, since, is_known } = joined?;
            let [known_waiting, others_waiting] = &self.shared.waiting;
            let waiting = if is_known { known_waiting } else { others_waiting };
            // What has taken that long will go on to take its time.
            if since.elapsed() >= wait && answer.borrow().is_none() {
                return Err(StatusFault::StillUnderWay);
            }
            let Ok(_place) = waiting.try_acquire() else {
                return Err(StatusFault::Crowded);
            };
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

impl Shared {
    async fn answer(self: Arc<Self>, question: Question) {
        let Question { about, is_known, answered, place } = question;
        let asked_at = self.clock.now();
        let good_until = asked_at.plus(self.spec.recheck);
        let (answer, until) = match self.ask(&about).await {
            Ok(Said::Active(document)) => {
                self.counts.active.fetch_add(1, Ordering::Relaxed);
                if !is_known {
                    // It was not made up.
                    self.unknown.give_back(asked_at);
                }
                (Ok(Active { document, good_until }), good_until.min(asked_at.plus(KEPT_FOR)))
            }
            Ok(Said::Inactive) => {
                self.counts.inactive.fetch_add(1, Ordering::Relaxed);
                (Err(StatusFault::Inactive), good_until)
            }
            Err(error) => {
                self.counts.error.fetch_add(1, Ordering::Relaxed);
                (Err(StatusFault::NoAnswer), self.failed(&error))
            }
        };
        if let Some(hash) = self.hash(&about) {
            match &answer {
                Ok(_) => self.recognized.active.insert(hash, ()),
                Err(StatusFault::Inactive) => self.recognized.active.invalidate(&hash),
                Err(_) => {}
            }
            self.lately.insert(hash, (answer.clone(), until));
        }
        self.under_way().remove(about.token().as_bytes());
        drop(place);
        answered.send_replace(Some(answer));
    }

    /// Takes note of a question without an answer; until when the token is not asked about again.
    fn failed(&self, error: &QuestionError) -> UnixTime {
        let now = self.clock.now();
        if error.is_of_client() {
            *self.http() = None;
        }
        if let Some(pause) = error.retry_after() {
            let until = now.plus(pause.min(LONGEST_PAUSE));
            self.paused_until.fetch_max(until.0, Ordering::Relaxed);
        }
        let warned_at = UnixTime(self.warned_at.load(Ordering::Relaxed));
        if now.since(warned_at) >= BETWEEN_WARNINGS {
            self.warned_at.store(now.0, Ordering::Relaxed);
            let issuer = &self.spec.issuer;
            warn!(issuer, %error, "nobody can say whether a token of this issuer is active");
        }
        now.plus(PAUSE)
    }

    fn hash(&self, about: &StatusQuestion) -> Option<TokenHash> {
        self.recognized.hasher.hash(about.token())
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

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // No code under the lock can leave it half changed.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
