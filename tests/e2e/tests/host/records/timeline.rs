use e2e::{Answer, KINDS, Setup, TestApp, record, set};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NONE, RECORDS, assert_refused, assert_same_in_lines, ids, items, walk};
use crate::audit_log::{checkpoint, id_of, store};

/// Stores records of all kinds in one incident, twice, with another incident's between. Returns what
/// was sent with the ids, and the path of the timeline.
async fn store_incident(app: &TestApp, correlation_id: &str) -> (Vec<(i64, Value)>, String) {
    let mut sent = Vec::new();
    let mut timeline = String::new();
    for kind in KINDS.into_iter().chain(KINDS) {
        let mut record = record(kind);
        let fields = json!({
            "correlationId": correlation_id, "message": "é \u{1f600} \\ \" \u{7} 1e3",
            "labels": {"z": "1", "a": "2", "€": "3"},
        });
        set(&mut record, fields);
        let stored = app.post_record(kind, &record).await.expect(201);
        timeline = format!("{}/records", stored.header("location"));
        sent.push((id_of(&stored), record));
        store(app).await;
    }
    (sent, timeline)
}

fn only_ids(sent: &[(i64, Value)]) -> Vec<i64> {
    sent.iter().map(|(id, _)| *id).collect()
}

fn indices(page: &Answer) -> Vec<Value> {
    let items = items(page).into_iter();
    items.map(|item| item["log"]["index"].clone()).collect()
}

#[tokio::test]
async fn an_incidents_records_are_listed_as_they_were_sent_in_the_order_of_recording() {
    let app = Setup::default().start().await;
    let (sent, timeline) = store_incident(&app, "req-timeline").await;
    checkpoint(&app).await;

    let page = app.get(&timeline).await.expect(200);

    assert_eq!(ids(&page), only_ids(&sent));
    assert_eq!(page.header("x-correlation-id"), "req-timeline");
    assert_eq!(page.header("link"), "");
    let position = json!({"limit": 100, "next_cursor": null});
    assert_eq!(page.json()["pagination"], position);
    let mut rest = page.text.as_str();
    for (_, record) in &sent {
        let canonical = serde_json_canonicalizer::to_string(record).unwrap();
        let (_, after) = rest
            .split_once(&format!("\"record\":{canonical},"))
            .unwrap_or_else(|| panic!("{canonical} is not next in {rest}"));
        rest = after;
    }
    // The items are those of the list.
    let list = app
        .get(&format!("{RECORDS}?correlation_id=req-timeline"))
        .await
        .expect(200);
    assert_eq!(items(&list), items(&page));
}

#[tokio::test]
async fn a_timeline_is_walked_page_by_page_and_by_kind() {
    let app = Setup::default().start().await;
    let (sent, timeline) = store_incident(&app, "req-timeline").await;
    let all = only_ids(&sent);
    for limit in [1, 3, all.len(), 1000] {
        let pages = walk(&app, &format!("{timeline}?limit={limit}")).await;
        assert_eq!(pages.len(), all.len().div_ceil(limit), "{limit}");
        assert_eq!(pages.concat(), all, "{limit}");
    }
    for (place, kind) in KINDS.into_iter().enumerate() {
        let expected = vec![all[place], all[place + KINDS.len()]];
        let pages = walk(&app, &format!("{timeline}?kind={kind}&limit=1")).await;
        assert_eq!(pages.concat(), expected, "{kind}");
        let page = app.get(&format!("{timeline}?kind={kind}")).await;
        assert_eq!(ids(&page.expect(200)), expected, "{kind}");
    }
    checkpoint(&app).await;
    assert_same_in_lines(&app, &timeline).await;
    assert_same_in_lines(&app, &format!("{timeline}?kind=workflow&limit=1")).await;
}

#[tokio::test]
async fn a_timeline_shows_records_that_are_not_in_the_log_yet() {
    let unsigned = Setup::default()
        .variable("log_signing_key", "")
        .start()
        .await;
    let (sent, timeline) = store_incident(&unsigned, "req-timeline").await;
    let pending = unsigned.get(&timeline).await.expect(200);
    assert_eq!(ids(&pending), only_ids(&sent));
    assert!(indices(&pending).iter().all(Value::is_null), "{pending:?}");
    let list = unsigned.get(RECORDS).await.expect(200);
    assert_eq!(ids(&list), NONE);

    let app = Setup::default().database(&unsigned.database).start().await;
    checkpoint(&app).await;
    let known = app
        .request(Method::GET, &timeline)
        .header("if-none-match", pending.header("etag"));
    let logged = app.send(known).await.expect(200);
    assert_eq!(ids(&logged), only_ids(&sent));
    assert!(indices(&logged).iter().all(Value::is_u64), "{logged:?}");
}

#[tokio::test]
async fn a_timeline_has_a_tag_and_head() {
    let app = Setup::default().start().await;
    let (_, timeline) = store_incident(&app, "req-timeline").await;
    checkpoint(&app).await;
    let path = format!("{timeline}?limit=1");
    let page = app.get(&path).await.expect(200);
    let head = app.send(app.request(Method::HEAD, &path)).await.expect(200);
    assert_eq!(head.text, "");
    for name in ["content-type", "cache-control", "etag", "link"] {
        assert_eq!(head.header(name), page.header(name), "{name}");
        assert!(!page.header(name).is_empty(), "{name}");
    }
    let known = app
        .request(Method::GET, &path)
        .header("if-none-match", page.header("etag"));
    let known = app.send(known).await.expect(304);
    assert_eq!(known.header("link"), page.header("link"));
    let whole = app.get(&timeline).await.expect(200);
    assert_ne!(whole.header("etag"), page.header("etag"));
}

#[tokio::test]
async fn an_unknown_incident_and_a_wrong_query_are_refused() {
    let app = Setup::default().start().await;
    let (_, timeline) = store_incident(&app, "req-timeline").await;
    let (_, other) = store_incident(&app, "req-other").await;
    app.get("/api/v1/incidents/999999/records")
        .await
        .expect_problem(404, "not-found");
    for id in ["0", "01", "x", "-1", "9223372036854775808"] {
        let path = format!("/api/v1/incidents/{id}/records");
        assert_refused(&app, &path, "id", "format").await;
    }
    let page = app.get(&format!("{timeline}?limit=1")).await.expect(200);
    let position = page.json()["pagination"].clone();
    let cursor = position["next_cursor"].as_str().unwrap();
    for path in [
        format!("{other}?cursor={cursor}"),
        format!("{timeline}?kind=workflow&cursor={cursor}"),
    ] {
        assert_refused(&app, &path, "cursor", "conflict").await;
    }
    let list = app.get(&format!("{RECORDS}?cursor={cursor}")).await;
    list.expect_problem(400, "validation");
    for (query, field, rule) in [
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("kind=hold", "kind", "enum"),
        ("kind=workflow&kind=workflow", "kind", "duplicate"),
        ("cursor=", "cursor", "empty"),
        ("name=a", "name", "unknown"),
    ] {
        assert_refused(&app, &format!("{timeline}?{query}"), field, rule).await;
    }
}
