//! What the incidents of a list have in common.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// How far the execution of an incident's action can be.
pub const STATUSES: [&str; 5] = ["pending", "executing", "completed", "failed", "rolled-back"];

/// Which incidents are wanted: those that have every value that is given here. Serialized, it is
/// the `incident_filter` of `migrations/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The target's namespace; empty for targets that have none.
    pub namespace: Option<String>,
    /// The target's cluster.
    pub cluster: Option<String>,
    /// The alert's name.
    pub alert_name: Option<String>,
    /// What the target is used for.
    pub environment: Option<String>,
    /// The workflow that is executed.
    pub workflow_name: Option<String>,
    /// The remediation request.
    pub remediation_name: Option<String>,
    /// Which alerts are the same.
    pub fingerprint: Option<String>,
    /// What the target is, without regard to case.
    pub target_type: Option<String>,
    /// The target's name.
    pub target_name: Option<String>,
    /// What was done, by any execution.
    pub action_type: Option<String>,
    /// How severe the alert is, without regard to case.
    pub severity: Option<String>,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// What names the incident in the records.
    pub correlation_id: Option<String>,
    /// The target's history.
    pub action_history_id: Option<i64>,
    /// The earliest `opened_at`, included.
    pub since: Option<DateTime<Utc>>,
    /// The latest `opened_at`, included.
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    /// The parameters that ask for this filter, in one order.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("namespace", &self.namespace),
            ("cluster", &self.cluster),
            ("alert_name", &self.alert_name),
            ("environment", &self.environment),
            ("workflow_name", &self.workflow_name),
            ("remediation_name", &self.remediation_name),
            ("fingerprint", &self.fingerprint),
            ("target_type", &self.target_type),
            ("target_name", &self.target_name),
            ("action_type", &self.action_type),
            ("severity", &self.severity),
            ("status", &self.status),
            ("correlation_id", &self.correlation_id),
        ];
        let id = self.action_history_id.map(|id| id.to_string());
        let time = |time: Option<DateTime<Utc>>| {
            time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        };
        let others = [
            ("action_history_id", id),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ];
        let texts = texts.map(|(name, text)| (name, text.clone()));
        texts
            .into_iter()
            .chain(others)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Tells this filter from every other one.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, value) in self.parameters() {
            hash.update(name);
            // No value goes on where the next name begins.
            hash.update(value.len().to_be_bytes());
            hash.update(value);
        }
        hash.finalize().into()
    }
}
