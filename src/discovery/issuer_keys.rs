//! The keys of one issuer as requests see them, and what there is to know about them.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use doorward_core::clock::UnixTime;
use doorward_core::keys::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};
use tracing::warn;

use super::left_out::LeftOutKeys;
use super::location::{KeyLocation, KeysSpec};
use super::obtain_error::ObtainError;
use super::refetch_limiter::RoundEnd;
use super::refresher::{FetchCounts, Progress};

/// So long the first attempt may take, whatever `keys.timeout` says, until nobody waits for it any
/// more: no server is kept from being ready, and people are told.
const FIRST_ATTEMPT: Duration = Duration::from_secs(10);

/// The keys of one issuer, kept fresh by a task of their own.
pub struct IssuerKeys {
    spec: Box<KeysSpec>,
    made: Instant,
    own: ArcSwapOption<Snapshot>,
    lender: Option<Arc<dyn KeySource>>,
    progress: Progress,
}

impl IssuerKeys {
    /// Those that need nobody to obtain them, as [`keys_of`](super::keys_of) has it.
    pub(super) fn new(
        spec: KeysSpec,
        lender: Option<Arc<dyn KeySource>>,
        predecessor: Option<&Self>,
        now: UnixTime,
    ) -> Self {
        let keys = Self {
            made: Instant::now(),
            own: ArcSwapOption::new(predecessor.and_then(|one| one.heritage(&spec))),
            lender,
            progress: Progress::new(&spec.issuer, spec.policy.cool_down),
            spec: Box::new(spec),
        };
        match &keys.spec.location {
            KeyLocation::Inline(document) => keys.settle_inline(document, now),
            KeyLocation::Borrowed => keys.progress.limiter.close(),
            KeyLocation::Discovery(_) | KeyLocation::JwksUri(_) | KeyLocation::File(_) => {}
        }
        keys
    }

    /// What these keys were built from.
    #[must_use]
    pub fn spec(&self) -> &KeysSpec {
        &self.spec
    }

    /// Waits until the first attempt is over, whatever came of it.
    pub async fn tried(&self) {
        self.progress.limiter.over(1).await;
    }

    /// Whether there are keys, or the first attempt to obtain them is over or takes long.
    #[must_use]
    pub fn was_tried(&self) -> bool {
        self.snapshot().is_some()
            || self.made.elapsed() >= FIRST_ATTEMPT
            || self.spec.location == KeyLocation::Borrowed
            || self.progress.fetches() != FetchCounts::default()
    }

