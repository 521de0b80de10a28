//! Holds, releases, ids and methods that are refused.

use e2e::Setup;
use reqwest::Method;
use serde_json::{Value, json};

use super::{HOLDS, hold, place, posted, release, release_path};

fn with(fields: Value) -> Value {
    let mut hold = hold();
    e2e::set(&mut hold, fields);
    hold
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_hold_is_reported_and_nothing_is_placed() {
    let app = Setup::default().start().await;
    let none = json!({"reason": "an inquiry"});
    let unset = json!({
        "correlationId": "", "namespace": null, "since": "0001-01-01T00:00:00Z", "reason": "x",
    });
    for (hold, expected) in [
        (none, &[("body", "required")][..]),
        (unset, &[("body", "required")]),
        (with(json!({"reason": null})), &[("reason", "required")]),
        (with(json!({"reason": ""})), &[("reason", "required")]),
        (
            with(json!({"reason": "ü".repeat(1025)})),
            &[("reason", "length")],
        ),
        (with(json!({"reason": 1})), &[("reason", "type")]),
        (
            with(json!({"correlationId": "a b"})),
            &[("correlationId", "format")],
        ),
        (
            with(json!({"correlationId": "a".repeat(129)})),
            &[("correlationId", "length")],
        ),
        (
            with(json!({"namespace": "a".repeat(64)})),
            &[("namespace", "length")],
        ),
        (with(json!({"namespace": "A"})), &[("namespace", "format")]),
        (with(json!({"name": "rr-1"})), &[("namespace", "required")]),
        (
            with(json!({"namespace": "a", "name": "a".repeat(256)})),
            &[("name", "length")],
        ),
        (
            with(json!({"namespace": "a", "name": "A"})),
            &[("name", "format")],
        ),
        (
            with(json!({"since": "2025-11-01T00:00:00"})),
            &[("since", "format")],
        ),
        (with(json!({"until": 1})), &[("until", "format")]),
        (
            with(json!({"since": "2025-11-01T00:00:01Z", "until": "2025-11-01T00:00:00Z"})),
            &[("until", "order")],
        ),
        (
            with(json!({"expiresAt": "2025-11-01T00:00:00Z"})),
            &[("expiresAt", "order")],
        ),
        (
            with(json!({"expiresAt": "tomorrow"})),
            &[("expiresAt", "format")],
        ),
        (
            with(json!({"correlation_id": "req-1"})),
            &[("correlation_id", "unknown")],
        ),
        (
            json!({"name": "A", "since": "x", "expiresAt": "2025-11-01T00:00:00Z", "by": "anna"}),
            &[
                ("name", "format"),
                ("since", "format"),
                ("reason", "required"),
                ("expiresAt", "order"),
                ("by", "unknown"),
                ("namespace", "required"),
            ],
        ),
    ] {
        let answer = place(&app, &hold).await.expect_problem(400, "validation");
        let violations = answer.violations();
        let found: Vec<_> = violations
            .iter()
            .map(|(field, rule)| (field.as_str(), rule.as_str()))
            .collect();
        assert_eq!(found, expected, "{answer:?}");
    }
    for (body, rule) in [
        ("", "required"),
        ("[]", "type"),
        ("{", "json"),
        (r#"{"reason": "x", "since": "\u0000"}"#, "nul"),
        (
            r#"{"reason": "x", "reason": "y", "namespace": "a"}"#,
            "duplicate",
        ),
    ] {
        let answer = app.send(posted(&app, HOLDS, body)).await;
        let answer = answer.expect_problem(400, "validation");
        assert_eq!(answer.violations()[0].1, rule, "{answer:?}");
    }
    let request = app.request(Method::POST, HOLDS).body(hold().to_string());
    app.send(request)
        .await
        .expect_problem(415, "unsupported-media-type");
    let filtered = posted(&app, &format!("{HOLDS}?limit=1"), hold().to_string());
    app.send(filtered).await.expect_problem(400, "validation");
    assert_eq!(app.database.count("SELECT count(*) FROM holds").await, 0);
    assert_eq!(
        app.database.count("SELECT count(*) FROM log_pending").await,
        0
    );
}

#[tokio::test]
async fn a_hold_may_have_the_longest_values() {
    let app = Setup::default().start().await;
    let longest = json!({
        "correlationId": "a".repeat(128), "namespace": "a".repeat(63), "name": "a".repeat(255),
        "since": "2025-11-01T00:00:00Z", "until": "2025-11-01T00:00:00Z",
        "reason": "ü".repeat(1024), "expiresAt": "9999-12-31T23:59:59.999999999Z",
    });
    let placed = place(&app, &longest).await.expect(201);
    let read = app.get(placed.header("location")).await.expect(200);
    assert_eq!(read.json()["hold"], longest);
    let reason = "ü".repeat(1024);
    let released = release(&app, &placed.json()["id"], &reason).await;
    assert_eq!(released.expect(201).json()["release"]["reason"], reason);
}

#[tokio::test]
async fn a_wrong_release_or_id_is_refused_and_releases_nothing() {
    let app = Setup::default().start().await;
    let id = place(&app, &hold()).await.expect(201).json()["id"].clone();
    for (body, field, rule) in [
        (json!({}), "reason", "required"),
        (json!({"reason": ""}), "reason", "required"),
        (json!({"reason": "ü".repeat(1025)}), "reason", "length"),
        (json!({"reason": "done", "at": "now"}), "at", "unknown"),
    ] {
        let request = posted(&app, &release_path(&id), body.to_string());
        let answer = app.send(request).await.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected);
    }
    let releases = "SELECT count(*) FROM hold_releases";
    assert_eq!(app.database.count(releases).await, 0);

    let unknown = json!(i64::MAX);
    let answer = release(&app, &unknown, "done").await;
    answer.expect_problem(404, "not-found");
    let answer = app.get(&format!("{HOLDS}/{unknown}")).await;
    answer.expect_problem(404, "not-found");
    for id in ["0", "01", "-1", "a", "9223372036854775808"] {
        let answer = app.get(&format!("{HOLDS}/{id}")).await;
        let answer = answer.expect_problem(400, "validation");
        assert_eq!(
            answer.violations(),
            [("id".to_owned(), "format".to_owned())]
        );
        let request = posted(
            &app,
            &format!("{HOLDS}/{id}/release"),
            r#"{"reason": "done"}"#,
        );
        app.send(request).await.expect_problem(400, "validation");
    }
}

#[tokio::test]
async fn parameters_of_a_list_are_checked() {
    let app = Setup::default().start().await;
    app.get(&format!("{HOLDS}?limit=1000")).await.expect(200);
    for (query, field, rule) in [
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("limit=x", "limit", "type"),
        ("limit=", "limit", "empty"),
        ("limit=1&limit=1", "limit", "duplicate"),
        ("cursor=x", "cursor", "format"),
        ("offset=1", "offset", "unknown"),
    ] {
        let answer = app.get(&format!("{HOLDS}?{query}")).await;
        let answer = answer.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected, "{query}");
    }
}

#[tokio::test]
async fn each_path_allows_its_methods() {
    let app = Setup::default().start().await;
    let id = place(&app, &hold()).await.expect(201).json()["id"].clone();
    for (path, allowed) in [
        (HOLDS.to_owned(), "GET, HEAD, POST"),
        (format!("{HOLDS}/{id}"), "GET, HEAD"),
        (release_path(&id), "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            if allowed.split(", ").any(|name| name == method) {
                continue;
            }
            let method: Method = method.parse().unwrap();
            let answer = app.send(app.request(method, &path)).await.expect(405);
            assert_eq!(answer.header("allow"), allowed, "{answer:?}");
        }
    }
    for path in ["/", "/1/", "/1/release/", "/1/releases", "/1/release/2"] {
        let answer = app.get(&format!("{HOLDS}{path}")).await;
        answer.expect_problem(404, "not-found");
    }
}
