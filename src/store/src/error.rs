//! Database errors and their classification.

use std::fmt;

use spin_sdk::pg4::{Error, PgError, QueryError};

use crate::connection::Variables;
use crate::fault::Fault;

/// SQLSTATE classes that a retry cannot cure: bad values (22), violated constraints (23), limits of
/// PostgreSQL (54). All others may pass, even a missing role or schema (28, 3D, 42).
const PERMANENT_CLASSES: [&str; 3] = ["22", "23", "54"];

/// SQLSTATE classes that a stale session can cause: its role, search path or read-only state have
/// changed (25, 28, 3F, 42), or its cached plans and prepared statements are outdated (0A, 26).
const SESSION_CLASSES: [&str; 6] = ["0A", "25", "26", "28", "3F", "42"];

/// A database operation that failed after all its attempts.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}: {cause}")]
pub struct StoreError {
    operation: &'static str,
    cause: Cause,
}

impl StoreError {
    pub(crate) fn new(operation: &'static str, cause: Cause) -> Self {
        Self { operation, cause }
    }

    /// The variable to blame for a failed connection.
    pub(crate) fn variable(&self) -> Option<&'static str> {
        match self.cause {
            Cause::Connection { fault, variables } => Some(match fault {
                Fault::NotGranted => variables.host,
                _ => variables.url,
            }),
            Cause::Statement(_) | Cause::Answer(_) => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn may_pass_later(&self) -> bool {
        self.cause.may_pass_later()
    }
}

/// Why an attempt failed, without the host's texts, which contain addresses and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Connection {
        fault: Fault,
        variables: Variables,
    },
    /// The statement failed, with the SQLSTATE if the host reports it.
    Statement(Option<String>),
    /// The result has an unexpected form.
    Answer(&'static str),
}

impl Cause {
    pub(crate) fn may_pass_later(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Statement(None) => true,
            Self::Statement(Some(sqlstate)) => !PERMANENT_CLASSES
                .iter()
                .any(|class| sqlstate.starts_with(class)),
            Self::Answer(_) => false,
        }
    }

    /// Whether an immediate retry may succeed.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Connection { fault, .. } => fault.may_pass(),
            _ => self.may_pass_later(),
        }
    }

    /// Whether a stale session may be the cause. Some hosts hide the SQLSTATE.
    pub(crate) fn is_of_session(&self) -> bool {
        match self {
            Self::Statement(Some(sqlstate)) => SESSION_CLASSES
                .iter()
                .any(|class| sqlstate.starts_with(class)),
            Self::Statement(None) => true,
            Self::Connection { .. } | Self::Answer(_) => false,
        }
    }

    /// Whether the database is unreachable or full (08, 53) or shuts down (57P, unlike 57014).
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Connection { .. } => true,
            Self::Statement(Some(sqlstate)) => ["08", "53", "57P"]
                .iter()
                .any(|class| sqlstate.starts_with(class)),
            Self::Statement(None) | Self::Answer(_) => false,
        }
    }

    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Statement(sqlstate) => sqlstate.as_deref(),
            Self::Connection { .. } | Self::Answer(_) => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { fault, variables } => {
                write!(
                    f,
                    "no connection to the database: the variable {} {fault}",
                    variables.url
                )
            }
            Self::Statement(Some(sqlstate)) => {
                write!(f, "the statement failed with SQLSTATE {sqlstate}")
            }
            Self::Statement(None) => f.write_str("the statement failed"),
            Self::Answer(problem) => write!(f, "unexpected result: {problem}"),
        }
    }
}

impl From<PgError> for Cause {
    fn from(error: PgError) -> Self {
        match error {
            PgError::QueryFailed(QueryError::DbError(error)) => Self::Statement(Some(error.code)),
            PgError::QueryFailed(QueryError::Text(text)) => {
                Self::Statement(sqlstate_in(&text).or_else(|| sqlstate_of_words(&text)))
            }
            PgError::BadParameter(_) => Self::Answer("the host refused a parameter"),
            PgError::ValueConversionFailed(_) => Self::Answer("a value could not be converted"),
            PgError::ConnectionFailed(_) | PgError::Other(_) => Self::Statement(None),
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match error {
            Error::PgError(error) => error.into(),
            Error::Decode(_) => Self::Answer("a column has the wrong type"),
        }
    }
}

/// Finds the SQLSTATE in a row error's debug text, such as `SqlState(E57014)` or
/// `SqlState(Other("P0001"))`. Takes the first: messages, which could quote others, come later.
fn sqlstate_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("SqlState(")?;
    let rest = rest.strip_prefix("Other(\"").unwrap_or(rest);
    let code: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    // The host puts an E before a code that begins with a digit.
    let code = match code.strip_prefix('E') {
        Some(digits) if digits.len() == 5 => digits,
        _ => &code,
    };
    (code.len() == 5).then(|| code.to_owned())
}

