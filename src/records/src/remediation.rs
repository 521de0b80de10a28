//! Remediation records.

use serde_json::{Value, json};

use crate::common_fields::{CommonFields, NAMESPACE, TEXT, stored_instant};
use crate::field::{Form, Text};
use crate::field_reader::FieldReader;
use crate::format;
use crate::record::Kind;

const ORIGINAL_PAYLOAD_BYTES_MAX: usize = 64 * 1024;

const FINGERPRINT: Text = Text::Form(Form {
    characters_max: 64 + "sha256:".len(),
    is_valid: format::is_fingerprint,
    pattern: "^(sha256:)?[0-9A-Fa-f]{64}$",
    description: "64 hexadecimal digits, optionally after 'sha256:'",
});

const WORD_CHARACTERS_MAX: usize = 64;

const WORD: Text = Text::Characters(1, WORD_CHARACTERS_MAX);

const PRIORITY: Text = Text::Characters(1, 16);

/// Severity of each priority.
const SEVERITIES: [(&str, &str); 4] = [
    ("P0", "critical"),
    ("P1", "high"),
    ("P2", "medium"),
    ("P3", "low"),
];

/// A remediation request as its controller reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remediation {
    /// Type of the signal's source, for example `prometheus-alert`.
    pub signal_type: String,
    /// Name of the alert.
    pub signal_name: String,
    /// Type of the target, for example `deployment`.
    pub target_type: String,
    /// Name of the target.
    pub target_name: String,
    /// Namespace of the target; `None` for cluster-scoped objects such as nodes.
    pub target_namespace: Option<String>,
    /// Severity in force: the record's own, otherwise its label `severity`, otherwise that of its
    /// priority. An empty or too long label is ignored.
    pub severity: Option<String>,
    /// Environment of the target, for example `production`.
    pub environment: Option<String>,
    /// Fingerprint that equal alerts share: 64 hexadecimal digits, optionally after `sha256:`.
    pub fingerprint: Option<String>,
    cluster: Option<String>,
}

impl Kind for Remediation {
    const NAME: &'static str = "remediation";
    const TITLE: &'static str = "Remediation";
    const TEXT_IS_NAME: bool = true;

    fn read(fields: &mut FieldReader<'_>, common: Option<&CommonFields>) -> Option<Self> {
        let signal_type = fields.required_text("signalType", &TEXT);
        let signal_name = fields.required_text("signalName", &TEXT);
        fields.text("signalNamespace", &NAMESPACE);
        let target_type = fields.required_text("targetType", &TEXT);
        let target_name = fields.required_text("targetName", &TEXT);
        let target_namespace = fields.text("targetNamespace", &NAMESPACE);
        let severity = fields.text("severity", &WORD);
        let cluster = fields.text("cluster", &TEXT);
        let environment = fields.text("environment", &WORD);
        let priority = fields.text("priority", &PRIORITY);
        let fingerprint = fields.text("fingerprint", &FINGERPRINT);
        // Only the record's content keeps it.
        fields.base64("originalPayload", ORIGINAL_PAYLOAD_BYTES_MAX);
        let label = common.and_then(|common| common.label("severity"));
        let label =
            label.filter(|label| (1..=WORD_CHARACTERS_MAX).contains(&label.chars().count()));
        let stands_for = |priority: &str| {
            let severity = SEVERITIES.iter().find(|(name, _)| *name == priority);
            severity.map(|(_, severity)| *severity)
        };
        Some(Self {
            signal_type,
            signal_name,
            target_type,
            target_name,
            target_namespace,
            severity: severity.or_else(|| {
                let severity = label.or_else(|| stands_for(priority.as_deref()?));
                severity.map(str::to_owned)
            }),
            environment,
            fingerprint,
            cluster,
        })
    }

    fn projection(&self, common: &CommonFields, cluster: &str) -> Value {
        json!({
            "remediation_request_id": common.name,
            "remediation_name": common.name,
            "alert_name": self.signal_name,
            "alert_severity": self.severity,
            "signal_type": self.signal_type,
            "environment": self.environment,
            "fingerprint": self.fingerprint,
            "completed_at": common.completed_at.map(stored_instant),
            "cluster": cluster,
            "namespace": self.target_namespace.as_deref().unwrap_or_default(),
            "target_type": self.target_type,
            "target_name": self.target_name,
            "execution_status": common.phase.status(),
        })
    }

    fn embedded_text(&self, _: &CommonFields) -> String {
        self.signal_name.clone()
    }

    fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }
}
