//! Why nothing can be said about a log.

use std::fmt::Display;
use std::path::Path;

/// The log cannot be verified: neither intact nor tampered with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n{next}")]
pub struct Unverifiable {
    /// What is in the way.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// A result that may not be had.
pub type Result<T> = std::result::Result<T, Unverifiable>;

impl Unverifiable {
    /// Says what is in the way and what to do next.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    pub(crate) fn file(does: &str, file: &Path, error: impl Display) -> Self {
        Self::new(
            format!("Cannot {does} {}: {error}", file.display()),
            "Check the path and its permissions.",
        )
    }

    pub(crate) fn malformed(path: &str, error: impl Display) -> Self {
        Self::new(
            format!("{path} is malformed: {error}"),
            "Check that the target is a service or export of this version, and that no proxy changes its answers.",
        )
    }
}
