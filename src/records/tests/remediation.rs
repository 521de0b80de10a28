//! Remediation records through the public API.

#![allow(clippy::unwrap_used, reason = "what fails here is to stop the test")]

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use records::{Record, Remediation, VIOLATIONS_MAX};
use serde_json::{Map, Value, json};

fn valid() -> Value {
    json!({
        "name": "rr-1", "namespace": "kubernaut-system", "phase": "Pending",
        "createdAt": "2026-11-01T10:00:00Z", "correlationId": "req-1",
        "signalType": "prometheus-alert", "signalName": "HighMemoryUsage",
        "signalNamespace": "production", "targetType": "deployment",
        "targetName": "api-server", "targetNamespace": "production",
    })
}

fn parse(record: &Value) -> Record<Remediation> {
    Record::parse(record.to_string().as_bytes(), "local").unwrap()
}

fn with(changes: Value) -> Value {
    let mut record = valid();
    let changes = changes.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(changes);
    record
}

#[test]
fn a_rejection_knows_the_correlation_id_if_it_is_well_formed() {
    for (correlation_id, expected) in [
        (json!("req-1"), Some("req-1")),
        (json!("a b"), None),
        (json!(7), None),
        (Value::Null, None),
    ] {
        let record = with(json!({"phase": "Unheard", "correlationId": correlation_id}));
        let rejection =
            Record::<Remediation>::parse(record.to_string().as_bytes(), "local").unwrap_err();
        assert_eq!(rejection.correlation_id.as_deref(), expected);
    }
}

#[test]
fn the_projection_is_what_the_incident_takes_from_the_record() {
    let record = parse(&with(json!({
        "phase": "Completed", "completedAt": "2026-11-01T11:00:02.123456789+01:00",
        "severity": "critical", "cluster": "eu-1", "environment": "production",
        "fingerprint": "ab".repeat(32), "message": "in the content alone",
    })));
    let projection = record.projection.clone();
    let expected = json!({
        "remediation_request_id": "rr-1", "remediation_name": "rr-1",
        "alert_name": "HighMemoryUsage", "alert_severity": "critical",
        "signal_type": "prometheus-alert", "environment": "production",
        "fingerprint": "ab".repeat(32), "completed_at": "2026-11-01T10:00:02.123456Z",
        "cluster": "eu-1", "namespace": "production", "target_type": "deployment",
        "target_name": "api-server", "execution_status": "completed",
    });
    assert_eq!(projection, expected);
}

#[test]
fn the_projection_takes_back_what_the_record_does_not_say() {
    for unset in [json!(null), json!("")] {
        let record = parse(&with(
            json!({"targetNamespace": unset, "fingerprint": unset}),
        ));
        let projection = record.projection.clone();
        let expected = json!({
            "remediation_request_id": "rr-1", "remediation_name": "rr-1",
            "alert_name": "HighMemoryUsage", "alert_severity": null,
            "signal_type": "prometheus-alert", "environment": null, "fingerprint": null,
            "completed_at": null, "cluster": "local", "namespace": "",
            "target_type": "deployment", "target_name": "api-server",
            "execution_status": "pending",
        });
        assert_eq!(projection, expected);
    }
}

#[test]
fn null_is_the_same_as_absent_but_another_content() {
    let absent = parse(&valid());
    let null = parse(&with(
        json!({"severity": null, "labels": null, "message": null}),
    ));
    assert_eq!(absent.common, null.common);
    assert_ne!(absent.content, null.content);
}

#[test]
fn keys_are_sorted_as_utf_16_in_the_canonical_form() {
    let record = with(json!({"labels": {"\u{fb33}": "1", "\u{1f600}": "2", "a": "3"}}));
    let content = parse(&record).content;
    let labels = "\"labels\":{\"a\":\"3\",\"\u{1f600}\":\"2\",\"\u{fb33}\":\"1\"}";
    assert!(content.json().contains(labels), "{}", content.json());
}

fn reversed(object: &Map<String, Value>) -> String {
    let fields: Vec<_> = object
        .iter()
        .rev()
        .map(|(key, value)| format!("{} : {value}", Value::from(key.as_str())))
        .collect();
    format!("{{ {} }}", fields.join(" ,\n"))
}

proptest! {
    // Beside this file: proptest does not find the crate of an integration test.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_at_all_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::<Remediation>::parse(&body, "local");
    }

    #[test]
    fn no_json_at_all_makes_the_parser_panic(
        field in prop::sample::select(vec![
            "name", "phase", "createdAt", "completedAt", "labels", "originalPayload", "x",
        ]),
        value in prop::sample::select(vec![
            json!(null), json!(0), json!(-1.5e300), json!(""), json!("\u{0}"), json!([[]]),
            json!({"a": {"b": 1}}), json!("9999-12-31T23:59:60-23:59"), json!("ÿ".repeat(300)),
        ]),
    ) {
        if let Err(rejection) = Record::<Remediation>::parse(
            with(json!({ field: value })).to_string().as_bytes(),
            "local",
        ) {
            prop_assert!(!rejection.report.is_empty());
            prop_assert!(rejection.report.into_violations().len() <= VIOLATIONS_MAX + 1);
        }
    }

    #[test]
    fn the_order_and_spacing_of_fields_do_not_change_a_record(
        message in "[^\u{0}]{0,40}",
        labels in prop::collection::btree_map("[a-z/.]{1,8}", "[^\u{0}]{0,8}", 0..6),
    ) {
        let record = with(json!({"message": message, "labels": labels}));
        let one = parse(&record);
        let two = Record::<Remediation>::parse(
            reversed(record.as_object().unwrap()).as_bytes(),
            "local",
        ).unwrap();
        prop_assert_eq!(&one, &two);
        let content: Value = serde_json::from_str(one.content.json()).unwrap();
        prop_assert_eq!(content, record);
    }

    #[test]
    fn records_that_differ_have_different_contents(one in "[^\u{0}]{0,20}", two in "[^\u{0}]{0,20}") {
        let first = parse(&with(json!({"message": &one})));
        let second = parse(&with(json!({"message": &two})));
        prop_assert_eq!(one == two, first.content.hash() == second.content.hash());
    }
}
