//! How many connections there may be, and which has to go for a new one.
//!
//! Every connection takes a file, and files are few: without a limit, connections that say
//! nothing would use them all up, those for new calls, for key fetches and for the liveness
//! probe included. When all slots are taken, the connection that has been silent for longest
//! makes room, one that was never answered before one that was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::telemetry::Closed;

/// A connection that was answered since is not asked to go.
const BUSY: Duration = Duration::from_secs(10);
/// How many may be on their way out while new ones come in.
const ON_THEIR_WAY_OUT: usize = 32;

/// The slots of one or more listeners.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    most: usize,
    opened: Instant,
    taken: Mutex<Slots>,
    /// Told of each that has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    next: u64,
    /// In the order in which they came.
    open: BTreeMap<u64, OpenConnection>,
}

#[derive(Debug)]
struct OpenConnection {
    answered: Arc<AtomicU64>,
    /// `None`: it was asked to go already.
    ask_to_close: Option<oneshot::Sender<()>>,
}

/// One connection's slot; given back when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    answered: Arc<AtomicU64>,
}

/// Comes when a slot is needed for another connection.
#[derive(Debug)]
pub(super) struct CloseRequest(oneshot::Receiver<()>);

impl ConnectionSlots {
    /// So many slots, but for a few that are about to be free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            opened: Instant::now(),
            taken: Mutex::default(),
            gone: Notify::new(),
        })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().open.len()
    }

    /// A slot for a new connection; another one may have to go for it. Waits while many are
    /// on their way out: until then, newcomers are better off in the system's queue.
    ///
    /// # Errors
    /// All slots are taken by connections at work.
    pub(super) async fn take(self: &Arc<Self>) -> Result<(ConnectionSlot, CloseRequest), Closed> {
        loop {
            let gone = self.gone.notified();
            match self.try_take() {
                Some(taken) => {
                    // There may be more slots, and others who wait for one.
                    self.gone.notify_one();
                    return taken;
                }
                None => gone.await,
            }
        }
    }

    /// `None`: too many are on their way out.
    fn try_take(self: &Arc<Self>) -> Option<Result<(ConnectionSlot, CloseRequest), Closed>> {
        let now = self.moment();
        let mut taken = self.lock();
        if taken.open.len() >= self.most {
            if taken.open.len() >= self.most + ON_THEIR_WAY_OUT {
                return None;
            }
            if !taken.ask_one_to_close(now) {
                return Some(Err(Closed::NoPlace));
            }
        }
        let number = taken.next;
        taken.next += 1;
        let (ask_to_close, asked_to_close) = oneshot::channel();
        let answered = Arc::new(AtomicU64::new(NEVER));
        let connection =
            OpenConnection { answered: Arc::clone(&answered), ask_to_close: Some(ask_to_close) };
        taken.open.insert(number, connection);
        let slot = ConnectionSlot { slots: Arc::clone(self), number, answered };
        Some(Ok((slot, CloseRequest(asked_to_close))))
    }

    /// Asks one to go, for whoever needs a file.
    pub(super) fn close_one(&self) -> bool {
        let now = self.moment();
        self.lock().ask_one_to_close(now)
    }

    /// Milliseconds since there are slots, from 1.
    fn moment(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a connection was answered that never was.
const NEVER: u64 = 0;

impl Slots {
    fn ask_one_to_close(&mut self, now: u64) -> bool {
        let busy_since = now.saturating_sub(u64::try_from(BUSY.as_millis()).unwrap_or(u64::MAX));
        let idlest = self
            .open
            .values_mut()
            .filter(|connection| connection.ask_to_close.is_some())
            .map(|connection| (connection.answered.load(Ordering::Relaxed), connection))
            // The first of several equal ones: the oldest.
            .min_by_key(|(answered, _)| *answered);
        match idlest {
            Some((answered, connection)) if answered == NEVER || answered < busy_since => {
                connection.ask_to_close.take().is_some_and(|ask| ask.send(()).is_ok())
            }
            _ => false,
        }
    }
}

impl ConnectionSlot {
    /// The connection was of use just now.
    pub(super) fn answered(&self) {
        self.answered.store(self.slots.moment(), Ordering::Relaxed);
    }

    pub(super) fn was_ever_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed) != NEVER
    }
}

impl CloseRequest {
    /// Waits for it.
    pub(super) async fn given(&mut self) {
        // The slot, which has the other end, goes after this.
        let _ = (&mut self.0).await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().open.remove(&self.number);
        self.slots.gone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(slots: &Arc<ConnectionSlots>) -> Option<(ConnectionSlot, CloseRequest)> {
        slots.try_take()?.ok()
    }

    fn given(close_request: &mut CloseRequest) -> bool {
        close_request.0.try_recv().is_ok()
    }

    #[test]
    fn the_oldest_silent_connection_makes_room() {
        let slots = ConnectionSlots::new(3);
        let mut first = take(&slots).unwrap();
        let (mut second, mut third) = (take(&slots).unwrap(), take(&slots).unwrap());
        first.0.answered();
        let _fourth = take(&slots).expect("the second goes for it");
        assert!(!given(&mut first.1) && given(&mut second.1) && !given(&mut third.1));
        assert_eq!(slots.taken(), 4, "until it has gone");
        drop(second);
        let _fifth = take(&slots).expect("the third goes for it");
        assert!(given(&mut third.1));
    }

    #[test]
    fn nobody_at_work_makes_room() {
        let slots = ConnectionSlots::new(2);
        let (mut first, mut second) = (take(&slots).unwrap(), take(&slots).unwrap());
        first.0.answered();
        second.0.answered();
        assert!(take(&slots).is_none());
        assert!(!given(&mut first.1) && !given(&mut second.1));
        drop(first);
        assert!(take(&slots).is_some());
    }

    /// As many as files are kept for, and no more, until some have gone.
    #[tokio::test]
    async fn newcomers_wait_while_many_are_on_their_way_out() {
        let slots = ConnectionSlots::new(100);
        let mut silent: Vec<_> = std::iter::from_fn(|| take(&slots)).collect();
        assert_eq!(silent.len(), 100 + ON_THEIR_WAY_OUT);
        let mut waiting = std::pin::pin!(slots.take());
        let soon = tokio::time::timeout(Duration::from_millis(20), waiting.as_mut());
        assert!(soon.await.is_err());
        silent.pop();
        assert!(waiting.await.is_ok());
    }
}
