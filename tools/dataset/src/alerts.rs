//! The catalogue of alerts, causes and actions in `alerts.toml`.

use anyhow::{Context as _, Result};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) of: Sort,
    pub(crate) severity: Severity,
    /// Detail that an analysis may add to the cause.
    pub(crate) detail: String,
    pub(crate) causes: Vec<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cause {
    pub(crate) root: String,
    pub(crate) advice: String,
    pub(crate) action: String,
    pub(crate) workflow: String,
}

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

    pub(crate) fn lower(self) -> Self {
        match self {
            Self::Critical => Self::High,
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// Details that an analysis of any alert may add.
    pub(crate) evidence: Vec<String>,
    #[serde(rename = "alert")]
    pub(crate) alerts: Vec<Alert>,
}

pub(crate) fn read() -> Result<Catalogue> {
    toml::from_str(include_str!("alerts.toml")).context("read alerts.toml")
}
