//! What an incident says when several versions of its remediation were reported.

use e2e::{TestApp, record, remediation, set, unique};
use serde_json::{Value, json};

fn versions() -> Vec<Value> {
    let pending = remediation();
    let mut processing = pending.clone();
    processing["phase"] = json!("Processing");
    processing["startedAt"] = json!("2026-11-01T10:00:05Z");
    let mut completed = processing.clone();
    completed["phase"] = json!("Completed");
    completed["completedAt"] = json!("2026-11-01T10:01:00Z");
    completed["severity"] = json!("critical");
    vec![pending, processing, completed]
}

#[tokio::test]
async fn the_incident_ends_the_same_in_whatever_order_the_versions_arrive() {
    let app = TestApp::start().await;
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let versions = versions();
        let mut last = None;
        for index in order {
            last = Some(app.post_remediation(&versions[index]).await.expect(201));
        }
        let incident = app.incident_of(&last.unwrap()).await;
        assert_eq!(incident["execution_status"], "completed", "{order:?}");
        assert_eq!(incident["remediation_phase"], "Completed", "{order:?}");
        assert_eq!(incident["alert_severity"], "critical", "{order:?}");
        assert_eq!(incident["started_at"], "2026-11-01T10:00:05Z", "{order:?}");
        assert_eq!(
            incident["completed_at"], "2026-11-01T10:01:00Z",
            "{order:?}"
        );
        assert_eq!(incident["record_count"], 3, "{order:?}");
    }
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
        let stored = app.post_remediation(&record).await.expect(201);
        assert_eq!(app.incident_of(&stored).await["execution_status"], status);
    }
}

#[tokio::test]
async fn a_request_that_was_made_anew_is_newer_than_one_that_ended() {
    let app = TestApp::start().await;
    let mut versions = versions();
    let mut anew = versions[0].clone();
    anew["createdAt"] = json!("2026-11-02T00:00:00Z");
    versions.insert(0, anew);
    let mut last = None;
    for version in &versions {
        last = Some(app.post_remediation(version).await.expect(201));
    }
    let incident = app.incident_of(&last.unwrap()).await;
    assert_eq!(incident["execution_status"], "pending");
    assert_eq!(incident["created_at"], "2026-11-02T00:00:00Z");
    assert_eq!(incident["completed_at"], Value::Null);
}

#[tokio::test]
async fn records_are_listed_in_the_order_they_were_stored() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    let mut last = None;
    for version in versions() {
        let stored = app.post_remediation(&version).await.expect(201);
        ids.push(stored.json()["id"].clone());
        last = Some(stored);
    }
    let incident = app.incident_of(&last.unwrap()).await;
    let records = incident["records"].as_array().unwrap();
    let listed: Vec<_> = records.iter().map(|record| record["id"].clone()).collect();
    assert_eq!(listed, ids);
}

/// Stores records and answers what their incident says.
async fn tell(app: &TestApp, records: &[(&str, Value)]) -> Value {
    let mut last = None;
    for (kind, record) in records {
        last = Some(app.post_record(kind, record).await.expect(201));
    }
    app.incident_of(&last.unwrap()).await
}

/// A record of a kind for an incident, made at a second.
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

#[tokio::test]
async fn the_latest_execution_tells_the_status_then_the_workflow_then_the_remediation() {
    let app = TestApp::start().await;
    let id = unique("req");
    let phase = |phase: &str| json!({"phase": phase});
    let records = [
        at("aianalysis", &id, 1, phase("Completed")),
        at("remediation", &id, 0, phase("Processing")),
        at("workflow", &id, 2, phase("Failed")),
        at("execution", &id, 3, phase("Pending")),
        at("execution", &id, 4, phase("Completed")),
        at("execution", &id, 3, phase("Failed")),
        at("workflow", &id, 9, phase("Pending")),
        at("remediation", &id, 0, phase("Failed")),
    ];
    let mut told = Vec::new();
    for record in &records {
        let incident = tell(&app, std::slice::from_ref(record)).await;
        told.push((
            incident["execution_status"].as_str().unwrap().to_owned(),
            incident["action_timestamp"].as_str().unwrap()[17..19].to_owned(),
        ));
    }
    let told: Vec<_> = told
        .iter()
        .map(|(status, second)| (status.as_str(), second.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("pending", "01"),
            ("executing", "00"),
            ("failed", "00"),
            ("pending", "03"),
            ("completed", "04"),
            ("completed", "04"),
            ("completed", "04"),
            ("completed", "04"),
        ]
    );
}

