use e2e::{Answer, TestApp, unique};
use serde_json::{Value, json};

use crate::list::{ids, store_incident, store_record};

const CAUSE: &str = "the connection pool of the checkout database is exhausted";

async fn similar(app: &TestApp, id: i64, namespace: &str, parameters: &str) -> Answer {
    let path = format!("/api/v1/incidents/{id}/similar?namespace={namespace}{parameters}");
    app.get(&path).await.expect(200)
}

fn similarities(found: &Answer) -> Vec<(i64, f64)> {
    let data = found.json()["data"].as_array().unwrap().clone();
    data.iter()
        .map(|item| {
            let similarity = item["similarity"].as_f64().unwrap();
            (item["id"].as_i64().unwrap(), similarity)
        })
        .collect()
}

/// Stores an incident with an alert and an analysis.
async fn store(app: &TestApp, namespace: &str, alert: &str, analysis: Value) -> (i64, String) {
    let fields = json!({ "signalName": alert });
    let (id, correlation_id) = store_incident(app, namespace, fields).await;
    store_record(app, &correlation_id, "aianalysis", analysis).await;
    (id, correlation_id)
}

#[tokio::test]
async fn the_incident_with_the_nearest_cause_comes_first_and_the_incident_itself_is_left_out() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let cause = |cause: &str| json!({ "rootCause": cause });
    let (id, _) = store(&app, &namespace, "HttpErrorRateHigh", cause(CAUSE)).await;
    let near = "database connections exhausted, pool too small";
    let (near, _) = store(&app, &namespace, "NodeDiskPressure", cause(near)).await;
    let (same, _) = store(&app, &namespace, "HighMemoryUsage", cause(CAUSE)).await;
    // Of the same alert; a cause counts for more.
    let (other, _) = store(
        &app,
        &namespace,
        "HttpErrorRateHigh",
        cause("old images fill the disk"),
    )
    .await;

    let found = similar(&app, id, &namespace, "").await;

    let nearest = similarities(&found);
    assert_eq!(nearest[0], (same, 1.0), "{found:?}");
    assert_eq!(nearest[1].0, near, "{found:?}");
    assert!((0.2..1.0).contains(&nearest[1].1), "{found:?}");
    assert!(!ids(&found).contains(&id), "{found:?}");
    let distant = nearest.iter().find(|(found, _)| *found == other);
    assert!(distant.is_none_or(|(_, similarity)| *similarity < nearest[1].1));
    let found = found.json();
    // An item is that of a search.
    let path = format!("/api/v1/incidents/search?q=pool&namespace={namespace}&limit=1");
    let searched = app.get(&path).await.expect(200).json();
    for field in ["embedding_model", "unknown_texts"] {
        assert_eq!(found[field], searched[field], "{field}");
    }
    let fields = |item: &Value| {
        item.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&found["data"][0]), fields(&searched["data"][0]));
}

#[tokio::test]
async fn an_analysis_counts_as_soon_as_it_has_a_finding_and_the_signal_until_then() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let (id, correlation_id) = store(&app, &namespace, "DiskFull", json!({ "name": "aa" })).await;
    let (same_signal, _) = store(&app, &namespace, "DiskFull", json!({})).await;
    let (as_empty, _) = store(&app, &namespace, "HighMemoryUsage", json!({})).await;
    let advice = json!({ "recommendedAction": CAUSE });
    let (same_advice, _) = store(&app, &namespace, "PodCrashLooping", advice.clone()).await;

    let before = similarities(&similar(&app, id, &namespace, "").await);
    assert_eq!(before[0], (same_signal, 1.0), "{before:?}");
    assert!(!before.contains(&(as_empty, 1.0)), "{before:?}");

    let found = json!({ "name": "aa", "phase": "Completed", "recommendedAction": CAUSE });
    store_record(&app, &correlation_id, "aianalysis", found).await;
    let after = similarities(&similar(&app, id, &namespace, "").await);
    assert_eq!(after[0], (same_advice, 1.0), "{after:?}");
    assert!(!after.contains(&(same_signal, 1.0)), "{after:?}");
}

#[tokio::test]
async fn without_analysis_and_signal_the_workflow_counts_and_else_the_action() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut stored = Vec::new();
    for (action, workflow) in [
        ("scale", Some("drain-node")),
        ("restart", Some("drain-node")),
        ("scale", None),
        ("scale", Some("clean-up-images")),
    ] {
        let correlation_id = unique("req");
        let execution = json!({ "actionType": action, "targetNamespace": namespace });
        store_record(&app, &correlation_id, "execution", execution).await;
        if let Some(name) = workflow {
            let workflow = json!({ "workflowName": name });
            store_record(&app, &correlation_id, "workflow", workflow).await;
        }
        let path = format!("/api/v1/incidents?correlation_id={correlation_id}");
        stored.push(ids(&app.get(&path).await.expect(200))[0]);
    }
    let by_workflow = similarities(&similar(&app, stored[0], &namespace, "").await);
    assert_eq!(by_workflow[0], (stored[1], 1.0), "{by_workflow:?}");
    assert!(
        by_workflow[1..]
            .iter()
            .all(|(_, similarity)| *similarity < 1.0)
    );
    let by_action = similarities(&similar(&app, stored[2], &namespace, "").await);
    let expected = [(stored[3], 1.0), (stored[0], 1.0)];
    assert_eq!(by_action[..2], expected, "{by_action:?}");
}

