//! Keys and signed form of cached verdicts. Keys are keyed hashes of a verdict's inputs; entries are
//! signed with key and expiry. So a reader of Redis learns no token, and a writer cannot forge, move
//! or extend entries. `review` reads and writes them; `verdict` says how long they hold.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::user::UserName;
use crate::verdict::{Verdict, seconds_max};

/// Format version of entries.
const FORM: u8 = 1;
const SIGNATURE_BYTES: usize = 32;

/// Domain separation of the hashes.
const OF_KEY: &[u8] = b"data-storage access key";
const OF_ENTRY: &[u8] = b"data-storage access entry";

/// The secret that all replicas share. Changing it invalidates all entries.
#[derive(Clone)]
pub(crate) struct CacheKey(Hmac<Sha256>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryKey(String);

impl EntryKey {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey")
    }
}

impl CacheKey {
    pub(crate) fn new(secret: &str) -> Option<Self> {
        Hmac::new_from_slice(secret.as_bytes()).ok().map(Self)
    }

    pub(crate) fn entry_key(&self, parts: &[&str]) -> EntryKey {
        let hash = self.hash(OF_KEY, parts.iter().map(|part| part.as_bytes()));
        let hash: String = hash
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        EntryKey(format!("data-storage:access:{hash}"))
    }

    /// Encodes and signs a verdict. `expires_at` is in Unix seconds.
    pub(crate) fn seal(&self, key: &EntryKey, verdict: &Verdict, expires_at: u64) -> Vec<u8> {
        let (code, name) = match verdict {
            Verdict::Admitted(name) => (b'a', name.as_str()),
            Verdict::Forbidden => (b'f', ""),
            Verdict::Unauthenticated => (b'u', ""),
        };
        let mut entry = vec![FORM, code];
        entry.extend(expires_at.to_le_bytes());
        entry.extend(name.as_bytes());
        let signature = self.signature(key, &entry).finalize().into_bytes();
        entry.extend(signature);
        entry
    }

    /// Decodes an entry; `None` if it is invalid, expired or for another key.
    pub(crate) fn open(&self, key: &EntryKey, entry: &[u8], now: u64) -> Option<Verdict> {
        let (signed, signature) = entry.split_last_chunk::<SIGNATURE_BYTES>()?;
        let expected = self.signature(key, signed);
        expected.verify_slice(signature).ok()?;
        let ([form, code], rest) = signed.split_first_chunk()?;
        let (expires_at, name) = rest.split_first_chunk()?;
        if *form != FORM {
            return None;
        }
        let verdict = match code {
            b'a' => Verdict::Admitted(UserName::new(str::from_utf8(name).ok()?)?),
            b'f' => Verdict::Forbidden,
            b'u' => Verdict::Unauthenticated,
            _ => return None,
        };
        // A replica with a wrong clock wrote an expiry too far ahead.
        let left = u64::from_le_bytes(*expires_at).checked_sub(now)?;
        (1..=seconds_max(&verdict))
            .contains(&left)
            .then_some(verdict)
    }

    fn signature(&self, key: &EntryKey, signed: &[u8]) -> Hmac<Sha256> {
        self.hash(OF_ENTRY, [key.as_str().as_bytes(), signed].into_iter())
    }

    /// Keyed hash of `purpose` and `parts`, each prefixed with its length.
    fn hash<'a>(&self, purpose: &'a [u8], parts: impl Iterator<Item = &'a [u8]>) -> Hmac<Sha256> {
        let mut hash = self.0.clone();
        for part in std::iter::once(purpose).chain(parts) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash
    }
}

/// Unix time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn cache_key() -> CacheKey {
        CacheKey::new("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn admitted(name: &str) -> Verdict {
        Verdict::Admitted(UserName::new(name).unwrap())
    }

    #[test]
    fn a_verdict_is_remembered_until_it_expires() {
        let cache = cache_key();
        let key = cache.entry_key(&["a"]);
        for (verdict, seconds) in [
            (admitted("system:serviceaccount:ns:ü"), 60),
            (Verdict::Forbidden, 5),
            (Verdict::Unauthenticated, 5),
        ] {
            let entry = cache.seal(&key, &verdict, NOW + seconds);
            let open = |now| cache.open(&key, &entry, now);
            assert_eq!(open(NOW), Some(verdict.clone()));
            assert_eq!(open(NOW + seconds - 1), Some(verdict.clone()));
            assert_eq!(open(NOW + seconds), None);
            assert_eq!(open(NOW + seconds + 1), None);
            assert_eq!(open(NOW - 1), None, "written by a clock that is ahead");
        }
    }

    #[test]
    fn an_entry_is_of_its_key_and_its_secret_alone() {
        let cache = cache_key();
        let key = cache.entry_key(&["a"]);
        let entry = cache.seal(&key, &admitted("a"), NOW + 60);
        assert_eq!(cache.open(&cache.entry_key(&["b"]), &entry, NOW), None);
        let other = CacheKey::new("another secret of thirty-two or so").unwrap();
        assert_eq!(other.open(&key, &entry, NOW), None);
        assert_ne!(other.entry_key(&["a"]), key);
    }

    #[test]
    fn every_part_and_every_border_between_parts_makes_another_key() {
        let cache = cache_key();
        let keys: HashSet<_> = [
            &["tokenreview", "", "ns", "get", "token"][..],
            &["selfreview", "", "ns", "get", "token"],
            &["tokenreview", "a", "ns", "get", "token"],
            &["tokenreview", "", "ns2", "get", "token"],
            &["tokenreview", "", "ns", "create", "token"],
            &["tokenreview", "", "ns", "get", "token2"],
            &["tokenreview", "", "ns", "gett", "oken"],
            &["tokenreview", "", "ns", "get", "token", ""],
            &["tokenreview", "ns", "get", "token"],
        ]
        .iter()
        .map(|parts| cache.entry_key(parts).0)
        .collect();
        assert_eq!(keys.len(), 9);
        assert!(keys.iter().all(|key| !key.contains("token")), "{keys:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_entry(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let cache = cache_key();
            prop_assert_eq!(cache.open(&cache.entry_key(&["a"]), &bytes, NOW), None);
        }

        #[test]
        fn an_entry_of_which_one_bit_is_another_is_none(place in any::<prop::sample::Index>(), bit in 0..8) {
            let cache = cache_key();
            let key = cache.entry_key(&["a"]);
            let mut entry = cache.seal(&key, &admitted("somebody"), NOW + 60);
            let place = place.index(entry.len());
            entry[place] ^= 1_u8 << bit;
            prop_assert_eq!(cache.open(&key, &entry, NOW), None);
        }

        #[test]
        fn an_entry_cut_short_or_continued_is_none(cut in 1_usize..60, more in prop::collection::vec(any::<u8>(), 1..9)) {
            let cache = cache_key();
            let key = cache.entry_key(&["a"]);
            let mut entry = cache.seal(&key, &admitted("somebody"), NOW + 60);
            let kept = entry.len() - cut.min(entry.len());
            prop_assert_eq!(cache.open(&key, &entry[..kept], NOW), None);
            entry.extend(more);
            prop_assert_eq!(cache.open(&key, &entry, NOW), None);
        }
    }
}
