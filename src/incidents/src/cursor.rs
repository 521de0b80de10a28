//! Cursors: the position of a walk in a list.
//!
//! A walk skips no incident that existed when it began. Its key (`opened_at`, id) changes only when
//! an older record arrives late, which moves the incident further ahead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::list::Total;

const FILTER_DIGITS: usize = 16;

/// Where a page ended. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Beginning of the filter's hash.
    #[serde(rename = "f")]
    filter: String,
    /// Position of the last incident shown, to the microsecond.
    #[serde(rename = "t")]
    opened_at: DateTime<Utc>,
    #[serde(rename = "i")]
    id: i64,
    #[serde(rename = "n")]
    shown: i64,
    #[serde(rename = "c")]
    total: Option<Total>,
}

impl Cursor {
    pub(crate) fn new(
        filter: &Filter,
        (opened_at, id): (DateTime<Utc>, i64),
        shown: i64,
        total: Option<Total>,
    ) -> Self {
        Self {
            filter: mark_of(filter.hash()),
            opened_at,
            id,
            shown,
            total,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let cursor: Self = serde_json::from_slice(&json).ok()?;
        let is_possible = (1..=9999).contains(&cursor.opened_at.year())
            && cursor.opened_at == cursor.opened_at.trunc_subsecs(6)
            && cursor.id > 0
            && cursor.shown > 0
            && cursor.total.is_none_or(|total| total.total >= 0);
        is_possible.then_some(cursor)
    }

    /// `None` only if the cursor cannot be written as JSON.
    pub(crate) fn write(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?))
    }

    pub(crate) fn is_of(&self, filter: &Filter) -> bool {
        self.filter == mark_of(filter.hash())
    }

    /// Returns `opened_at` and id of the last incident shown.
    pub fn position(&self) -> (DateTime<Utc>, i64) {
        (self.opened_at, self.id)
    }

    pub(crate) fn shown(&self) -> i64 {
        self.shown
    }

    pub(crate) fn total(&self) -> Option<Total> {
        self.total
    }
}

/// The beginning of a filter's hash, in hexadecimal digits.
pub(crate) fn mark_of(hash: [u8; 32]) -> String {
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    digits.take(FILTER_DIGITS / 2).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::list::TotalRelation;

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        let instant = -62_135_596_800_000_000..=253_402_300_799_999_999_i64;
        let total = prop::option::of((0..i64::MAX, any::<bool>()));
        (instant, 1..i64::MAX, 1..i64::MAX, total).prop_map(|(instant, id, shown, total)| {
            let position = (DateTime::from_timestamp_micros(instant).unwrap(), id);
            let total = total.map(|(total, is_exact)| Total {
                total,
                total_relation: match is_exact {
                    true => TotalRelation::Eq,
                    false => TotalRelation::Gte,
                },
            });
            Cursor::new(&filter("a"), position, shown, total)
        })
    }

    fn filter(namespace: &str) -> Filter {
        Filter {
            namespace: Some(namespace.to_owned()),
            ..Filter::default()
        }
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_written(cursor in any_cursor()) {
            let read = Cursor::parse(&cursor.write().unwrap());
            prop_assert_eq!(read, Some(cursor));
        }

        #[test]
        fn any_bytes_can_be_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let cursor = Cursor::new(&filter("a"), (DateTime::UNIX_EPOCH, 1), 1, None);
        assert!(cursor.is_of(&filter("a")));
        assert!(!cursor.is_of(&filter("b")));
        assert!(!cursor.is_of(&Filter::default()));
    }

    #[test]
    fn what_no_page_ended_with_is_no_cursor() {
        let right = r#"{"f":"0","t":"2026-11-01T10:00:00.000001Z","i":1,"n":1,"c":null}"#;
        let parse = |json: &str| Cursor::parse(&URL_SAFE_NO_PAD.encode(json));
        assert!(parse(right).is_some());
        for (part, other) in [
            (r#""i":1"#, r#""i":0"#),
            (r#""n":1"#, r#""n":-1"#),
            ("2026", "0000"),
            ("000001Z", "0000001Z"),
            ("null", r#"{"total":-1,"total_relation":"eq"}"#),
            (r#""n":1"#, r#""n":1,"x":1"#),
        ] {
            let wrong = right.replace(part, other);
            assert_ne!(wrong, right);
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }
}
