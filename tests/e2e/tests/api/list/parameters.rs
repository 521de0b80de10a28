//! What a list can be asked for, and what not.

use e2e::{TestApp, unique};
use serde_json::json;

use super::{encoded, ids, list, store_incident};

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = TestApp::start().await;
    let long = "x".repeat(256);
    for (query, field, rule) in [
        ("colour=red", "colour", "unknown"),
        ("Namespace=a", "Namespace", "unknown"),
        ("q=memory", "q", "unknown"),
        ("namespace=a&namespace=a", "namespace", "repeated"),
        ("namespace=", "namespace", "empty"),
        ("namespace", "namespace", "empty"),
        ("cursor=", "cursor", "empty"),
        (&format!("namespace={long}"), "namespace", "format"),
        (&format!("alert_name={long}"), "alert_name", "format"),
        ("namespace=%00", "namespace", "encoding"),
        ("namespace=%ff", "namespace", "encoding"),
        ("namespace=%zz", "namespace", "encoding"),
        ("namespace=%a", "namespace", "encoding"),
        ("namespace=%+1", "namespace", "encoding"),
        ("severity=Critical", "severity", "format"),
        ("severity=urgent", "severity", "format"),
        ("status=done", "status", "format"),
        ("correlation_id=a%20b", "correlation_id", "format"),
        ("since=yesterday", "since", "format"),
        ("since=2026-11-01", "since", "format"),
        ("since=2026-11-01T10:00:00", "since", "format"),
        ("since=2026-11-01T10:00:00+01:00", "since", "format"),
        ("until=2026-02-30T10:00:00Z", "until", "format"),
        ("until=10000-01-01T00:00:00Z", "until", "format"),
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("limit=-1", "limit", "range"),
        ("limit=%2B1", "limit", "range"),
        ("limit=1e2", "limit", "range"),
        ("limit=%EF%BC%91", "limit", "range"),
        ("limit=18446744073709551617", "limit", "range"),
        ("offset=-1", "offset", "range"),
        ("offset=9223372036854775808", "offset", "range"),
        ("cursor=abc", "cursor", "format"),
        ("cursor=!", "cursor", "format"),
    ] {
        let path = format!("/api/v1/incidents?{query}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let app = TestApp::start().await;
    let path = "/api/v1/incidents?limit=x&since=now&colour=red&status=";
    let answer = app.get(path).await.expect_problem(400, "validation");
    let mut fields: Vec<_> = answer
        .violations()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "limit", "since", "status"]);
}

#[tokio::test]
async fn the_edges_of_limit_and_offset_are_taken() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut newest_first = Vec::new();
    for second in (0..5).rev() {
        let created_at = format!("2026-11-01T10:00:0{second}Z");
        let (id, _) = store_incident(&app, &namespace, json!({ "createdAt": created_at })).await;
        newest_first.push(id);
    }
    for (parameters, expected) in [
        ("&limit=1", &newest_first[..1]),
        ("&limit=1000", &newest_first[..]),
        ("&limit=2&offset=4", &newest_first[4..]),
        ("&offset=0", &newest_first[..]),
        ("&offset=5", &[]),
        ("&offset=9223372036854775807&limit=1000", &[]),
        ("&&limit=2&", &newest_first[..2]),
    ] {
        let page = list(&app, &namespace, parameters).await;
        assert_eq!(ids(&page), expected, "{page:?}");
        assert_eq!(page.json()["pagination"]["total"], 5, "{page:?}");
    }
}

#[tokio::test]
async fn a_filter_may_be_any_text() {
    let app = TestApp::start().await;
    let suffix = unique("alert");
    for odd in [
        "Größe > 90 % & mehr + 1",
        "日本語のアラート",
        "'; DROP TABLE incidents; --",
        "%00 %2B \\ \" _ * ?",
        "\u{1f525}\u{200d}",
        " ",
    ] {
        let alert = format!("{odd}{suffix}");
        let fields = json!({ "signalName": alert });
        let (id, _) = store_incident(&app, "production", fields).await;
        let path = format!("/api/v1/incidents?alert_name={}", encoded(&alert));
        assert_eq!(ids(&app.get(&path).await.expect(200)), [id], "{alert}");
    }
    let at_the_limit = "ü".repeat(255);
    let path = format!("/api/v1/incidents?alert_name={}", encoded(&at_the_limit));
    app.get(&path).await.expect(200);
}
