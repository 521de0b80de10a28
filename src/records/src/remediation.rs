//! The record of a remediation request: an alert came in and is to be remediated.

use serde_json::{Value, json};

use crate::common::{Common, NAMESPACE, TEXT, stored_instant};
use crate::fields::{Choice, Fields, Form, Text};
use crate::format;
use crate::record::Kind;

const ORIGINAL_PAYLOAD_BYTES_MAX: usize = 64 * 1024;

const FINGERPRINT: Text = Text::Form(Form {
    characters_max: 64 + "sha256:".len(),
    is_valid: format::is_fingerprint,
    pattern: "^(sha256:)?[0-9A-Fa-f]{64}$",
    description: "64 hexadecimal digits, optionally after 'sha256:'",
});

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `critical`
    Critical,
    /// `high`
    High,
    /// `medium`
    Medium,
    /// `low`
    Low,
}

impl Choice for Severity {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("critical", Self::Critical),
        ("high", Self::High),
        ("medium", Self::Medium),
        ("low", Self::Low),
    ];
}

impl Severity {
    /// As written in a record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// A priority, `P0` to `P3`; each stands for a severity, from critical down to low.
#[derive(Clone, Copy)]
struct Priority(&'static str, Severity);

impl Choice for Priority {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("P0", Self("P0", Severity::Critical)),
        ("P1", Self("P1", Severity::High)),
        ("P2", Self("P2", Severity::Medium)),
        ("P3", Self("P3", Severity::Low)),
    ];
}

#[derive(Clone, Copy)]
struct Environment(&'static str);

impl Choice for Environment {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("production", Self("production")),
        ("staging", Self("staging")),
        ("development", Self("development")),
    ];
}

/// What a remediation request's controller reports of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remediation {
    /// What raised the signal, for example `prometheus-alert`.
    pub signal_type: String,
    /// The alert's name.
    pub signal_name: String,
    /// What kind of thing is to be remediated, for example `deployment`.
    pub target_type: String,
    /// Its name.
    pub target_name: String,
    /// Its namespace; none for what has none, as a node.
    pub target_namespace: Option<String>,
    /// The severity in force: the record's own, else the one its label `severity` names,
    /// else the one its priority stands for. A label that names no severity says nothing.
    pub severity: Option<Severity>,
    /// `production`, `staging` or `development`.
    pub environment: Option<&'static str>,
    /// `P0` to `P3`.
    pub priority: Option<&'static str>,
    /// Which alerts are the same: 64 hexadecimal digits, optionally after `sha256:`.
    pub fingerprint: Option<String>,
    cluster: Option<String>,
}

impl Kind for Remediation {
    const NAME: &'static str = "remediation";
    const TITLE: &'static str = "Remediation";

    fn read(fields: &mut Fields<'_>, common: Option<&Common>) -> Option<Self> {
        let signal_type = fields.required_text("signalType", &TEXT);
        let signal_name = fields.required_text("signalName", &TEXT);
        fields.text("signalNamespace", &NAMESPACE);
        let target_type = fields.required_text("targetType", &TEXT);
        let target_name = fields.required_text("targetName", &TEXT);
        let target_namespace = fields.text("targetNamespace", &NAMESPACE);
        let severity = fields.choice("severity");
        let cluster = fields.text("cluster", &TEXT);
        let environment = fields.choice::<Environment>("environment");
        let priority = fields.choice::<Priority>("priority");
        let fingerprint = fields.text("fingerprint", &FINGERPRINT);
        // Kept in the record's content.
        fields.base64("originalPayload", ORIGINAL_PAYLOAD_BYTES_MAX);
        let label = common.and_then(|common| common.label("severity"));
        Some(Self {
            signal_type,
            signal_name,
            target_type,
            target_name,
            target_namespace,
            severity: severity
                .or_else(|| label.and_then(Severity::read))
                .or_else(|| priority.map(|Priority(_, severity)| severity)),
            environment: environment.map(|Environment(name)| name),
            priority: priority.map(|Priority(name, _)| name),
            fingerprint,
            cluster,
        })
    }

    fn projection(&self, common: &Common, cluster: &str) -> Value {
        json!({
            "remediation_request_id": common.name,
            "remediation_name": common.name,
            "alert_name": self.signal_name,
            "alert_severity": self.severity.map(Severity::as_str),
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

    fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }
}
