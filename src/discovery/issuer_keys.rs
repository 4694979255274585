//! The keys of one issuer as requests see them, and what there is to know about them.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use doorward_core::clock::UnixTime;
use doorward_core::keys::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};

use super::gate::{Admission, Gate};
use super::location::{KeyLocation, KeysSpec};
use super::origin::{self, ObtainError};

/// So long the first attempt may take, whatever `keys.timeout` says, until nobody waits for it any
/// more: no server is kept from being ready, and people are told.
const FIRST_ATTEMPT: Duration = Duration::from_secs(10);

/// The keys of one issuer, kept fresh by a task of their own.
pub struct IssuerKeys {
    spec: Box<KeysSpec>,
    made: Instant,
    own: ArcSwapOption<Snapshot>,
    lender: Option<Arc<dyn KeySource>>,
    gate: Gate,
    counts: Counts,
    last_error: ArcSwapOption<ObtainError>,
    /// In Unix seconds; 0: none is planned.
    next_attempt_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Counts {
    ok: AtomicU64,
    unchanged: AtomicU64,
    withdrawn: AtomicU64,
    empty: AtomicU64,
    error: AtomicU64,
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
            gate: Gate::new(spec.policy.cool_down),
            counts: Counts::default(),
            last_error: ArcSwapOption::empty(),
            next_attempt_at: AtomicU64::new(0),
            spec: Box::new(spec),
        };
        if let KeyLocation::Inline(document) = &keys.spec.location {
            keys.settle_inline(document, now);
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
        self.gate.over(1).await;
    }

    /// Whether there are keys, or the first attempt to obtain them is over or takes long.
    #[must_use]
    pub fn was_tried(&self) -> bool {
        let Counts { ok, unchanged, withdrawn, empty, error } = &self.counts;
        self.snapshot().is_some()
            || self.made.elapsed() >= FIRST_ATTEMPT
            || self.spec.location == KeyLocation::Borrowed
            || [ok, unchanged, withdrawn, empty, error]
                .iter()
                .any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// The facts of this moment.
    #[must_use]
    pub fn status(&self) -> IssuerStatus {
        let own = self.own.load();
        let borrowing = own.is_none() && self.lender.is_some();
        // One that will never have keys of its own is as well as its lender.
        let shown = if self.spec.location == KeyLocation::Borrowed { self.snapshot() } else { own };
        let next_attempt_at = self.next_attempt_at.load(Ordering::Relaxed);
        IssuerStatus {
            issuer: self.spec.issuer.clone(),
            borrowing,
            keys: shown.as_ref().map_or(0, |snapshot| snapshot.set().keys().len()),
            obtained_at: shown.as_ref().map(|snapshot| snapshot.obtained_at()),
            usable_until: shown.as_ref().map(|snapshot| snapshot.usable_until()),
            fetches: FetchCounts {
                ok: self.counts.ok.load(Ordering::Relaxed),
                unchanged: self.counts.unchanged.load(Ordering::Relaxed),
                withdrawn: self.counts.withdrawn.load(Ordering::Relaxed),
                empty: self.counts.empty.load(Ordering::Relaxed),
                error: self.counts.error.load(Ordering::Relaxed),
            },
            last_error: self.last_error.load_full(),
            next_attempt_at: (next_attempt_at != 0).then_some(UnixTime(next_attempt_at)),
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
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

    /// Notes how an attempt ended.
    pub(super) fn note(&self, outcome: Result<Change, Arc<ObtainError>>) {
        let count = match &outcome {
            Ok(Change::New) => &self.counts.ok,
            Ok(Change::Unchanged) => &self.counts.unchanged,
            Ok(Change::Withdrawn) => &self.counts.withdrawn,
            Err(error) if error.is_of_empty_set() => &self.counts.empty,
            Err(_) => &self.counts.error,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.last_error.store(outcome.err());
    }

    /// Notes when the next attempt is made.
    pub(super) fn plan(&self, at: UnixTime) {
        self.next_attempt_at.store(at.0, Ordering::Relaxed);
    }

    fn settle_inline(&self, document: &str, now: UnixTime) {
        match origin::usable_key_set(document.as_bytes()) {
            Ok(set) => {
                // The configuration is as fresh as it gets, however long it runs.
                let usable_until = UnixTime(u64::MAX);
                let set = Arc::new(set);
                self.own.store(Some(Arc::new(Snapshot::new(set, now, usable_until))));
                self.note(Ok(Change::New));
            }
            Err(error) => self.note(Err(Arc::new(error))),
        }
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
        let Admission::Round(round) = self.gate.ask(cause, Instant::now()) else {
            return Refetch::NotDue;
        };
        let Some(_place) = self.gate.place() else {
            return Refetch::Crowded;
        };
        match tokio::time::timeout(wait, self.gate.over(round)).await {
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
        self.gate.open(cause, Instant::now())
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

/// What a successful attempt brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Other keys than before.
    New,
    /// The keys that were there.
    Unchanged,
    /// None at all, and that is believed.
    Withdrawn,
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
    /// Failed.
    pub error: u64,
}
