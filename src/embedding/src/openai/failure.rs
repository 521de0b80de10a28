//! Failures of one attempt.

use std::fmt;
use std::time::Duration;

use crate::trial::Fault;

/// Why an attempt returned no vectors. Safe to log: it holds only the response's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Fault(Fault),
    Unsendable,
    TimedOut,
    Connection(&'static str),
    Status {
        status: u16,
        retry_after: Option<Duration>,
        is_too_long: bool,
    },
    /// Why the response is malformed.
    Malformed(&'static str),
    /// The response does not have one vector per text.
    Miscounted,
}

impl Failure {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Fault(Fault::NotGranted) | Self::Unsendable => false,
            // One address may lead to several models.
            Self::Fault(Fault::TooWide(_)) => true,
            Self::TimedOut | Self::Connection(_) | Self::Malformed(_) | Self::Miscounted => true,
            // A redirect means a wrong address; the client does not follow it.
            Self::Status {
                status,
                is_too_long,
                ..
            } => !is_too_long && matches!(status, 200..=299 | 408 | 429 | 500..),
        }
    }

    pub(crate) fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Status {
                is_too_long: true,
                ..
            }
        )
    }

    /// Whether the server may take fewer texts: it refuses these, does not embed them in time, or
    /// returns another number of vectors.
    pub(crate) fn may_be_of_too_many(&self) -> bool {
        self.is_refusal() || matches!(self, Self::TimedOut | Self::Miscounted)
    }

    /// Whether the server refuses these texts, or so many; it may accept others, or fewer.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_too_long()
            || matches!(
                self,
                Self::Status {
                    status: 400 | 422,
                    ..
                }
            )
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault(fault) => Some(*fault),
            _ => None,
        }
    }

    /// Minimum delay before a retry; zero if the server names none.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Status {
                retry_after: Some(delay),
                ..
            } => *delay,
            _ => Duration::ZERO,
        }
    }
}

impl From<http_client::Failure> for Failure {
    fn from(failure: http_client::Failure) -> Self {
        match failure {
            http_client::Failure::NotGranted => Self::Fault(Fault::NotGranted),
            http_client::Failure::Unsendable => Self::Unsendable,
            http_client::Failure::TimedOut => Self::TimedOut,
            http_client::Failure::Connection(problem) => Self::Connection(problem),
            http_client::Failure::TooLong => Self::Malformed("larger than the size limit"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Unsendable => f.write_str("the host refused the request"),
            Self::TimedOut => f.write_str("no response in time"),
            Self::Connection(problem) => f.write_str(problem),
            Self::Status { status, .. } => write!(f, "status {status}"),
            Self::Malformed(problem) => write!(f, "malformed response: {problem}"),
            Self::Miscounted => {
                f.write_str("malformed response: not exactly one embedding per text")
            }
        }
    }
}
