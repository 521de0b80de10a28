//! Cursors: where a walk through the pages of a list is, and what it sees.
//!
//! A cursor is for the service alone to read. It holds what the walk needs to go on without
//! any state on a server: the snapshot in which it began, how many incidents there were, and
//! the last one shown. It is bound to its filter, and signed with a key that the database
//! keeps, so that none is taken that was not given out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::filter::Filter;
use crate::snapshot::Snapshot;

/// The form that follows; another form gets another number.
const FORM: u8 = 1;
/// How much of the filter's hash is kept, in bytes.
const FILTER_BYTES: usize = 16;
/// How much of the signature is kept, in bytes.
const SIGNATURE_BYTES: usize = 16;
/// The most transactions of a snapshot that were in progress: more than any server has.
const IN_PROGRESS_MAX: u64 = 65_536;

/// Where a walk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// What it sees: the list as it was when the walk began.
    pub snapshot: Snapshot,
    /// How many incidents passed the filter then.
    pub total: i64,
    /// How many of them come before the next page.
    pub seen: i64,
    /// The last incident shown.
    pub last: Position,
}

/// Where an incident stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its `action_timestamp`, to the microsecond.
    pub action_timestamp: DateTime<Utc>,
    /// Its id.
    pub id: i64,
}

/// A cursor that a request brought. Its signature is still to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    filter: [u8; FILTER_BYTES],
    walk: Walk,
    signed: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Cursor {
    /// Reads a cursor.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signed, signature) = bytes.split_last_chunk()?;
        let mut rest = signed;
        let (form, filter) = (take::<1>(&mut rest)?, take(&mut rest)?);
        if form != [FORM] {
            return None;
        }
        let xmin = take_number(&mut rest)?;
        let xmax = xmin.checked_add(take_number(&mut rest)?)?;
        let count = take_number(&mut rest).filter(|count| *count <= IN_PROGRESS_MAX)?;
        let mut previous = xmin;
        let mut in_progress = Vec::new();
        for _ in 0..count {
            previous = previous.checked_add(take_number(&mut rest)?)?;
            in_progress.push(previous);
        }
        let walk = Walk {
            snapshot: Snapshot::new(xmin, xmax, in_progress)?,
            total: i64::try_from(take_number(&mut rest)?).ok()?,
            seen: i64::try_from(take_number(&mut rest)?).ok()?,
            last: Position {
                action_timestamp: DateTime::from_timestamp_micros(i64::from_be_bytes(take(
                    &mut rest,
                )?))
                .filter(|instant| (1..=9999).contains(&chrono::Datelike::year(instant)))?,
                id: i64::from_be_bytes(take(&mut rest)?),
            },
        };
        rest.is_empty().then(|| Self {
            filter,
            walk,
            signed: signed.to_owned(),
            signature: *signature,
        })
    }

    /// Whether it is of a walk with this filter.
    pub(crate) fn is_of(&self, filter: &Filter) -> bool {
        filter.hash().starts_with(&self.filter)
    }

    /// Where its walk is.
    pub fn walk(&self) -> &Walk {
        &self.walk
    }

    /// Whether it was signed with this key.
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        signer(key, &self.signed)
            .is_some_and(|signer| signer.verify_truncated_left(&self.signature).is_ok())
    }
}

/// The cursor of a walk with a filter, signed with a key.
pub(crate) fn write_cursor(filter: &Filter, walk: &Walk, key: &[u8]) -> Option<String> {
    let snapshot = &walk.snapshot;
    let mut bytes = vec![FORM];
    bytes.extend(filter.hash().iter().take(FILTER_BYTES));
    put_number(&mut bytes, snapshot.xmin());
    put_number(&mut bytes, snapshot.xmax() - snapshot.xmin());
    put_number(&mut bytes, snapshot.in_progress().len() as u64);
    let mut previous = snapshot.xmin();
    for xid in snapshot.in_progress() {
        put_number(&mut bytes, xid - previous);
        previous = *xid;
    }
    put_number(&mut bytes, u64::try_from(walk.total).ok()?);
    put_number(&mut bytes, u64::try_from(walk.seen).ok()?);
    bytes.extend(walk.last.action_timestamp.timestamp_micros().to_be_bytes());
    bytes.extend(walk.last.id.to_be_bytes());
    let signature = signer(key, &bytes)?.finalize().into_bytes();
    bytes.extend(signature.iter().take(SIGNATURE_BYTES));
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn signer(key: &[u8], signed: &[u8]) -> Option<Hmac<Sha256>> {
    let mut signer = Hmac::new_from_slice(key).ok()?;
    signer.update(signed);
    Some(signer)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*taken)
}

/// A number in groups of seven bits, the lowest first; the top bit says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        let group = u64::from(byte & 0x7f);
        number |= group
            .checked_shl(shift)
            .filter(|moved| moved >> shift == group)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"key";

    fn any_walk() -> impl Strategy<Value = Walk> {
        let xid = 1..i64::MAX as u64 / 2;
        let gaps = prop::collection::vec(1..1000_u64, 0..100);
        let instant = -62_135_596_800_000_000..=253_402_300_799_999_999_i64;
        (xid, gaps, 0..i64::MAX, 0..i64::MAX, instant, any::<i64>()).prop_map(
            |(xmin, gaps, total, seen, instant, id)| {
                let mut xmax = xmin;
                let in_progress: Vec<_> = gaps
                    .into_iter()
                    .map(|gap| {
                        let xid = xmax;
                        xmax += gap;
                        xid
                    })
                    .collect();
                Walk {
                    snapshot: Snapshot::new(xmin, xmax, in_progress).unwrap(),
                    total,
                    seen,
                    last: Position {
                        action_timestamp: DateTime::from_timestamp_micros(instant).unwrap(),
                        id,
                    },
                }
            },
        )
    }

    fn filter(namespace: &str) -> Filter {
        Filter {
            namespace: Some(namespace.to_owned()),
            ..Filter::default()
        }
    }

    proptest! {
        #[test]
        fn a_walk_comes_back_from_its_cursor(walk in any_walk()) {
            let cursor = write_cursor(&filter("a"), &walk, KEY).unwrap();
            let read = Cursor::parse(&cursor).unwrap();
            prop_assert_eq!(read.walk(), &walk);
            prop_assert!(read.is_of(&filter("a")));
            prop_assert!(!read.is_of(&filter("b")));
            prop_assert!(!read.is_of(&Filter::default()));
            prop_assert!(read.is_signed_with(KEY));
            prop_assert!(!read.is_signed_with(b"another key"));
        }

        #[test]
        fn a_cursor_that_was_changed_is_not_taken(
            walk in any_walk(), place in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let cursor = write_cursor(&filter("a"), &walk, KEY).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let read = Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes));
            prop_assert!(read.is_none_or(|cursor| !cursor.is_signed_with(KEY)));
        }

        #[test]
        fn any_bytes_can_be_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[FORM], &bytes[..]].concat();
            let read = Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes));
            prop_assert!(read.is_none_or(|cursor| !cursor.is_signed_with(KEY)));
        }

        #[test]
        fn a_number_comes_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            prop_assert_eq!(take_number(&mut &bytes[..]), Some(number));
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_none() {
        assert_eq!(take_number(&mut &[0xff; 11][..]), None);
        let too_large = [[0xff; 9].as_slice(), &[2]].concat();
        assert_eq!(take_number(&mut &too_large[..]), None);
    }
}
