//! Writes log lines as JSON to standard output.

use std::io::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::current::{Identity, identity};

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

/// Logs a problem that the request survived. `fields` must serialize to an object.
pub fn warn(message: &str, fields: impl Serialize) {
    write_line("warn", Some(message), fields);
}

/// Logs a problem that an operator must fix. `fields` must serialize to an object.
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
        // One write per line, so that concurrent requests do not mix. A failure cannot be reported.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
