//! Reads records as they were sent.

use incidents::{FoundRecord, FoundRecords, FoundTimeline, RecordsQuery, TimelineQuery};

use crate::connection::Database;
use crate::error::{Cause, StoreError};
use crate::incident::{read_json, written};
use crate::parameter::optional_text;

/// A page ends once the contents of its records exceed this: the host buffers a result.
const PAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// Leaves, or records of an incident, that a page with a filter looks at.
const PAGE_READ_MAX: i64 = 10_000;

const FIND_RECORD: &str = "SELECT find_record($1)::text";

const LIST_RECORDS: &str = "SELECT records::text, last_index, log_size \
    FROM list_records($1::text::jsonb, $2, $3, $4, $5)";

const LIST_INCIDENT_RECORDS: &str = "SELECT records::text, next_id, correlation_id \
    FROM list_incident_records($1, $2, $3, $4, $5, $6)";

impl Database {
    /// Reads the record with this id.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_record(&self, id: i64) -> Result<Option<FoundRecord>, StoreError> {
        self.run("read the record", |session| {
            let rows = session.query(FIND_RECORD, &[id.into()])?;
            read_json(&mut rows.only()?)
        })
    }

    /// Lists records in the order of the log.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn list_records(&self, query: &RecordsQuery) -> Result<FoundRecords, StoreError> {
        let parameters = [
            written(&query.filter)?,
            query.after_index().into(),
            query.limit.into(),
            PAGE_READ_MAX.into(),
            PAGE_BYTES_MAX.into(),
        ];
        self.run("list the records", |session| {
            let rows = session.query(LIST_RECORDS, &parameters)?;
            let mut row = rows.only()?;
            Ok(FoundRecords {
                records: read_json(&mut row)?.ok_or(Cause::Answer("no records"))?,
                last_index: row.next()?,
                log_size: row.next()?,
            })
        })
    }

    /// Lists the records of an incident by id; `None` if there is no such incident.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn list_incident_records(
        &self,
        query: &TimelineQuery,
    ) -> Result<Option<FoundTimeline>, StoreError> {
        self.run("list the incident's records", |session| {
            let parameters = [
                query.incident_id.into(),
                optional_text(query.kind.clone()),
                query.after.into(),
                query.limit.into(),
                PAGE_READ_MAX.into(),
                PAGE_BYTES_MAX.into(),
            ];
            let rows = session.query(LIST_INCIDENT_RECORDS, &parameters)?;
            let mut row = rows.only()?;
            let records: Option<Vec<FoundRecord>> = read_json(&mut row)?;
            let next_id = row.next()?;
            let correlation_id: Option<String> = row.next()?;
            let found = records.zip(correlation_id);
            Ok(found.map(|(records, correlation_id)| FoundTimeline {
                records,
                next_id,
                correlation_id,
            }))
        })
    }
}
