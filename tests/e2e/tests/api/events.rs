//! Events: their rules, and what they leave alone.

use e2e::{Answer, TestApp, record, set, unique};
use serde_json::{Value, json};

use crate::validation_of_kinds::{INTEGER_MAX, broken, rules};

/// The maximum nesting of a record, and the level of what its `data` has.
const NESTING_MAX: usize = 32;
const LEVEL_IN_DATA: usize = 3;

fn nested(levels: usize) -> String {
    format!(
        r#"{{"a":{}{}}}"#,
        "[".repeat(levels + 1 - LEVEL_IN_DATA),
        "]".repeat(levels + 1 - LEVEL_IN_DATA)
    )
}

#[tokio::test]
async fn the_texts_of_an_event_are_bounded() {
    let app = TestApp::start().await;
    for field in [
        "eventType",
        "eventCategory",
        "actorType",
        "actor",
        "resourceType",
        "resourceName",
        "resourceNamespace",
        "outcome",
    ] {
        let is_required = field == "eventType";
        let unset = is_required.then(|| broken([(field, "required")]));
        for (value, expected) in [
            (json!(""), unset.unwrap_or_default()),
            (json!("é"), vec![]),
            (json!("é".repeat(255)), vec![]),
            (json!("é".repeat(256)), broken([(field, "length")])),
            (json!(1), broken([(field, "type")])),
            (json!({}), broken([(field, "type")])),
        ] {
            let found = rules(&app, "event", json!({ field: value })).await;
            assert_eq!(found, expected, "{field}: {value}");
        }
    }
}

#[tokio::test]
async fn the_parent_of_an_event_is_the_id_of_a_record() {
    let app = TestApp::start().await;
    let field = "parentRecordId";
    for (value, rule) in [
        (Value::Null, None),
        (json!(""), None),
        (json!(1), None),
        (json!(7.0), None),
        (json!(INTEGER_MAX), None),
        (json!(0), Some("range")),
        (json!(-1), Some("range")),
        (json!(INTEGER_MAX + 1), Some("range")),
        (json!(1.5), Some("type")),
        (json!("1"), Some("type")),
    ] {
        let expected = rule.map(|rule| broken([(field, rule)])).unwrap_or_default();
        let found = rules(&app, "event", json!({ field: value })).await;
        assert_eq!(found, expected, "{value}");
    }
}

