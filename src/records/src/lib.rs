//! The audit records: JSON in, a record that cannot be wrong out.
//!
//! Knows nothing of Spin, HTTP or SQL. A record is parsed once, at the edge, by its kind's
//! `parse`; everything that is wrong with it is reported at once, as [`Violation`]s. What
//! comes out holds only what is valid, beside the record's whole [`Content`] in canonical
//! form, so that nothing of it is lost and a repeated record is recognised.

mod common;
mod content;
mod fields;
mod format;
mod json;
mod remediation;
mod violation;

pub use common::{Common, Phase};
pub use content::{Content, sha256};
pub use format::is_correlation_id;
pub use remediation::{Remediation, Severity, is_cluster_name};
pub use violation::{Rejection, VIOLATIONS_MAX, Violation};
