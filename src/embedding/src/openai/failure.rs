//! Why an attempt failed, as far as it may be logged.

use std::fmt;
use std::time::Duration;

use crate::trial::Fault;

/// Why one attempt brought no vector. Holds nothing that the server sent but its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The provider can never be of use.
    Fault(Fault),
    /// The request cannot be made.
    Unsendable,
    /// There was no answer in time, or it did not end in time.
    TimedOut,
    /// No connection could be had, or it broke.
    Connection(&'static str),
    /// The server answered with another status than 200.
    Status {
        status: u16,
        /// When it wants to be asked again, if it says.
        retry_after: Option<Duration>,
        /// Whether it is the text that the model has no room for.
        is_too_long: bool,
    },
    /// The answer is no embedding that can be stored.
    Malformed(&'static str),
}

impl Failure {
    /// Whether the same request may succeed when it is sent again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Fault(Fault::NotGranted) | Self::Unsendable => false,
            // Behind one address there may be several models.
            Self::Fault(Fault::TooWide(_)) => true,
            Self::TimedOut | Self::Connection(_) | Self::Malformed(_) => true,
            // Redirects are not followed, they are a wrong address.
            Self::Status {
                status,
                is_too_long,
                ..
            } => !is_too_long && matches!(status, 200..=299 | 408 | 429 | 500..),
        }
    }

    /// Whether a shorter text may succeed.
    pub(crate) fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Status {
                is_too_long: true,
                ..
            }
        )
    }

    /// Whether the server understood the request and does not take it: another text may do.
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

    /// Why this fails for ever, if it does.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault(fault) => Some(*fault),
            _ => None,
        }
    }

    /// How long the server wants to be left alone.
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
            http_client::Failure::TooLong => Self::Malformed("it is too long"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Unsendable => f.write_str("the request was refused by the host"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Connection(problem) => f.write_str(problem),
            Self::Status { status, .. } => write!(f, "status {status}"),
            Self::Malformed(problem) => write!(f, "unusable answer: {problem}"),
        }
    }
}
