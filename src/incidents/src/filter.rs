//! What the incidents of a list have in common.

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

/// How severe an alert can be.
pub const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];

/// How far the execution of an incident's action can be.
pub const STATUSES: [&str; 5] = ["pending", "executing", "completed", "failed", "rolled-back"];

/// Which incidents are wanted: those that have every value that is given here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The target's namespace.
    pub namespace: Option<String>,
    /// The target's cluster.
    pub cluster: Option<String>,
    /// What was done.
    pub action_type: Option<String>,
    /// The alert's name.
    pub alert_name: Option<String>,
    /// One of [`SEVERITIES`].
    pub severity: Option<String>,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// What names the incident in the records.
    pub correlation_id: Option<String>,
    /// The earliest `action_timestamp`, included.
    pub since: Option<DateTime<Utc>>,
    /// The latest `action_timestamp`, included.
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    /// The parameters that ask for this filter, in one order.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("namespace", &self.namespace),
            ("cluster", &self.cluster),
            ("action_type", &self.action_type),
            ("alert_name", &self.alert_name),
            ("severity", &self.severity),
            ("status", &self.status),
            ("correlation_id", &self.correlation_id),
        ];
        let times = [("since", self.since), ("until", self.until)];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.clone()?)));
        let times = times.into_iter().filter_map(|(name, time)| {
            Some((name, time?.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
        });
        texts.chain(times).collect()
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
