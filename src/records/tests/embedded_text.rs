//! The text of each kind that a search compares.

#![allow(clippy::unwrap_used, reason = "what fails here is to stop the test")]

use records::RecordKind;
use serde_json::{Value, json};

fn text_of(kind: &str, own: Value) -> String {
    let mut record = json!({
        "name": "r", "namespace": "n", "phase": "Pending", "correlationId": "c",
        "createdAt": "2026-11-01T10:00:00Z",
    });
    let own = own.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(own);
    let kind = RecordKind::named(kind).unwrap();
    let record = (kind.parse)(record.to_string().as_bytes(), "any").unwrap();
    record.embedded_text
}

#[test]
fn remediations_workflows_and_executions_are_their_names() {
    let remediation = json!({
        "signalType": "p", "signalName": "HighMemoryUsage", "signalNamespace": "n",
        "targetType": "deployment", "targetName": "api", "targetNamespace": "n", "message": "m",
    });
    assert_eq!(text_of("remediation", remediation), "HighMemoryUsage");
    let workflow = json!({
        "remediationRequestRef": "r", "workflowName": "restart-pods", "stepCount": 1,
        "message": "m",
    });
    assert_eq!(text_of("workflow", workflow), "restart-pods");
    let execution = json!({
        "workflowExecutionRef": "w", "stepName": "s", "actionType": "scale",
        "targetType": "deployment", "targetName": "api", "targetNamespace": "n", "message": "m",
    });
    assert_eq!(text_of("execution", execution), "scale");
}

#[test]
fn an_analysis_is_its_cause_and_its_recommendation_as_far_as_it_has_them() {
    for (root_cause, recommended_action, text) in [
        (json!("leak"), json!("restart"), "leak\nrestart"),
        (json!("leak"), Value::Null, "leak"),
        (json!(""), json!("restart"), "restart"),
        (Value::Null, Value::Null, "analysis without findings"),
        (json!(""), json!(""), "analysis without findings"),
    ] {
        let analysis = json!({
            "remediationRequestRef": "r", "llmProvider": "p", "llmModel": "m",
            "rootCause": root_cause, "recommendedAction": recommended_action, "message": "m",
        });
        assert_eq!(text_of("aianalysis", analysis), text);
    }
}

#[test]
fn an_event_is_its_type_and_its_message_if_it_has_one() {
    for (message, text) in [
        (
            json!("the mail bounced"),
            "notification.failed\nthe mail bounced",
        ),
        (json!(""), "notification.failed"),
        (Value::Null, "notification.failed"),
    ] {
        let event = json!({
            "eventType": "notification.failed", "eventCategory": "notification",
            "outcome": "failure", "message": message,
        });
        assert_eq!(text_of("event", event), text);
    }
}
