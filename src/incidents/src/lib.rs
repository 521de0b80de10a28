//! Incidents, as they are read: their views and how they are named.
//!
//! An incident is what the audit records of one correlation id say. Knows nothing of Spin,
//! HTTP or SQL.

mod id;
mod view;

pub use id::parse_incident_id;
pub use view::{Incident, IncidentRecord, IncidentSummary};
