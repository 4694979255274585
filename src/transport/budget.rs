//! What unfinished calls may hold, each connection's and all together.
//!
//! A call that is answered as soon as it is there holds nothing and is not counted. The others
//! are: those whose message is still on its way, that wait for a key, or whose answer nobody
//! takes. A connection has a little to itself, whatever the others do; what it wants beyond, it
//! shares with all, and the less is left the less anybody gets of it: a few cannot use
//! everything up (a dynamic threshold, as switches have for their buffers). When it is scarce,
//! unfinished calls end sooner, and what was taken comes back.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// What each connection may hold without asking, in bytes. A header block or a few messages
/// that come in two parts: what a working gateway holds at any moment.
pub(super) const OWN_BYTES: usize = 64 * 1024;
/// What one connection may hold at most, in bytes.
pub(super) const CONNECTION_BYTES: usize = 7 * 1024 * 1024;
/// What the messages of one connection that are longer than a stream's window may come to
/// together, in bytes: some thirty of Envoy's usual limit at once, or one of any length.
const GROWING_BYTES: usize = 2 * 1024 * 1024;
/// What the calls of one connection that wait for an issuer's keys may hold together, in bytes:
/// made-up key ids must leave room for everybody else's messages, and half of the streams.
const KEYLESS_BYTES: usize = CONNECTION_BYTES / 2;
/// What such a call counts for at least, in bytes.
const KEYLESS_CALL_BYTES: usize = KEYLESS_BYTES / 512;
const UNIT: usize = 1024;
/// What all connections may hold together beyond [`OWN_BYTES`] each, in bytes.
const SHARED_BYTES: usize = 64 * 1024 * 1024;
/// A connection may hold this part of what is left.
const SHARE: usize = 8;
/// What a call that waits costs besides its message: its stream in the h2 crate, its future.
pub(super) const CALL_BYTES: usize = 2 * 1024;

/// What the connections of a process share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: AtomicUsize,
}

impl Budget {
    /// Whether so much of it is in use that unfinished calls had better end soon.
    pub(super) fn is_scarce(&self) -> bool {
        self.used() > SHARED_BYTES / 2
    }

    /// In use, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes` more for a connection that then has `share` of it.
    fn take(&self, bytes: usize, share: usize) -> Result<(), OverBudget> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if share > SHARED_BYTES.saturating_sub(before) / SHARE {
            self.give_back(bytes);
            return Err(OverBudget);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one connection holds. Only its own task changes it.
#[derive(Debug)]
pub(super) struct Account {
    held: AtomicUsize,
    budget: Arc<Budget>,
    /// What of [`GROWING_BYTES`] is left, in [`UNIT`]s.
    growth: Arc<Semaphore>,
    /// What of [`KEYLESS_BYTES`] is left, in [`UNIT`]s.
    keyless: Arc<Semaphore>,
}

impl Account {
    pub(super) fn new(budget: Arc<Budget>) -> Arc<Self> {
        let growth = Arc::new(Semaphore::new(GROWING_BYTES / UNIT));
        let keyless = Arc::new(Semaphore::new(KEYLESS_BYTES / UNIT));
        Arc::new(Self { held: AtomicUsize::new(0), budget, growth, keyless })
    }

    /// Leave for a call whose message has so many bytes to wait for keys, while it is kept.
    ///
    /// # Errors
    /// Those that wait already hold all that they may.
    pub(super) fn leave_to_wait(&self, bytes: usize) -> Result<OwnedSemaphorePermit, OverBudget> {
        let units = units(bytes.max(KEYLESS_CALL_BYTES), KEYLESS_BYTES);
        Arc::clone(&self.keyless).try_acquire_many_owned(units).map_err(|_| OverBudget)
    }

    /// Room for nothing yet.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { account: Arc::clone(self), bytes: 0 }
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    fn set(&self, bytes: usize) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let before = self.held.load(Ordering::Relaxed);
        let after = before.saturating_add(bytes);
        if after > CONNECTION_BYTES {
            return Err(OverBudget);
        }
        let (shared_before, shared_after) = (shared(before), shared(after));
        if shared_after > shared_before {
            self.budget.take(shared_after - shared_before, shared_after)?;
        }
        self.set(after);
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let before = self.held.load(Ordering::Relaxed);
        let after = before.saturating_sub(bytes);
        if shared(before) > 0 {
            self.budget.give_back(shared(before) - shared(after));
        }
        self.set(after);
    }
}

/// So many bytes, `most` at most, in [`UNIT`]s.
fn units(bytes: usize, most: usize) -> u32 {
    u32::try_from(bytes.min(most).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// How much of what a connection holds is not its own.
fn shared(held: usize) -> usize {
    held.saturating_sub(OWN_BYTES)
}

/// Bytes that are held; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    /// Holds `bytes` from now on, more or fewer than before.
    ///
    /// # Errors
    /// There is no room for so many; what was held is held still.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), OverBudget> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => return Ok(()),
            Some(more) => self.account.take(more)?,
            None => self.account.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// What the connection holds.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// How many are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Waits until a message may grow to so many bytes; those that asked first are first.
    pub(super) fn room_to_grow(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + use<> {
        Arc::clone(&self.account.growth).acquire_many_owned(units(bytes, GROWING_BYTES))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(held: &mut Held, bytes: usize) -> Result<(), OverBudget> {
        held.set(held.bytes + bytes)
    }

    #[test]
    fn a_connection_has_its_own_whatever_the_others_take() {
        let budget = Arc::new(Budget::default());
        let greedy: Vec<_> = (0..1000)
            .map(|_| {
                let mut held = Account::new(Arc::clone(&budget)).hold();
                while grow(&mut held, 16 * 1024).is_ok() {}
                held
            })
            .collect();
        assert!(budget.is_scarce());
        assert!(budget.used() < SHARED_BYTES, "they never take everything");
        let mut held = Account::new(Arc::clone(&budget)).hold();
        held.set(OWN_BYTES).unwrap();
        drop((greedy, held));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_connection_alone_may_hold_what_a_connection_may() {
        let account = Account::new(Arc::default());
        let mut first = account.hold();
        first.set(CONNECTION_BYTES).unwrap();
        let mut second = account.hold();
        assert_eq!(grow(&mut second, 1), Err(OverBudget));
        first.set(CONNECTION_BYTES - 1).unwrap();
        grow(&mut second, 1).unwrap();
        drop(first);
        assert_eq!(grow(&mut second, CONNECTION_BYTES), Err(OverBudget));
        grow(&mut second, CONNECTION_BYTES - 1).unwrap();
        drop(second);
        assert_eq!(account.budget().used(), 0);
    }
}
