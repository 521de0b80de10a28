//! One line of JSON per request, on the component's standard output.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

/// What is logged of a request: never its body, its query or its raw path.
pub(crate) struct LogLine<'a> {
    pub(crate) route: &'a str,
    pub(crate) method: &'a str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) correlation_id: &'a str,
    pub(crate) error: Option<&'a str>,
}

#[derive(Serialize)]
struct Written<'a> {
    time: String,
    level: &'a str,
    route: &'a str,
    method: &'a str,
    status: u16,
    duration_ms: f64,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(crate) fn write_log_line(line: &LogLine<'_>) {
    let written = Written {
        time: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        level: match line.status {
            500.. => "error",
            _ if line.error.is_some() => "warn",
            _ => "info",
        },
        route: line.route,
        method: line.method,
        status: line.status,
        duration_ms: line.duration.as_micros() as f64 / 1000.0,
        correlation_id: line.correlation_id,
        error: line.error,
    };
    if let Ok(text) = serde_json::to_string(&written) {
        println!("{text}");
    }
}
