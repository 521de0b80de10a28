mod counts;
mod filters;
mod parameters;
mod walks;

use e2e::{Answer, TestApp, record, set, unique};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

async fn list(app: &TestApp, namespace: &str, parameters: &str) -> Answer {
    let namespace = encoded(namespace);
    let path = format!("/api/v1/incidents?namespace={namespace}{parameters}");
    app.get(&path).await.expect(200)
}

pub(crate) fn ids(page: &Answer) -> Vec<i64> {
    let data = page.json()["data"].as_array().unwrap().clone();
    data.iter()
        .map(|item| item["id"].as_i64().unwrap())
        .collect()
}

pub(crate) fn id_of(stored: &Answer) -> i64 {
    let (_, id) = stored.header("location").rsplit_once('/').unwrap();
    id.parse().unwrap()
}

/// Stores an incident with a target in a namespace. Returns its id and correlation id.
pub(crate) async fn store_incident(app: &TestApp, namespace: &str, fields: Value) -> (i64, String) {
    let mut remediation = record("remediation");
    set(&mut remediation, json!({ "targetNamespace": namespace }));
    set(&mut remediation, fields);
    let stored = app.post_remediation(&remediation).await.expect(201);
    let correlation_id = remediation["correlationId"].as_str().unwrap();
    (id_of(&stored), correlation_id.to_owned())
}

pub(crate) async fn store_record(app: &TestApp, correlation_id: &str, kind: &str, fields: Value) {
    let mut record = record(kind);
    set(&mut record, json!({ "correlationId": correlation_id }));
    set(&mut record, fields);
    app.post_record(kind, &record).await.expect(201);
}

#[tokio::test]
async fn a_list_shows_the_newest_opened_at_first_then_the_greatest_id() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut expected = Vec::new();
    for (second, place) in [(3, 3), (5, 0), (3, 2), (4, 1)] {
        let created_at = format!("2026-11-01T10:00:0{second}Z");
        let (id, correlation_id) =
            store_incident(&app, &namespace, json!({ "createdAt": created_at })).await;
        expected.push((place, id));
        // Later records do not move an incident.
        let later = json!({ "createdAt": format!("2026-11-01T11:00:0{place}Z") });
        store_record(&app, &correlation_id, "execution", later).await;
    }
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();

    let page = list(&app, &namespace, "").await;

    assert_eq!(ids(&page), expected);
    assert_eq!(
        page.json()["pagination"],
        json!({
            "limit": 100, "offset": 0, "total": 4, "total_relation": "eq", "next_cursor": null,
        })
    );
    assert_eq!(page.header("link"), "");
}

#[tokio::test]
async fn an_item_of_a_list_has_exactly_its_fields() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let fingerprint = "ab".repeat(32);
    let fields = json!({
        "severity": "critical", "cluster": "eu-1", "environment": "production",
        "fingerprint": fingerprint, "name": "rr-1", "targetName": "api-server",
        "phase": "Completed", "completedAt": "2026-11-01T10:09:00Z",
    });
    let (id, correlation_id) = store_incident(&app, &namespace, fields).await;
    let bare = list(&app, &namespace, "").await.json()["data"][0].clone();
    let expected = json!({
        "id": id, "opened_at": "2026-11-01T10:00:00Z",
        "action_history_id": bare["action_history_id"], "action_id": null,
        "alert_name": "HighMemoryUsage", "alert_severity": "critical", "action_type": null,
        "action_timestamp": null, "model_used": null, "model_confidence": null,
        "execution_status": "completed", "namespace": namespace, "cluster": "eu-1",
        "environment": "production", "target_type": "deployment", "target_name": "api-server",
        "fingerprint": fingerprint, "remediation_name": "rr-1", "workflow_name": null,
        "completed_at": "2026-11-01T10:09:00Z", "correlation_id": correlation_id,
    });
    assert_eq!(bare, expected);

    for (kind, fields) in [
        (
            "aianalysis",
            json!({ "llmModel": "gpt-4o", "confidence": 0.95 }),
        ),
        ("workflow", json!({ "workflowName": "scale-up" })),
        (
            "execution",
            json!({
                "actionType": "scale", "createdAt": "2026-11-01T10:02:00.5Z", "phase": "Processing",
            }),
        ),
    ] {
        store_record(&app, &correlation_id, kind, fields).await;
    }
    let full = list(&app, &namespace, "").await.json()["data"][0].clone();
    let mut expected = expected;
    set(
        &mut expected,
        json!({
            "action_id": full["action_id"], "action_type": "scale",
            "action_timestamp": "2026-11-01T10:02:00.500Z", "model_used": "gpt-4o",
            "model_confidence": 0.95, "execution_status": "executing", "workflow_name": "scale-up",
        }),
    );
    assert_eq!(full, expected);
    assert!(
        full["action_id"].is_string() && full["action_history_id"].is_i64(),
        "{full}"
    );

    let single = app
        .get(&format!("/api/v1/incidents/{id}"))
        .await
        .expect(200)
        .json();
    for (name, value) in full.as_object().unwrap() {
        assert_eq!(*value, single[name], "{name}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    for _ in 0..2 {
        store_incident(&app, &namespace, json!({})).await;
    }
    let path = format!("/api/v1/incidents?namespace={namespace}&limit=1");
    let get = app.get(&path).await.expect(200);
    let head = app
        .send(app.request(reqwest::Method::HEAD, &path))
        .await
        .expect(200);
    assert_eq!(head.text, "");
    for name in ["content-type", "cache-control"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert!(head.header("link").contains("; rel=\"next\""), "{head:?}");
}
