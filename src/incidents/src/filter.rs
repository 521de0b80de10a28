//! Conditions of incident lists and searches.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Values of the `status` filter.
pub const STATUSES: [&str; 5] = ["pending", "executing", "completed", "failed", "rolled-back"];

/// An incident must meet all conditions. Serializes to `incident_filter` of `migrations/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Namespace of the target; empty for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Cluster of the target.
    pub cluster: Option<String>,
    /// Name of the alert.
    pub alert_name: Option<String>,
    /// Environment of the target.
    pub environment: Option<String>,
    /// Name of the workflow.
    pub workflow_name: Option<String>,
    /// Name of the remediation request.
    pub remediation_name: Option<String>,
    /// Fingerprint of the alert.
    pub fingerprint: Option<String>,
    /// Type of the target, case-insensitive.
    pub target_type: Option<String>,
    /// Name of the target.
    pub target_name: Option<String>,
    /// Type of any of the incident's actions.
    pub action_type: Option<String>,
    /// Severity of the alert, case-insensitive.
    pub severity: Option<String>,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// Correlation id of the incident.
    pub correlation_id: Option<String>,
    /// Action history of the target.
    pub action_history_id: Option<i64>,
    /// Earliest `opened_at`, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// Latest `opened_at`, inclusive.
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    /// Returns the query parameters of this filter, in a fixed order.
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
        let others = [
            ("action_history_id", id),
            ("since", self.since.map(written_time)),
            ("until", self.until.map(written_time)),
        ];
        let texts = texts.map(|(name, text)| (name, text.clone()));
        texts
            .into_iter()
            .chain(others)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash_parameters(&self.parameters())
    }
}

/// Hashes the parameters of a filter, which cursors of its list name by the hash.
pub(crate) fn hash_parameters(parameters: &[(&str, String)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in parameters {
        hash.update(name);
        // The length keeps a value apart from the next name.
        hash.update(value.len().to_be_bytes());
        hash.update(value);
    }
    hash.finalize().into()
}

/// Writes a time as a parameter, as exactly as it is stored.
pub(crate) fn written_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
