//! The audit records: JSON in, a record that cannot be wrong out.
//!
//! Knows nothing of Spin, HTTP or SQL. A record is parsed once, at the edge, by
//! [`Record::parse`]; everything that is wrong with it is reported at once, as [`Violation`]s. What
//! comes out holds only what is valid, beside the record's whole [`Content`] in canonical
//! form, so that nothing of it is lost and a repeated record is recognised.

mod aianalysis;
mod common;
mod content;
mod execution;
mod fields;
mod format;
mod json;
mod outline;
mod record;
mod remediation;
mod violation;
mod workflow;

pub use aianalysis::AiAnalysis;
pub use common::{CORRELATION_ID, Common, Phase};
pub use content::{Content, sha256};
pub use execution::Execution;
pub use fields::{Form, Text};
pub use format::{CORRELATION_ID_CHARACTERS_MAX, is_correlation_id, is_zero_time, parse_timestamp};
pub use outline::{Field, Shape, outline};
pub use record::{Kind, Record, is_cluster_name};
pub use remediation::Remediation;
pub use violation::{Rejection, Report, VIOLATIONS_MAX, Violation};
pub use workflow::Workflow;
