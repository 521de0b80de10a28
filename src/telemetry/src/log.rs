//! Lines of the log: JSON, on the component's standard output.

use std::io::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::request::identity;

/// Names the request in a line of the log.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<String>,
}

#[derive(Serialize)]
struct Line<'a, T> {
    time: String,
    level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    identity: Identity,
    #[serde(flatten)]
    fields: T,
}

/// Says that something went wrong which the request got over. The fields are an object's.
pub fn warn(message: &str, fields: impl Serialize) {
    write_line("warn", Some(message), fields);
}

/// Says that something is wrong which somebody has to mend. The fields are an object's.
pub fn error(message: &str, fields: impl Serialize) {
    write_line("error", Some(message), fields);
}

pub(crate) fn write_line(level: &str, message: Option<&str>, fields: impl Serialize) {
    let line = Line {
        time: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        level,
        message,
        identity: identity(),
        fields,
    };
    if let Ok(mut text) = serde_json::to_string(&line) {
        text.push('\n');
        // At once: the lines of requests that run beside each other must not mix. Where it cannot
        // be written there is nobody to tell.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
