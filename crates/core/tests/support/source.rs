//! A source of keys that does as it is told.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use doorward_core::clock::UnixTime;
use doorward_core::keys::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};
use serde_json::{Value, json};

use super::{NOW, Signer};

/// Holds what it was given last, and notes what it is asked.
pub struct Source {
    keys: ArcSwapOption<Snapshot>,
    may_refetch: AtomicBool,
    /// What a look at whether to ask brings, and what asking brings.
    on_look: Mutex<Option<Snapshot>>,
    on_refetch: Mutex<(Refetch, Option<Snapshot>)>,
    pub asked: Mutex<Vec<(RefetchCause, Duration)>>,
}

impl Source {
    /// Never obtained, and nobody may be asked.
    pub fn empty() -> Arc<Self> {
        Arc::new(Self {
            keys: ArcSwapOption::empty(),
            may_refetch: AtomicBool::new(false),
            on_look: Mutex::default(),
            on_refetch: Mutex::new((Refetch::NotDue, None)),
            asked: Mutex::default(),
        })
    }

    pub fn of<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Arc<Self> {
        let source = Self::empty();
        source.publish(snapshot(signers));
        source
    }

    pub fn publish(&self, keys: Snapshot) {
        self.keys.store(Some(Arc::new(keys)));
    }

    /// It may be asked, and this comes of it.
    pub fn will(&self, refetch: Refetch, keys: impl Into<Option<Snapshot>>) {
        self.may_refetch.store(true, Ordering::Relaxed);
        *self.on_refetch.lock().unwrap() = (refetch, keys.into());
    }

    /// It must not be asked; meanwhile somebody else's fetch ends.
    pub fn brings_by_itself(&self, keys: Snapshot) {
        *self.on_look.lock().unwrap() = Some(keys);
    }
}

impl KeySource for Source {
    fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.keys.load()
    }

    fn may_refetch(&self, _: RefetchCause) -> bool {
        self.on_look.lock().unwrap().take().into_iter().for_each(|keys| self.publish(keys));
        self.may_refetch.load(Ordering::Relaxed)
    }

    fn refetch(
        &self,
        cause: RefetchCause,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>> {
        self.asked.lock().unwrap().push((cause, wait));
        let (refetch, keys) = &mut *self.on_refetch.lock().unwrap();
        keys.take().into_iter().for_each(|keys| self.publish(keys));
        Box::pin(ready(*refetch))
    }
}

/// Keys that may be believed for an hour.
pub fn snapshot<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Snapshot {
    let keys: Vec<Value> = signers.into_iter().map(Signer::jwk).collect();
    Snapshot::new(Arc::new(key_set(&json!(keys))), NOW, UnixTime(NOW.0 + 3600))
}

pub fn key_set(keys: &Value) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}
