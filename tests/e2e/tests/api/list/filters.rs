use e2e::{Answer, TestApp, record, set, unique};
use serde_json::json;

use super::{encoded, id_of, ids, list, store_incident, store_record};

/// Cause of all incidents here, and the text of the searches.
const CAUSE: &str = "the cache leaks memory";

/// Lists and searches the incidents of a namespace with a filter.
async fn both(app: &TestApp, namespace: &str, parameters: &str) -> [Answer; 2] {
    let query = format!("namespace={namespace}&{parameters}");
    let search = format!("/api/v1/incidents/search?q={}&{query}", encoded(CAUSE));
    [
        app.get(&format!("/api/v1/incidents?{query}"))
            .await
            .expect(200),
        app.get(&search).await.expect(200),
    ]
}

#[tokio::test]
async fn each_filter_alone_and_all_together_let_the_right_ones_pass() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let [alert, name, target] = ["Alert", "rr", "Target"].map(unique);
    let [name, target] = [name.as_str(), target.as_str()];
    let fingerprint = "Ab".repeat(32);
    let (_, other_id) = store_incident(&app, &namespace, json!({ "severity": "low" })).await;
    let wanted = json!({
        "signalName": alert, "severity": "critical", "cluster": "eu-1", "environment": "staging",
        "name": name, "fingerprint": fingerprint, "targetType": "StatefulSet",
        "targetName": target, "createdAt": "2026-11-03T10:00:00Z",
    });
    let (id, correlation_id) = store_incident(&app, &namespace, wanted).await;
    for id in [&correlation_id, &other_id] {
        store_record(
            &app,
            id,
            "aianalysis",
            json!({
                "rootCause": CAUSE, "createdAt": "2026-11-03T10:01:00Z",
            }),
        )
        .await;
    }
    store_record(
        &app,
        &correlation_id,
        "workflow",
        json!({
            "workflowName": "Drain & scale", "createdAt": "2026-11-03T10:02:00Z",
        }),
    )
    .await;
    for (action_type, created_at) in [
        ("cordon_node", "2026-11-03T10:05:00Z"),
        ("scale", "2026-11-03T10:06:00Z"),
    ] {
        store_record(
            &app,
            &correlation_id,
            "execution",
            json!({
                "actionType": action_type, "phase": "Completed", "createdAt": created_at,
            }),
        )
        .await;
    }
    let single = app
        .get(&format!("/api/v1/incidents/{id}"))
        .await
        .expect(200)
        .json();
    let history_id = single["action_history_id"].as_i64().unwrap();

    let filter = |name: &str, value: &str| format!("{name}={}", encoded(value));
    // Pairs of a matching filter and one that does not match.
    let filters = [
        (
            filter("alert_name", &alert),
            filter("alert_name", &alert.to_lowercase()),
        ),
        (
            "severity=critical".to_owned(),
            "severity=critica".to_owned(),
        ),
        ("severity=CritiCAL".to_owned(), "severity=high".to_owned()),
        ("cluster=eu-1".to_owned(), "cluster=EU-1".to_owned()),
        (
            "environment=staging".to_owned(),
            "environment=Staging".to_owned(),
        ),
        (
            filter("workflow_name", "Drain & scale"),
            filter("workflow_name", "drain & scale"),
        ),
        (
            filter("remediation_name", name),
            filter("remediation_name", &name[..9]),
        ),
        (
            filter("fingerprint", &fingerprint),
            filter("fingerprint", &"ab".repeat(32)),
        ),
        (
            "target_type=StatefulSet".to_owned(),
            "target_type=StatefulSets".to_owned(),
        ),
        (
            "target_type=sTATEFULsET".to_owned(),
            "target_type=daemonset".to_owned(),
        ),
        (
            filter("target_name", target),
            filter("target_name", &target.to_lowercase()),
        ),
        (
            "action_type=cordon_node".to_owned(),
            "action_type=cordon".to_owned(),
        ),
        (
            "action_type=scale".to_owned(),
            "action_type=Scale".to_owned(),
        ),
        (
            "status=completed".to_owned(),
            "status=rolled-back".to_owned(),
        ),
        (
            filter("correlation_id", &correlation_id),
            "correlation_id=req".to_owned(),
        ),
        (
            format!("action_history_id={history_id}"),
            format!("action_history_id={}", history_id + 1_000_000),
        ),
        (
            "since=2026-11-03T10:00:00Z&until=2026-11-03T11:00:00%2B01:00".to_owned(),
            "since=2026-11-02T10:00:00Z&until=2026-11-03T09:59:59.999999Z".to_owned(),
        ),
        (
            "since=2026-11-03T10:00:00Z".to_owned(),
            "since=2026-11-03T10:00:00.000001Z".to_owned(),
        ),
    ];
    for (filter, instead) in &filters {
        for page in both(&app, &namespace, filter).await {
            assert_eq!(ids(&page), [id], "{page:?}");
        }
        for page in both(&app, &namespace, instead).await {
            assert_eq!(ids(&page), [0; 0], "{page:?}");
        }
        let page = list(&app, &namespace, &format!("&{filter}")).await.json();
        assert_eq!(page["pagination"]["total"], 1, "{page}");
    }

    let named = |filter: &str| filter.split('=').next().unwrap().to_owned();
    let mut together: Vec<(String, String)> = filters.to_vec();
    together.dedup_by_key(|(filter, _)| named(filter));
    let all = |left_out: Option<usize>| {
        let filters = together.iter().enumerate();
        let filters = filters.map(|(index, (filter, instead))| match left_out {
            Some(left_out) if left_out == index => instead.as_str(),
            _ => filter.as_str(),
        });
        filters.collect::<Vec<_>>().join("&")
    };
    for page in both(&app, &namespace, &all(None)).await {
        assert_eq!(ids(&page), [id], "{page:?}");
    }
    for index in 0..together.len() {
        for page in both(&app, &namespace, &all(Some(index))).await {
            assert_eq!(ids(&page), [0; 0], "{page:?}");
        }
    }
}

