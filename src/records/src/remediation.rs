//! The record of a remediation request: an alert came in and is to be remediated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::{Common, NAMESPACE};
use crate::content::Content;
use crate::fields::{Choice, Fields, Text};
use crate::format;
use crate::json;
use crate::violation::{Rejection, Report};

const TEXT_CHARACTERS_MAX: usize = 255;
const ORIGINAL_PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Base64 of [`ORIGINAL_PAYLOAD_BYTES_MAX`] bytes, padding included.
const ORIGINAL_PAYLOAD_CHARACTERS_MAX: usize = ORIGINAL_PAYLOAD_BYTES_MAX.div_ceil(3) * 4;

const TEXT: Text = Text::Characters(1, TEXT_CHARACTERS_MAX);
const FINGERPRINT: Text = Text::Form(
    64 + "sha256:".len(),
    format::is_fingerprint,
    "64 hexadecimal digits, optionally after 'sha256:'",
);

/// Whether a text can name a cluster: 1-255 characters.
pub fn is_cluster_name(text: &str) -> bool {
    (1..=TEXT_CHARACTERS_MAX).contains(&text.chars().count())
}

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
    /// As written in records, filters and answers.
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

/// A remediation request, as its controller reported it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remediation {
    /// What all kinds of record say.
    pub common: Common,
    /// What raised the signal, for example `prometheus-alert`.
    pub signal_type: String,
    /// The alert's name.
    pub signal_name: String,
    /// The namespace that the alert is about.
    pub signal_namespace: String,
    /// What kind of thing is to be remediated, for example `deployment`.
    pub target_type: String,
    /// Its name.
    pub target_name: String,
    /// Its namespace.
    pub target_namespace: String,
    /// The severity in force: the record's own, else the one its label `severity` names,
    /// else the one its priority stands for. A label that names no severity says nothing.
    pub severity: Option<Severity>,
    /// The cluster in force: the record's own, else its label `cluster`, else the
    /// service's. A label that is empty or too long says nothing.
    pub cluster: String,
    /// `production`, `staging` or `development`.
    pub environment: Option<&'static str>,
    /// `P0` to `P3`.
    pub priority: Option<&'static str>,
    /// Which alerts are the same: 64 hexadecimal digits, optionally after `sha256:`.
    pub fingerprint: Option<String>,
    /// The whole record.
    pub content: Content,
}

impl Remediation {
    /// Reads a record from a request's body. `cluster_name` is the cluster of a record that
    /// names none.
    ///
    /// # Errors
    ///
    /// All that is wrong with the record, at once.
    pub fn parse(body: &[u8], cluster_name: &str) -> Result<Self, Rejection> {
        let mut report = Report::default();
        let mut correlation_id = None;
        let record = json::read_object(body, &mut report).and_then(|object| {
            correlation_id = object
                .get("correlationId")
                .and_then(|value| value.as_str())
                .filter(|text| format::is_correlation_id(text))
                .map(str::to_owned);
            let content = Content::of(&object);
            if let Err(error) = &content {
                report.add("body", "json", error.to_string());
            }
            let mut fields = Fields::new(object, &mut report);
            let record = Self::read(&mut fields, content.ok()?, cluster_name);
            fields.refuse_unknown();
            record
        });
        match record {
            Some(record) if report.is_empty() => Ok(record),
            _ => Err(Rejection {
                correlation_id,
                violations: report.into_violations(),
            }),
        }
    }

    fn read(fields: &mut Fields<'_>, content: Content, cluster_name: &str) -> Option<Self> {
        let common = Common::read(fields);
        let signal_type = fields.required_text("signalType", &TEXT);
        let signal_name = fields.required_text("signalName", &TEXT);
        let signal_namespace = fields.required_text("signalNamespace", &NAMESPACE);
        let target_type = fields.required_text("targetType", &TEXT);
        let target_name = fields.required_text("targetName", &TEXT);
        let target_namespace = fields.required_text("targetNamespace", &NAMESPACE);
        let severity = fields.choice("severity");
        let cluster = fields.text("cluster", &TEXT);
        let environment = fields.choice::<Environment>("environment");
        let priority = fields.choice::<Priority>("priority");
        let fingerprint = fields.text("fingerprint", &FINGERPRINT);
        check_original_payload(fields);

        let common = common?;
        let label = |key| common.labels.get(key).map(String::as_str);
        let severity = severity
            .or_else(|| label("severity").and_then(Severity::read))
            .or_else(|| priority.map(|Priority(_, severity)| severity));
        let cluster = cluster
            .or_else(|| {
                label("cluster")
                    .filter(|cluster| is_cluster_name(cluster))
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| cluster_name.to_owned());
        Some(Self {
            common,
            signal_type,
            signal_name,
            signal_namespace,
            target_type,
            target_name,
            target_namespace,
            severity,
            cluster,
            environment: environment.map(|Environment(name)| name),
            priority: priority.map(|Priority(name, _)| name),
            fingerprint,
            content,
        })
    }

    /// The record's place among the versions of its remediation request; see
    /// [`Common::version`].
    pub fn version(&self) -> Vec<u8> {
        self.common.version(self.content.hash())
    }
}

/// `originalPayload` is kept in the record's content; here it is only checked.
fn check_original_payload(fields: &mut Fields<'_>) {
    const FIELD: &str = "originalPayload";
    let Some(text) = fields.text(FIELD, &Text::Bytes(ORIGINAL_PAYLOAD_CHARACTERS_MAX)) else {
        return;
    };
    match STANDARD.decode(&text) {
        Ok(payload) if payload.len() <= ORIGINAL_PAYLOAD_BYTES_MAX => {}
        Ok(_) => fields.report().add(
            FIELD,
            "length",
            format!("must decode to at most {ORIGINAL_PAYLOAD_BYTES_MAX} bytes"),
        ),
        Err(error) => fields.report().add(
            FIELD,
            "format",
            format!("must be standard base64 with padding (RFC 4648, section 4): {error}"),
        ),
    }
}
