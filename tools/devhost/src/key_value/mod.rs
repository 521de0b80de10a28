//! Key-value stores: `fermyon:spin/key-value` and `wasi:keyvalue` over configured backends.

mod host;
mod memory;
mod redis;

use self::memory::Memory;
use self::redis::Redis;
use crate::runtime_config;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

const RESULT_BYTES_MAX: usize = 128 * 1024 * 1024;

#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Store(Arc<Backend>);

/// A compare-and-swap that a guest has begun.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Cas {
    store: Arc<Backend>,
    key: String,
    seen: Option<Vec<u8>>,
}

pub(crate) type Stores = BTreeMap<String, Arc<Backend>>;

pub(crate) enum Backend {
    Memory(Memory),
    Redis(Box<Redis>),
}

/// Creates the configured backends without connecting to them.
pub(crate) fn make_stores(
    configured: &BTreeMap<String, runtime_config::Backend>,
) -> Result<Stores> {
    let mut stores = Stores::new();
    for (label, backend) in configured {
        let backend = match backend {
            runtime_config::Backend::Spin { .. } => Backend::Memory(Memory::default()),
            runtime_config::Backend::Redis { url } => Backend::Redis(Box::new(
                Redis::new(url).with_context(|| format!("key-value store {label:?}"))?,
            )),
        };
        stores.insert(label.clone(), Arc::new(backend));
    }
    Ok(stores)
}

/// Returns the stores that a component's manifest entry names. An unconfigured store is an error.
pub(crate) fn grant_stores(stores: &Stores, labels: &[String]) -> Result<Stores> {
    let grant = |label: &String| {
        let store = stores
            .get(label)
            .with_context(|| format!("unknown key_value_stores label {label:?}"))?;
        Ok((label.clone(), store.clone()))
    };
    labels.iter().map(grant).collect()
}

/// Errors are texts for the guest.
impl Backend {
    async fn open(&self) -> Result<(), String> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(redis) => redis.open().await,
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let value = match self {
            Self::Memory(memory) => memory.get(key),
            Self::Redis(redis) => redis.get(key).await?,
        };
        within_limit(value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        match self {
            Self::Memory(memory) => memory.set(pairs),
            Self::Redis(redis) => redis.set(pairs).await?,
        }
        Ok(())
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        match self {
            Self::Memory(memory) => memory.delete(&keys),
            Self::Redis(redis) => redis.delete(keys).await?,
        }
        Ok(())
    }

    async fn exists(&self, key: &str) -> Result<bool, String> {
        match self {
            Self::Memory(memory) => Ok(memory.get(key).is_some()),
            Self::Redis(redis) => redis.exists(key).await,
        }
    }

    async fn keys(&self) -> Result<Vec<String>, String> {
        let keys = match self {
            Self::Memory(memory) => memory.keys(),
            Self::Redis(redis) => redis.keys().await?,
        };
        within_limit(keys.iter().map(|key| key.len() + size_of::<String>()).sum())?;
        Ok(keys)
    }

    /// Omits missing keys, as Spin does.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<(String, Option<Vec<u8>>)>, String> {
        let Self::Memory(memory) = self else {
            return Err("devhost: get-many on Redis is broken in Spin 4.0: do not use it".into());
        };
        let pairs: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((key.clone(), Some(memory.get(key)?))))
            .collect();
        within_limit(
            pairs
                .iter()
                .flat_map(|(_, value)| value)
                .map(Vec::len)
                .sum(),
        )?;
        Ok(pairs)
    }
}

fn within_limit(bytes: usize) -> Result<(), String> {
    if bytes > RESULT_BYTES_MAX {
        return Err(format!(
            "query result exceeds limit of {RESULT_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}
