//! Records for tests.

use serde_json::{Value, json};

/// The kinds of record, as paths name them.
pub use ::records::KIND_NAMES as KINDS;

/// Returns a unique text that is valid in names and correlation ids.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// Returns a record of a kind with only the required fields, a unique correlation id and a unique
/// target.
pub fn record(kind: &str) -> Value {
    let own = match kind {
        "remediation" => json!({
            "signalType": "prometheus-alert", "signalName": "HighMemoryUsage",
            "signalNamespace": "production", "targetType": "deployment",
            "targetName": unique("api"), "targetNamespace": "production",
        }),
        "aianalysis" => json!({
            "remediationRequestRef": "rr-1", "llmProvider": "openai", "llmModel": "gpt-4o",
        }),
        "workflow" => json!({
            "remediationRequestRef": "rr-1", "workflowName": "restart-and-scale", "stepCount": 3,
        }),
        "execution" => json!({
            "workflowExecutionRef": "wf-1", "stepName": "scale-up", "actionType": "scale",
            "targetType": "deployment", "targetName": unique("api"),
            "targetNamespace": "production",
        }),
        "event" => json!({"eventType": "notification.sent"}),
        _ => panic!("there is no record of the kind {kind}"),
    };
    let mut record = json!({
        "name": unique("r"), "namespace": "kubernaut-system", "phase": "Pending",
        "createdAt": "2026-11-01T10:00:00Z", "correlationId": unique("req"),
    });
    set(&mut record, own);
    record
}

/// Returns a remediation record.
pub fn remediation() -> Value {
    record("remediation")
}

/// Copies the fields of an object into a record.
pub fn set(record: &mut Value, fields: Value) {
    let (Some(record), Value::Object(fields)) = (record.as_object_mut(), fields) else {
        panic!("a record is an object");
    };
    record.extend(fields);
}
