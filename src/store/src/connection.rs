//! Connections, retries and rows.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use spin_sdk::pg4::{Connection, Decode, ParameterValue, PgError, RowSet};

use crate::address::read_url;
use crate::error::{Cause, StoreError};
use crate::fault::Fault;

/// How often a failed operation is tried again.
const RETRIES_MAX: usize = 3;
/// The wait before the first of them; it doubles each time, and up to as much again is
/// added at random so that callers who failed together do not return together.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// So many times longer are the waits where the database is not there, or has no room. No
/// longer than that: whoever waits holds one of the host's instances (1,000 in Spin), and when
/// they are used up it answers every route with a bare 500. At 500 writes/s and 0.7 to 1.4 s
/// of waiting, there are enough.
const ABSENCE_DELAY_FACTOR: u32 = 2;

/// No retry begins later than this after the first attempt: a caller is told to come back
/// rather than kept waiting by attempts that each run into a timeout.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(5);

/// So many of the host's connections can have gone bad: all of its pool.
const SESSIONS_MAX: usize = 64;

/// Ends the session that asks, if it is older than so many seconds; answers in any case.
const END_SESSION: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE pid = pg_backend_pid() AND clock_timestamp() - backend_start > make_interval(secs => $1)";

/// The class of SQLSTATEs with which a session ends that is told to.
const OPERATOR_INTERVENTION: &str = "57";

/// The variables that say where a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variables {
    /// Holds its URL.
    pub url: &'static str,
    /// Holds its `host:port`, which the component may connect to.
    pub host: &'static str,
}

/// The database that a URL names. A connection is taken from the host's pool for each
/// attempt of an operation, and given back after it.
pub struct Database {
    /// Or what it must be.
    pub(crate) url: Result<String, &'static str>,
    pub(crate) variables: Variables,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// The database at `postgres://user:password@host:port/database`, which these variables say.
    pub fn new(url: &str, variables: Variables) -> Self {
        Self {
            url: read_url(url),
            variables,
        }
    }

    /// Runs an operation on a connection, again if it fails in a way that may pass. The
    /// operation must be safe to repeat even if an earlier attempt did reach the database.
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

    /// Runs an operation once: for what is asked again soon anyway.
    pub(crate) fn run_once<T>(
        &self,
        operation: &'static str,
        mut attempt: impl FnMut(&Session) -> Result<T, Cause>,
    ) -> Result<T, StoreError> {
        self.attempt(Instant::now(), &mut attempt)
            .map_err(|cause| StoreError::new(operation, cause))
    }

    /// Attempts an operation, at once again where the session may be what is wrong, and is from
    /// before the operation: the host would give it to the next request, and so on. Every such
    /// session is ended, so that this ends. Where the host does not tell what failed, it may be
    /// anything, and is no reason for haste.
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

    #[allow(clippy::disallowed_methods, reason = "the one place that may")]
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

/// A connection in use.
pub(crate) struct Session(Connection);

impl Session {
    /// Ends the session, unless it is younger than that; answers whether it did.
    pub(crate) fn end_if_older(&self, age: Duration) -> bool {
        // Only the user who logged in may end it, not a role that the session was given.
        let _ = self.0.execute("SET ROLE NONE", &[]);
        let ended = self.query(END_SESSION, &[age.as_secs_f64().into()]);
        match ended.and_then(|rows| rows.only()?.next::<i64>()) {
            Ok(count) => count > 0,
            Err(Cause::Statement(Some(sqlstate))) => sqlstate.starts_with(OPERATOR_INTERVENTION),
            // It hardly ever comes to answer that it has ended itself.
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

/// What a statement answered.
pub(crate) struct Rows(RowSet);

impl Rows {
    /// The one row that every statement here answers.
    pub(crate) fn only(&self) -> Result<Row<'_>, Cause> {
        let values = self.0.rows.first().ok_or(Cause::Answer("no row"))?;
        Ok(Row {
            values: values.iter(),
        })
    }
}

/// A row that is read column by column, in the statement's order.
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
        let database = Database::new("postgres://user:secret@host/db", variables);
        assert_eq!(format!("{database:?}"), "Database");
    }
}
