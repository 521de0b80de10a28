//! Connections, retries and rows.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use spin_sdk::pg4::{Connection, Decode, ParameterValue, RowSet};
use url::form_urlencoded;

use crate::error::{Cause, StoreError};

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
const RETRY_WINDOW: Duration = Duration::from_secs(5);

/// What the database's URL is given unless it says something else: how long a connection
/// may take to make, what was sent may stay unacknowledged and a silent peer is trusted (in
/// seconds), and how long a statement may run (in the server, in milliseconds). Without them
/// a request would wait as long as the network does: minutes, when a node is lost. And the
/// isolation in which the write function looks again for what another writer was faster to
/// store; a stricter one would only make it fail and be tried again.
const URL_DEFAULTS: [(&str, &str); 6] = [
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_retries", "2"),
    (
        "options",
        "-c%20statement_timeout%3D5000%20-c%20default_transaction_isolation%3Dread%5C%20committed",
    ),
];

/// The database that a URL names. A connection is taken from the host's pool for each
/// attempt of an operation, and given back after it.
pub struct Database {
    url: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// The database at `postgres://user:password@host:port/database`.
    pub fn new(url: &str) -> Self {
        Self {
            url: with_defaults(url),
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
            let cause = match self.connect().and_then(|session| attempt(&session)) {
                Ok(done) => return Ok(done),
                Err(cause) => cause,
            };
            telemetry::database_failed(cause.is_connected(), cause.sqlstate());
            let may_pass = cause.is_transient() && begun.elapsed() < RETRY_WINDOW;
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
        attempt: impl FnOnce(&Session) -> Result<T, Cause>,
    ) -> Result<T, StoreError> {
        self.connect()
            .and_then(|session| attempt(&session))
            .map_err(|cause| StoreError::new(operation, cause))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that may")]
    fn connect(&self) -> Result<Session, Cause> {
        Ok(Session(Connection::open(&self.url)?))
    }
}

fn with_defaults(url: &str) -> String {
    if !url.contains("://") {
        return url.to_owned();
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut url = format!("{address}?{query}");
    for (name, value) in URL_DEFAULTS {
        if !form_urlencoded::parse(query.as_bytes()).any(|(given, _)| given == name) {
            if !url.ends_with('?') {
                url.push('&');
            }
            url.push_str(name);
            url.push('=');
            url.push_str(value);
        }
    }
    url
}

/// A connection in use.
pub(crate) struct Session(Connection);

impl Session {
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
    fn timeouts_are_added_unless_the_url_has_its_own() {
        assert_eq!(
            with_defaults("postgres://u:p@h:1/d"),
            "postgres://u:p@h:1/d?connect_timeout=5&tcp_user_timeout=5&keepalives_idle=5\
             &keepalives_interval=2&keepalives_retries=2&options=-c%20statement_timeout%3D5000\
             %20-c%20default_transaction_isolation%3Dread%5C%20committed"
        );
        assert_eq!(
            with_defaults("postgres://u:p@h:1/d?options=-c%20work_mem%3D1MB&connect_timeout=1"),
            "postgres://u:p@h:1/d?options=-c%20work_mem%3D1MB&connect_timeout=1\
             &tcp_user_timeout=5&keepalives_idle=5&keepalives_interval=2&keepalives_retries=2"
        );
        assert_eq!(with_defaults("host=h user=u"), "host=h user=u");
    }

    #[test]
    fn a_database_does_not_print_its_url() {
        let database = Database::new("postgres://user:secret@host/db");
        assert_eq!(format!("{database:?}"), "Database");
    }
}
