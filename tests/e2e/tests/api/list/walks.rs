//! Walking through the pages of a list with cursors.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Answer, TestApp, unique};
use serde_json::{Value, json};

use super::{ids, list, store_execution, store_incident};

fn next_cursor(page: &Answer) -> Option<String> {
    let page = page.json();
    page["pagination"]["next_cursor"]
        .as_str()
        .map(str::to_owned)
}

async fn store_some(app: &TestApp, namespace: &str, count: i64) -> Vec<(i64, String)> {
    let mut stored = Vec::new();
    for number in 0..count {
        // Some at the same time.
        let created_at = format!("2026-11-01T10:00:{:02}Z", number / 2);
        let fields = json!({ "createdAt": created_at });
        stored.push(store_incident(app, namespace, fields).await);
    }
    stored
}

#[tokio::test]
async fn a_walk_shows_every_incident_once_in_order() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store_some(&app, &namespace, 11).await;
    let whole = list(&app, &namespace, "").await.json()["data"].clone();

    for limit in [1, 2, 3, 10, 11] {
        let mut walked = Vec::new();
        let mut page = list(&app, &namespace, &format!("&limit={limit}")).await;
        loop {
            let pagination = page.json()["pagination"].clone();
            assert_eq!(pagination["total"], 11, "{page:?}");
            assert_eq!(pagination["offset"], walked.len(), "{page:?}");
            walked.extend(page.json()["data"].as_array().unwrap().clone());
            let Some(cursor) = next_cursor(&page) else {
                assert_eq!(page.header("link"), "", "{page:?}");
                break;
            };
            // The link leads to the same page as the cursor.
            let link = page.header("link");
            let path = link
                .strip_prefix('<')
                .unwrap()
                .strip_suffix(">; rel=\"next\"")
                .unwrap();
            let linked = app.get(path).await.expect(200);
            page = list(&app, &namespace, &format!("&limit={limit}&cursor={cursor}")).await;
            assert_eq!(linked.json(), page.json());
        }
        assert_eq!(Value::from(walked), whole, "limit {limit}");
    }
}

#[tokio::test]
async fn a_walk_does_not_notice_what_is_written_meanwhile() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let stored = store_some(&app, &namespace, 12).await;
    let whole = list(&app, &namespace, "").await.json()["data"].clone();
    let pending = list(&app, &namespace, "&status=pending&limit=2").await;

    let mut walked = Vec::new();
    let mut page = list(&app, &namespace, "&limit=2").await;
    let mut others = stored.iter();
    loop {
        walked.extend(page.json()["data"].as_array().unwrap().clone());
        // One moves to the front, one to the back, twice even, and a new one comes.
        for (created_at, phase) in [
            ("2026-12-01T00:00:00Z", "Processing"),
            ("2026-10-01T00:00:00Z", "Completed"),
        ] {
            let Some((_, correlation_id)) = others.next() else {
                break;
            };
            for phase in ["Pending", phase] {
                let fields = json!({ "createdAt": created_at, "phase": phase, "name": "ke" });
                store_execution(&app, correlation_id, fields).await;
            }
        }
        store_incident(&app, &namespace, json!({})).await;
        let Some(cursor) = next_cursor(&page) else {
            break;
        };
        page = list(&app, &namespace, &format!("&limit=2&cursor={cursor}")).await;
        assert_eq!(page.json()["pagination"]["total"], 12, "{page:?}");
    }
    assert_eq!(Value::from(walked), whole);

    // A walk among those that were pending shows them, though none of them is any more.
    let mut seen: BTreeSet<_> = ids(&pending).into_iter().collect();
    let mut page = pending;
    while let Some(cursor) = next_cursor(&page) {
        page = list(
            &app,
            &namespace,
            &format!("&status=pending&cursor={cursor}"),
        )
        .await;
        seen.extend(ids(&page));
    }
    assert_eq!(seen, stored.iter().map(|(id, _)| *id).collect());
}

#[tokio::test]
async fn a_cursor_is_refused_by_another_list_and_beside_an_offset() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store_some(&app, &namespace, 3).await;
    let cursor = next_cursor(&list(&app, &namespace, "&limit=1").await).unwrap();
    for (query, rule) in [
        (format!("cursor={cursor}"), "format"),
        (
            format!("namespace={namespace}&severity=high&cursor={cursor}"),
            "format",
        ),
        (format!("cluster={namespace}&cursor={cursor}"), "format"),
        (
            format!("namespace={namespace}&cursor={cursor}&offset=0"),
            "conflict",
        ),
    ] {
        let path = format!("/api/v1/incidents?{query}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        assert_eq!(
            answer.violations(),
            [("cursor".to_owned(), rule.to_owned())],
            "{answer:?}"
        );
    }
    // Another limit is another page of the same list.
    let rest = list(&app, &namespace, &format!("&limit=1000&cursor={cursor}")).await;
    assert_eq!(ids(&rest).len(), 2);
}

#[tokio::test]
async fn a_cursor_that_was_changed_anywhere_is_refused() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store_some(&app, &namespace, 3).await;
    let cursor = next_cursor(&list(&app, &namespace, "&limit=1").await).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    let mut changed: Vec<Vec<u8>> = (0..bytes.len())
        .map(|place| {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            changed
        })
        .collect();
    changed.push(bytes[..bytes.len() - 1].to_owned());
    changed.push([&bytes[..], b"\0"].concat());
    for changed in changed {
        let changed = URL_SAFE_NO_PAD.encode(changed);
        let path = format!("/api/v1/incidents?namespace={namespace}&cursor={changed}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        assert_eq!(answer.violations()[0].0, "cursor", "{answer:?}");
    }
}
