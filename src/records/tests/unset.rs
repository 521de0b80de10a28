//! Fields that clients send as not set.

#![allow(clippy::unwrap_used, reason = "what fails here is to stop the test")]

use records::{
    AiAnalysis, Event, Execution, Field, FieldType, Kind, Record, Remediation, Workflow, schema,
};
use serde_json::{Map, Value, json};

fn record(fields: Value) -> Map<String, Value> {
    let mut record = json!({
        "name": "a", "namespace": "b", "phase": "Pending", "createdAt": "2026-11-01T10:00:00Z",
        "correlationId": "c",
    });
    let record = record.as_object_mut().unwrap();
    record.extend(fields.as_object().unwrap().clone());
    record.clone()
}

fn spellings(field_type: &FieldType) -> Vec<Value> {
    let mut spellings = vec![Value::Null, json!("")];
    if matches!(field_type, FieldType::Timestamp) {
        spellings.extend([
            json!("0001-01-01T00:00:00Z"),
            json!("0001-01-01T00:00:00.000000000Z"),
            json!("0001-01-01T05:30:00+05:30"),
        ]);
    }
    spellings
}

fn parse<K: Kind>(record: &Map<String, Value>) -> Result<(K, Value), Vec<(String, String)>> {
    let body = Value::from(record.clone()).to_string();
    match Record::<K>::parse(body.as_bytes(), "local") {
        Ok(parsed) => {
            let common = format!("{:?}", parsed.common);
            Ok((parsed.kind, json!([common, parsed.projection])))
        }
        Err(rejection) => Err(rejection
            .report
            .into_violations()
            .into_iter()
            .map(|violation| (violation.field, violation.rule.to_owned()))
            .collect()),
    }
}

fn assert_unset<K: Kind + PartialEq + std::fmt::Debug>(
    record: &Map<String, Value>,
    fields: &[Field],
    place: &str,
    at: impl Fn(&mut Map<String, Value>) -> &mut Map<String, Value>,
) {
    for Field {
        name,
        is_required,
        field_type,
    } in fields
    {
        let mut absent = record.clone();
        at(&mut absent).remove(name);
        for spelling in spellings(field_type) {
            let mut unset = record.clone();
            at(&mut unset).insert(name.clone(), spelling.clone());
            let parsed = parse::<K>(&unset);
            assert_eq!(parsed, parse::<K>(&absent), "{name}: {spelling}");
            let field = match place {
                "" => name.clone(),
                place => format!("{place}[{name:?}]"),
            };
            let expected = is_required.then(|| vec![(field, "required".to_owned())]);
            assert_eq!(parsed.err(), expected, "{name}: {spelling}");
        }
    }
}

fn assert_kind_unset<K: Kind + PartialEq + std::fmt::Debug>(fields: Value) {
    let record = record(fields);
    parse::<K>(&record).unwrap();
    let schema = schema::<K>();
    assert_unset::<K>(&record, &schema, "", |record| record);
    for field in &schema {
        let FieldType::Objects(inner) = &field.field_type else {
            continue;
        };
        let place = format!("{}[0]", field.name);
        assert_unset::<K>(&record, inner, &place, |record| {
            let items = record.get_mut(&field.name).unwrap();
            items.get_mut(0).unwrap().as_object_mut().unwrap()
        });
    }
}

#[test]
fn null_an_empty_text_and_gos_zero_time_are_not_set_in_every_field_of_every_kind() {
    assert_kind_unset::<Remediation>(json!({
        "signalType": "a", "signalName": "b", "targetType": "c", "targetName": "d",
    }));
    assert_kind_unset::<AiAnalysis>(json!({
        "remediationRequestRef": "a", "llmProvider": "b", "llmModel": "c",
    }));
    assert_kind_unset::<Workflow>(json!({
        "remediationRequestRef": "a", "workflowName": "b", "stepCount": 1,
        "stepStatuses": [{"name": "a", "phase": "Skipped"}],
    }));
    assert_kind_unset::<Execution>(json!({
        "workflowExecutionRef": "a", "stepName": "b", "actionType": "c", "targetType": "d",
        "targetName": "e",
    }));
    assert_kind_unset::<Event>(json!({"eventType": "a"}));
}

#[test]
fn null_in_a_map_is_an_empty_text() {
    let map = |value: Value| {
        let mut record = record(json!({
            "signalType": "a", "signalName": "b", "targetType": "c", "targetName": "d",
        }));
        record.insert("labels".to_owned(), json!({ "key": value }));
        parse::<Remediation>(&record).unwrap()
    };
    assert_eq!(map(Value::Null), map(json!("")));
    assert_ne!(map(Value::Null), map(json!("value")));
}