#[tokio::test]
async fn an_execution_that_was_undone_is_rolled_back_whatever_its_phase() {
    let app = TestApp::start().await;
    for phase in ["Completed", "Failed"] {
        let undone = json!({"phase": phase, "isRolledBack": true});
        let records = [at("execution", &unique("req"), 1, undone)];
        let incident = tell(&app, &records).await;
        assert_eq!(incident["execution_status"], "rolled-back", "{phase}");
    }
}

#[tokio::test]
async fn the_target_is_the_remediations_and_until_it_is_known_the_latest_executions() {
    let app = TestApp::start().await;
    let id = unique("req");
    let target = |name: &str| json!({"targetName": name, "labels": {"cluster": name}});
    let shown = async |record: (&str, Value)| {
        let incident = tell(&app, &[record]).await;
        assert_eq!(incident["target_name"], incident["cluster"], "{incident}");
        incident["target_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown(at("execution", &id, 2, target("two"))).await, "two");
    assert_eq!(shown(at("execution", &id, 1, target("one"))).await, "two");
    assert_eq!(shown(at("remediation", &id, 0, target("own"))).await, "own");
    assert_eq!(shown(at("execution", &id, 3, target("three"))).await, "own");
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
        assert_eq!(tell(&app, &[record]).await["signal_type"], expected);
    }
}

#[tokio::test]
async fn a_late_record_of_an_older_version_changes_nothing_but_the_list_of_records() {
    let app = TestApp::start().await;
    for kind in e2e::KINDS {
        let id = unique("req");
        let newer = at(
            kind,
            &id,
            5,
            json!({"phase": "Completed", "message": "newer"}),
        );
        let mut older = newer.clone();
        set(
            &mut older.1,
            json!({"phase": "Processing", "message": "older"}),
        );
        let before = tell(&app, &[newer]).await;
        let mut after = tell(&app, &[older]).await;
        assert_eq!(after["record_count"], 2, "{kind}");
        after["record_count"] = before["record_count"].clone();
        after["records"] = before["records"].clone();
        assert_eq!(after, before, "{kind}");
    }
}

#[tokio::test]
async fn reports_that_differ_in_their_progress_alone_are_in_its_order() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        let mut workflow = record("workflow");
        set(
            &mut workflow,
            json!({"phase": "Processing", "startedAt": "2026-11-01T10:00:01Z", "stepCount": 5}),
        );
        for step in 0..=5 {
            set(
                &mut workflow,
                json!({"currentStep": step, "completedCount": (step - 1).max(0)}),
            );
            let stored = app.post_record("workflow", &workflow).await.expect(201);
            let incident = app.incident_of(&stored).await;
            assert_eq!(incident["workflow_current_step"], step);
        }

        let mut execution = record("execution");
        set(
            &mut execution,
            json!({
                "phase": "Completed", "startedAt": "2026-11-01T10:00:01Z",
                "completedAt": "2026-11-01T10:00:05Z", "isRolledBack": false,
            }),
        );
        app.post_record("execution", &execution).await.expect(201);
        execution["isRolledBack"] = json!(true);
        let stored = app.post_record("execution", &execution).await.expect(201);
        let incident = app.incident_of(&stored).await;
        assert_eq!(incident["execution_status"], "rolled-back");

        let mut analysis = record("aianalysis");
        app.post_record("aianalysis", &analysis).await.expect(201);
        analysis["rootCause"] = json!("a leak");
        let stored = app.post_record("aianalysis", &analysis).await.expect(201);
        assert_eq!(app.incident_of(&stored).await["root_cause"], "a leak");
    }
}
