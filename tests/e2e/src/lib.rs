//! Runs the service for a test, sends it requests and inspects its database.
//!
//! [`TestApp::start`] runs the built components on devhost in this process, with a database cloned
//! from a migrated template on the server of `DATABASE_URL` (`cargo xtask test` provides one).
//! `SPIN_COMMAND` names a `spin` command to use instead. With `DATA_STORAGE_URL`, the tests of
//! `tests/api` use that running service, whose database is `DATABASE_URL`.

mod answer;
mod app;
mod database;
mod host;
mod proxy;
mod records;
mod server;

pub use answer::{Answer, assert_says};
pub use app::{LOG_KEY, LOG_SIGNING_KEY, Setup, TestApp};
pub use database::{Database, connect, make_users};
pub use host::components_folder;
pub use proxy::Proxy;
pub use records::{KINDS, record, remediation, set, unique};
pub use server::{Server, Shutdown, postgresql_program};
