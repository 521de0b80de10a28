//! Incidents, records and holds as clients read them. Independent of Spin, HTTP and SQL.

mod backfill;
mod cursor;
mod filter;
mod found;
mod holds;
mod id;
mod list;
mod place;
mod query;
mod records;
mod search;
mod view;

pub use backfill::{BACKFILL_DEFAULT, BACKFILL_MAX, Backfill, BackfillQuery};
pub use cursor::Cursor;
pub use filter::{Filter, STATUSES};
pub use found::FoundIncident;
pub use holds::{
    FoundHold, FoundRelease, HoldLog, HoldPage, HoldPagination, HoldReleaseView, HoldView,
    HoldsQuery,
};
pub use id::parse_incident_id;
pub use list::{FoundPage, IncidentPage, Pagination, TOTAL_BOUND, TotalRelation};
pub use query::{
    COUNTS, Count, FILTER_CHARACTERS_MAX, LIMIT_DEFAULT, LIMIT_MAX, ListQuery,
    SEVERITY_CHARACTERS_MAX,
};
pub use records::{
    ConsistencyQuery, FoundRecord, FoundRecords, RecordEmbedding, RecordEnvelope, RecordLog,
    RecordPage, RecordPagination, RecordsQuery, StoredRecordView, proof_path, write_time,
};
pub use search::{
    FOUND_DEFAULT, FOUND_MAX, QUERY_CHARACTERS_MAX, SearchQuery, SearchResult, SimilarIncident,
    UNKNOWN_TEXTS_MAX,
};
pub use view::{
    Action, Analysis, Incident, IncidentRecord, IncidentSummary, ReportedObject, Step, Workflow,
};
