//! What an incident says when several versions of its remediation were reported.

use e2e::{TestApp, remediation};
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
