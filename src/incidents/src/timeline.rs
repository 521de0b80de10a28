//! The timeline of an incident: its records, in the order in which they were recorded.

use records::Report;
use serde::Serialize;

use crate::cursor::mark_of;
use crate::filter::hash_parameters;
use crate::parameters::Parameters;
use crate::place::write_place;
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::records::{FoundRecord, StoredRecordView};

/// Records of an incident by id, as the database returns them.
#[derive(Debug)]
pub struct FoundTimeline {
    /// The records.
    pub records: Vec<FoundRecord>,
    /// Id after which the next page begins; `None` at the end.
    pub next_id: Option<i64>,
    /// The incident's correlation id.
    pub correlation_id: String,
}

/// One page of an incident's records, by id.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelinePage {
    /// Records, possibly none although more follow: what has left by retention is not listed, and a
    /// page reads a limited number of records.
    pub data: Vec<StoredRecordView>,
    /// Position of the page.
    pub pagination: TimelinePagination,
}

/// Position of a page of an incident's records.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelinePagination {
    /// Maximum number of records on the page.
    pub limit: i64,
    /// Cursor of the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A request for one page of an incident's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineQuery {
    /// Id of the incident.
    pub incident_id: i64,
    /// Kind that the records must be of.
    pub kind: Option<String>,
    /// Maximum number of records on the page.
    pub limit: i64,
    /// Id of the record where the previous page ended; 0 for the first page.
    pub after: i64,
}

impl TimelineQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(incident_id: i64, query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let mut query = Self {
            incident_id,
            kind: parameters.take_kind(),
            limit: LIMIT_DEFAULT,
            after: 0,
        };
        let limit = parameters.take_number("limit", 1, LIMIT_MAX);
        let after = parameters.take_place(&query.list());
        parameters.finish()?;
        query.limit = limit.unwrap_or(LIMIT_DEFAULT);
        query.after = after.unwrap_or(0);
        Ok(query)
    }

    /// Builds the page from what the database found.
    pub fn answer(&self, found: FoundTimeline) -> TimelinePage {
        TimelinePage {
            data: found.records.into_iter().map(Into::into).collect(),
            pagination: TimelinePagination {
                limit: self.limit,
                next_cursor: found.next_id.map(|id| write_place(&self.list(), id)),
            },
        }
    }

    /// Returns the query parameters of the page at a cursor.
    pub fn parameters_after(&self, cursor: String) -> Vec<(&'static str, String)> {
        let kind = self.kind.clone().map(|kind| ("kind", kind));
        let position = [("limit", self.limit.to_string()), ("cursor", cursor)];
        kind.into_iter().chain(position).collect()
    }

    /// Name of this incident's timeline under this filter in cursors.
    fn list(&self) -> String {
        let kind = self.kind.clone().unwrap_or_default();
        let filter = [("id", self.incident_id.to_string()), ("kind", kind)];
        format!("record {}", mark_of(hash_parameters(&filter)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::place::PLACE_MAX;

    fn page(query: &TimelineQuery, next_id: Option<i64>) -> TimelinePagination {
        let found = FoundTimeline {
            records: Vec::new(),
            next_id,
            correlation_id: "req-1".to_owned(),
        };
        query.answer(found).pagination
    }

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let violations = TimelineQuery::parse(7, query)
            .unwrap_err()
            .into_violations();
        let named = violations.into_iter();
        named
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    proptest! {
        #[test]
        fn a_page_leads_to_the_next_of_its_incident(
            incident_id in 1..i64::MAX, kind in prop::option::of("workflow"), id in 1..=PLACE_MAX,
            limit in 1..=LIMIT_MAX
        ) {
            let query = TimelineQuery { incident_id, kind, limit, after: 0 };
            let cursor = page(&query, Some(id)).next_cursor.unwrap();
            let pairs = query.parameters_after(cursor).into_iter();
            let written: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
            let next = TimelineQuery::parse(incident_id, &written.join("&")).unwrap();
            prop_assert_eq!(next, TimelineQuery { after: id, ..query });
        }
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let query = TimelineQuery::parse(7, "limit=1000").unwrap();
        assert_eq!((query.limit, query.after), (1000, 0));
        assert_eq!(page(&query, None).next_cursor, None);
    }

    #[test]
    fn a_cursor_belongs_to_its_incident_and_kind() {
        let cursor = |incident_id, kind: &str| {
            let query = TimelineQuery::parse(incident_id, kind).unwrap();
            page(&query, Some(1)).next_cursor.unwrap()
        };
        for (cursor, kind) in [
            (cursor(8, ""), ""),
            (cursor(7, "kind=workflow"), ""),
            (cursor(7, ""), "kind=workflow&"),
            (cursor(7, "kind=execution"), "kind=workflow&"),
        ] {
            let query = format!("{kind}cursor={cursor}");
            assert_eq!(rules(&query), [("cursor".to_owned(), "conflict")]);
        }
    }

    #[test]
    fn every_parameter_is_checked() {
        for (query, field, rule) in [
            ("kind=", "kind", "empty"),
            ("kind=hold", "kind", "enum"),
            ("limit=0", "limit", "range"),
            ("limit=1001", "limit", "range"),
            ("limit=1&limit=1", "limit", "duplicate"),
            ("cursor=x", "cursor", "format"),
            ("since=2026-11-01T10:00:00Z", "since", "unknown"),
            ("correlation_id=a", "correlation_id", "unknown"),
        ] {
            assert_eq!(rules(query), [(field.to_owned(), rule)], "{query}");
        }
    }
}
