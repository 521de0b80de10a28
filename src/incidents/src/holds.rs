//! Holds as clients read them, and lists of them.

use records::Report;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::parameters::Parameters;
use crate::place::write_place;
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::records::{proof_path, write_time};

/// A hold as the database returns it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FoundHold {
    /// Id of the hold.
    pub id: i64,
    /// The hold as it was sent.
    pub content: Value,
    /// When it was placed, as Unix time in microseconds.
    pub recorded_at: i64,
    /// The user who placed it.
    pub recorded_by: Option<String>,
    /// Random bytes of its commitment, in base64.
    pub log_nonce: String,
    /// Index of its leaf, once it is in the log.
    pub leaf_index: Option<i64>,
    /// Its release, if it was released.
    pub release: Option<FoundRelease>,
}

/// The release of a hold as the database returns it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FoundRelease {
    /// Names the release in the log; unique among holds and records.
    pub id: i64,
    /// Why the hold was released.
    pub reason: String,
    /// When it was released, as Unix time in microseconds.
    pub recorded_at: i64,
    /// The user who released it.
    pub recorded_by: Option<String>,
    /// Random bytes of its commitment, in base64.
    pub log_nonce: String,
    /// Index of its leaf, once it is in the log.
    pub leaf_index: Option<i64>,
}

/// A hold, and its release if it was released.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Id of the hold.
    pub id: i64,
    /// The hold as it was sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub hold: Value,
    /// When the hold was placed, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub recorded_at: String,
    /// The user who placed it; null if access control was disabled.
    pub recorded_by: Option<String>,
    /// The hold's place in the log.
    pub log: HoldLog,
    /// Its release; null while it is not released.
    pub release: Option<HoldReleaseView>,
}

/// A hold's place in the log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldLog {
    /// Index of the leaf; null until the next round.
    pub index: Option<i64>,
    /// Random bytes of the commitment, in base64.
    pub nonce: String,
    /// Path of the proof.
    pub proof: String,
}

/// The release of a hold.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldReleaseView {
    /// Why the hold was released.
    pub reason: String,
    /// When the hold was released, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub recorded_at: String,
    /// The user who released it; null if access control was disabled.
    pub recorded_by: Option<String>,
    /// The release's place in the log.
    pub log: HoldLog,
}

/// One page of holds, by id.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldPage {
    /// Holds.
    pub data: Vec<HoldView>,
    /// Position of the page.
    pub pagination: HoldPagination,
}

/// Position of a page of holds.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldPagination {
    /// Maximum number of holds on the page.
    pub limit: i64,
    /// Cursor of the next page; null at the end of the list.
    pub next_cursor: Option<String>,
}

impl From<FoundHold> for HoldView {
    fn from(hold: FoundHold) -> Self {
        Self {
            id: hold.id,
            hold: hold.content,
            recorded_at: write_time(hold.recorded_at),
            recorded_by: hold.recorded_by,
            log: HoldLog {
                index: hold.leaf_index,
                nonce: hold.log_nonce,
                proof: proof_path(hold.id),
            },
            release: hold.release.map(Into::into),
        }
    }
}

impl From<FoundRelease> for HoldReleaseView {
    fn from(release: FoundRelease) -> Self {
        Self {
            reason: release.reason,
            recorded_at: write_time(release.recorded_at),
            recorded_by: release.recorded_by,
            log: HoldLog {
                index: release.leaf_index,
                nonce: release.log_nonce,
                proof: proof_path(release.id),
            },
        }
    }
}

/// A request for one page of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldsQuery {
    limit: i64,
    /// Id of the last hold of the previous page; 0 for the first page.
    pub after: i64,
}

