//! Holds over HTTP: placing, releasing and reading them.

mod access;
mod parameters;
mod retention;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Answer, Setup, TestApp, unique};
use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const HOLDS: &str = "/api/v1/holds";

fn hold() -> Value {
    json!({"correlationId": unique("req"), "reason": "an inquiry"})
}

fn posted(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    app.request(Method::POST, path)
        .header("content-type", "application/json")
        .body(body)
}

async fn place(app: &TestApp, hold: &Value) -> Answer {
    app.send(posted(app, HOLDS, hold.to_string())).await
}

fn release_path(id: &Value) -> String {
    format!("{HOLDS}/{id}/release")
}

async fn release(app: &TestApp, id: &Value, reason: &str) -> Answer {
    let body = json!({ "reason": reason }).to_string();
    app.send(posted(app, &release_path(id), body)).await
}

/// The commitment in base64, computed as docs/log.md says.
fn commitment(nonce: &Value, envelope: &Value) -> String {
    let nonce = STANDARD.decode(nonce.as_str().unwrap()).unwrap();
    assert_eq!(nonce.len(), 16);
    let envelope = serde_json_canonicalizer::to_vec(envelope).unwrap();
    STANDARD.encode(
        Sha256::new_with_prefix(nonce)
            .chain_update(envelope)
            .finalize(),
    )
}

/// The log's entries of a kind for a hold, pending ones included.
async fn entries(app: &TestApp, kind: &str, id: &Value) -> Vec<Value> {
    let client = app.database.connect().await;
    let query = "SELECT entry FROM log_entries UNION ALL SELECT entry FROM log_pending";
    let rows = client.query(query, &[]).await.unwrap();
    let entries = rows.iter().map(|row| {
        let text: &str = row.get(0);
        let entry: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json_canonicalizer::to_string(&entry).unwrap(), text);
        entry
    });
    entries
        .filter(|entry| entry["kind"] == kind && entry["id"] == *id)
        .collect()
}

#[tokio::test]
async fn a_hold_is_placed_and_read_as_it_was_sent() {
    let app = Setup::default().start().await;
    let sent = json!({
        "correlationId": unique("req"), "namespace": "production", "name": "rr-1",
        "since": "2025-11-01T02:00:00+02:00", "until": "2025-11-30T00:00:00.5Z",
        "reason": "an inquiry – 17", "expiresAt": "9999-12-31T23:59:59.9999999Z",
    });
    let placed = place(&app, &sent).await.expect(201);
    let body = placed.json();
    let id = &body["id"];
    let location = format!("{HOLDS}/{id}");
    assert_eq!(placed.header("location"), location);
    assert_eq!(placed.header("idempotent-replayed"), "");
    assert_eq!(placed.header("x-correlation-id"), sent["correlationId"]);
    assert_eq!(body["message"], "Hold placed");
    assert_eq!(body["log"]["status"], "pending");
    let proof = format!("/api/v1/audit/records/{id}/proof");
    assert_eq!(body["log"]["proof"], proof);

    let read = app.get(&location).await.expect(200);
    assert_eq!(read.header("x-correlation-id"), sent["correlationId"]);
    let hold = read.json();
    assert_eq!(hold["id"], *id);
    assert_eq!(hold["hold"], sent);
    assert_eq!(hold["recorded_at"], body["createdAt"]);
    let recorded_at = hold["recorded_at"].as_str().unwrap();
    assert_eq!(recorded_at.len(), "2026-11-01T10:00:00.000000Z".len());
    assert_eq!(hold["recorded_by"], Value::Null);
    assert_eq!(hold["log"]["proof"], proof);
    assert_eq!(hold["release"], Value::Null);

    let envelope = json!({"hold": sent, "recorded_by": null});
    let committed = commitment(&hold["log"]["nonce"], &envelope);
    assert_eq!(body["log"]["commitment"], committed);
    let expected = json!({
        "kind": "hold", "id": id, "commitment": committed, "recorded_at": recorded_at,
        "version": 1,
    });
    assert_eq!(entries(&app, "hold", id).await, [expected]);

    let head = app.send(app.request(Method::HEAD, &location)).await;
    let head = head.expect(200);
    assert_eq!(head.header("etag"), read.header("etag"));
    assert!(head.text.is_empty());
}

