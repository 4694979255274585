//! What the log tells of a configuration when it is put to work.

use std::collections::BTreeSet;

use crate::config::Loaded;

/// Says once what should not go unnoticed.
pub fn announce(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let ignored = |nemos: bool| {
        let keys = loaded.ignored.iter().filter(|key| key.is_nemos == nemos);
        let names: BTreeSet<_> = keys.map(|key| key.name.as_str()).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(", "))
    };
    if let Some(keys) = ignored(true) {
        tracing::info!(keys, "these are settings of NeMo Platform's own: Doorward ignores them");
    }
    if let Some(keys) = ignored(false) {
        tracing::info!(keys, "these keys and variables are not settings of Doorward");
    }
}
