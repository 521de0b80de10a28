//! Event records through the public API.

#![allow(clippy::unwrap_used, reason = "what fails here is to stop the test")]

use records::{Event, Record};
use serde_json::{Value, json};

fn with(fields: Value) -> Value {
    let mut event = json!({
        "name": "n-1", "namespace": "kubernaut-system", "phase": "Completed",
        "createdAt": "2026-11-01T10:00:00Z", "correlationId": "req-1", "eventType": "sent",
    });
    let fields = fields.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(fields);
    event
}

fn parse(event: &Value) -> Result<Record<Event>, Vec<(String, &'static str)>> {
    let parsed = Record::<Event>::parse(event.to_string().as_bytes(), "local");
    parsed.map_err(|rejection| {
        let violations = rejection.report.into_violations().into_iter();
        violations
            .map(|violation| (violation.field, violation.rule))
            .collect()
    })
}

#[test]
fn an_incident_takes_nothing_from_an_event() {
    let event = parse(&with(json!({
        "eventCategory": "notification", "actorType": "service", "actor": "notifier",
        "resourceType": "deployment", "resourceName": "api", "resourceNamespace": "production",
        "outcome": "success", "data": {"channel": "mail"}, "parentRecordId": 7,
    })));
    assert_eq!(event.unwrap().projection, json!({}));
}

#[test]
fn data_is_an_object_of_any_shape_and_kept_as_it_was_sent() {
    for data in [
        json!({}),
        json!({"": null, "a": [1, {"b": [true, ""]}], "c": {"d": 1.5}}),
    ] {
        let event = with(json!({ "data": data }));
        let stored = parse(&event).unwrap();
        let stored: Value = serde_json::from_str(stored.content.json()).unwrap();
        assert_eq!(stored, event);
    }
    for data in [json!([]), json!([{}]), json!("{}"), json!(1), json!(false)] {
        let refused = parse(&with(json!({ "data": data }))).unwrap_err();
        assert_eq!(refused, [("data".to_owned(), "type")], "{data}");
    }
}

#[test]
fn data_has_no_whole_numbers_that_would_lose_digits() {
    const MAX: i64 = (1 << 53) - 1;
    for number in [json!(MAX), json!(-MAX), json!(1.5), json!(1e300), json!(0)] {
        let event = parse(&with(json!({"data": {"at": [number]}})));
        assert!(event.is_ok(), "{number}");
    }
    for number in [
        json!(MAX + 1),
        json!(-MAX - 1),
        json!(u64::MAX),
        json!(1_764_410_400_123_456_789_i64),
    ] {
        let event = parse(&with(json!({"data": {"at": [number]}})));
        let refused = [("data[\"at\"][0]".to_owned(), "range")];
        assert_eq!(event.unwrap_err(), refused, "{number}");
    }
}
