//! The schemas of records against the parser: what the one allows, the other takes, and what
//! breaks a rule of the one is refused by the other.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use records::{KINDS, RecordKind};
use regex::Regex;
use serde_json::{Map, Value, json};

/// The fields that a record is refused for.
fn refused(kind: RecordKind, record: &Value) -> Vec<String> {
    match (kind.parse)(record.to_string().as_bytes(), "local") {
        Ok(_) => Vec::new(),
        Err(rejection) => {
            let violations = rejection.report.into_violations().into_iter();
            violations.map(|violation| violation.field).collect()
        }
    }
}

/// The schema of a kind's records, and the document's example of one.
fn described(kind: &str) -> (Value, Value) {
    let document = serde_json::to_value(openapi_generator::document().unwrap()).unwrap();
    let operation = &document["paths"][format!("/api/v1/audit/{kind}")]["post"];
    let content = &operation["requestBody"]["content"]["application/json"];
    let place = content["schema"]["$ref"].as_str().unwrap();
    let schema = document.pointer(place.trim_start_matches('#')).unwrap();
    (schema.clone(), content["example"].clone())
}

/// Nothing but what is required.
fn required_only(schema: &Value, example: &Value) -> Map<String, Value> {
    let names = schema["required"].as_array().unwrap().iter();
    let names = names.map(|name| name.as_str().unwrap());
    names
        .map(|name| (name.to_owned(), example[name].clone()))
        .collect()
}

fn is_of(schema: &Value, own: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == own,
        Value::Array(several) => several.iter().any(|one| one == own),
        _ => false,
    }
}

/// Values that a schema allows, at its limits, and such as it does not, one past them.
fn samples(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let mut good = schema["examples"].as_array().cloned().unwrap_or_default();
    let mut bad = Vec::new();
    let null = if is_of(schema, "null") {
        &mut good
    } else {
        &mut bad
    };
    null.push(Value::Null);
    if let Some(values) = schema["enum"].as_array() {
        good.extend(values.iter().cloned());
        bad.extend([json!("none of them"), json!(""), json!(1)]);
    } else if is_of(schema, "string") {
        bad.extend([json!(1), json!(true), json!([]), json!({}), json!("\u{0}")]);
        text_samples(schema, &mut good, &mut bad);
    } else if is_of(schema, "integer") || is_of(schema, "number") {
        bad.extend([json!("1"), json!(true), json!([])]);
        if is_of(schema, "integer") {
            bad.push(json!(1.5));
        }
        if let Some(min) = schema["minimum"].as_f64() {
            good.push(json!(min));
            bad.push(json!(min - 1.0));
        }
        if let Some(max) = schema["maximum"].as_f64() {
            good.push(json!(max));
            bad.push(json!(max + 1.0));
        }
    } else if is_of(schema, "boolean") {
        good.extend([json!(true), json!(false)]);
        bad.extend([json!("true"), json!(1)]);
    } else if is_of(schema, "array") {
        bad.extend([json!({}), json!("a"), json!([1]), json!([null])]);
    } else {
        bad.extend([json!([]), json!("a"), json!({"a": "\u{0}"})]);
        let of_any_shape = if schema["additionalProperties"].is_null() {
            &mut good
        } else {
            &mut bad
        };
        of_any_shape.extend([json!({"a": 1}), json!({"a": {"b": [{}]}})]);
        map_samples(schema, &mut good, &mut bad);
    }
    (good, bad)
}

fn text_samples(schema: &Value, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
    if schema["format"] == "date-time" {
        bad.extend([
            json!("now"),
            json!("2026-11-01T10:00:00"),
            json!("2026-02-30T00:00:00Z"),
        ]);
        return;
    }
    let pattern = Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
    let max = schema["maxLength"].as_u64().unwrap_or(100_000);
    let length = usize::try_from(max).unwrap();
    let is_empty_allowed = schema["minLength"].is_null() && pattern.is_match("");
    let empty = if is_empty_allowed {
        &mut *good
    } else {
        &mut *bad
    };
    empty.push(json!(""));
    for text in ["A b", "-", "a.b", "ü\n", "%"] {
        let values = if pattern.is_match(text) {
            &mut *good
        } else {
            &mut *bad
        };
        values.push(json!(text));
    }
    let longest = "a".repeat(length);
    if pattern.is_match(&longest) && schema["contentEncoding"].is_null() {
        good.push(json!(longest));
    }
    if !schema["maxLength"].is_null() {
        bad.push(json!("a".repeat(length + 1)));
    }
}

