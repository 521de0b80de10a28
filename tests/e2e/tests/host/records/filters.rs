use e2e::{KINDS, Setup, TestApp, record, set};
use serde_json::{Value, json};

use super::{NONE, RECORDS, assert_refused, assert_same_in_lines, ids, walk};
use crate::audit_log::{checkpoint, id_of};

/// A stored record.
struct Stored {
    id: i64,
    kind: &'static str,
    number: usize,
    recorded_at: String,
}

/// Stores two records of each kind: of `KIND-0` and `KIND-1` in `ns-0` and `ns-1`, for `req-0` and
/// `req-1`. Returns them in the order of the log.
async fn store_all(app: &TestApp) -> Vec<Stored> {
    let mut stored = Vec::new();
    for kind in KINDS {
        for number in 0..2 {
            let mut record = record(kind);
            let fields = json!({
                "namespace": format!("ns-{number}"), "name": format!("{kind}-{number}"),
                "correlationId": format!("req-{number}"),
            });
            set(&mut record, fields);
            let answer = app.post_record(kind, &record).await.expect(201);
            stored.push(Stored {
                id: id_of(&answer),
                kind,
                number,
                recorded_at: answer.json()["createdAt"].as_str().unwrap().to_owned(),
            });
        }
    }
    checkpoint(app).await;
    stored
}

async fn list(app: &TestApp, query: &str) -> Vec<i64> {
    ids(&app.get(&format!("{RECORDS}?{query}")).await.expect(200))
}

async fn cursor_of(app: &TestApp, filter: &str) -> String {
    let page = app.get(&format!("{RECORDS}?limit=1&{filter}")).await;
    let position = page.expect(200).json()["pagination"].clone();
    position["next_cursor"].as_str().unwrap().to_owned()
}

fn ids_of(stored: &[Stored], is_meant: impl Fn(&Stored) -> bool) -> Vec<i64> {
    let meant = stored.iter().filter(|stored| is_meant(stored));
    meant.map(|stored| stored.id).collect()
}

#[tokio::test]
async fn each_filter_selects_the_records_that_match_and_no_others() {
    let app = Setup::default().start().await;
    let stored = store_all(&app).await;
    assert_eq!(list(&app, "").await, ids_of(&stored, |_| true));
    for kind in KINDS {
        let expected = ids_of(&stored, |stored| stored.kind == kind);
        assert_eq!(list(&app, &format!("kind={kind}")).await, expected);
    }
    for filter in ["namespace=ns-1", "correlation_id=req-1"] {
        let expected = ids_of(&stored, |stored| stored.number == 1);
        assert_eq!(list(&app, filter).await, expected, "{filter}");
    }
    let workflow = ids_of(&stored, |stored| {
        (stored.kind, stored.number) == ("workflow", 1)
    });
    for filter in [
        "name=workflow-1",
        "kind=workflow&correlation_id=req-1",
        "kind=workflow&namespace=ns-1&name=workflow-1&correlation_id=req-1",
    ] {
        assert_eq!(list(&app, filter).await, workflow, "{filter}");
    }
    for filter in [
        "namespace=ns",
        "name=workflow",
        "name=Workflow-1",
        "correlation_id=req",
        "kind=workflow&name=execution-1",
        "namespace=ns-0&name=workflow-1",
        "correlation_id=req-0&name=workflow-1",
    ] {
        assert_eq!(list(&app, filter).await, NONE, "{filter}");
    }
}

