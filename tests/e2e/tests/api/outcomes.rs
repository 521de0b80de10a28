use e2e::{TestApp, unique};
use serde_json::{Value, json};

use crate::list::{store_incident, store_record};

async fn outcomes(app: &TestApp, namespace: &str, parameters: &str) -> Value {
    let path = format!("/api/v1/outcomes?namespace={namespace}{parameters}");
    app.get(&path).await.expect(200).json()
}

/// Stores an incident with an execution for each of the fields.
async fn store_actions(app: &TestApp, namespace: &str, executions: &[Value]) -> (i64, String) {
    let (id, correlation_id) = store_incident(app, namespace, json!({})).await;
    for fields in executions {
        store_record(app, &correlation_id, "execution", fields.clone()).await;
    }
    (id, correlation_id)
}

fn names(outcomes: &Value, list: &str, field: &str) -> Vec<(String, i64)> {
    let items = outcomes[list].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            let name = item[field].as_str().unwrap().to_owned();
            (name, item["total"].as_i64().unwrap())
        })
        .collect()
}

fn actions(outcomes: &Value) -> Vec<(String, i64)> {
    names(outcomes, "actions", "action_type")
}

fn counted(names: &[(&str, i64)]) -> Vec<(String, i64)> {
    let named = names.iter();
    named
        .map(|(name, total)| ((*name).to_owned(), *total))
        .collect()
}

#[tokio::test]
async fn ended_executions_are_counted_by_how_they_ended_the_most_frequent_first() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let times = |phase: &str, completed_at: &str| {
        json!({
            "phase": phase, "startedAt": "2026-11-01T10:00:00Z", "completedAt": completed_at,
        })
    };
    let with = |mut fields: Value, more: Value| {
        e2e::set(&mut fields, more);
        fields
    };
    let scale = json!({ "actionType": "scale" });
    // The last by name of these, which is pending, gives the first incident its status.
    let (_, first) = store_actions(
        &app,
        &namespace,
        &[
            with(times("Completed", "2026-11-01T10:00:02Z"), scale.clone()),
            with(times("Failed", "2026-11-01T10:00:04Z"), scale.clone()),
            json!({ "actionType": "restart", "phase": "Completed", "isRolledBack": true }),
            json!({ "actionType": "restart", "phase": "Processing" }),
            json!({
                "actionType": "restart", "phase": "Pending", "createdAt": "2026-11-01T10:01:00Z",
            }),
        ],
    )
    .await;
    let completed = with(times("Completed", "2026-11-01T10:00:09Z"), scale.clone());
    let (_, second) = store_actions(&app, &namespace, &[completed]).await;
    let rolled_back = json!({ "actionType": "scale", "phase": "Failed", "isRolledBack": true });
    let (_, third) = store_actions(&app, &namespace, &[rolled_back]).await;
    let (_, fourth) = store_actions(&app, &namespace, &[]).await;
    for (correlation_id, name, fields) in [
        (
            &first,
            "scale-up",
            times("Completed", "2026-11-01T10:00:10Z"),
        ),
        (
            &second,
            "scale-up",
            times("Failed", "2026-11-01T10:00:20.5Z"),
        ),
        // Rolled back, as its incident is.
        (&third, "drain", json!({ "phase": "Completed" })),
        (&fourth, "drain", json!({ "phase": "Processing" })),
    ] {
        let fields = with(fields, json!({ "workflowName": name }));
        store_record(&app, correlation_id, "workflow", fields).await;
    }
    let elsewhere = json!({ "actionType": "scale", "phase": "Completed" });
    store_actions(&app, &unique("ns"), &[elsewhere]).await;

    let expected = json!({
        "incidents": { "total": 4, "total_relation": "eq" },
        "actions": [
            {
                "action_type": "scale", "total": 4, "completed": 2, "failed": 1, "rolled_back": 1,
                "success_rate": 0.5, "success_rate_low": 0.15, "success_rate_high": 0.85,
                "duration_seconds": 4.0,
            },
            {
                "action_type": "restart", "total": 1, "completed": 0, "failed": 0,
                "rolled_back": 1, "success_rate": 0.0, "success_rate_low": 0.0,
                "success_rate_high": 0.7935, "duration_seconds": null,
            },
        ],
        "workflows": [
            {
                "workflow_name": "scale-up", "total": 2, "completed": 1, "failed": 1,
                "rolled_back": 0, "success_rate": 0.5, "success_rate_low": 0.0945,
                "success_rate_high": 0.9055, "duration_seconds": 15.25,
            },
            {
                "workflow_name": "drain", "total": 1, "completed": 0, "failed": 0,
                "rolled_back": 1, "success_rate": 0.0, "success_rate_low": 0.0,
                "success_rate_high": 0.7935, "duration_seconds": null,
            },
        ],
    });
    for count in ["", "&count=bounded", "&count=exact"] {
        assert_eq!(outcomes(&app, &namespace, count).await, expected, "{count}");
    }
}