fn map_samples(schema: &Value, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
    let entries = |number: u64| {
        let entries = (0..number).map(|n| (format!("key-{n}"), json!("value")));
        Value::Object(entries.collect())
    };
    if let Some(max) = schema["maxProperties"].as_u64() {
        good.push(entries(max));
        bad.push(entries(max + 1));
    }
    if let Some(max) = schema["propertyNames"]["maxLength"].as_u64() {
        let key = |length: u64| "k".repeat(usize::try_from(length).unwrap());
        good.push(json!({ key(max): "value" }));
        bad.push(json!({ key(max + 1): "value" }));
    }
    let value = &schema["additionalProperties"];
    if let Some(max) = value["maxLength"].as_u64() {
        let text = |length: u64| "v".repeat(usize::try_from(length).unwrap());
        good.push(json!({ "key": text(max) }));
        bad.push(json!({ "key": text(max + 1) }));
    }
}

fn hold_to_its_schema(kind: RecordKind) {
    let refused = |record: &Value| refused(kind, record);
    let (schema, example) = described(kind.name);
    assert_eq!(refused(&example), [""; 0], "the example of {}", kind.name);
    let mut bare = required_only(&schema, &example);
    assert_eq!(refused(&Value::Object(bare.clone())), [""; 0]);
    for name in bare.keys() {
        let mut record = bare.clone();
        record.remove(name);
        assert_eq!(refused(&Value::Object(record)), [name.as_str()]);
    }
    // So that no rule between fields is in the way.
    if bare.contains_key("stepCount") {
        bare.insert(
            "stepCount".to_owned(),
            schema["properties"]["stepCount"]["maximum"].clone(),
        );
    }
    for (name, field) in schema["properties"].as_object().unwrap() {
        let (good, bad) = samples(field);
        for value in good {
            let mut record = bare.clone();
            record.insert(name.clone(), value.clone());
            let refused = refused(&Value::Object(record));
            assert_eq!(refused, [""; 0], "{name} is {value}");
        }
        for value in bad {
            let mut record = bare.clone();
            record.insert(name.clone(), value.clone());
            let refused = refused(&Value::Object(record));
            let is_named = refused.iter().any(|field| field.starts_with(name.as_str()));
            assert!(is_named, "{name} is {value}: {refused:?}");
        }
    }
    assert_eq!(schema["additionalProperties"], false);
    bare.insert("surprise".to_owned(), Value::Null);
    assert_eq!(refused(&Value::Object(bare)), ["surprise"]);
}

#[test]
fn records_of_every_kind_are_held_to_their_schema() {
    for kind in KINDS {
        hold_to_its_schema(kind);
    }
}

#[test]
fn the_steps_of_a_workflow_are_held_to_their_schema() {
    let workflow = RecordKind::named("workflow").unwrap();
    let (schema, example) = described(workflow.name);
    let item = &schema["properties"]["stepStatuses"]["items"];
    assert_eq!(item["additionalProperties"], false);
    let bare = required_only(item, &example["stepStatuses"][0]);
    let refused_for = |name: &str, value: &Value| {
        let mut step = bare.clone();
        step.insert(name.to_owned(), value.clone());
        let mut record = example.clone();
        record["stepStatuses"] = json!([step]);
        refused(workflow, &record)
    };
    for (name, field) in item["properties"].as_object().unwrap() {
        let (good, bad) = samples(field);
        for value in good {
            assert_eq!(refused_for(name, &value), [""; 0], "{name} is {value}");
        }
        for value in bad {
            assert!(!refused_for(name, &value).is_empty(), "{name} is {value}");
        }
    }
}
