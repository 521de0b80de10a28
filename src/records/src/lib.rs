//! The audit records: JSON in, a record that cannot be wrong out.
//!
//! Knows nothing of Spin, HTTP or SQL. A record is parsed once, at the edge, by
//! [`Record::parse`]; everything that is wrong with it is reported at once, as [`Violation`]s. What
//! comes out holds only what is valid, beside the record's whole [`Content`] in canonical
//! form, so that nothing of it is lost and a repeated record is recognised.

mod aianalysis;
mod common_fields;
mod content;
mod execution;
mod field_reader;
mod format;
mod json;
mod record;
mod remediation;
mod schema;
mod violation;
mod workflow;

pub use aianalysis::AiAnalysis;
pub use common_fields::{CORRELATION_ID, CommonFields, Phase};
pub use content::{Content, sha256};
pub use execution::Execution;
pub use field_reader::{Form, Text};
pub use format::{CORRELATION_ID_CHARACTERS_MAX, is_correlation_id, is_zero_time, parse_timestamp};
pub use record::{Kind, Record, is_cluster_name};
pub use remediation::Remediation;
pub use schema::{Field, FieldType, schema};
pub use violation::{Rejection, Report, VIOLATIONS_MAX, Violation};
pub use workflow::Workflow;