/// Guesses the SQLSTATE of a row error, of which Spin 3.6 reports only an English message.
fn sqlstate_of_words(text: &str) -> Option<String> {
    let known = [
        ("in a read-only transaction", "25006"),
        ("cached plan must not change result type", "0A000"),
        ("permission denied for", "42501"),
        ("does not exist", "42P01"),
    ];
    let (_, sqlstate) = known.iter().find(|(words, _)| text.contains(words))?;
    Some((*sqlstate).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(fault: Fault) -> Cause {
        Cause::Connection {
            fault,
            variables: Variables {
                url: "database_url",
                host: "database_host",
            },
        }
    }

    #[test]
    fn a_failure_that_can_lie_in_the_session_is_told_from_others() {
        for sqlstate in [
            "25006", "42501", "42P01", "42883", "3F000", "0A000", "26000",
        ] {
            assert!(Cause::Statement(Some(sqlstate.to_owned())).is_of_session());
        }
        for sqlstate in ["40001", "57014", "22P02", "53300", "08006"] {
            assert!(!Cause::Statement(Some(sqlstate.to_owned())).is_of_session());
        }
        assert!(Cause::Statement(None).is_of_session());
    }

    #[test]
    fn sqlstates_are_read_from_the_hosts_texts() {
        for (text, sqlstate) in [
            (
                "Error { kind: Db, cause: Some(DbError { severity: \"ERROR\", code: SqlState(E57014), message: \"canceling\" }) }",
                Some("57014"),
            ),
            ("code: SqlState(E40P01)", Some("40P01")),
            ("code: SqlState(Other(\"P0001\"))", Some("P0001")),
            ("deadlock detected", None),
            ("SqlState(", None),
            ("SqlState(E1)", None),
        ] {
            assert_eq!(sqlstate_in(text).as_deref(), sqlstate, "{text}");
        }
    }

    #[test]
    fn words_stand_for_the_sqlstate_where_the_host_tells_none() {
        for (text, sqlstate) in [
            (
                "db error: ERROR: cannot execute INSERT in a read-only transaction",
                "25006",
            ),
            (
                "db error: ERROR: permission denied for table incidents",
                "42501",
            ),
            (
                "db error: ERROR: relation \"incidents\" does not exist",
                "42P01",
            ),
            (
                "db error: ERROR: cached plan must not change result type",
                "0A000",
            ),
        ] {
            let cause: Cause = PgError::QueryFailed(QueryError::Text(text.to_owned())).into();
            assert_eq!(cause.sqlstate(), Some(sqlstate), "{text}");
        }
        let other = PgError::QueryFailed(QueryError::Text("deadlock detected".to_owned()));
        assert_eq!(Cause::from(other), Cause::Statement(None));
    }

    #[test]
    fn a_database_that_is_gone_or_full_is_told_from_a_conflict() {
        for (sqlstate, is_absence) in [
            ("08006", true),
            ("53300", true),
            ("57P01", true),
            ("57P03", true),
            ("57014", false),
            ("40001", false),
            ("25006", false),
        ] {
            let cause = Cause::Statement(Some(sqlstate.to_owned()));
            assert_eq!(cause.is_absence(), is_absence, "{sqlstate}");
        }
        assert!(connection(Fault::Unreachable).is_absence());
    }

    #[test]
    fn only_failures_of_the_values_are_permanent() {
        for sqlstate in [
            "40001", "40P01", "57P01", "53300", "08006", "25006", "53100", "42P01",
        ] {
            assert!(Cause::Statement(Some(sqlstate.to_owned())).may_pass_later());
        }
        for sqlstate in ["22P02", "23505", "54000"] {
            assert!(!Cause::Statement(Some(sqlstate.to_owned())).may_pass_later());
        }
        for fault in [Fault::Unreachable, Fault::Login, Fault::NotGranted] {
            assert!(connection(fault).may_pass_later());
        }
        assert!(connection(Fault::Unreachable).is_worth_a_retry());
        assert!(!connection(Fault::Login).is_worth_a_retry());
        assert!(Cause::Statement(None).may_pass_later());
    }

    #[test]
    fn nothing_of_the_hosts_text_is_repeated() {
        let secret = "db error: FATAL: postgres://user:hidden@10.1.2.3/db";
        for cause in [
            connection(Fault::read(secret)),
            PgError::ConnectionFailed(secret.to_owned()).into(),
            PgError::QueryFailed(QueryError::Text(secret.to_owned())).into(),
        ] {
            let error = StoreError::new("store the record", cause);
            assert!(!format!("{error} {error:?}").contains("hidden"));
        }
    }
}