#[tokio::test]
async fn a_hold_is_released_once_and_keeps_the_first_release() {
    let app = Setup::default().start().await;
    let sent = hold();
    let id = place(&app, &sent).await.expect(201).json()["id"].clone();
    let location = format!("{HOLDS}/{id}");
    let before = app.get(&location).await.expect(200);

    let released = release(&app, &id, "it is closed").await.expect(201);
    assert_eq!(released.header("idempotent-replayed"), "");
    let shown = released.json();
    assert_eq!(shown["hold"], sent);
    let first = &shown["release"];
    assert_eq!(first["reason"], "it is closed");
    assert_eq!(first["recorded_by"], Value::Null);
    let envelope = json!({"reason": "it is closed", "recorded_by": null});
    let expected = json!({
        "kind": "hold_release", "id": id, "recorded_at": first["recorded_at"], "version": 1,
        "commitment": commitment(&first["log"]["nonce"], &envelope),
    });
    assert_eq!(entries(&app, "hold_release", &id).await, [expected]);

    let again = release(&app, &id, "another reason").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["release"]["reason"], "it is closed");
    assert_eq!(again.json()["release"]["recorded_at"], first["recorded_at"]);
    assert_eq!(entries(&app, "hold_release", &id).await.len(), 1);

    let request = app
        .request(Method::GET, &location)
        .header("if-none-match", before.header("etag"));
    let after = app.send(request).await.expect(200);
    assert_eq!(after.json()["release"]["reason"], "it is closed");
    let request = app
        .request(Method::GET, &location)
        .header("if-none-match", after.header("etag"));
    app.send(request).await.expect(304);
}

#[tokio::test]
async fn the_same_hold_is_placed_once_until_it_is_released() {
    let app = Setup::default().start().await;
    let sent = hold();
    let first = place(&app, &sent).await.expect(201);
    let correlation_id = &sent["correlationId"];
    // The same canonical JSON.
    let spelled =
        format!(r#" {{"reason": "an \u0069nquiry", "correlationId": {correlation_id}}} "#);
    let again = app.send(posted(&app, HOLDS, spelled)).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.json(), first.json());

    // Another content, although it keeps the same records.
    let mut other = sent.clone();
    other["namespace"] = Value::Null;
    let other = place(&app, &other).await.expect(201);
    assert_eq!(other.header("idempotent-replayed"), "");
    assert_ne!(other.json()["id"], first.json()["id"]);

    release(&app, &first.json()["id"], "done").await.expect(201);
    let anew = place(&app, &sent).await.expect(201);
    assert_eq!(anew.header("idempotent-replayed"), "");
    assert_ne!(anew.json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn of_equal_requests_at_once_one_places_or_releases_and_the_others_find_it() {
    let app = Setup::default().start().await;
    let sent = hold();
    let first = |answers: &[Answer]| {
        let new = answers
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(new.count(), 1, "{answers:?}");
        for answer in answers {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        answers[0].json()
    };
    let placed = join_all((0..8).map(|_| place(&app, &sent))).await;
    let body = first(&placed);
    for answer in &placed {
        assert_eq!(answer.json(), body);
    }
    let id = &body["id"];
    assert_eq!(app.database.count("SELECT count(*) FROM holds").await, 1);
    assert_eq!(entries(&app, "hold", id).await.len(), 1);

    let released = join_all((0..8).map(|_| release(&app, id, "done"))).await;
    let body = first(&released);
    for answer in &released {
        assert_eq!(
            answer.json()["release"]["recorded_at"],
            body["release"]["recorded_at"]
        );
    }
    assert_eq!(entries(&app, "hold_release", id).await.len(), 1);
}

#[tokio::test]
async fn a_list_leads_from_page_to_page_by_ascending_id() {
    let app = Setup::default().start().await;
    let empty = app.get(HOLDS).await.expect(200);
    let expected = json!({"data": [], "pagination": {"limit": 100, "next_cursor": null}});
    assert_eq!(empty.json(), expected);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(place(&app, &hold()).await.expect(201).json()["id"].clone());
    }
    release(&app, &ids[1], "done").await.expect(201);

    let mut path = format!("{HOLDS}?limit=2");
    let mut listed = Vec::new();
    let mut lines = Vec::new();
    loop {
        let page = app.get(&path).await.expect(200);
        let request = app
            .request(Method::GET, &path)
            .header("accept", "application/x-ndjson");
        let as_lines = app.send(request).await.expect(200);
        assert_eq!(as_lines.header("content-type"), "application/x-ndjson");
        assert_eq!(as_lines.header("link"), page.header("link"));
        assert!(as_lines.text.ends_with('\n'), "{as_lines:?}");
        let parsed = as_lines.text.lines();
        lines.extend(parsed.map(|line| serde_json::from_str::<Value>(line).unwrap()));
        let link = page.header("link").to_owned();
        let page = page.json();
        assert_eq!(page["pagination"]["limit"], 2);
        listed.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else {
            assert_eq!(link, "");
            break;
        };
        path = format!("{HOLDS}?limit=2&cursor={cursor}");
        assert_eq!(link, format!("<{path}>; rel=\"next\""));
    }
    let found: Vec<_> = listed.iter().map(|hold| hold["id"].clone()).collect();
    assert_eq!(found, ids);
    assert_eq!(lines, listed);
    assert_eq!(listed[0]["release"], Value::Null);
    assert_eq!(listed[1]["release"]["reason"], "done");
    for hold in &listed {
        let one = app.get(&format!("{HOLDS}/{}", hold["id"])).await;
        assert_eq!(one.expect(200).json(), *hold);
    }
}
