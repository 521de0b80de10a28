//! Which kind of record sets which field of an incident.

use e2e::{KINDS, TestApp, record, remediation, set, unique};
use serde_json::{Value, json};

fn at(
    kind: &'static str,
    correlation_id: &str,
    second: u8,
    fields: Value,
) -> (&'static str, Value) {
    let mut record = record(kind);
    record["correlationId"] = json!(correlation_id);
    record["createdAt"] = json!(format!("2026-11-01T10:00:{second:02}Z"));
    set(&mut record, fields);
    (kind, record)
}

async fn tell(app: &TestApp, (kind, record): (&str, Value)) -> Value {
    let stored = app.post_record(kind, &record).await.expect(201);
    app.incident_of(&stored).await
}

#[tokio::test]
async fn each_phase_has_its_execution_status() {
    let app = TestApp::start().await;
    for (phase, status) in [
        ("Pending", "pending"),
        ("Processing", "executing"),
        ("Completed", "completed"),
        ("Failed", "failed"),
    ] {
        let mut record = remediation();
        record["phase"] = json!(phase);
        let incident = tell(&app, ("remediation", record)).await;
        assert_eq!(incident["execution_status"], status);
    }
}

#[tokio::test]
async fn the_latest_execution_tells_the_status_then_the_workflow_then_the_remediation() {
    let app = TestApp::start().await;
    let id = unique("req");
    let phase = |phase: &str| json!({"phase": phase});
    let at_second = |second: u8| json!(format!("2026-11-01T10:00:{second:02}Z"));
    for (record, status, action_timestamp) in [
        (
            at("aianalysis", &id, 1, phase("Completed")),
            "pending",
            Value::Null,
        ),
        (
            at("remediation", &id, 0, phase("Processing")),
            "executing",
            Value::Null,
        ),
        (
            at("workflow", &id, 2, phase("Failed")),
            "failed",
            Value::Null,
        ),
        (
            at("remediation", &id, 1, phase("Completed")),
            "failed",
            Value::Null,
        ),
        (
            at("execution", &id, 3, phase("Pending")),
            "pending",
            at_second(3),
        ),
        (
            at("execution", &id, 4, phase("Completed")),
            "completed",
            at_second(4),
        ),
        (
            at("execution", &id, 3, phase("Failed")),
            "completed",
            at_second(4),
        ),
        (
            at("workflow", &id, 9, phase("Pending")),
            "completed",
            at_second(4),
        ),
        (
            at("remediation", &id, 9, phase("Failed")),
            "completed",
            at_second(4),
        ),
    ] {
        let context = format!("{record:?}");
        let incident = tell(&app, record).await;
        assert_eq!(incident["execution_status"], status, "{context}");
        assert_eq!(incident["action_timestamp"], action_timestamp, "{context}");
    }
}

#[tokio::test]
async fn an_execution_that_was_undone_is_rolled_back_whatever_its_phase() {
    let app = TestApp::start().await;
    for phase in ["Completed", "Failed"] {
        let undone = json!({"phase": phase, "isRolledBack": true});
        let incident = tell(&app, at("execution", &unique("req"), 1, undone)).await;
        assert_eq!(incident["execution_status"], "rolled-back", "{phase}");
        assert_eq!(incident["actions"][0]["status"], "rolled-back", "{phase}");
    }
}

#[tokio::test]
async fn the_target_is_the_remediations_and_until_it_is_known_the_latest_executions() {
    let app = TestApp::start().await;
    let id = unique("req");
    let target = |name: &str| {
        json!({
            "targetName": name, "targetType": name, "targetNamespace": name,
            "labels": {"cluster": name},
        })
    };
    let mut histories = Vec::new();
    for (record, expected) in [
        (at("execution", &id, 2, target("two")), "two"),
        (at("execution", &id, 1, target("one")), "two"),
        (at("remediation", &id, 0, target("own")), "own"),
        (at("execution", &id, 3, target("three")), "own"),
    ] {
        let incident = tell(&app, record).await;
        for field in ["target_name", "target_type", "namespace", "cluster"] {
            assert_eq!(incident[field], expected, "{incident}");
        }
        histories.push(incident["action_history_id"].as_i64().unwrap());
    }
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[1], histories[2]);
    assert_eq!(histories[2], histories[3]);
}

#[tokio::test]
async fn the_signal_type_is_the_remediations_and_until_it_is_known_the_analysis() {
    let app = TestApp::start().await;
    let id = unique("req");
    let signal = |name: &str| json!({"signalType": name});
    for (record, expected) in [
        (at("aianalysis", &id, 1, signal("analysed")), "analysed"),
        (at("remediation", &id, 0, signal("raised")), "raised"),
        (at("aianalysis", &id, 2, signal("again")), "raised"),
    ] {
        assert_eq!(tell(&app, record).await["signal_type"], expected);
    }
}

#[tokio::test]
async fn a_version_that_says_less_takes_back_what_an_earlier_one_said() {
    let app = TestApp::start().await;
    let id = unique("req");
    let said = json!({
        "name": "rr", "severity": "high", "environment": "staging", "priority": "P1",
        "fingerprint": "ab".repeat(32), "reason": "Alert", "message": "told",
    });
    let mut unsaid = said.clone();
    set(
        &mut unsaid,
        json!({
            "severity": null, "environment": null, "priority": null, "fingerprint": null,
            "reason": null, "message": null, "phase": "Processing",
        }),
    );
    tell(&app, at("remediation", &id, 1, said)).await;
    let incident = tell(&app, at("remediation", &id, 1, unsaid)).await;
    for field in ["alert_severity", "environment", "priority", "fingerprint"] {
        assert_eq!(incident[field], Value::Null, "{field}");
    }
    for field in ["reason", "message"] {
        assert_eq!(incident["remediation"][field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn a_late_record_of_an_older_version_changes_nothing_but_the_list_of_records() {
    let app = TestApp::start().await;
    for kind in KINDS {
        let newer = json!({"phase": "Completed", "message": "newer"});
        let newer = at(kind, &unique("req"), 5, newer);
        let mut older = newer.clone();
        set(
            &mut older.1,
            json!({"phase": "Processing", "message": "older"}),
        );
        let before = tell(&app, newer).await;
        let mut after = tell(&app, older).await;
        assert_eq!(after["record_count"], 2, "{kind}");
        after["record_count"] = before["record_count"].clone();
        after["records"] = before["records"].clone();
        assert_eq!(after, before, "{kind}");
    }
}
