//! Audit records. [`Record::parse`] checks a record once and returns it with its canonical
//! [`Content`], or reports all [`Violation`]s at once. Independent of Spin, HTTP and SQL.

mod aianalysis;
mod batch;
mod common_fields;
mod content;
mod event;
mod execution;
mod field;
mod field_reader;
mod format;
mod hold;
mod json;
mod kinds;
mod record;
mod release;
mod remediation;
mod schema;
mod violation;
mod workflow;

pub use aianalysis::AiAnalysis;
pub use batch::{BATCH_ITEMS_MAX, BatchForm, RECORD_BYTES_MAX, parse_batch};
pub use common_fields::{CORRELATION_ID, CommonFields, Phase};
pub use content::{Content, sha256};
pub use event::Event;
pub use execution::Execution;
pub use field::{Field, FieldType, Form, Text};
pub use format::{CORRELATION_ID_CHARACTERS_MAX, is_correlation_id, is_zero_time, parse_timestamp};
pub use hold::{Hold, Selection};
pub use kinds::{AnyRecord, KIND_NAMES, KINDS, RecordKind};
pub use record::{Kind, Record, is_name};
pub use release::Release;
pub use remediation::Remediation;
pub use schema::schema;
pub use violation::{BATCH_VIOLATIONS_MAX, Rejection, Report, VIOLATIONS_MAX, Violation};
pub use workflow::Workflow;