#[tokio::test]
async fn eight_of_ten_lie_in_the_known_interval() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let ended: Vec<_> = (0..10)
        .map(|number| json!({ "phase": if number < 8 { "Completed" } else { "Failed" } }))
        .collect();
    store_actions(&app, &namespace, &ended).await;
    let action = outcomes(&app, &namespace, "").await["actions"][0].clone();
    assert_eq!(action["success_rate"], 0.8);
    assert_eq!(action["success_rate_low"], 0.4902);
    assert_eq!(action["success_rate_high"], 0.9433);
}

#[tokio::test]
async fn an_execution_counts_once_by_the_version_that_shows() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let version = |phase: &str, started_at: &str, completed_at: &str| {
        json!({
            "name": "ke-1", "phase": phase, "startedAt": started_at, "completedAt": completed_at,
        })
    };
    let failed = version("Failed", "2026-11-01T10:00:00Z", "2026-11-01T10:00:01Z");
    let retried = version("Completed", "2026-11-01T10:00:05Z", "2026-11-01T10:00:12Z");
    store_actions(&app, &namespace, &[failed, retried]).await;
    let outcomes = outcomes(&app, &namespace, "").await;
    assert_eq!(actions(&outcomes), counted(&[("scale", 1)]));
    assert_eq!(outcomes["actions"][0]["completed"], 1);
    assert_eq!(outcomes["actions"][0]["duration_seconds"], 7.0);
}

#[tokio::test]
async fn an_end_that_is_less_precise_than_its_start_is_not_before_it() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let ended = json!({
        "phase": "Completed", "startedAt": "2026-11-01T10:00:00.9Z",
        "completedAt": "2026-11-01T10:00:00Z",
    });
    store_actions(&app, &namespace, &[ended]).await;
    let outcomes = outcomes(&app, &namespace, "").await;
    assert_eq!(outcomes["actions"][0]["duration_seconds"], 0.0);
}

#[tokio::test]
async fn equally_frequent_ones_are_in_the_order_of_their_names() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    for name in ["b", "C", "a"] {
        let ended = json!({ "actionType": name, "phase": "Completed" });
        let (_, correlation_id) = store_actions(&app, &namespace, &[ended]).await;
        let workflow = json!({ "workflowName": name, "phase": "Completed" });
        store_record(&app, &correlation_id, "workflow", workflow).await;
    }
    let outcomes = outcomes(&app, &namespace, "").await;
    let expected = counted(&[("C", 1), ("a", 1), ("b", 1)]);
    assert_eq!(actions(&outcomes), expected);
    assert_eq!(names(&outcomes, "workflows", "workflow_name"), expected);
}

#[tokio::test]
async fn filters_select_the_incidents_whose_executions_count() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let later = "2026-11-03T10:00:00Z";
    let fields = json!({
        "targetName": "db-0", "targetType": "StatefulSet", "severity": "critical",
        "createdAt": later,
    });
    let (id, correlation_id) = store_incident(&app, &namespace, fields).await;
    for name in ["drain", "restart"] {
        let ended = json!({ "actionType": name, "phase": "Completed", "createdAt": later });
        store_record(&app, &correlation_id, "execution", ended).await;
    }
    let ended = json!({ "actionType": "scale", "phase": "Completed" });
    store_actions(&app, &namespace, &[ended]).await;
    let incident = app.get(&format!("/api/v1/incidents/{id}")).await;
    let history_id = incident.expect(200).json()["action_history_id"].clone();

    let own = counted(&[("drain", 1), ("restart", 1)]);
    for parameters in [
        "&target_name=db-0&target_type=statefulset",
        "&severity=critical",
        "&action_type=drain",
        "&since=2026-11-01T10:00:01Z",
        &format!("&action_history_id={history_id}"),
        &format!("&correlation_id={correlation_id}"),
    ] {
        for count in ["bounded", "exact"] {
            let parameters = format!("{parameters}&count={count}");
            let outcomes = outcomes(&app, &namespace, &parameters).await;
            assert_eq!(actions(&outcomes), own, "{parameters}");
            assert_eq!(outcomes["incidents"]["total"], 1, "{parameters}");
        }
    }
    let until = outcomes(&app, &namespace, "&until=2026-11-01T10:00:00Z").await;
    assert_eq!(actions(&until), counted(&[("scale", 1)]));
    let none = outcomes(&app, &namespace, "&status=failed").await;
    let expected = json!({
        "incidents": { "total": 0, "total_relation": "eq" }, "actions": [], "workflows": [],
    });
    assert_eq!(none, expected);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, field, rule) in [
        ("count=none", "count", "enum"),
        ("count=", "count", "empty"),
        ("count=exact&count=exact", "count", "duplicate"),
        ("limit=1", "limit", "unknown"),
        ("offset=1", "offset", "unknown"),
        ("cursor=x", "cursor", "unknown"),
        ("min_similarity=1", "min_similarity", "unknown"),
        ("status=done", "status", "enum"),
        ("cluster=", "cluster", "empty"),
        ("target_name=%ff", "target_name", "utf-8"),
    ] {
        let path = format!("/api/v1/outcomes?{query}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let path = format!("/api/v1/outcomes?namespace={}", unique("ns"));
    let get = app.get(&path).await.expect(200);
    let head = app.request(reqwest::Method::HEAD, &path);
    let head = app.send(head).await.expect(200);
    assert_eq!(head.text, "");
    for name in ["content-type", "cache-control", "etag"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}
