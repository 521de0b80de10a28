use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Answer, TestApp, unique};
use serde_json::{Value, json};

use super::{ids, list, store_incident, store_record};

fn next_cursor(page: &Answer) -> Option<String> {
    let page = page.json();
    page["pagination"]["next_cursor"]
        .as_str()
        .map(str::to_owned)
}

/// Stores incidents, two per second. Returns the newest first.
async fn store_some(app: &TestApp, namespace: &str, count: i64) -> Vec<(i64, String)> {
    let mut stored = Vec::new();
    for number in 0..count {
        let created_at = format!("2026-11-01T10:00:{:02}Z", number / 2);
        let fields = json!({ "createdAt": created_at });
        stored.push(store_incident(app, namespace, fields).await);
    }
    stored.reverse();
    stored
}

#[tokio::test]
async fn a_walk_shows_every_incident_once_in_order() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let stored = store_some(&app, &namespace, 11).await;
    let whole = list(&app, &namespace, "").await;
    assert_eq!(
        ids(&whole),
        Vec::from_iter(stored.iter().map(|(id, _)| *id))
    );
    let whole = whole.json()["data"].clone();

    for limit in [1, 2, 3, 10, 11] {
        let mut walked = Vec::new();
        let mut page = list(&app, &namespace, &format!("&limit={limit}")).await;
        loop {
            let pagination = page.json()["pagination"].clone();
            assert_eq!(pagination["total"], 11, "{page:?}");
            assert_eq!(pagination["offset"], walked.len(), "{page:?}");
            assert!(walked.len() < 11, "{page:?}");
            walked.extend(page.json()["data"].as_array().unwrap().clone());
            let Some(cursor) = next_cursor(&page) else {
                assert_eq!(page.header("link"), "", "{page:?}");
                break;
            };
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
async fn a_walk_skips_nothing_that_was_there_whatever_is_written_meanwhile() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let stored = store_some(&app, &namespace, 6).await;
    let [a, b, c, d, e, f] = stored.iter().map(|(id, _)| *id).collect::<Vec<_>>()[..] else {
        panic!("six incidents");
    };
    let first = list(&app, &namespace, "&limit=2").await;
    assert_eq!(ids(&first), [a, b]);

    // A new incident arrives. One shown and one unseen incident get an older record and move back;
    // newer records move none.
    store_incident(
        &app,
        &namespace,
        json!({ "createdAt": "2026-11-02T00:00:00Z" }),
    )
    .await;
    let created_at = |created_at: &str| json!({ "createdAt": created_at, "phase": "Completed" });
    for (place, time) in [
        (1, "2026-10-01T00:00:02Z"),
        (2, "2026-10-01T00:00:01Z"),
        (0, "2026-12-01T00:00:00Z"),
        (3, "2026-12-01T00:00:00Z"),
    ] {
        store_record(&app, &stored[place].1, "execution", created_at(time)).await;
    }
    let mut walked = Vec::new();
    let mut page = first;
    while let Some(cursor) = next_cursor(&page) {
        page = list(&app, &namespace, &format!("&limit=2&cursor={cursor}")).await;
        walked.push(ids(&page));
        assert!(walked.len() < 4, "{walked:?}");
        let pagination = &page.json()["pagination"];
        assert_eq!(pagination["total"], 6, "{page:?}");
        assert_eq!(pagination["offset"], 2 * walked.len(), "{page:?}");
    }
    assert_eq!(walked, [vec![d, e], vec![f, b], vec![c]]);
    assert_eq!(
        list(&app, &namespace, "").await.json()["pagination"]["total"],
        7
    );
}

#[tokio::test]
async fn a_walk_among_incidents_of_a_status_shows_those_that_kept_it() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let stored = store_some(&app, &namespace, 5).await;
    let first = list(&app, &namespace, "&status=pending&limit=2").await;
    let phase = |phase: &str| json!({ "phase": phase });
    store_record(&app, &stored[0].1, "execution", phase("Completed")).await;
    store_record(&app, &stored[3].1, "execution", phase("Processing")).await;
    let cursor = next_cursor(&first).unwrap();
    let rest = list(
        &app,
        &namespace,
        &format!("&status=pending&cursor={cursor}"),
    )
    .await;
    assert_eq!(ids(&first), [stored[0].0, stored[1].0]);
    assert_eq!(ids(&rest), [stored[2].0, stored[4].0]);
    assert_eq!(rest.json()["pagination"]["total"], 5);
}

#[tokio::test]
async fn a_walk_goes_through_all_years() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut stored = Vec::new();
    for time in [
        "0001-01-02T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-11-01T10:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.999999Z",
    ] {
        let fields = json!({ "createdAt": time });
        let (id, _) = store_incident(&app, &namespace, fields).await;
        stored.insert(0, id);
    }
    let mut parameters = "&limit=1".to_owned();
    for (place, id) in stored.iter().enumerate() {
        let page = list(&app, &namespace, &parameters).await;
        assert_eq!(ids(&page), [*id]);
        let cursor = next_cursor(&page);
        assert_eq!(cursor.is_none(), place + 1 == stored.len());
        parameters = format!("&limit=1&cursor={}", cursor.unwrap_or_default());
    }
}

#[tokio::test]
async fn a_cursor_is_refused_by_another_list_and_beside_an_offset() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store_some(&app, &namespace, 3).await;
    let cursor = next_cursor(&list(&app, &namespace, "&limit=1").await).unwrap();
    for (query, rule) in [
        (format!("cursor={cursor}"), "conflict"),
        (format!("namespace=&cursor={cursor}"), "conflict"),
        (
            format!("namespace={namespace}&severity=high&cursor={cursor}"),
            "conflict",
        ),
        (
            format!("namespace={namespace}&since=2026-11-01T10:00:00Z&cursor={cursor}"),
            "conflict",
        ),
        (format!("cluster={namespace}&cursor={cursor}"), "conflict"),
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
    // A cursor remains valid with another limit and another way to count.
    let rest = format!("&limit=1000&count=exact&cursor={cursor}");
    assert_eq!(ids(&list(&app, &namespace, &rest).await).len(), 2);
}

#[tokio::test]
async fn what_no_page_ended_with_is_refused_as_a_cursor() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    store_some(&app, &namespace, 2).await;
    let cursor = next_cursor(&list(&app, &namespace, "&limit=1").await).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    for wrong in [
        encode(&bytes[1..]),
        encode(&bytes[..bytes.len() - 1]),
        encode(&[&bytes[..], b"\0"].concat()),
        encode(b"{}"),
        encode(b""),
        format!("{cursor}="),
        format!("{cursor}%21"),
        "abc".to_owned(),
    ] {
        let path = format!("/api/v1/incidents?namespace={namespace}&cursor={wrong}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        assert_eq!(answer.violations()[0].0, "cursor", "{answer:?}");
    }
}