#[tokio::test]
async fn the_data_of_an_event_is_an_object_of_any_shape() {
    let app = TestApp::start().await;
    for data in [json!([]), json!([{}]), json!("{}"), json!(1), json!(false)] {
        let found = rules(&app, "event", json!({ "data": data })).await;
        assert_eq!(found, broken([("data", "type")]), "{data}");
    }
    let nul = rules(&app, "event", json!({"data": {"a": ["\u{0}"]}})).await;
    assert_eq!(nul, broken([(r#"data["a"][0]"#, "nul")]));
    let with = |data: &str| {
        let event = record("event").to_string();
        event.replacen('{', &format!(r#"{{"data":{data},"#), 1)
    };
    let twice = app.post_bytes("event", with(r#"{"a":1,"a":1}"#)).await;
    assert_eq!(
        twice.expect_problem(400, "validation").violations(),
        broken([(r#"data["a"]"#, "duplicate")])
    );
    let at_the_limit = app.post_bytes("event", with(&nested(NESTING_MAX))).await;
    at_the_limit.expect(201);
    let past_it = app
        .post_bytes("event", with(&nested(NESTING_MAX + 1)))
        .await;
    let violations = past_it.expect_problem(400, "validation").violations();
    let [(field, rule)] = &violations[..] else {
        panic!("{violations:?}");
    };
    assert_eq!(rule, "json");
    assert!(field.starts_with(r#"data["a"][0]"#), "{field}");
}

#[tokio::test]
async fn an_event_is_read_as_it_was_sent() {
    let app = TestApp::start().await;
    for data in [
        Value::Null,
        json!(""),
        json!({}),
        json!({"": null, "a": [1, {"b": [true, ""]}, -0.5], "ü": {"null": null}}),
    ] {
        let mut event = record("event");
        set(
            &mut event,
            json!({
                "eventCategory": "notification", "actorType": "service", "actor": "notifier",
                "resourceType": "deployment", "resourceName": "api", "resourceNamespace": "shop",
                "outcome": "success", "data": data, "parentRecordId": 7,
            }),
        );
        let stored = app.post_record("event", &event).await.expect(201);
        let path = format!("/api/v1/audit/records/{}", stored.json()["id"]);
        let found = app.get(&path).await.expect(200).json();
        assert_eq!(
            (&found["kind"], &found["record"]),
            (&json!("event"), &event)
        );
    }
}

/// Stores the records, under one correlation id, and returns the answer to the last one.
async fn store(app: &TestApp, correlation_id: &str, records: &[(&str, Value)]) -> Answer {
    let mut last = None;
    for (kind, record) in records {
        let mut record = record.clone();
        set(&mut record, json!({ "correlationId": correlation_id }));
        last = Some(app.post_record(kind, &record).await.expect(201));
    }
    last.unwrap()
}

/// What an event must not change of an incident; `action_id` is derived from the correlation id.
fn without_records(mut incident: Value) -> Value {
    let varying = json!({
        "id": null, "correlation_id": null, "opened_at": null, "record_count": null,
        "records": null, "action_id": null,
    });
    set(&mut incident, varying);
    for action in incident["actions"].as_array_mut().unwrap() {
        set(action, json!({ "action_id": null }));
    }
    incident
}

#[tokio::test]
async fn an_event_changes_nothing_of_an_incident_but_its_records_and_when_it_opened() {
    let app = TestApp::start().await;
    let mut others =
        ["remediation", "aianalysis", "workflow", "execution"].map(|kind| (kind, record(kind)));
    for (_, record) in &mut others {
        set(
            record,
            json!({"phase": "Processing", "startedAt": "2026-11-01T10:00:01Z"}),
        );
    }
    let mut event = record("event");
    set(
        &mut event,
        json!({
            "phase": "Failed", "reason": "Bounced", "message": "the mail bounced",
            "createdAt": "2026-11-01T09:00:00Z", "startedAt": "2026-11-01T11:00:00Z",
            "completedAt": "2026-11-01T11:00:01Z", "labels": {"cluster": "eu-9", "severity": "low"},
            "resourceType": "node", "resourceName": "node-9", "resourceNamespace": "other",
        }),
    );
    let event = [("event", event)];

    let (event_last, event_first) = (unique("req"), unique("req"));
    let stored = store(&app, &event_last, &others).await;
    let before = app.incident_of(&stored).await;
    store(&app, &event_last, &event).await;
    let after = app.incident_of(&stored).await;
    store(&app, &event_first, &event).await;
    let stored = store(&app, &event_first, &others).await;
    let other_way_round = app.incident_of(&stored).await;

    assert_eq!(before["record_count"], 4);
    assert_eq!(before["execution_status"], "executing");
    let expected = without_records(before);
    for incident in [after, other_way_round] {
        assert_eq!(incident["opened_at"], "2026-11-01T09:00:00Z");
        assert_eq!(incident["record_count"], 5);
        let records = incident["records"].as_array().unwrap();
        let events = records.iter().filter(|record| record["kind"] == "event");
        assert_eq!(events.count(), 1, "{incident}");
        assert_eq!(without_records(incident), expected);
    }
}

#[tokio::test]
async fn an_incident_of_one_event_is_listed_as_pending_and_found_by_type_and_message() {
    let app = TestApp::start().await;
    let mut event = record("event");
    set(
        &mut event,
        json!({"phase": "Completed", "eventType": "policy.denied", "message": "no more replicas"}),
    );
    let stored = app.post_record("event", &event).await.expect(201);
    assert_eq!(stored.json()["message"], "Event audit record created");

    let filter = format!(
        "correlation_id={}",
        event["correlationId"].as_str().unwrap()
    );
    let list = app.get(&format!("/api/v1/incidents?{filter}")).await;
    let list = list.expect(200).json();
    let listed = list["data"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{list}");
    let known = ["id", "opened_at", "correlation_id", "execution_status"];
    for (field, value) in listed[0].as_object().unwrap() {
        assert_eq!(value.is_null(), !known.contains(&field.as_str()), "{field}");
    }
    assert_eq!(listed[0]["execution_status"], "pending");
    assert_eq!(listed[0]["opened_at"], event["createdAt"]);

    let search = "/api/v1/incidents/search?q=policy.denied%0Ano%20more%20replicas";
    let found = app.get(&format!("{search}&{filter}")).await;
    let found = found.expect(200).json();
    assert_eq!(found["data"][0]["id"], listed[0]["id"], "{found}");
    assert_eq!(found["data"][0]["similarity"], 1.0, "{found}");
}