impl HoldsQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let limit = parameters.take_number("limit", 1, LIMIT_MAX);
        let after = parameters.take_place("hold");
        parameters.finish()?;
        Ok(Self {
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            after: after.unwrap_or(0),
        })
    }

    /// Number of holds to read: one more reveals whether there is a next page.
    pub fn read_max(&self) -> i64 {
        self.limit + 1
    }

    /// Builds the page from up to [`Self::read_max`] holds.
    pub fn page(&self, mut found: Vec<FoundHold>) -> HoldPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last);
        HoldPage {
            pagination: HoldPagination {
                limit: self.limit,
                next_cursor: next.map(|hold| write_place("hold", hold.id)),
            },
            data: found.into_iter().map(Into::into).collect(),
        }
    }

    /// Returns the query parameters of the page at a cursor.
    pub fn parameters_after(&self, cursor: String) -> Vec<(&'static str, String)> {
        vec![("limit", self.limit.to_string()), ("cursor", cursor)]
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let violations = HoldsQuery::parse(query).unwrap_err().into_violations();
        let named = violations.into_iter();
        named
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    fn holds(ids: std::ops::RangeInclusive<i64>) -> Vec<FoundHold> {
        ids.map(|id| FoundHold {
            id,
            content: json!({}),
            recorded_at: 0,
            recorded_by: None,
            log_nonce: String::new(),
            leaf_index: None,
            release: None,
        })
        .collect()
    }

    #[test]
    fn a_page_has_up_to_its_limit_and_leads_to_the_next() {
        let query = HoldsQuery::parse("limit=2").unwrap();
        assert_eq!((query.after, query.read_max()), (0, 3));
        let page = query.page(holds(1..=3));
        let ids: Vec<_> = page.data.iter().map(|hold| hold.id).collect();
        assert_eq!(ids, [1, 2]);
        let cursor = page.pagination.next_cursor.unwrap();
        let next = HoldsQuery::parse(&format!("limit=2&cursor={cursor}")).unwrap();
        assert_eq!(next.after, 2);
        let last = next.page(holds(3..=4));
        assert_eq!((last.data.len(), last.pagination.next_cursor), (2, None));
    }

    #[test]
    fn limits_are_taken_up_to_the_greatest() {
        for (query, limit) in [("", 100), ("limit=1", 1), ("limit=1000", 1000)] {
            assert_eq!(HoldsQuery::parse(query).unwrap().limit, limit);
        }
        for (value, rule) in [
            ("0", "range"),
            ("1001", "range"),
            ("99999999999999999999", "range"),
            ("-1", "range"),
            ("1.0", "type"),
            ("", "empty"),
        ] {
            let query = format!("limit={value}");
            assert_eq!(rules(&query), [("limit".to_owned(), rule)], "{query}");
        }
    }

    #[test]
    fn only_a_cursor_of_an_earlier_page_is_read() {
        for id in [1, i64::MAX / 2] {
            let query = format!("cursor={}", write_place("hold", id));
            assert_eq!(HoldsQuery::parse(&query).unwrap().after, id);
        }
        for text in ["hold -1", "hold 01", "leaf 1", "1", "\u{fffd}"] {
            let query = format!("cursor={}", URL_SAFE_NO_PAD.encode(text));
            assert_eq!(rules(&query), [("cursor".to_owned(), "format")], "{text}");
        }
        let padded = format!("cursor={}=", write_place("hold", 1));
        assert_eq!(rules(&padded), [("cursor".to_owned(), "format")]);
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        assert_eq!(
            rules("limit=1&limit=x&limit=2&offset=1&cursor=%ff"),
            [
                ("cursor".to_owned(), "utf-8"),
                ("limit".to_owned(), "duplicate"),
                ("offset".to_owned(), "unknown"),
            ]
        );
    }

    #[test]
    fn a_hold_is_shown_as_it_was_sent_with_its_release() {
        let found = json!({
            "id": 7, "content": {"namespace": "production", "name": null, "reason": "an inquiry"},
            "recorded_at": 1_793_000_000_123_456_i64, "recorded_by": "anna", "log_nonce": "bm9uY2U=",
            "leaf_index": 3, "release": null,
        });
        let mut found: FoundHold = serde_json::from_value(found).unwrap();
        let mut expected = json!({
            "id": 7, "hold": {"namespace": "production", "name": null, "reason": "an inquiry"},
            "recorded_at": "2026-10-26T07:33:20.123456Z", "recorded_by": "anna",
            "log": {"index": 3, "nonce": "bm9uY2U=", "proof": "/api/v1/audit/records/7/proof"},
            "release": null,
        });
        let shown = |found: &FoundHold| serde_json::to_value(HoldView::from(found.clone()));
        assert_eq!(shown(&found).unwrap(), expected);

        found.release = Some(FoundRelease {
            id: 9,
            reason: "done".to_owned(),
            recorded_at: 0,
            recorded_by: None,
            log_nonce: "bm9uY2U=".to_owned(),
            leaf_index: None,
        });
        expected["release"] = json!({
            "reason": "done", "recorded_at": "1970-01-01T00:00:00.000000Z", "recorded_by": null,
            "log": {"index": null, "nonce": "bm9uY2U=", "proof": "/api/v1/audit/records/9/proof"},
        });
        assert_eq!(shown(&found).unwrap(), expected);
    }
}
