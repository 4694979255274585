//! Decisions that were made before, of a policy that decides the same each time.

use doorward_core::policy::Verdict;
use moka::sync::Cache;

use crate::input::Key;

/// What an entry may weigh on average, in bytes.
const BYTES_EACH: u64 = 1024;

/// A longer name of a decision is not worth its room, in bytes.
const MAX_KEY_BYTES: usize = 8 * 1024;

/// What an entry takes besides its texts, in bytes, about.
const OVERHEAD_BYTES: usize = 160;

/// Decisions by all that was read for them.
///
/// They belong to one policy, and go with it. The whole key is compared: two requests share a decision
/// only where the policy sees no difference between them.
pub(crate) struct Decisions(Cache<Box<[u8]>, Verdict>);

impl Decisions {
    /// Room for about so many.
    pub(crate) fn new(remembered: usize) -> Self {
        let entries = u64::try_from(remembered).unwrap_or(u64::MAX);
        let builder = Cache::<Box<[u8]>, Verdict>::builder();
        let builder = builder.max_capacity(entries.saturating_mul(BYTES_EACH));
        let weighed = builder.weigher(|key, verdict| {
            u32::try_from(key.len() + bytes_of(verdict) + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        });
        Self(weighed.build())
    }

    /// The decision of this name.
    pub(crate) fn get(&self, key: &Key) -> Option<Verdict> {
        self.0.get(key.as_slice())
    }

    /// Remembers a decision.
    pub(crate) fn put(&self, key: &Key, verdict: &Verdict) {
        if key.len() <= MAX_KEY_BYTES {
            self.0.insert(key.as_slice().into(), verdict.clone());
        }
    }
}

fn bytes_of(verdict: &Verdict) -> usize {
    let Some(said) = verdict.said() else { return 0 };
    let headers = said.headers.iter().map(|(name, value)| name.len() + value.len() + 32);
    let remove = said.remove.iter().map(|name| name.len() + 16);
    let body = said.body.as_ref().map_or(0, |body| body.len());
    let metadata = if said.metadata.is_empty() { 0 } else { format!("{:?}", said.metadata).len() };
    headers.chain(remove).sum::<usize>() + body + metadata
}
