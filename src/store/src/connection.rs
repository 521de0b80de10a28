//! Connects to the database and retries operations.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use spin_sdk::pg4::{Connection, Decode, ParameterValue, PgError, RowSet};

use crate::address::read_url;
use crate::error::{Cause, StoreError};
use crate::fault::Fault;

/// Retries of an operation after its first attempt.
const RETRIES_MAX: usize = 3;
/// Delay before the first retry; it doubles each time. Jitter spreads callers who failed together.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// Backoff multiplier while the database is unreachable or full. A larger one could exhaust the
/// host's instances (1,000 in Spin) at 500 writes/s: Spin then answers any request with a bare 500.
const ABSENCE_DELAY_FACTOR: u32 = 2;

/// Latest start of a retry after the first attempt, so that callers get a 503 instead of waiting.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(5);

/// Default time limit of a statement.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Default time limit of a statement that writes a batch: an index of vectors takes milliseconds
/// for each new text, and several batches may wait for each other.
pub const BATCH_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Size of the host's connection pool, all of which can be stale.
const SESSIONS_MAX: usize = 64;

/// Ends this session if it is older than `$1` seconds. Always returns a row.
const END_SESSION: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE pid = pg_backend_pid() AND clock_timestamp() - backend_start > make_interval(secs => $1)";

/// SQLSTATE class of a session that the server ends.
const OPERATOR_INTERVENTION: &str = "57";

/// Names of the variables that locate a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variables {
    /// Variable with the URL.
    pub url: &'static str,
    /// Variable with the granted `host:port`.
    pub host: &'static str,
}

/// A database. Each attempt of an operation borrows a connection from the host's pool.
pub struct Database {
    /// The URL, or what is wrong with it.
    pub(crate) url: Result<String, &'static str>,
    pub(crate) variables: Variables,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Creates a database for `postgres://user:password@host:port/database`. The time limit applies
    /// unless the URL has `options` of its own.
    pub fn new(url: &str, variables: Variables, statement_timeout: Duration) -> Self {
        Self {
            url: read_url(url, statement_timeout),
            variables,
        }
    }

    /// Runs an operation, with retries after transient failures. The operation must be safe to
    /// repeat even if an earlier attempt reached the database.
    pub(crate) fn run<T>(
        &self,
        operation: &'static str,
        mut attempt: impl FnMut(&Session) -> Result<T, Cause>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(RETRY_DELAY_MIN)
            .with_max_times(RETRIES_MAX)
            .with_jitter()
            .build();
        loop {
            let cause = match self.attempt(begun, &mut attempt) {
                Ok(done) => return Ok(done),
                Err(cause) => cause,
            };
            let may_pass = cause.is_worth_a_retry() && begun.elapsed() < RETRY_WINDOW;
            let Some(delay) = delays.next().filter(|_| may_pass) else {
                return Err(StoreError::new(operation, cause));
            };
            telemetry::count_retry();
            thread::sleep(if cause.is_absence() {
                delay * ABSENCE_DELAY_FACTOR
            } else {
                delay
            });
        }
    }

    /// Runs an operation without backoff, for callers that poll.
    pub(crate) fn run_once<T>(
        &self,
        operation: &'static str,
        mut attempt: impl FnMut(&Session) -> Result<T, Cause>,
    ) -> Result<T, StoreError> {
        self.attempt(Instant::now(), &mut attempt)
            .map_err(|cause| StoreError::new(operation, cause))
    }

    /// Repeats an attempt at once if a stale session may be the cause, and ends that session: the
    /// host would hand it to the next request. A failure without a SQLSTATE is not repeated.
    fn attempt<T>(
        &self,
        begun: Instant,
        attempt: &mut impl FnMut(&Session) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut sessions_left = SESSIONS_MAX;
        loop {
            let session = self
                .connect()
                .inspect_err(|_| telemetry::database_failed(false, None))?;
            let cause = match attempt(&session) {
                Ok(done) => return Ok(done),
                Err(cause) => cause,
            };
            telemetry::database_failed(true, cause.sqlstate());
            sessions_left -= 1;
            let may_go_on = sessions_left > 0 && begun.elapsed() < RETRY_WINDOW;
            let is_ended = cause.is_of_session() && session.end_if_older(begun.elapsed());
            if !(is_ended && may_go_on && cause.sqlstate().is_some()) {
                return Err(cause);
            }
            telemetry::count_retry();
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the only place that connects to PostgreSQL"
    )]
    fn connect(&self) -> Result<Session, Cause> {
        let no_connection = |fault| Cause::Connection {
            fault,
            variables: self.variables,
        };
        let url = self
            .url
            .as_ref()
            .map_err(|must| no_connection(Fault::Url(must)))?;
        let connection = Connection::open(url).map_err(|error| {
            no_connection(match &error {
                PgError::ConnectionFailed(text) => Fault::read(text),
                _ => Fault::Unreachable,
            })
        })?;
        Ok(Session(connection))
    }
}

pub(crate) struct Session(Connection);

impl Session {
    /// Ends the session if it is older than `age`, and returns whether it did.
    pub(crate) fn end_if_older(&self, age: Duration) -> bool {
        // Only the login user may end the session, not a role that it has set.
        let _ = self.0.execute("SET ROLE NONE", &[]);
        let ended = self.query(END_SESSION, &[age.as_secs_f64().into()]);
        match ended.and_then(|rows| rows.only()?.next::<i64>()) {
            Ok(count) => count > 0,
            Err(Cause::Statement(Some(sqlstate))) => sqlstate.starts_with(OPERATOR_INTERVENTION),
            // The session ends before it can respond.
            Err(_) => true,
        }
    }

    pub(crate) fn query(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<Rows, Cause> {
        Ok(Rows(self.0.query(statement, parameters)?))
    }
}

pub(crate) struct Rows(RowSet);

impl Rows {
    /// The first row. Every statement here returns exactly one.
    pub(crate) fn only(&self) -> Result<Row<'_>, Cause> {
        let values = self.0.rows.first().ok_or(Cause::Answer("no row"))?;
        Ok(Row {
            values: values.iter(),
        })
    }
}

pub(crate) struct Row<'a> {
    values: std::slice::Iter<'a, spin_sdk::pg4::DbValue>,
}

impl Row<'_> {
    pub(crate) fn next<T: Decode>(&mut self) -> Result<T, Cause> {
        let value = self
            .values
            .next()
            .ok_or(Cause::Answer("a column is missing"))?;
        Ok(T::decode(value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_does_not_print_its_url() {
        let variables = Variables {
            url: "database_url",
            host: "database_host",
        };
        let database = Database::new(
            "postgres://user:secret@host/db",
            variables,
            STATEMENT_TIMEOUT,
        );
        assert_eq!(format!("{database:?}"), "Database");
    }
}
