//! Incidents, records and holds as clients read them. Independent of Spin, HTTP and SQL.

mod backfill;
mod cursor;
mod filter;
mod found;
mod holds;
mod id;
mod list;
mod outcomes;
mod parameters;
mod place;
mod query;
mod record_list;
mod records;
mod search;
mod timeline;
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
pub use list::{FoundPage, IncidentPage, Pagination, TOTAL_BOUND, Total, TotalRelation};
pub use outcomes::{
    ActionOutcome, FoundOutcomes, IncidentOutcomes, OUTCOME_COUNTS, Outcome, Outcomes,
    OutcomesQuery, SimilarIncidents, WorkflowOutcome,
};
pub use query::{
    COUNTS, Count, FILTER_CHARACTERS_MAX, LIMIT_DEFAULT, LIMIT_MAX, ListQuery,
    SEVERITY_CHARACTERS_MAX,
};
pub use record_list::{FoundRecords, RecordFilter, RecordPage, RecordPagination, RecordsQuery};
pub use records::{
    ConsistencyQuery, FoundRecord, RecordEmbedding, RecordEnvelope, RecordLog, StoredRecordView,
    proof_path, write_time,
};
pub use search::{
    FOUND_DEFAULT, FOUND_MAX, NearestQuery, QUERY_CHARACTERS_MAX, SearchQuery, SearchResult,
    SimilarIncident, UNKNOWN_TEXTS_MAX,
};
pub use timeline::{FoundTimeline, TimelinePage, TimelinePagination, TimelineQuery};
pub use view::{
    Action, Analysis, Incident, IncidentRecord, IncidentSummary, ReportedObject, Step, Workflow,
};
