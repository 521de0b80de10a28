//! The database. Every SQL statement of the service is here or in `migrations/`, and
//! nothing else opens a connection.
//!
//! The host prepares every statement anew and has no transactions, so each function here
//! is one statement: it happens as a whole or not at all, whatever becomes of the
//! connection. That makes every function safe to try again, which is what each does when
//! the database fails it ([`error`]).

mod address;
mod connection;
mod embedding;
mod error;
mod fault;
mod incident;
mod parameter;
mod readiness;
mod record;

pub use connection::{Database, Variables};
pub use embedding::UnknownText;
pub use error::StoreError;
pub use incident::FoundIncidents;
pub use readiness::Unreadiness;
pub use record::StoredRecord;
