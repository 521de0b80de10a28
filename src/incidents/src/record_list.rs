//! Lists of records, in the order of the log.

use chrono::{DateTime, Utc};
use records::Report;
use serde::Serialize;

use crate::cursor::mark_of;
use crate::filter::{hash_parameters, written_time};
use crate::parameters::{Parameters, correlation_id, filter_text};
use crate::place::write_place;
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::records::{FoundRecord, StoredRecordView};

/// A record must meet all conditions. Serializes to `record_filter` of `migrations/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordFilter {
    /// Kind of the record.
    pub kind: Option<String>,
    /// Namespace of the reported object.
    pub namespace: Option<String>,
    /// Name of the reported object.
    pub name: Option<String>,
    /// The record's `correlationId`.
    pub correlation_id: Option<String>,
    /// Earliest `recorded_at`, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// Latest `recorded_at`, inclusive.
    pub until: Option<DateTime<Utc>>,
}

impl RecordFilter {
    fn take(parameters: &mut Parameters) -> Self {
        let kind = parameters.take_kind();
        let namespace = parameters.take("namespace", filter_text);
        let name = parameters.take("name", filter_text);
        let correlation_id = parameters.take("correlation_id", correlation_id);
        let (since, until) = parameters.take_span();
        Self {
            kind,
            namespace,
            name,
            correlation_id,
            since,
            until,
        }
    }

    /// Returns the query parameters of this filter, in a fixed order.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let values = [
            ("kind", self.kind.clone()),
            ("namespace", self.namespace.clone()),
            ("name", self.name.clone()),
            ("correlation_id", self.correlation_id.clone()),
            ("since", self.since.map(written_time)),
            ("until", self.until.map(written_time)),
        ];
        values
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Name of the list of this filter in cursors.
    fn list(&self) -> String {
        format!("leaf {}", mark_of(hash_parameters(&self.parameters())))
    }
}

/// Records in the order of the log, as the database returns them.
#[derive(Debug)]
pub struct FoundRecords {
    /// The records.
    pub records: Vec<FoundRecord>,
    /// Index of the leaf after which the next page begins; -1 if the log is empty.
    pub last_index: i64,
    /// Number of leaves of the log.
    pub log_size: i64,
}

/// One page of records in the order of the log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordPage {
    /// Records, possibly none although more follow: what has left by retention is not listed, and a
    /// page reads a limited part of the log.
    pub data: Vec<StoredRecordView>,
    /// Position of the page.
    pub pagination: RecordPagination,
}

/// Position of a page of records.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordPagination {
    /// Maximum number of records on the page.
    pub limit: i64,
    /// Cursor of the next page; null at the end of the log.
    pub next_cursor: Option<String>,
    /// Cursor after this page, also at the end of the log: what is added to the log later comes after
    /// it. Null only if the log is empty.
    pub resume_cursor: Option<String>,
    /// Leaves of the log in the database that answers, which may lag behind the checkpoint.
    pub size: i64,
}

/// A request for one page of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsQuery {
    /// Conditions that the records must meet.
    pub filter: RecordFilter,
    /// Maximum number of records on the page.
    pub limit: i64,
    /// Leaf where the previous page ended.
    after: Option<i64>,
}

impl RecordsQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let filter = RecordFilter::take(&mut parameters);
        let limit = parameters.take_number("limit", 1, LIMIT_MAX);
        let after = parameters.take_place(&filter.list());
        parameters.finish()?;
        Ok(Self {
            filter,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            after,
        })
    }

    /// Index of the leaf after which the page begins; -1 for the first page.
    pub fn after_index(&self) -> i64 {
        self.after.unwrap_or(-1)
    }

    /// Builds the page from what the database found.
    pub fn answer(&self, found: FoundRecords) -> RecordPage {
        let cursor = write_place(&self.filter.list(), found.last_index);
        let resume_cursor = Some(cursor).filter(|_| found.last_index >= 0);
        let has_more = found.last_index < found.log_size - 1;
        RecordPage {
            data: found.records.into_iter().map(Into::into).collect(),
            pagination: RecordPagination {
                limit: self.limit,
                next_cursor: resume_cursor.clone().filter(|_| has_more),
                resume_cursor,
                size: found.log_size,
            },
        }
    }

    /// Returns the query parameters of the page at a cursor, or of the first page.
    pub fn parameters_after(&self, cursor: Option<String>) -> Vec<(&'static str, String)> {
        let mut parameters = self.filter.parameters();
        parameters.push(("limit", self.limit.to_string()));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor)));
        parameters
    }
}

#[cfg(test)]
mod tests;
