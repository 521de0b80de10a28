//! Records to send.

use serde_json::{Value, json};

/// A text that no other test has, fit for names and correlation ids.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// A remediation record with a correlation id and a target of its own, and nothing but
/// what is required.
pub fn remediation() -> Value {
    json!({
        "name": unique("rr"),
        "namespace": "kubernaut-system",
        "phase": "Pending",
        "createdAt": "2026-11-01T10:00:00Z",
        "correlationId": unique("req"),
        "signalType": "prometheus-alert",
        "signalName": "HighMemoryUsage",
        "signalNamespace": "production",
        "targetType": "deployment",
        "targetName": unique("api"),
        "targetNamespace": "production",
    })
}
