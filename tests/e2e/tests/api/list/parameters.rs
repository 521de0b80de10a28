use e2e::{TestApp, unique};
use serde_json::json;

use super::{encoded, ids, list, store_incident};

const PARAMETERS: [(&str, &str); 20] = [
    ("namespace", "a"),
    ("cluster", "a"),
    ("alert_name", "a"),
    ("environment", "a"),
    ("workflow_name", "a"),
    ("remediation_name", "a"),
    ("fingerprint", "a"),
    ("target_type", "a"),
    ("target_name", "a"),
    ("action_type", "a"),
    ("severity", "a"),
    ("status", "pending"),
    ("correlation_id", "a"),
    ("action_history_id", "1"),
    ("since", "2026-11-01T10:00:00Z"),
    ("until", "2026-11-01T10:00:00Z"),
    ("limit", "1"),
    ("offset", "1"),
    ("cursor", "a"),
    ("count", "none"),
];

/// Text parameters with their maximum number of characters.
const TEXTS: [(&str, usize); 11] = [
    ("namespace", 255),
    ("cluster", 255),
    ("alert_name", 255),
    ("environment", 255),
    ("workflow_name", 255),
    ("remediation_name", 255),
    ("fingerprint", 255),
    ("target_type", 255),
    ("target_name", 255),
    ("action_type", 255),
    ("severity", 64),
];

#[tokio::test]
async fn every_parameter_is_refused_by_name_when_it_is_empty_or_repeated() {
    let app = TestApp::start().await;
    for (name, value) in PARAMETERS {
        let empty = format!("{name}=");
        let bare = name.to_owned();
        let repeated = format!("{name}={value}&{name}={value}");
        for (query, rule) in [(empty, "empty"), (bare, "empty"), (repeated, "duplicate")] {
            let answer = app.get(&format!("/api/v1/incidents?{query}")).await;
            if (name, rule) == ("namespace", "empty") {
                // An empty namespace matches targets without one.
                answer.expect(200);
                continue;
            }
            let answer = answer.expect_problem(400, "validation");
            let expected = [(name.to_owned(), rule.to_owned())];
            assert_eq!(answer.violations(), expected, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_text_is_taken_at_its_limit_and_refused_one_character_past_it() {
    let app = TestApp::start().await;
    for (name, characters_max) in TEXTS {
        let path = |characters: usize| {
            let text = encoded(&"ü".repeat(characters));
            format!("/api/v1/incidents?{name}={text}")
        };
        app.get(&path(characters_max)).await.expect(200);
        let answer = app
            .get(&path(characters_max + 1))
            .await
            .expect_problem(400, "validation");
        let expected = [(name.to_owned(), "length".to_owned())];
        assert_eq!(answer.violations(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, field, rule) in [
        ("colour=red", "colour", "unknown"),
        ("Namespace=a", "Namespace", "unknown"),
        ("q=memory", "q", "unknown"),
        ("namespace=%00", "namespace", "nul"),
        ("namespace=%ff", "namespace", "utf-8"),
        ("namespace=%zz", "namespace", "encoding"),
        ("namespace=%a", "namespace", "encoding"),
        ("namespace=%+1", "namespace", "encoding"),
        ("status=done", "status", "enum"),
        ("status=Pending", "status", "enum"),
        ("correlation_id=a%20b", "correlation_id", "format"),
        ("since=yesterday", "since", "format"),
        ("since=2026-11-01", "since", "format"),
        ("since=2026-11-01T10:00:00", "since", "format"),
        ("since=2026-11-01T10:00:00+01:00", "since", "format"),
        ("until=2026-02-30T10:00:00Z", "until", "format"),
        ("until=10000-01-01T00:00:00Z", "until", "format"),
        (
            "since=2026-11-01T10:00:00.000001Z&until=2026-11-01T10:00:00Z",
            "until",
            "order",
        ),
        (
            "since=2026-11-01T10:00:00Z&until=2026-11-01T10:59:59%2B01:00",
            "until",
            "order",
        ),
        ("action_history_id=0", "action_history_id", "range"),
        ("action_history_id=-1", "action_history_id", "range"),
        ("action_history_id=a", "action_history_id", "type"),
        (
            "action_history_id=9223372036854775808",
            "action_history_id",
            "range",
        ),
        ("count=all", "count", "enum"),
        ("count=Exact", "count", "enum"),
        ("count=true", "count", "enum"),
        ("min_similarity=0.5", "min_similarity", "unknown"),
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("limit=-1", "limit", "range"),
        ("limit=-", "limit", "type"),
        ("limit=%2B1", "limit", "type"),
        ("limit=1e2", "limit", "type"),
        ("limit=%EF%BC%91", "limit", "type"),
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
    let path = "/api/v1/incidents?limit=x&since=now&colour=red&status=&count=2";
    let answer = app.get(path).await.expect_problem(400, "validation");
    let mut fields: Vec<_> = answer
        .violations()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "count", "limit", "since", "status"]);
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
        "GRÖSSE > 90 % & mehr + 1",
        "日本語のアラート",
        "'; DROP TABLE incidents; --",
        "%00 %2B \\ \" _ * ?",
        "\u{1f525}\u{200d}",
        " ",
    ] {
        let text = format!("{odd}{suffix}");
        let fields = json!({ "signalName": text, "targetType": text });
        let (id, _) = store_incident(&app, "production", fields).await;
        for name in ["alert_name", "target_type"] {
            let path = format!("/api/v1/incidents?{name}={}", encoded(&text));
            assert_eq!(
                ids(&app.get(&path).await.expect(200)),
                [id],
                "{name}={text}"
            );
        }
    }
}
