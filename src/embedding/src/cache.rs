//! Cache of vectors in the key-value store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sha2::{Digest, Sha256};
use spin_sdk::key_value::{Error, Store};

use crate::vector::Vector;
use crate::{DIMENSIONS, EmbeddingKey};

/// Maximum number of vectors, 24 MiB in total.
const SLOTS: u16 = 4096;

const VECTOR_BYTES: usize = DIMENSIONS * size_of::<f32>();

/// Caches vectors by the SHA-256 of model and text, for a limited time.
///
/// The key-value store has no expiry, eviction or cheap listing, so the cache is a table of slots
/// selected by hash; the latest write wins. A store failure is logged and counts as a miss; the
/// cache is not used again in this call.
#[derive(Debug)]
pub struct EmbeddingCache {
    store: Option<Store>,
    time_to_live: Duration,
}

impl EmbeddingCache {
    /// Opens the default store. Entries expire after `time_to_live`; zero disables the cache.
    pub fn open(time_to_live: Duration) -> Self {
        let open = || {
            Store::open_default()
                .inspect_err(|error| log_failure("open", error))
                .ok()
        };
        let store = if time_to_live.is_zero() { None } else { open() };
        Self {
            store,
            time_to_live,
        }
    }

    pub(crate) fn get(&mut self, key: &EmbeddingKey) -> Option<Vector> {
        let identity = identity(key);
        let value = self.using("get", |store| store.get(&slot(&identity)))?;
        let entry = Entry::read(&value?)?;
        (entry.identity == identity && entry.expires_at > now()).then_some(entry.vector)
    }

    pub(crate) fn put(&mut self, key: &EmbeddingKey, vector: &Vector) {
        let entry = Entry {
            identity: identity(key),
            expires_at: now().saturating_add(self.time_to_live.as_secs()),
            vector: vector.clone(),
        };
        self.using("set", |store| {
            store.set(&slot(&entry.identity), &entry.write())
        });
    }

    /// Uses the store, or closes it for good if it fails: each failure may take long.
    fn using<T>(
        &mut self,
        operation: &str,
        run: impl FnOnce(&Store) -> Result<T, Error>,
    ) -> Option<T> {
        let done = run(self.store.as_ref()?);
        done.inspect_err(|error| {
            log_failure(operation, error);
            self.store = None;
        })
        .ok()
    }
}

/// Content of a slot. Its bytes are the identity, the expiry (u64, little-endian) and the vector.
struct Entry {
    identity: [u8; 32],
    expires_at: u64,
    vector: Vector,
}

impl Entry {
    fn read(value: &[u8]) -> Option<Self> {
        let (identity, rest) = value.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        Some(Self {
            identity: *identity,
            expires_at: u64::from_le_bytes(*expires_at),
            vector: Vector::from_bytes(rest)?,
        })
    }

    fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(32 + 8 + VECTOR_BYTES);
        value.extend(self.identity);
        value.extend(self.expires_at.to_le_bytes());
        value.extend(self.vector.to_bytes());
        value
    }
}

/// SHA-256 of the model's name, a NUL byte (no name contains one) and the text's hash.
fn identity(key: &EmbeddingKey) -> [u8; 32] {
    Sha256::new()
        .chain_update(&key.model)
        .chain_update([0])
        .chain_update(key.text_hash)
        .finalize()
        .into()
}

fn slot(identity: &[u8; 32]) -> String {
    let [high, low, ..] = *identity;
    let slot = u16::from_be_bytes([high, low]) % SLOTS;
    format!("embedding-cache/{slot:03x}")
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Logs only the kind of an error: its text may name a host.
fn log_failure(operation: &str, error: &Error) {
    let kind = match error {
        Error::StoreTableFull => "store table full",
        Error::NoSuchStore => "no such store",
        Error::AccessDenied => "access denied",
        Error::Other(_) => "store failed",
    };
    telemetry::warn(
        "embedding cache unusable, continuing without it",
        json!({"operation": operation, "error": kind}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(model: &str, text: &str) -> EmbeddingKey {
        EmbeddingKey {
            model: model.to_owned(),
            text_hash: records::sha256(text),
        }
    }

    #[test]
    fn an_entry_is_read_back_as_written_and_nonsense_is_not_an_entry() {
        let entry = Entry {
            identity: identity(&key("m", "t")),
            expires_at: 1_700_000_000,
            vector: Vector::along(5),
        };
        let value = entry.write();
        let read = Entry::read(&value).unwrap();
        assert_eq!(read.identity, entry.identity);
        assert_eq!(read.expires_at, entry.expires_at);
        assert_eq!(read.vector, entry.vector);
        for nonsense in [&value[1..], &value[..39], &[], b"{}"] {
            assert!(Entry::read(nonsense).is_none());
        }
    }

    #[test]
    fn model_and_text_both_name_the_vector() {
        let one = identity(&key("m", "t"));
        assert_ne!(one, identity(&key("m", "u")));
        assert_ne!(one, identity(&key("n", "t")));
    }

    #[test]
    fn the_number_of_slots_is_bounded() {
        let slots: std::collections::HashSet<_> = (0..100_000)
            .map(|number| slot(&records::sha256(&number.to_string())))
            .collect();
        assert_eq!(slots.len(), usize::from(SLOTS));
    }
}