#[tokio::test]
async fn the_namespace_alone_lets_the_right_ones_pass() {
    let app = TestApp::start().await;
    let [one, other] = ["ns", "ns"].map(unique);
    let (first, _) = store_incident(&app, &one, json!({})).await;
    let (second, _) = store_incident(&app, &one, json!({})).await;
    let (third, _) = store_incident(&app, &other, json!({})).await;
    assert_eq!(ids(&list(&app, &one, "").await), [second, first]);
    assert_eq!(ids(&list(&app, &other, "").await), [third]);
    assert_eq!(ids(&list(&app, &one[..10], "").await), [0; 0]);
}

#[tokio::test]
async fn an_action_type_is_that_of_any_execution_as_it_is_now() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let (id, correlation_id) = store_incident(&app, &namespace, json!({})).await;
    let execution = async |name: &str, action_type: &str, phase: &str| {
        let fields = json!({ "name": name, "actionType": action_type, "phase": phase });
        store_record(&app, &correlation_id, "execution", fields).await;
    };
    let passing = async |action_type: &str| {
        ids(&list(&app, &namespace, &format!("&action_type={action_type}")).await)
    };
    execution("a", "restart", "Processing").await;
    execution("b", "scale", "Completed").await;
    assert_eq!(passing("restart").await, [id]);
    assert_eq!(passing("scale").await, [id]);
    execution("a", "cordon", "Failed").await;
    execution("b", "drain", "Pending").await;
    assert_eq!(passing("restart").await, [0; 0]);
    assert_eq!(passing("cordon").await, [id]);
    assert_eq!(passing("scale").await, [id]);
    assert_eq!(passing("drain").await, [0; 0]);
}

#[tokio::test]
async fn incidents_of_one_target_are_those_of_its_history() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let target = |target_type: &str| json!({ "targetType": target_type, "targetName": "api" });
    let (first, _) = store_incident(&app, &namespace, target("Deployment")).await;
    let (second, _) = store_incident(&app, &namespace, target("deployment")).await;
    store_incident(&app, &namespace, target("daemonset")).await;
    // Before the remediation arrives, the target is the execution's.
    let mut execution = record("execution");
    set(&mut execution, target("DEPLOYMENT"));
    set(&mut execution, json!({ "targetNamespace": namespace }));
    let third = id_of(&app.post_record("execution", &execution).await.expect(201));

    let single = app
        .get(&format!("/api/v1/incidents/{first}"))
        .await
        .expect(200)
        .json();
    let path = format!(
        "/api/v1/incidents?action_history_id={}",
        single["action_history_id"]
    );
    assert_eq!(
        ids(&app.get(&path).await.expect(200)),
        [third, second, first]
    );
}

#[tokio::test]
async fn both_ends_of_a_time_are_included_to_the_microsecond() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let mut stored = Vec::new();
    for time in [
        "2026-10-31T23:59:59.999999Z",
        "2026-11-01T00:00:00Z",
        "2026-11-02T23:59:59.999999Z",
        "2026-11-03T00:00:00Z",
        "0001-01-02T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ] {
        let (id, _) = store_incident(&app, &namespace, json!({ "createdAt": time })).await;
        stored.push(id);
    }
    let [before, first, last, after, oldest, newest] = stored[..] else {
        panic!("six incidents");
    };
    for (times, expected) in [
        (
            "&since=2026-11-01T00:00:00Z&until=2026-11-03T00:00:00Z",
            &[after, last, first][..],
        ),
        (
            "&since=2026-11-01T00:00:00.000001Z&until=2026-11-02T23:59:59.999999Z",
            &[last],
        ),
        (
            "&since=2026-10-31T23:59:59.999999Z&until=2026-11-01T00:00:00Z",
            &[first, before],
        ),
        ("&until=2026-10-31T23:59:59.999999Z", &[before, oldest]),
        ("&since=2026-11-03T00:00:00Z", &[newest, after]),
        (
            "&since=2026-11-03T00:00:00Z&until=2026-11-03T01:00:00%2B01:00",
            &[after],
        ),
        (
            "&since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z",
            &[newest, after, last, first, before, oldest],
        ),
    ] {
        let page = list(&app, &namespace, times).await;
        assert_eq!(ids(&page), expected, "{page:?}");
        assert_eq!(
            page.json()["pagination"]["total"],
            expected.len(),
            "{page:?}"
        );
    }
}

#[tokio::test]
async fn an_incident_is_listed_by_what_it_is_now() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let (id, correlation_id) = store_incident(&app, &namespace, json!({})).await;
    let count = async |filter: &str| {
        let page = list(&app, &namespace, filter).await;
        let total = page.json()["pagination"]["total"].as_i64().unwrap();
        (ids(&page), total)
    };
    assert_eq!(count("&status=pending").await, (vec![id], 1));
    let name = unique("ke");
    for (phase, status) in [("Processing", "executing"), ("Failed", "failed")] {
        let fields = json!({ "phase": phase, "name": name });
        store_record(&app, &correlation_id, "execution", fields).await;
        assert_eq!(count(&format!("&status={status}")).await, (vec![id], 1));
        assert_eq!(count("&status=pending").await, (vec![], 0));
    }
}
