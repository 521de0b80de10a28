//! Which incidents pass a filter.

use e2e::{TestApp, unique};
use serde_json::json;

use super::{encoded, ids, list, store_execution, store_incident};

#[tokio::test]
async fn each_filter_alone_and_all_together_let_the_right_ones_pass() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let other = json!({ "signalName": "Other", "severity": "low", "cluster": "other" });
    store_incident(&app, &namespace, other).await;
    let alert = unique("Alert");
    let wanted = json!({
        "signalName": alert, "severity": "critical", "cluster": "eu-1",
        "createdAt": "2026-11-03T10:00:00Z",
    });
    let (id, correlation_id) = store_incident(&app, &namespace, wanted).await;
    let execution = json!({
        "actionType": "cordon_node", "phase": "Completed", "createdAt": "2026-11-03T10:05:00Z",
    });
    store_execution(&app, &correlation_id, execution).await;

    let filters = [
        format!("alert_name={}", encoded(&alert)),
        "severity=critical".to_owned(),
        "cluster=eu-1".to_owned(),
        "action_type=cordon_node".to_owned(),
        "status=completed".to_owned(),
        format!("correlation_id={correlation_id}"),
        "since=2026-11-03T10:05:00Z".to_owned(),
    ];
    for filter in &filters {
        let page = list(&app, &namespace, &format!("&{filter}")).await;
        assert_eq!(ids(&page), [id], "{page:?}");
        assert_eq!(page.json()["pagination"]["total"], 1, "{page:?}");
    }
    let all = filters.join("&");
    let page = list(
        &app,
        &namespace,
        &format!("&{all}&until=2026-11-03T11:05:00%2B01:00"),
    )
    .await;
    assert_eq!(ids(&page), [id], "{page:?}");
    for (filter, instead) in [
        ("severity=critical", "severity=high"),
        ("status=completed", "status=rolled-back"),
        ("cluster=eu-1", "cluster=other"),
        (
            "since=2026-11-03T10:05:00Z",
            "since=2026-11-03T10:05:00.000001Z",
        ),
    ] {
        let page = list(
            &app,
            &namespace,
            &format!("&{}", all.replace(filter, instead)),
        )
        .await;
        assert_eq!(ids(&page), [0; 0], "{page:?}");
        assert_eq!(page.json()["pagination"]["total"], 0, "{page:?}");
    }
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
        "0001-01-01T00:00:00Z",
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
            "&since=2026-11-03T00:00:00Z&until=2026-11-01T00:00:00Z",
            &[],
        ),
        (
            "&since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z",
            &[newest, after, last, first, before, oldest],
        ),
    ] {
        let page = list(&app, &namespace, times).await;
        assert_eq!(ids(&page), expected, "{page:?}");
        let total = i64::try_from(expected.len()).unwrap();
        assert_eq!(page.json()["pagination"]["total"], total, "{page:?}");
    }
}

#[tokio::test]
async fn an_incident_is_listed_by_what_it_is_now() {
    let app = TestApp::start().await;
    let namespace = unique("ns");
    let (id, correlation_id) = store_incident(&app, &namespace, json!({})).await;
    let count = async |filter: &str| {
        let page = list(&app, &namespace, filter).await;
        (
            ids(&page),
            page.json()["pagination"]["total"].as_i64().unwrap(),
        )
    };
    assert_eq!(count("&status=pending").await, (vec![id], 1));
    let name = unique("ke");
    for (phase, status) in [("Processing", "executing"), ("Failed", "failed")] {
        let fields = json!({ "phase": phase, "name": name });
        store_execution(&app, &correlation_id, fields).await;
        assert_eq!(count(&format!("&status={status}")).await, (vec![id], 1));
        assert_eq!(count("&status=pending").await, (vec![], 0));
    }
}
