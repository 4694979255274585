//! What one connection is given: a slot, memory, time, and word when it has to end.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::budget::{Account, Budget};
use super::connection_slots::{CloseRequest, ConnectionSlot, ConnectionSlots};
use crate::telemetry::{Closed, ConnectionMetrics};

/// Why a connection ended before its time. Only told in the log, at debug level.
pub type ConnectionError = Box<dyn Error + Send + Sync>;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For TLS, its first words, the head of an HTTP/1 request, a message or a header block, and
    /// for taking what it is answered.
    pub(super) patience: Duration,
    /// Without a call. Envoy closes connections that are idle for an hour: it is to be the
    /// first, since whoever closes may cross a call that is on its way.
    pub(super) idle: Duration,
}

const LIMITS: Limits =
    Limits { patience: Duration::from_secs(10), idle: Duration::from_secs(70 * 60) };

/// How often a connection looks at the clock.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What the connections of one or more listeners share.
#[derive(Clone)]
pub struct Resources {
    slots: Arc<ConnectionSlots>,
    budget: Arc<Budget>,
    metrics: ConnectionMetrics,
    limits: Limits,
}

impl Resources {
    /// For at most so many connections.
    #[must_use]
    pub fn new(most_connections: usize, metrics: ConnectionMetrics) -> Self {
        let slots = ConnectionSlots::new(most_connections);
        Self { slots, budget: Arc::default(), metrics, limits: LIMITS }
    }

    /// The same, but for slots of its own: a listener that nobody else can crowd out.
    #[must_use]
    pub fn apart(&self, most_connections: usize) -> Self {
        Self { slots: ConnectionSlots::new(most_connections), ..self.clone() }
    }

    /// Brings the metrics up to date.
    pub fn take_note(&self) {
        self.metrics.set(self.slots.taken(), self.budget.used());
    }

    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    /// Closes a connection for somebody who needs a file.
    pub(super) fn close_one(&self) {
        self.slots.close_one();
    }

    /// What a new connection is given.
    ///
    /// # Errors
    /// There is no slot for it.
    pub(super) async fn session(&self, stop: watch::Receiver<bool>) -> Result<Session, Closed> {
        let (slot, close_request) = self.slots.take().await?;
        Ok(Session {
            slot,
            account: Account::new(Arc::clone(&self.budget)),
            metrics: self.metrics.clone(),
            limits: self.limits,
            summons: Summons { stop, close_request },
        })
    }
}

/// One connection's part of all this.
pub struct Session {
    pub(super) slot: ConnectionSlot,
    pub(super) account: Arc<Account>,
    pub(super) metrics: ConnectionMetrics,
    pub(super) limits: Limits,
    pub(super) summons: Summons,
}

impl Session {
    /// What the client has to say before all else: who takes too long for that, or is in the way
    /// meanwhile, is let go.
    ///
    /// # Errors
    /// It was let go, or what it says is wrong.
    pub(super) async fn first_words<T, E: Into<ConnectionError>>(
        &mut self,
        words: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ConnectionError> {
        let reason = tokio::select! {
            said = tokio::time::timeout(self.limits.patience, words) => match said {
                Ok(said) => return said.map_err(Into::into),
                Err(_) => Closed::Silent,
            },
            () = self.summons.close_request.given() => Closed::MadeRoom,
            // A server that stops is not kept by those who have yet to say something.
            () = stopped_for(&mut self.summons.stop, TICK) => Closed::Silent,
        };
        self.metrics.closed(reason);
        Err(reason.into())
    }

    /// Ticks of [`TICK`].
    pub(super) fn clock() -> Interval {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        clock
    }

    /// For a test, with what it may share and other limits.
    #[cfg(test)]
    pub(super) async fn of_test(limits: Limits, stop: watch::Receiver<bool>) -> Self {
        let metrics = crate::telemetry::Metrics::new().unwrap().connections().clone();
        let resources = Resources { limits, ..Resources::new(10, metrics) };
        resources.session(stop).await.unwrap()
    }
}

/// Waits until the server has been stopping for so long.
async fn stopped_for(stop: &mut watch::Receiver<bool>, span: Duration) {
    told_to_stop(stop).await;
    tokio::time::sleep(span).await;
}

/// Tells a connection to end.
pub(super) struct Summons {
    stop: watch::Receiver<bool>,
    close_request: CloseRequest,
}

/// Why a connection is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The server stops.
    Stopping,
    /// Another connection needs the slot.
    PlaceNeeded,
}

impl Summons {
    /// Waits until the connection has to end.
    pub(super) async fn heard(&mut self) -> Why {
        tokio::select! {
            () = told_to_stop(&mut self.stop) => Why::Stopping,
            () = self.close_request.given() => Why::PlaceNeeded,
        }
    }
}

/// How long something has been so, as far as it was looked at.
#[derive(Default)]
pub(super) struct Lasting(Option<Instant>);

impl Lasting {
    /// Takes note of whether it is so now.
    pub(super) fn note(&mut self, is_so: bool, now: Instant) -> Duration {
        self.0 = is_so.then(|| self.0.unwrap_or(now));
        self.0.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

/// Waits until `stop` says so.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell us: stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