#[tokio::test]
async fn a_span_has_what_was_recorded_at_both_its_ends_and_between() {
    let app = Setup::default().start().await;
    let stored = store_all(&app).await;
    let all = ids_of(&stored, |_| true);
    let (first, last) = (&stored[2].recorded_at, &stored[5].recorded_at);
    for (filter, expected) in [
        (format!("since={first}"), &all[2..]),
        (format!("until={last}"), &all[..=5]),
        (format!("since={first}&until={last}"), &all[2..=5]),
        (format!("since={last}&until={last}"), &all[5..=5]),
        ("since=9999-01-01T00:00:00Z".to_owned(), &[]),
        ("until=2001-01-01T00:00:00Z".to_owned(), &[]),
    ] {
        assert_eq!(list(&app, &filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_walk_under_a_filter_shows_each_match_once_in_the_order_of_the_log() {
    let app = Setup::default().start().await;
    let stored = store_all(&app).await;
    for (filter, of) in [("namespace=ns-0", 0), ("correlation_id=req-1", 1)] {
        let expected = ids_of(&stored, |stored| stored.number == of);
        for limit in [1, 2, 1000] {
            let pages = walk(&app, &format!("{RECORDS}?{filter}&limit={limit}")).await;
            assert!(pages.iter().all(|page| page.len() <= limit));
            assert_eq!(pages.concat(), expected, "{filter} {limit}");
        }
    }
    assert_same_in_lines(&app, &format!("{RECORDS}?limit=3")).await;
    assert_same_in_lines(&app, &format!("{RECORDS}?kind=workflow&limit=1")).await;
    assert_same_in_lines(&app, RECORDS).await;
}

#[tokio::test]
async fn a_cursor_is_used_with_its_own_filter_only() {
    let app = Setup::default().start().await;
    let stored = store_all(&app).await;
    let workflows = cursor_of(&app, "kind=workflow").await;
    let all = cursor_of(&app, "").await;
    let second = ids_of(&stored, |stored| stored.kind == "workflow")[1];
    let filter = format!("limit=1&kind=workflow&cursor={workflows}");
    assert_eq!(list(&app, &filter).await, [second]);
    for query in [
        format!("cursor={workflows}"),
        format!("kind=execution&cursor={workflows}"),
        format!("kind=workflow&name=workflow-1&cursor={workflows}"),
        format!("kind=workflow&cursor={all}"),
    ] {
        assert_refused(&app, &format!("{RECORDS}?{query}"), "cursor", "conflict").await;
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = Setup::default().start().await;
    for (name, value) in [
        ("kind", "workflow"),
        ("namespace", "a"),
        ("name", "a"),
        ("correlation_id", "a"),
        ("since", "2026-11-01T10:00:00Z"),
        ("until", "2026-11-01T10:00:00Z"),
        ("limit", "1"),
        ("cursor", "a"),
    ] {
        for (query, rule) in [
            (format!("{name}="), "empty"),
            (format!("{name}={value}&{name}={value}"), "duplicate"),
        ] {
            assert_refused(&app, &format!("{RECORDS}?{query}"), name, rule).await;
        }
    }
    for (query, name, rule) in [
        ("kind=workflows", "kind", "enum"),
        ("kind=hold", "kind", "enum"),
        ("name=%00", "name", "nul"),
        ("correlation_id=a%20b", "correlation_id", "format"),
        ("since=2026-11-01", "since", "format"),
        (
            "since=2026-11-01T10:00:01Z&until=2026-11-01T10:00:00Z",
            "until",
            "order",
        ),
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("cursor=abc", "cursor", "format"),
        ("status=pending", "status", "unknown"),
    ] {
        assert_refused(&app, &format!("{RECORDS}?{query}"), name, rule).await;
    }
    for name in ["namespace", "name"] {
        assert_eq!(
            list(&app, &format!("{name}={}", "ü".repeat(255))).await,
            NONE
        );
        let longer = format!("{RECORDS}?{name}={}", "ü".repeat(256));
        assert_refused(&app, &longer, name, "length").await;
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = Setup::default().start().await;
    store_all(&app).await;
    for query in ["limit=1&kind=workflow", "limit=1000"] {
        let path = format!("{RECORDS}?{query}");
        let get = app.get(&path).await.expect(200);
        let head = app.request(reqwest::Method::HEAD, &path);
        let head = app.send(head).await.expect(200);
        assert_eq!(head.text, "");
        for name in ["content-type", "cache-control", "link"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
            assert!(!get.header(name).is_empty(), "{name}");
        }
    }
    let page = app.get(RECORDS).await.expect(200).json();
    let position = page["pagination"].as_object().unwrap();
    let fields: Vec<_> = position.keys().map(String::as_str).collect();
    assert_eq!(fields, ["limit", "next_cursor", "resume_cursor", "size"]);
    assert_eq!(position["next_cursor"], Value::Null);
}
