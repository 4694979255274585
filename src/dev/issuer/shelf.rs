//! A bounded map whose entries expire: all that the issuer remembers lies on one.

use std::collections::HashMap;

use doorward_core::clock::UnixTime;

/// Entries by key, each until its own moment, never more than a fixed number.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    entries: HashMap<String, (UnixTime, T)>,
    capacity: usize,
}

impl<T> Shelf<T> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// Keeps `value` until `until`. When the shelf is full, what has expired goes first,
    /// then what would expire next.
    pub(super) fn put(&mut self, key: String, value: T, until: UnixTime, now: UnixTime) {
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, (until, _)| *until > now);
        }
        if self.entries.len() >= self.capacity {
            let next = self.entries.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(key) = next.map(|(key, _)| key.clone()) {
                self.entries.remove(&key);
            }
        }
        self.entries.insert(key, (until, value));
    }

    pub(super) fn look(&mut self, key: &str, now: UnixTime) -> Option<&mut T> {
        self.entries.get_mut(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    pub(super) fn find(&mut self, now: UnixTime, wanted: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.entries
            .values_mut()
            .filter(|(until, _)| *until > now)
            .map(|(_, value)| value)
            .find(|value| wanted(value))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<T> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    pub(super) fn keep_only(&mut self, keep: impl Fn(&T) -> bool) {
        self.entries.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shelf_drops_what_expires_first() {
        let mut shelf = Shelf::with_capacity(2);
        let now = UnixTime(100);
        shelf.put("late".into(), 1, UnixTime(300), now);
        shelf.put("soon".into(), 2, UnixTime(200), now);
        shelf.put("new".into(), 3, UnixTime(250), now);
        assert_eq!(shelf.look("soon", now), None);
        assert_eq!(shelf.look("late", now), Some(&mut 1));
        assert_eq!(shelf.look("late", UnixTime(300)), None, "expired to the second");
    }
}
