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
fn remediations_and_workflows_are_their_names() {
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
}

#[test]
fn an_execution_is_what_was_done_to_what_and_how_it_ended() {
    for (own, status) in [
        (json!({}), "pending"),
        (json!({"isRolledBack": true}), "rolled-back"),
    ] {
        let mut execution = json!({
            "workflowExecutionRef": "w", "stepName": "scale-up", "actionType": "scale",
            "targetType": "deployment", "targetName": "api", "targetNamespace": "n",
        });
        execution
            .as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        let text = format!("scale\nscale-up\ndeployment\n{status}");
        assert_eq!(text_of("execution", execution), text);
    }
}

#[test]
fn an_analysis_is_its_signal_cause_and_recommendation_as_far_as_it_has_them() {
    let (none, alert) = (json!({}), json!({"alertname": "Alert", "pod": "p-7"}));
    let (signal, blank) = (json!({"signalName": " Signal "}), json!({"alertname": " "}));
    let (longest, long) = ("é".repeat(255), "é".repeat(256));
    let with_longest = format!("{longest}\nleak");
    let (longest, long) = (
        json!({"alertname": longest}),
        json!({"alertname": long, "signalName": "Signal"}),
    );
    for (context, root_cause, recommended_action, text) in [
        (&none, json!("leak"), json!("restart"), "leak\nrestart"),
        (&none, json!("leak"), Value::Null, "leak"),
        (&none, json!(""), json!("restart"), "restart"),
        (
            &alert,
            json!("leak"),
            json!("restart"),
            "Alert\nleak\nrestart",
        ),
        (&signal, Value::Null, json!("restart"), "Signal\nrestart"),
        (&blank, json!("leak"), Value::Null, "leak"),
        (&longest, json!("leak"), Value::Null, &with_longest),
        (&long, json!("leak"), Value::Null, "Signal\nleak"),
        (&none, Value::Null, Value::Null, "analysis without findings"),
        (&alert, json!(""), json!(""), "analysis without findings"),
    ] {
        let analysis = json!({
            "signalContext": context, "remediationRequestRef": "r", "llmProvider": "p", "llmModel": "m",
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
