//! The task that obtains what an issuer publishes, its key set or its discovery document, and keeps it
//! fresh: the only one that asks for it, one attempt at a time, and the only one that writes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use doorward_core::clock::{Clock, UnixTime};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::cache_file::CacheFile;
use super::freshness::Freshness;
use super::obtain_error::ObtainError;
use super::refetch_limiter::{RefetchLimiter, RoundEnd};
use super::schedule::{Bounds, Schedule};

/// Something that an issuer publishes.
pub(super) trait Published: Send + 'static {
    /// What the log calls it.
    const NAME: &'static str;
    /// What it says.
    type Document: Send;

    /// What others see of the task.
    fn progress(&self) -> &Progress;

    /// How much of it is in force; `None` where there never was any.
    fn in_force(&self) -> Option<usize>;

    /// Makes one attempt.
    fn fetch(
        &mut self,
        why: Attempt,
    ) -> impl Future<Output = Result<(Bytes, Freshness), ObtainError>> + Send;

    /// Reads what was fetched, or kept on disk.
    fn parse(&self, document: &[u8]) -> Result<Self::Document, ObtainError>;

    /// Puts a document in force, unless it is not to be believed.
    fn accept(
        &mut self,
        document: Self::Document,
        why: Attempt,
        obtained_at: UnixTime,
    ) -> Result<RoundEnd, ObtainError>;

    /// How old what was kept on disk may be.
    fn max_age(&self) -> Duration {
        Duration::MAX
    }

    /// The longest pause that this failure is worth.
    fn longest_pause(&self, _error: &ObtainError) -> Duration {
        Duration::MAX
    }
}

/// Where a document comes from, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// From the issuer: it was due.
    Scheduled,
    /// From the issuer: a request asked for it, and may be waiting.
    AskedFor,
    /// From the disk, where it was kept, until the issuer answers.
    Recalled,
}

/// How far a task is: what those who wait for it, and those who watch it, look at.
#[derive(Debug)]
pub(super) struct Progress {
    issuer: String,
    pub(super) limiter: RefetchLimiter,
    pub(super) last_error: ArcSwapOption<ObtainError>,
    fetches: Mutex<FetchCounts>,
    /// In Unix seconds; 0: none is planned.
    next_attempt_at: AtomicU64,
}

/// Attempts to obtain keys, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// Brought new keys.
    pub ok: u64,
    /// Confirmed the keys that were there.
    pub unchanged: u64,
    /// Took all keys out of force.
    pub withdrawn: u64,
    /// Brought a key set without usable keys, which was not believed (yet).
    pub empty: u64,
    /// Attempts that failed in any other way.
    pub error: u64,
}

impl Progress {
    /// That of a task which an unknown key may cause one attempt a `cool_down`.
    pub(super) fn new(issuer: &str, cool_down: Duration) -> Self {
        Self {
            issuer: issuer.to_owned(),
            limiter: RefetchLimiter::new(cool_down),
            last_error: ArcSwapOption::empty(),
            fetches: Mutex::default(),
            next_attempt_at: AtomicU64::new(0),
        }
    }

