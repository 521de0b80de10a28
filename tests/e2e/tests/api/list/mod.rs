//! Listing incidents.

mod filters;
mod parameters;
mod walks;

use e2e::{Answer, TestApp, record, set, unique};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

/// A value as it is written in a query.
fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

/// A page of the incidents of a namespace.
async fn list(app: &TestApp, namespace: &str, parameters: &str) -> Answer {
    let namespace = encoded(namespace);
    let path = format!("/api/v1/incidents?namespace={namespace}{parameters}");
    app.get(&path).await.expect(200)
}

fn ids(page: &Answer) -> Vec<i64> {
    let data = page.json()["data"].as_array().unwrap().clone();
    data.iter()
        .map(|item| item["id"].as_i64().unwrap())
        .collect()
}

fn id_of(stored: &Answer) -> i64 {
    stored
        .header("location")
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Stores an incident with a target in a namespace; its id, and its correlation id.
async fn store_incident(app: &TestApp, namespace: &str, fields: Value) -> (i64, String) {
    let mut remediation = record("remediation");
    set(&mut remediation, json!({ "targetNamespace": namespace }));
    set(&mut remediation, fields);
    let stored = app.post_remediation(&remediation).await.expect(201);
    let correlation_id = remediation["correlationId"].as_str().unwrap();
    (id_of(&stored), correlation_id.to_owned())
}

/// Stores the execution of an incident's action.
async fn store_execution(app: &TestApp, correlation_id: &str, fields: Value) {
    let mut execution = record("execution");
    set(&mut execution, json!({ "correlationId": correlation_id }));
    set(&mut execution, fields);
    app.post_record("execution", &execution).await.expect(201);
}

#[tokio::test]
async fn a_list_shows_the_newest_first_and_ties_by_id() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut expected = Vec::new();
    for (second, place) in [(3, 2), (5, 0), (3, 3), (4, 1)] {
        let created_at = format!("2026-11-01T10:00:0{second}Z");
        let (id, _) = store_incident(&app, &namespace, json!({ "createdAt": created_at })).await;
        expected.push((place, id));
    }
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();

    let page = list(&app, &namespace, "").await;

    assert_eq!(ids(&page), expected);
    assert_eq!(
        page.json()["pagination"],
        json!({ "limit": 100, "offset": 0, "total": 4, "next_cursor": null })
    );
    assert_eq!(page.header("link"), "");
    let single = app
        .get(&format!("/api/v1/incidents/{}", expected[0]))
        .await
        .json();
    let listed = page.json()["data"][0].clone();
    for (name, value) in listed.as_object().unwrap() {
        assert_eq!(*value, single[name], "{name}");
    }
    assert_eq!(listed.as_object().unwrap().len(), 15);
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
