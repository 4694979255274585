//! How many connections there may be, and which has to go for a new one.
//!
//! Every connection takes a file, and files are few: without a limit, connections that say
//! nothing would use them all up, those for new calls, for key fetches and for the liveness
//! probe included. When all places are taken, the connection that has been silent for longest
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

/// The places of one or more listeners.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    opened: Instant,
    taken: Mutex<Taken>,
    /// Told of each that has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    answered: Arc<AtomicU64>,
    /// `None`: it was asked to go already.
    ask_to_go: Option<oneshot::Sender<()>>,
}

/// One connection's place; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    answered: Arc<AtomicU64>,
}

/// Comes when a place is needed for another connection.
#[derive(Debug)]
pub(super) struct Notice(oneshot::Receiver<()>);

impl Places {
    /// So many places, but for a few that are about to be free.
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
        self.lock().seats.len()
    }

    /// A place for a new connection; another one may have to go for it. Waits while many are
    /// on their way out: until then, newcomers are better off in the system's queue.
    ///
    /// # Errors
    /// All places are taken by connections at work.
    pub(super) async fn take(self: &Arc<Self>) -> Result<(Place, Notice), Closed> {
        loop {
            let gone = self.gone.notified();
            match self.try_take() {
                Some(taken) => {
                    // There may be more places, and others who wait for one.
                    self.gone.notify_one();
                    return taken;
                }
                None => gone.await,
            }
        }
    }

    /// `None`: too many are on their way out.
    fn try_take(self: &Arc<Self>) -> Option<Result<(Place, Notice), Closed>> {
        let now = self.moment();
        let mut taken = self.lock();
        if taken.seats.len() >= self.most {
            if taken.seats.len() >= self.most + ON_THEIR_WAY_OUT {
                return None;
            }
            if !taken.send_one_away(now) {
                return Some(Err(Closed::NoPlace));
            }
        }
        let number = taken.next;
        taken.next += 1;
        let (ask_to_go, asked_to_go) = oneshot::channel();
        let answered = Arc::new(AtomicU64::new(NEVER));
        let seat = Seat { answered: Arc::clone(&answered), ask_to_go: Some(ask_to_go) };
        taken.seats.insert(number, seat);
        let place = Place { places: Arc::clone(self), number, answered };
        Some(Ok((place, Notice(asked_to_go))))
    }

    /// Asks one to go, for whoever needs a file.
    pub(super) fn make_room(&self) -> bool {
        let now = self.moment();
        self.lock().send_one_away(now)
    }

    /// Milliseconds since there are places, from 1.
    fn moment(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a connection was answered that never was.
const NEVER: u64 = 0;

impl Taken {
    fn send_one_away(&mut self, now: u64) -> bool {
        let busy_since = now.saturating_sub(u64::try_from(BUSY.as_millis()).unwrap_or(u64::MAX));
        let idlest = self
            .seats
            .values_mut()
            .filter(|seat| seat.ask_to_go.is_some())
            .map(|seat| (seat.answered.load(Ordering::Relaxed), seat))
            // The first of several equal ones: the oldest.
            .min_by_key(|(answered, _)| *answered);
        match idlest {
            Some((answered, seat)) if answered == NEVER || answered < busy_since => {
                seat.ask_to_go.take().is_some_and(|ask| ask.send(()).is_ok())
            }
            _ => false,
        }
    }
}

impl Place {
    /// The connection was of use just now.
    pub(super) fn answered(&self) {
        self.answered.store(self.places.moment(), Ordering::Relaxed);
    }

    pub(super) fn was_ever_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed) != NEVER
    }
}

impl Notice {
    /// Waits for it.
    pub(super) async fn given(&mut self) {
        // The place, which has the other end, goes after this.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().seats.remove(&self.number);
        self.places.gone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>) -> Option<(Place, Notice)> {
        places.try_take()?.ok()
    }

    fn given(notice: &mut Notice) -> bool {
        notice.0.try_recv().is_ok()
    }

    #[test]
    fn the_oldest_silent_connection_makes_room() {
        let places = Places::new(3);
        let mut first = take(&places).unwrap();
        let (mut second, mut third) = (take(&places).unwrap(), take(&places).unwrap());
        first.0.answered();
        let _fourth = take(&places).expect("the second goes for it");
        assert!(!given(&mut first.1) && given(&mut second.1) && !given(&mut third.1));
        assert_eq!(places.taken(), 4, "until it has gone");
        drop(second);
        let _fifth = take(&places).expect("the third goes for it");
        assert!(given(&mut third.1));
    }

    #[test]
    fn nobody_at_work_makes_room() {
        let places = Places::new(2);
        let (mut first, mut second) = (take(&places).unwrap(), take(&places).unwrap());
        first.0.answered();
        second.0.answered();
        assert!(take(&places).is_none());
        assert!(!given(&mut first.1) && !given(&mut second.1));
        drop(first);
        assert!(take(&places).is_some());
    }

    /// As many as files are kept for, and no more, until some have gone.
    #[tokio::test]
    async fn newcomers_wait_while_many_are_on_their_way_out() {
        let places = Places::new(100);
        let mut silent: Vec<_> = std::iter::from_fn(|| take(&places)).collect();
        assert_eq!(silent.len(), 100 + ON_THEIR_WAY_OUT);
        let mut waiting = std::pin::pin!(places.take());
        let soon = tokio::time::timeout(Duration::from_millis(20), waiting.as_mut());
        assert!(soon.await.is_err());
        silent.pop();
        assert!(waiting.await.is_ok());
    }
}
