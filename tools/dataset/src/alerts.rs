//! What goes wrong, why, and what is done about it: read from `alerts.toml`.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// An alert that targets of one sort have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) of: Sort,
    pub(crate) severity: Severity,
    /// What an analysis sometimes adds to the cause.
    pub(crate) detail: String,
    pub(crate) causes: Vec<Cause>,
}

/// Why an alert is raised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cause {
    pub(crate) root: String,
    pub(crate) advice: String,
    pub(crate) action: String,
    pub(crate) workflow: String,
}

/// What sort of thing has the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    Service,
    Worker,
    Database,
    Cache,
    Broker,
    Batch,
    Node,
    /// Many targets of a cluster at once.
    Storm,
}

/// How bad it is, and the priority that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Critical,
    High,
    Medium,
    Low,
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    pub(crate) fn priority(self) -> &'static str {
        match self {
            Self::Critical => "P0",
            Self::High => "P1",
            Self::Medium => "P2",
            Self::Low => "P3",
        }
    }

    /// One step less bad.
    pub(crate) fn lower(self) -> Self {
        match self {
            Self::Critical => Self::High,
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }
}

/// What is in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// What an analysis of any alert may add to the cause.
    pub(crate) evidence: Vec<String>,
    /// All alerts.
    #[serde(rename = "alert")]
    pub(crate) alerts: Vec<Alert>,
}

/// Reads the file.
pub(crate) fn read() -> Result<Catalogue> {
    toml::from_str(include_str!("alerts.toml")).context("read alerts.toml")
}
