//! The task behind [`IssuerKeys`]: the only one that asks its issuer, one attempt at a
//! time, and the only one that writes its keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::{Clock, UnixTime};
use doorward_core::keys::{KeySet, KeySource, Snapshot};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::cache_file::CacheFile;
use super::emptied::{EmptyReads, EmptySet};
use super::gate::RoundEnd;
use super::http::bare;
use super::issuer_keys::{Change, IssuerKeys};
use super::location::{KeyLocation, KeysSpec};
use super::origin::{ObtainError, Obtained, Origin, Read};
use super::schedule::{Bounds, Schedule};

/// How often a key file is read. Reading a few kilobytes is cheaper than being sure that
/// nothing changed: times of files are coarse, and a mounted ConfigMap changes by a link.
const FILE_POLL: Duration = Duration::from_secs(5);

/// The keys of one issuer, and the task that obtains them and keeps them fresh.
///
/// Nothing is obtained before the task runs. It must run on a runtime with I/O and time, never
/// completes, and may be dropped at any point: whoever waits is then told. Requests may wait on any
/// other runtime that has time enabled.
///
/// `lender` serves until the issuer's own keys were obtained once. `predecessor` hands over what it
/// has if it is about the same issuer and location, so that a changed setting does not cost the keys.
pub fn keys_of(
    spec: KeysSpec,
    lender: Option<Arc<dyn KeySource>>,
    predecessor: Option<&IssuerKeys>,
    clock: Arc<dyn Clock>,
) -> (Arc<IssuerKeys>, impl Future<Output = ()> + Send + 'static + use<>) {
    let keys = Arc::new(IssuerKeys::new(spec, lender, predecessor, clock.now()));
    // Made here and not inside the future: it closes the gate even when the task is never polled.
    let refresher = Refresher::new(Arc::clone(&keys), clock);
    (keys, refresher.run())
}

/// Keeps the keys of one issuer fresh.
pub(super) struct Refresher {
    keys: Arc<IssuerKeys>,
    clock: Arc<dyn Clock>,
    origin: Origin,
    schedule: Schedule,
    /// When the next scheduled read is made.
    due: Instant,
    cache: Option<CacheFile>,
    empty_reads: EmptyReads,
    warned: Warned,
    /// What the last attempt failed with, to say it once.
    failing_with: Option<String>,
}

