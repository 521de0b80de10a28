//! A store in memory, like Spin's in-memory SQLite database. It lives as long as the host.

use crate::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.0).get(key).cloned()
    }

    pub(super) fn set(&self, pairs: Vec<(String, Vec<u8>)>) {
        lock(&self.0).extend(pairs);
    }

    pub(super) fn delete(&self, keys: &[String]) {
        let mut values = lock(&self.0);
        for key in keys {
            values.remove(key);
        }
    }

    pub(super) fn keys(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }

    /// Adds to a counter of 8 little-endian bytes. Returns `None` if the value has another length.
    pub(super) fn increment(&self, key: String, delta: i64) -> Option<i64> {
        let mut values = lock(&self.0);
        let old = match values.get(&key) {
            Some(bytes) => i64::from_le_bytes(bytes.as_slice().try_into().ok()?),
            None => 0,
        };
        let new = old.wrapping_add(delta);
        values.insert(key, new.to_le_bytes().to_vec());
        Some(new)
    }

    /// Sets `key` if its value equals `seen`, and returns whether it did.
    pub(super) fn swap(&self, key: &str, seen: Option<&[u8]>, value: Vec<u8>) -> bool {
        let mut values = lock(&self.0);
        if values.get(key).map(Vec::as_slice) != seen {
            return false;
        }
        values.insert(key.to_owned(), value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_eight_little_endian_bytes() {
        let memory = Memory::default();
        assert_eq!(memory.increment("n".into(), 258), Some(258));
        assert_eq!(memory.increment("n".into(), -1), Some(257));
        assert_eq!(memory.get("n"), Some(vec![1, 1, 0, 0, 0, 0, 0, 0]));

        memory.set(vec![("text".into(), b"5".to_vec())]);
        assert_eq!(memory.increment("text".into(), 1), None);
    }

    #[test]
    fn a_swap_needs_the_value_that_was_seen() {
        let memory = Memory::default();
        assert!(memory.swap("k", None, b"a".to_vec()));
        assert!(!memory.swap("k", None, b"b".to_vec()));
        assert!(memory.swap("k", Some(b"a"), b"b".to_vec()));
        assert_eq!(memory.get("k"), Some(b"b".to_vec()));
    }
}
