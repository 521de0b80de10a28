//! The database. All SQL is here or in `migrations/`, and only this crate connects. The host has no
//! transactions, so each function is one atomic statement that is safe to retry: `connection`
//! retries, `error` says which failures.

mod address;
mod audit_write;
mod connection;
mod embedding;
mod error;
mod fault;
mod hold;
mod incident;
mod log;
mod parameter;
mod readiness;
mod record;
mod records;

pub use audit_write::AuditWrite;
pub use connection::{BATCH_STATEMENT_TIMEOUT, Database, STATEMENT_TIMEOUT, Variables};
pub use embedding::UnknownText;
pub use error::StoreError;
pub use hold::PlacedHold;
pub use incident::FoundIncidents;
pub use log::{FoundProof, LogError, LogStatus};
pub use readiness::Unreadiness;
pub use record::{NewRecord, StoredRecord};