impl Refresher {
    pub(super) fn new(keys: Arc<IssuerKeys>, clock: Arc<dyn Clock>) -> Self {
        let spec = keys.spec();
        let policy = &spec.policy;
        let pause = FILE_POLL.min(policy.refresh_min);
        let (bounds, location) = match &spec.location {
            KeyLocation::File(_) | KeyLocation::Inline(_) | KeyLocation::Borrowed => {
                (Bounds { min: pause, max: pause, default: pause }, None)
            }
            KeyLocation::Discovery(url) => (published(policy), Some(("discovery", url))),
            KeyLocation::JwksUri(url) => (published(policy), Some(("jwks_uri", url))),
        };
        let cache = policy.cache_dir.as_deref().zip(location).map(|(directory, (how, url))| {
            CacheFile::new(directory, "keys", &spec.issuer, &format!("{how} {}", bare(url)))
        });
        Self {
            origin: Origin::new(spec.clone()),
            schedule: Schedule::new(bounds),
            due: Instant::now(),
            cache,
            empty_reads: EmptyReads::default(),
            warned: Warned::default(),
            failing_with: None,
            clock,
            keys,
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        if matches!(self.keys.spec().location, KeyLocation::Inline(_) | KeyLocation::Borrowed) {
            self.say_inline();
            self.keys.gate().close();
            return std::future::pending().await;
        }
        self.recall().await;
        loop {
            let read = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.due) => Read::Scheduled,
                () = self.keys.gate().asked() => Read::AskedFor,
            };
            self.keys.gate().begin();
            match self.origin.obtain(read).await {
                Ok(Obtained { set, .. }) if set.keys().is_empty() && !self.believes_empty(read) => {
                    self.fail(read, ObtainError::no_usable_key(&set));
                }
                Ok(obtained) => self.succeed(read, obtained).await,
                Err(error) => self.fail(read, error),
            }
        }
    }

    /// Sets the time of the next scheduled read, and says how far off it is. A read that a
    /// request asked for comes in between and moves nothing: else whoever asks often enough
    /// could keep an issuer from taking its keys back.
    fn plan(&mut self, read: Read, pause: impl FnOnce(&mut Schedule) -> Duration) -> Duration {
        let now = Instant::now();
        if read == Read::Scheduled {
            let pause = pause(&mut self.schedule);
            self.due = now + pause;
            self.keys.plan(self.clock.now().plus(pause));
        }
        self.due.saturating_duration_since(now)
    }

    /// Whether a key set without usable keys, as just read, is what the issuer wants.
    fn believes_empty(&mut self, read: Read) -> bool {
        if self.keys.own().is_some_and(|own| own.set().keys().is_empty()) {
            return true;
        }
        let policy = self.keys.spec().policy.empty_set;
        let believed =
            read == Read::Scheduled && self.empty_reads.another(policy, Instant::now().into_std());
        // Until its own discovery has worked, an issuer borrows.
        believed && !self.keys.borrows()
    }

    async fn succeed(&mut self, read: Read, obtained: Obtained) {
        let now = self.clock.now();
        let next = self.plan(read, |schedule| schedule.after_success(obtained.freshness));
        self.warn_of_left_out(&obtained.set);
        let before = self.keys.own();
        let after = self.keys.accept(obtained.set, now);
        let change = match &before {
            Some(before) if before.id() == after.id() => Change::Unchanged,
            Some(_) | None if after.set().keys().is_empty() => Change::Withdrawn,
            Some(_) | None => Change::New,
        };
        if !after.set().keys().is_empty() {
            self.empty_reads.forget();
        }
        self.keys.note(Ok(change));
        self.say_obtained(before.as_deref(), &after, change, next);
        // Requests wait for this; the disk can take its time.
        self.keys.gate().finish(match change {
            Change::Unchanged => RoundEnd::Unchanged,
            Change::New | Change::Withdrawn => RoundEnd::Changed,
        });
        // A set without keys as well: else a restart would bring back what was withdrawn.
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(&obtained.document, now).await
        {
            warn!(issuer = self.issuer(), %error, "the key set was not kept on disk");
        }
    }

    fn fail(&mut self, read: Read, error: ObtainError) {
        // An emptied set is looked at again when its time is over, not long after.
        let rest = match error.is_of_empty_set() {
            true => {
                self.empty_reads.rest(self.keys.spec().policy.empty_set, Instant::now().into_std())
            }
            false => None,
        };
        let next = self.plan(read, |schedule| {
            schedule.after_failure(error.retry_after()).min(rest.unwrap_or(Duration::MAX))
        });
        self.say_failed(&error, next);
        self.keys.note(Err(Arc::new(error)));
        self.keys.gate().finish(RoundEnd::Failed);
    }

    /// Takes the keys kept on disk until the issuer answers.
    async fn recall(&mut self) {
        let (Some(cache), None) = (&self.cache, self.keys.own()) else {
            return;
        };
        let kept = match cache.load().await {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(error) => {
                warn!(issuer = self.issuer(), %error, "the key set kept on disk is ignored");
                return;
            }
        };
        let now = self.clock.now();
        if !believable(kept.obtained_at, now, self.keys.spec().policy.max_stale) {
            info!(issuer = self.issuer(), "the key set kept on disk is too old");
            return;
        }
        let keeps = self.keys.spec().policy.empty_set == EmptySet::Keep;
        match KeySet::parse(kept.document.as_bytes()) {
            Ok(set) if keeps && set.keys().is_empty() => {}
            Ok(set) => {
                self.warn_of_left_out(&set);
                let snapshot = self.keys.accept(set, kept.obtained_at);
                let age = now.since(kept.obtained_at);
                info!(
                    issuer = self.issuer(),
                    keys = snapshot.set().keys().len(),
                    ?age,
                    "keys loaded from disk"
                );
            }
            Err(error) => {
                warn!(issuer = self.issuer(), %error, "the key set kept on disk is ignored");
            }
        }
    }

    fn say_obtained(
        &mut self,
        before: Option<&Snapshot>,
        after: &Snapshot,
        change: Change,
        next: Duration,
    ) {
        let (issuer, keys) = (self.issuer(), after.set().keys().len());
        match (before, change) {
            (_, Change::Withdrawn) => error!(
                issuer,
                ?next,
                "the issuer has withdrawn all its keys: every scheduled read found a key set \
                 without usable keys. Its tokens are refused (unknown_key) until it publishes one \
                 again; keys.empty_set: keep would go on using the last ones"
            ),
            (None, _) => info!(issuer, keys, ?next, "keys obtained"),
            (Some(before), Change::New) => {
                let added = kids_only_in(after.set(), before.set());
                let removed = kids_only_in(before.set(), after.set());
                info!(issuer, keys, ?added, ?removed, ?next, "keys changed");
            }
            (Some(_), Change::Unchanged) => {
                debug!(issuer, keys, ?next, "keys confirmed");
            }
        }
        let was_failing = self.failing_with.take().is_some();
        if was_failing && before.is_some() && change != Change::Withdrawn {
            info!(issuer = self.issuer(), "the issuer answers again");
        }
    }

    /// A failure is said aloud when it is new; the same again, every few seconds or
    /// minutes for as long as an outage lasts, is for `debug` and the metrics.
    fn say_failed(&mut self, error: &ObtainError, next: Duration) {
        let text = error.to_string();
        let issuer = self.issuer();
        let serving = self.keys.own().map_or(0, |snapshot| snapshot.set().keys().len());
        if self.failing_with.as_deref() == Some(text.as_str()) {
            debug!(issuer, error = text, serving, ?next, "keys still not obtained");
        } else {
            let what = match error.is_of_empty_set() {
                true => {
                    "no usable key is published; the last ones stay in use for now (keys.empty_set)"
                }
                false => "keys not obtained",
            };
            warn!(issuer, error = text, serving, ?next, "{what}");
            self.failing_with = Some(text);
        }
    }

    fn say_inline(&mut self) {
        match self.keys.own() {
            Some(snapshot) => self.warn_of_left_out(snapshot.set()),
            None => {
                if let Some(error) = self.keys.status().last_error {
                    warn!(issuer = self.issuer(), %error, "the configured key set is unusable");
                }
            }
        }
    }

    fn warn_of_left_out(&mut self, set: &KeySet) {
        for news in self.warned.news(set) {
            warn!(issuer = self.issuer(), "{news}");
        }
    }

    fn issuer(&self) -> &str {
        &self.keys.spec().issuer
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.keys.gate().close();
    }
}

