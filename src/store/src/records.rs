//! Reads records as they were sent.

use incidents::{FoundRecord, FoundRecords, RecordsQuery};

use crate::connection::Database;
use crate::error::{Cause, StoreError};
use crate::incident::read_json;

/// A page ends once the contents of its records exceed this: the host buffers a result.
const PAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;

const FIND_RECORD: &str = "SELECT find_record($1)::text";

const LIST_RECORDS: &str =
    "SELECT records::text, next_index, log_size FROM list_records($1, $2, $3)";

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
        self.run("list the records", |session| {
            let parameters = [
                query.after_index().into(),
                query.limit.into(),
                PAGE_BYTES_MAX.into(),
            ];
            let rows = session.query(LIST_RECORDS, &parameters)?;
            let mut row = rows.only()?;
            Ok(FoundRecords {
                records: read_json(&mut row)?.ok_or(Cause::Answer("no records"))?,
                next_index: row.next()?,
                log_size: row.next()?,
            })
        })
    }
}