#[tokio::test]
async fn outcomes_are_those_of_the_incidents_that_are_returned() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut stored = Vec::new();
    for (action, phase) in [
        ("own", "Completed"),
        ("scale", "Failed"),
        ("scale", "Completed"),
        ("restart", "Completed"),
        ("drain", "Processing"),
    ] {
        let (id, correlation_id) = store(
            &app,
            &namespace,
            "HighMemoryUsage",
            json!({ "rootCause": CAUSE }),
        )
        .await;
        let execution = json!({ "actionType": action, "phase": phase });
        store_record(&app, &correlation_id, "execution", execution).await;
        let workflow = json!({ "workflowName": action, "phase": phase });
        store_record(&app, &correlation_id, "workflow", workflow).await;
        stored.push(id);
    }
    let totals = |found: &Answer, list: &str, field: &str| {
        let items = found.json()["outcomes"][list].as_array().unwrap().clone();
        let items = items.iter().map(|item| {
            (
                item[field].as_str().unwrap().to_owned(),
                item["completed"].as_i64().unwrap(),
                item["total"].as_i64().unwrap(),
            )
        });
        items.collect::<Vec<_>>()
    };
    let scale = ("scale".to_owned(), 1, 2);
    let restart = ("restart".to_owned(), 1, 1);

    let all = similar(&app, stored[0], &namespace, "").await;
    assert_eq!(ids(&all), [stored[4], stored[3], stored[2], stored[1]]);
    let both = [scale, restart.clone()];
    assert_eq!(totals(&all, "actions", "action_type"), both);
    assert_eq!(totals(&all, "workflows", "workflow_name"), both);

    let two = similar(&app, stored[0], &namespace, "&limit=2").await;
    assert_eq!(ids(&two), [stored[4], stored[3]]);
    assert_eq!(
        totals(&two, "actions", "action_type"),
        std::slice::from_ref(&restart)
    );
    assert_eq!(totals(&two, "workflows", "workflow_name"), [restart]);
}

#[tokio::test]
async fn filters_and_limits_are_those_of_a_search() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut stored = Vec::new();
    for (day, severity) in [(2, "low"), (1, "low"), (3, "high"), (4, "low")] {
        let fields = json!({
            "signalName": "DiskFull", "severity": severity,
            "createdAt": format!("2026-11-0{day}T10:00:00Z"),
        });
        stored.push(store_incident(&app, &namespace, fields).await.0);
    }
    let unlike = json!({ "signalName": "HighMemoryUsage", "severity": "low" });
    store_incident(&app, &namespace, unlike).await;
    let [id, first, third, fourth] = stored[..] else {
        panic!("{stored:?}");
    };
    for (parameters, expected) in [
        ("&min_similarity=1", vec![fourth, third, first]),
        ("&min_similarity=1&limit=1", vec![fourth]),
        ("&min_similarity=1&severity=low", vec![fourth, first]),
        ("&min_similarity=1&severity=high", vec![third]),
        // Also if the incident itself does not pass.
        (
            "&min_similarity=1&since=2026-11-02T10:00:00.000001Z&limit=2",
            vec![fourth, third],
        ),
        ("&min_similarity=1&until=2026-11-02T10:00:00Z", vec![first]),
        ("&status=failed", vec![]),
    ] {
        let found = similar(&app, id, &namespace, parameters).await;
        assert_eq!(ids(&found), expected, "{parameters}");
    }
    let elsewhere = similar(&app, id, &unique("ns"), "").await.json();
    assert_eq!(elsewhere["data"], json!([]));
    assert_eq!(
        elsewhere["outcomes"],
        json!({ "actions": [], "workflows": [] })
    );
}

#[tokio::test]
async fn an_id_that_no_incident_has_is_not_found() {
    let app = TestApp::start().await;
    app.get("/api/v1/incidents/9223372036854775807/similar")
        .await
        .expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_refused_by_name() {
    let app = TestApp::start().await;
    for id in ["0", "01", "-1", "abc", "search", "9223372036854775808"] {
        let answer = app
            .get(&format!("/api/v1/incidents/{id}/similar"))
            .await
            .expect_problem(400, "validation");
        let expected = [("id".to_owned(), "format".to_owned())];
        assert_eq!(answer.violations(), expected);
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, field, rule) in [
        ("q=memory", "q", "unknown"),
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("min_similarity=1.1", "min_similarity", "range"),
        ("count=exact", "count", "unknown"),
        ("cursor=x", "cursor", "unknown"),
        ("status=done", "status", "enum"),
    ] {
        let path = format!("/api/v1/incidents/1/similar?{query}");
        let answer = app.get(&path).await.expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let (id, _) = store_incident(&app, &namespace, json!({})).await;
    let path = format!("/api/v1/incidents/{id}/similar?namespace={namespace}");
    let get = app.get(&path).await.expect(200);
    let head = app.request(reqwest::Method::HEAD, &path);
    let head = app.send(head).await.expect(200);
    assert_eq!(head.text, "");
    for name in ["content-type", "cache-control", "etag"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}