    /// The facts of this moment.
    #[must_use]
    pub fn status(&self) -> IssuerStatus {
        let own = self.own.load();
        let borrowing = own.is_none() && self.lender.is_some();
        // One that will never have keys of its own is as well as its lender.
        let shown = if self.spec.location == KeyLocation::Borrowed { self.snapshot() } else { own };
        IssuerStatus {
            issuer: self.spec.issuer.clone(),
            borrowing,
            keys: shown.as_ref().map_or(0, |snapshot| snapshot.set().keys().len()),
            obtained_at: shown.as_ref().map(|snapshot| snapshot.obtained_at()),
            usable_until: shown.as_ref().map(|snapshot| snapshot.usable_until()),
            fetches: self.progress.fetches(),
            last_error: self.progress.last_error.load_full(),
            next_attempt_at: self.progress.next_attempt_at(),
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the keys of another are used instead.
    pub(super) fn borrows(&self) -> bool {
        self.lender.is_some() && self.own.load().is_none()
    }

    /// The issuer's own keys, without those it borrows.
    pub(super) fn own(&self) -> Option<Arc<Snapshot>> {
        self.own.load_full()
    }

    /// Puts keys in force. The set stays the very same when the keys do, and with it all
    /// that is tied to its id.
    pub(super) fn accept(&self, set: KeySet, obtained_at: UnixTime) -> Arc<Snapshot> {
        let set = match self.own() {
            Some(before) if before.set().same_keys(&set) => Arc::clone(before.set()),
            Some(_) | None => Arc::new(set),
        };
        let usable_until = obtained_at.plus(self.spec.policy.max_stale);
        let snapshot = Arc::new(Snapshot::new(set, obtained_at, usable_until));
        self.own.store(Some(Arc::clone(&snapshot)));
        snapshot
    }

    /// Keys of the configuration are there at once, and nobody obtains them.
    fn settle_inline(&self, document: &str, now: UnixTime) {
        let issuer = &self.spec.issuer;
        let usable =
            KeySet::parse(document.as_bytes()).map_err(ObtainError::from).and_then(|set| {
                if set.keys().is_empty() { Err(ObtainError::no_usable_key(&set)) } else { Ok(set) }
            });
        match usable {
            Ok(set) => {
                LeftOutKeys::default().warn(issuer, &set);
                // The configuration is as fresh as it gets, however long it runs.
                let usable_until = UnixTime(u64::MAX);
                self.own.store(Some(Arc::new(Snapshot::new(Arc::new(set), now, usable_until))));
                self.progress.finish(RoundEnd::New, None);
            }
            Err(error) => {
                warn!(issuer, %error, "the configured key set is unusable");
                self.progress.finish(RoundEnd::Failed, Some(error));
            }
        }
        self.progress.limiter.close();
    }

    fn heritage(&self, heir: &KeysSpec) -> Option<Arc<Snapshot>> {
        if (&self.spec.issuer, &self.spec.location) != (&heir.issuer, &heir.location) {
            return None;
        }
        let snapshot = self.own()?;
        let obtained_at = snapshot.obtained_at();
        let usable_until = obtained_at.plus(heir.policy.max_stale);
        Some(Arc::new(Snapshot::new(Arc::clone(snapshot.set()), obtained_at, usable_until)))
    }

    async fn refetch_own(&self, cause: RefetchCause, wait: Duration) -> Refetch {
        let Some(round) = self.progress.limiter.ask(cause, Instant::now()) else {
            return Refetch::NotDue;
        };
        let Some(_place) = self.progress.limiter.place() else {
            return Refetch::Crowded;
        };
        match tokio::time::timeout(wait, self.progress.limiter.over(round)).await {
            Ok(true) => Refetch::Answered,
            Ok(false) => Refetch::Failed,
            Err(_) => Refetch::StillUnderWay,
        }
    }
}

impl KeySource for IssuerKeys {
    fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
        let own = self.own.load();
        match &self.lender {
            Some(lender) if own.is_none() => lender.snapshot(),
            Some(_) | None => own,
        }
    }

    fn may_refetch(&self, cause: RefetchCause) -> bool {
        let lender = self.lender.as_ref().filter(|_| self.borrows());
        self.progress.limiter.open(cause, Instant::now())
            || lender.is_some_and(|lender| lender.may_refetch(cause))
    }

    fn refetch(
        &self,
        cause: RefetchCause,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>> {
        Box::pin(async move {
            match &self.lender {
                // The key may be in either set, and a hanging issuer must not hold back
                // what its lender answers.
                Some(lender) if self.borrows() => {
                    first_answer(self.refetch_own(cause, wait), lender.refetch(cause, wait)).await
                }
                Some(_) | None => self.refetch_own(cause, wait).await,
            }
        })
    }
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerKeys")
            .field("spec", &self.spec)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The first of two that is an answer, else what says more.
async fn first_answer(
    one: impl Future<Output = Refetch>,
    other: impl Future<Output = Refetch>,
) -> Refetch {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (first, second) = tokio::select! {
        first = &mut one => {
            if first == Refetch::Answered { return first; }
            (first, other.await)
        }
        first = &mut other => {
            if first == Refetch::Answered { return first; }
            (first, one.await)
        }
    };
    [Refetch::Answered, Refetch::StillUnderWay, Refetch::Crowded, Refetch::Failed]
        .into_iter()
        .find(|outcome| first == *outcome || second == *outcome)
        .unwrap_or(Refetch::NotDue)
}

/// What there is to know about the keys of one issuer.
#[derive(Clone, Debug)]
pub struct IssuerStatus {
    /// The issuer, as configured.
    pub issuer: String,
    /// It has no keys of its own, or not yet, and uses those of another.
    pub borrowing: bool,
    /// How many usable keys of its own it has; of its lender's when it is to have none.
    pub keys: usize,
    /// When the issuer last confirmed them.
    pub obtained_at: Option<UnixTime>,
    /// From when on they are too old.
    pub usable_until: Option<UnixTime>,
    /// Attempts by outcome.
    pub fetches: FetchCounts,
    /// Why the last attempt failed; `None` when it did not.
    pub last_error: Option<Arc<ObtainError>>,
    /// When the next scheduled attempt is made.
    pub next_attempt_at: Option<UnixTime>,
}

impl IssuerStatus {
    /// Whether the issuer has withdrawn all its keys.
    #[must_use]
    pub fn withdrawn(&self) -> bool {
        self.keys == 0 && self.obtained_at.is_some()
    }
}
