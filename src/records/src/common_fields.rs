//! Fields that all kinds of record share.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, SecondsFormat, SubsecRound as _, Utc};

use crate::field::{Form, Text};
use crate::field_reader::{Choice, FieldReader};
use crate::format;

pub(crate) const TEXT_CHARACTERS_MAX: usize = 255;
const NAME_CHARACTERS_MAX: usize = 255;
const NAMESPACE_CHARACTERS_MAX: usize = 63;
const REASON_CHARACTERS_MAX: usize = 255;
const LONG_TEXT_BYTES_MAX: usize = 10 * 1024;
const LABELS_MAX: usize = 64;
const LABEL_KEY_CHARACTERS_MAX: usize = 317;
const LABEL_VALUE_BYTES_MAX: usize = 4 * 1024;

pub(crate) const TEXT: Text = Text::Characters(1, TEXT_CHARACTERS_MAX);

pub(crate) const LONG_TEXT: Text = Text::Bytes(LONG_TEXT_BYTES_MAX);

pub(crate) const NAME: Text = Text::Form(Form {
    characters_max: NAME_CHARACTERS_MAX,
    is_valid: format::is_dns_subdomain,
    pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    description: "a DNS-1123 subdomain: lower-case letters, digits, '-' and '.', alphanumeric at \
                  both ends of each part",
});

pub(crate) const NAMESPACE: Text = Text::Form(Form {
    characters_max: NAMESPACE_CHARACTERS_MAX,
    is_valid: format::is_dns_label,
    pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    description: "a DNS-1123 label: lower-case letters, digits and '-', alphanumeric at both ends",
});

/// Rule for correlation ids.
pub const CORRELATION_ID: Text = Text::Form(Form {
    characters_max: format::CORRELATION_ID_CHARACTERS_MAX,
    is_valid: format::is_correlation_id,
    pattern: "^[A-Za-z0-9._:-]+$",
    description: "made up of the characters A-Z a-z 0-9 . _ : -",
});

/// Phase of a reported object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Pending,
    /// Running.
    Processing,
    /// Ended successfully.
    Completed,
    /// Ended with a failure.
    Failed,
}

impl Choice for Phase {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("Pending", Self::Pending),
        ("Processing", Self::Processing),
        ("Completed", Self::Completed),
        ("Failed", Self::Failed),
    ];
}

impl Phase {
    /// Returns the phase as records write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// Fields of every record, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonFields {
    /// Name of the reported object.
    pub name: String,
    /// Namespace of the reported object.
    pub namespace: String,
    /// Phase of the object.
    pub phase: Phase,
    /// Human-readable explanation of the phase.
    pub message: Option<String>,
    /// Machine-readable reason for the phase.
    pub reason: Option<String>,
    /// When the object was created.
    pub created_at: DateTime<FixedOffset>,
    /// When the attempt started; the clock may differ from that of `created_at`.
    pub started_at: Option<DateTime<FixedOffset>>,
    /// When the attempt ended; not before `started_at`.
    pub completed_at: Option<DateTime<FixedOffset>>,
    /// Correlation id of the incident.
    pub correlation_id: String,
    /// Labels, at most 64.
    pub labels: BTreeMap<String, String>,
}

impl CommonFields {
    pub(crate) fn read(fields: &mut FieldReader<'_>) -> Option<Self> {
        let name = fields.required_text("name", &NAME);
        let namespace = fields.required_text("namespace", &NAMESPACE);
        let phase = fields.required_choice("phase");
        let message = fields.text("message", &LONG_TEXT);
        let reason = fields.text("reason", &Text::Characters(0, REASON_CHARACTERS_MAX));
        let created_at = fields.required_timestamp("createdAt");
        let started_at = fields.timestamp("startedAt");
        let completed_at = fields.timestamp("completedAt");
        let correlation_id = fields.required_text("correlationId", &CORRELATION_ID);
        let labels = fields.text_map(
            "labels",
            LABELS_MAX,
            &Text::Characters(0, LABEL_KEY_CHARACTERS_MAX),
            &Text::Bytes(LABEL_VALUE_BYTES_MAX),
        );
        check_order(
            fields,
            ("startedAt", started_at),
            ("completedAt", completed_at),
        );
        Some(Self {
            name,
            namespace,
            phase: phase?,
            message,
            reason,
            created_at: created_at?,
            started_at,
            completed_at,
            correlation_id,
            labels,
        })
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// Reports a time before one that it must follow, at the lesser precision of the two.
pub(crate) fn check_order(
    fields: &mut FieldReader<'_>,
    (earlier_field, earlier): (&str, Option<DateTime<FixedOffset>>),
    (later_field, later): (&str, Option<DateTime<FixedOffset>>),
) {
    if let (Some(earlier), Some(later)) = (earlier, later)
        && let digits = format::fraction_digits(earlier).min(format::fraction_digits(later))
        && later.trunc_subsecs(digits) < earlier.trunc_subsecs(digits)
    {
        let message = format!("must not be before {earlier_field}");
        fields.refuse(later_field, "order", message);
    }
}

/// UTC, truncated to microseconds as in PostgreSQL; rounding could leave the year 9999.
pub(crate) fn stored_instant(instant: DateTime<FixedOffset>) -> String {
    let utc = instant.with_timezone(&Utc).trunc_subsecs(6);
    utc.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
