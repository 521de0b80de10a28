//! Exact and estimated totals of a list.

use std::collections::BTreeSet;

use e2e::{TestApp, unique};
use serde_json::{Value, json};

use super::{ids, list, store_incident};

const TOTAL_BOUND: i64 = 10_000;

/// Inserts incidents of a namespace with SQL, three per second of time; requests would be slow.
async fn fill(app: &TestApp, namespace: &str, count: i64) {
    let incidents = format!(
        "INSERT INTO incidents (correlation_id, namespace, opened_at)
         SELECT gen_random_uuid(), '{namespace}', timestamptz '2026-11-01Z' + number / 3 * interval '1 s'
         FROM generate_series(1, {count}) AS number"
    );
    app.database.execute(&incidents).await;
}

/// Deletes the incidents of `fill`, because the database may be shared.
async fn clear(app: &TestApp, namespace: &str) {
    let incidents = format!("DELETE FROM incidents WHERE namespace = '{namespace}'");
    app.database.execute(&incidents).await;
}

async fn totals(app: &TestApp, namespace: &str, parameters: &str) -> Value {
    let page = list(app, namespace, &format!("&limit=1{parameters}")).await;
    let pagination = page.json()["pagination"].clone();
    json!([pagination["total"], pagination["total_relation"]])
}

#[tokio::test]
async fn a_total_is_exact_up_to_its_bound_or_as_the_caller_asks() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    assert_eq!(totals(&app, &namespace, "").await, json!([0, "eq"]));
    fill(&app, &namespace, TOTAL_BOUND).await;
    for count in ["", "&count=bounded", "&count=exact"] {
        let expected = json!([TOTAL_BOUND, "eq"]);
        assert_eq!(totals(&app, &namespace, count).await, expected, "{count}");
    }
    fill(&app, &namespace, 1).await;
    for (count, expected) in [
        ("", json!([TOTAL_BOUND, "gte"])),
        ("&count=bounded", json!([TOTAL_BOUND, "gte"])),
        ("&count=exact", json!([TOTAL_BOUND + 1, "eq"])),
        ("&status=failed", json!([0, "eq"])),
        ("&until=2026-11-01T00:00:00Z", json!([3, "eq"])),
    ] {
        assert_eq!(totals(&app, &namespace, count).await, expected, "{count}");
    }
    clear(&app, &namespace).await;
}

#[tokio::test]
async fn a_list_that_is_not_counted_has_no_total() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    for _ in 0..3 {
        store_incident(&app, &namespace, json!({})).await;
    }
    let whole = ids(&list(&app, &namespace, "").await);
    let first = list(&app, &namespace, "&count=none&limit=2").await;
    let cursor = first.json()["pagination"]["next_cursor"].clone();
    let expected = json!({ "limit": 2, "offset": 0, "next_cursor": cursor });
    assert_eq!(first.json()["pagination"], expected);
    let cursor = cursor.as_str().unwrap();
    let last = list(&app, &namespace, &format!("&limit=2&cursor={cursor}")).await;
    let expected = json!({ "limit": 2, "offset": 2, "next_cursor": null });
    assert_eq!(last.json()["pagination"], expected);
    assert_eq!([ids(&first), ids(&last)].concat(), whole);
}

#[tokio::test]
async fn a_deep_walk_shows_every_incident_once_with_the_total_of_its_first_page() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    fill(&app, &namespace, TOTAL_BOUND + 1).await;
    for (count, total, relation) in [
        ("bounded", TOTAL_BOUND, "gte"),
        ("exact", TOTAL_BOUND + 1, "eq"),
    ] {
        let mut walked = Vec::new();
        let mut parameters = format!("&limit=997&count={count}");
        loop {
            let page = list(&app, &namespace, &parameters).await.json();
            let pagination = &page["pagination"];
            assert_eq!(pagination["total"], total, "{pagination}");
            assert_eq!(pagination["total_relation"], relation, "{pagination}");
            assert_eq!(pagination["offset"], walked.len(), "{pagination}");
            assert!(walked.len() < 20_000, "{pagination}");
            walked.extend(page["data"].as_array().unwrap().iter().map(|item| {
                let opened_at = item["opened_at"].as_str().unwrap().to_owned();
                (opened_at, item["id"].as_i64().unwrap())
            }));
            let Some(cursor) = pagination["next_cursor"].as_str() else {
                break;
            };
            parameters = format!("&limit=997&cursor={cursor}");
        }
        assert!(walked.is_sorted_by(|one, next| one > next));
        let ids: BTreeSet<_> = walked.iter().map(|(_, id)| id).collect();
        assert_eq!(i64::try_from(ids.len()).unwrap(), TOTAL_BOUND + 1);
        assert_eq!(walked.len(), ids.len());
    }
    clear(&app, &namespace).await;
}