fn published(policy: &super::FetchPolicy) -> Bounds {
    Bounds { min: policy.refresh_min, max: policy.refresh_max, default: policy.refresh_default }
}

/// Young enough, and not from the future, where a wrong clock would have it believed for
/// longer than `max_stale`.
fn believable(obtained_at: UnixTime, now: UnixTime, max_stale: Duration) -> bool {
    obtained_at <= now && now < obtained_at.plus(max_stale)
}

fn kids_only_in<'s>(set: &'s KeySet, other: &KeySet) -> Vec<&'s str> {
    let others: BTreeSet<_> = other.keys().iter().filter_map(|key| key.kid()).collect();
    set.keys().iter().filter_map(|key| key.kid()).filter(|kid| !others.contains(kid)).collect()
}

/// What was said about keys left out, to say it once and not at each refresh.
#[derive(Debug, Default)]
struct Warned(BTreeSet<String>);

impl Warned {
    fn news(&mut self, set: &KeySet) -> Vec<String> {
        let mut now = BTreeSet::new();
        for key in set.left_out() {
            let name = match &key.kid {
                Some(kid) => format!("{kid:?}"),
                None => format!("number {}", key.position + 1),
            };
            now.insert(format!("key {name} is left out: {}", key.reason));
        }
        let news = now.difference(&self.0).cloned().collect();
        // Only what is there now is remembered, so that this cannot grow.
        self.0 = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_left_out_is_told_once() {
        let set = |kids: &[&str]| {
            let keys: Vec<_> = kids
                .iter()
                .map(|kid| serde_json::json!({"kty": "oct", "kid": kid, "k": "AA"}))
                .collect();
            KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap()
        };
        let mut warned = Warned::default();
        assert_eq!(
            warned.news(&set(&["a"])),
            ["key \"a\" is left out: it is symmetric (`kty: oct`)"]
        );
        assert!(warned.news(&set(&["a"])).is_empty());
        assert_eq!(warned.news(&set(&["b", "a"])).len(), 1);
        assert!(warned.news(&set(&["a"])).is_empty());
    }

    #[test]
    fn only_a_past_that_is_not_too_long_ago_is_believed() {
        let max_stale = Duration::from_secs(100);
        let verdict =
            |obtained_at, now| believable(UnixTime(obtained_at), UnixTime(now), max_stale);
        assert!(verdict(1000, 1000) && verdict(1000, 1099));
        assert!(!verdict(1000, 1100) && !verdict(1000, 999));
    }
}
