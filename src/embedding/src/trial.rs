//! Checks whether the configured provider is usable, and remembers the result.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use spin_sdk::key_value::Store;

use crate::cache::now;
use crate::openai::OpenAi;
use crate::vector::DIMENSIONS;

const KEY: &str = "embedding-trial";

const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long a failed trial is remembered: short, because an unready service stores nothing.
const NOT_GOOD_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The component has no grant for the host.
    NotGranted,
    /// The vectors have this many dimensions, more than the database stores.
    TooWide(usize),
}

impl Fault {
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::NotGranted => "embedding_host",
            Self::TooWide(_) => "embedding_model",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str(
                "the host denies the connection; embedding_host must be the scheme, host and port \
                 of embedding_base_url",
            ),
            Self::TooWide(dimensions) => write!(
                f,
                "embedding_model has {dimensions} dimensions; the database stores at most {DIMENSIONS}"
            ),
        }
    }
}

/// The last result, in the key-value store. Without a store, every check tries again.
pub(crate) struct Trials(Option<Store>);

impl Trials {
    pub(crate) fn open() -> Self {
        Self(Store::open_default().ok())
    }

    /// Remembered result: `None` if there is none, `Some(None)` if the provider has no fault.
    pub(crate) fn known(&self, provider: &OpenAi) -> Option<Option<Fault>> {
        let value = self.0.as_ref()?.get(KEY).ok()??;
        read(&value, &identity(provider), now())
    }

    pub(crate) fn remember(&self, provider: &OpenAi, fault: Option<Fault>, is_good: bool) {
        let time = if is_good { GOOD_FOR } else { NOT_GOOD_FOR };
        let expires_at = now().saturating_add(time.as_secs());
        if let Some(store) = &self.0 {
            // A failure only means that the next check tries again.
            let _ = store.set(KEY, &write(&identity(provider), expires_at, fault));
        }
    }
}

fn identity(provider: &OpenAi) -> [u8; 32] {
    Sha256::new()
        .chain_update(provider.model.as_str())
        .chain_update([0])
        .chain_update(provider.endpoint.identity())
        .finalize()
        .into()
}

/// Encodes identity, expiry and a code: 0 for no fault, 1 for no grant, else the dimensions.
fn write(identity: &[u8; 32], expires_at: u64, fault: Option<Fault>) -> Vec<u8> {
    let code = match fault {
        None => 0,
        Some(Fault::NotGranted) => 1,
        Some(Fault::TooWide(dimensions)) => dimensions as u64,
    };
    [
        &identity[..],
        &expires_at.to_le_bytes(),
        &code.to_le_bytes(),
    ]
    .concat()
}

fn read(value: &[u8], identity: &[u8; 32], now: u64) -> Option<Option<Fault>> {
    let (own, rest) = value.split_first_chunk::<32>()?;
    let (expires_at, rest) = rest.split_first_chunk()?;
    let code = u64::from_le_bytes(*rest.as_array()?);
    let is_of_use = own == identity && u64::from_le_bytes(*expires_at) > now;
    is_of_use.then_some(match code {
        0 => None,
        1 => Some(Fault::NotGranted),
        dimensions => Some(Fault::TooWide(usize::try_from(dimensions).ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_read_back_of_the_same_provider_until_it_expires() {
        let (own, other) = ([7; 32], [8; 32]);
        for fault in [None, Some(Fault::NotGranted), Some(Fault::TooWide(3072))] {
            let value = write(&own, 1_000, fault);
            assert_eq!(read(&value, &own, 999), Some(fault));
            assert_eq!(read(&value, &own, 1_000), None);
            assert_eq!(read(&value, &other, 999), None);
            for nonsense in [&value[1..], &value[..40], &[]] {
                assert_eq!(read(nonsense, &own, 999), None);
            }
        }
    }
}
