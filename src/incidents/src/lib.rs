//! Incidents, as they are read: filters, cursors, views, and how they are named.
//!
//! An incident is what the audit records of one correlation id say. Knows nothing of Spin,
//! HTTP or SQL.

mod cursor;
mod filter;
mod id;
mod list;
mod query;
mod search;
mod snapshot;
mod view;

pub use cursor::{Cursor, Position, Walk};
pub use filter::{Filter, SEVERITIES, STATUSES};
pub use id::parse_incident_id;
pub use list::{CursorRefused, FoundPage, IncidentPage, Pagination};
pub use query::{FILTER_CHARACTERS_MAX, LIMIT_DEFAULT, LIMIT_MAX, ListQuery};
pub use search::{
    FOUND_DEFAULT, FOUND_MAX, QUERY_CHARACTERS_MAX, SearchQuery, SearchResult, SimilarIncident,
};
pub use snapshot::{NotASnapshot, Snapshot};
pub use view::{Incident, IncidentRecord, IncidentSummary};