    pub(super) fn fetches(&self) -> FetchCounts {
        *self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_attempt_at(&self) -> Option<UnixTime> {
        let at = self.next_attempt_at.load(Ordering::Relaxed);
        (at != 0).then_some(UnixTime(at))
    }

    /// An attempt is over: it is counted, and whoever waits is told.
    pub(super) fn finish(&self, end: RoundEnd, error: Option<ObtainError>) {
        self.last_error.store(error.map(Arc::new));
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        *match end {
            RoundEnd::New => &mut fetches.ok,
            RoundEnd::Unchanged => &mut fetches.unchanged,
            RoundEnd::Withdrawn => &mut fetches.withdrawn,
            RoundEnd::Empty => &mut fetches.empty,
            RoundEnd::Failed => &mut fetches.error,
        } += 1;
        drop(fetches);
        self.limiter.finish(end);
    }
}

/// Keeps one published thing fresh.
pub(super) struct Refresher<P: Published> {
    published: P,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    /// When the next scheduled attempt is made.
    due: Instant,
    cache: Option<CacheFile>,
}

impl<P: Published> Refresher<P> {
    pub(super) fn new(
        published: P,
        bounds: Bounds,
        cache: Option<CacheFile>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (schedule, due) = (Schedule::new(bounds), Instant::now());
        Self { published, clock, schedule, due, cache }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        self.recall().await;
        loop {
            let limiter = &self.published.progress().limiter;
            let why = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.due) => Attempt::Scheduled,
                () = limiter.asked() => Attempt::AskedFor,
            };
            limiter.begin();
            match self.attempt(why).await {
                Ok(kept) => self.keep(kept).await,
                Err(error) => self.fail(why, error),
            }
        }
    }

    /// One attempt; what comes of it if it succeeds is to be kept.
    async fn attempt(&mut self, why: Attempt) -> Result<Bytes, ObtainError> {
        let had_some = self.published.in_force().is_some();
        let (bytes, freshness) = self.published.fetch(why).await?;
        let document = self.published.parse(&bytes)?;
        let end = self.published.accept(document, why, self.clock.now())?;
        let next = self.plan(why, |schedule| schedule.after_success(freshness));
        let (in_force, progress) = (self.published.in_force(), self.published.progress());
        debug!(issuer = progress.issuer, ?end, in_force, ?next, "{} read", P::NAME);
        let failed_before = progress.last_error.load().is_some();
        if failed_before && had_some && end != RoundEnd::Withdrawn {
            info!(issuer = progress.issuer, "the issuer answers again");
        }
        progress.finish(end, None);
        Ok(bytes)
    }

    /// Keeps a document on disk, a key set without keys as well: else a restart would bring back what
    /// was withdrawn. Requests that waited go on meanwhile.
    async fn keep(&self, document: Bytes) {
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(&document, self.clock.now()).await
        {
            let issuer = &self.published.progress().issuer;
            warn!(issuer, %error, "{} not kept on disk", P::NAME);
        }
    }

    /// A failure is said aloud when it is new; the same again, every few seconds or minutes for as
    /// long as an outage lasts, is for `debug` and the metrics.
    fn fail(&mut self, why: Attempt, error: ObtainError) {
        let longest = self.published.longest_pause(&error);
        let next = self.plan(why, |plan| plan.after_failure(error.retry_after()).min(longest));
        let progress = self.published.progress();
        let (issuer, text) = (&progress.issuer, error.to_string());
        let in_force = self.published.in_force().unwrap_or(0);
        let is_empty = error.is_of_empty_set();
        let hint =
            if is_empty { ": the last ones stay in use for now (keys.empty_set)" } else { "" };
        if progress.last_error.load().as_ref().is_some_and(|last| last.to_string() == text) {
            debug!(issuer, error = text, in_force, ?next, "{} still not obtained", P::NAME);
        } else {
            warn!(issuer, error = text, in_force, ?next, "{} not obtained{hint}", P::NAME);
        }
        progress.finish(if is_empty { RoundEnd::Empty } else { RoundEnd::Failed }, Some(error));
    }

    /// Sets the time of the next scheduled attempt, and says how far off it is. One that a request
    /// asked for comes in between and moves nothing: else whoever asks often enough could keep an
    /// issuer from taking its keys back.
    fn plan(&mut self, why: Attempt, pause: impl FnOnce(&mut Schedule) -> Duration) -> Duration {
        let now = Instant::now();
        if why == Attempt::Scheduled {
            let pause = pause(&mut self.schedule);
            self.due = now + pause;
            let at = self.clock.now().plus(pause);
            self.published.progress().next_attempt_at.store(at.0, Ordering::Relaxed);
        }
        self.due.saturating_duration_since(now)
    }

    /// Takes what was kept on disk.
    async fn recall(&mut self) {
        let (Some(cache), None) = (&self.cache, self.published.in_force()) else {
            return;
        };
        let taken = match cache.load().await {
            Ok(None) => return,
            Ok(Some(kept)) => {
                let taken = self.take(kept.document.as_bytes(), kept.obtained_at);
                taken.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = taken {
            let issuer = &self.published.progress().issuer;
            warn!(issuer, error, "{} kept on disk: ignored", P::NAME);
        }
    }

    fn take(&mut self, document: &[u8], obtained_at: UnixTime) -> Result<(), ObtainError> {
        if !believable(obtained_at, self.clock.now(), self.published.max_age()) {
            return Err(ObtainError::TooOld);
        }
        let document = self.published.parse(document)?;
        self.published.accept(document, Attempt::Recalled, obtained_at).map(drop)
    }
}

/// Whoever waits is told, even where the task was never polled.
impl<P: Published> Drop for Refresher<P> {
    fn drop(&mut self) {
        self.published.progress().limiter.close();
    }
}

/// Young enough, and not from the future, where a wrong clock would have it believed for longer than
/// it may be.
fn believable(obtained_at: UnixTime, now: UnixTime, max_age: Duration) -> bool {
    obtained_at <= now && now < obtained_at.plus(max_age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_past_that_is_not_too_long_ago_is_believed() {
        let max_stale = Duration::from_secs(100);
        let verdict =
            |obtained_at, now| believable(UnixTime(obtained_at), UnixTime(now), max_stale);
        assert!(verdict(1000, 1000) && verdict(1000, 1099));
        assert!(!verdict(1000, 1100) && !verdict(1000, 999));
    }
}
