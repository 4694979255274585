//! A request for which somebody is asked. Envoy holds it up; another thread comes to the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward::app::{Asked, Embedded, Later};
use doorward::transport::KeptRequest;

use crate::abi::StreamScheduler;

/// What the stream and the thread that is asked have of each other.
struct Shared {
    /// Nobody comes back to a stream that has ended: nor may to a worker that ends with Envoy.
    scheduler: Option<StreamScheduler>,
    later: Option<Later>,
}

/// A request that waits.
pub struct Waiting {
    shared: Arc<Mutex<Shared>>,
    _asked: Asked,
}

impl Waiting {
    /// Asks, and has the worker come back by `scheduler` when there is an answer.
    #[must_use]
    pub fn new(embedded: &Embedded, request: KeptRequest, scheduler: StreamScheduler) -> Self {
        let shared = Shared { scheduler: Some(scheduler), later: None };
        let shared = Arc::new(Mutex::new(shared));
        let there = Arc::clone(&shared);
        let asked = embedded.ask(request, move |later| {
            let mut shared = lock(&there);
            shared.later = Some(later);
            if let Some(scheduler) = &shared.scheduler {
                scheduler.commit();
            }
        });
        Self { shared, _asked: asked }
    }

    /// What came of it.
    #[must_use]
    pub fn take(&self) -> Option<Later> {
        lock(&self.shared).later.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.shared).scheduler = None;
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
