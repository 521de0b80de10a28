//! One way to run the service for a test, ask it things, and look into its database.
//!
//! [`TestApp::start`] runs the built components on the stand-in host in this process, with
//! a database of its own, cloned from a migrated template. `DATABASE_URL` names a server
//! where databases may be created (`cargo xtask test` provides one). With `SPIN_COMMAND`
//! set to a `spin` command, the same components run under that instead. With
//! `DATA_STORAGE_URL` set, the tests of `tests/api` ask the service that is up there, and
//! `DATABASE_URL` is the database that it uses.

mod answer;
mod app;
mod database;
mod host;
mod proxy;
mod records;
mod server;

pub use answer::{Answer, assert_says};
pub use app::{Setup, TestApp};
pub use database::{Database, connect, make_users};
pub use proxy::Proxy;
pub use records::{KINDS, record, remediation, set, unique};
pub use server::{Server, Shutdown, postgresql_program};
