//! The document as a whole.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(openapi_generator::document().unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

#[test]
fn the_document_that_is_checked_in_is_the_one_that_the_code_makes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
    let checked_in = std::fs::read_to_string(file).unwrap();
    assert!(
        checked_in == openapi_generator::written().unwrap(),
        "openapi.json is another one. Write it anew with `cargo xtask openapi`, and look at what \
         callers will notice of the difference."
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
    let document = document();
    let mut names = BTreeSet::new();
    for (place, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        for text in ["summary", "description"] {
            assert!(operation[text].is_string(), "{place} has no {text}");
        }
    }
}

#[test]
fn every_answer_carries_the_correlation_id() {
    let document = document();
    for (place, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = match response["$ref"].as_str() {
                Some(place) => document.pointer(place.trim_start_matches('#')).unwrap(),
                None => response,
            };
            let header = &response["headers"]["X-Correlation-ID"];
            assert_eq!(header["required"], true, "{place} {status}: {response}");
        }
    }
}

/// Every field, parameter, header, answer and schema that has no description.
fn undescribed(value: &Value, place: &str, found: &mut Vec<String>) {
    let Value::Object(object) = value else {
        if let Value::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                let place = format!("{place}/{index}");
                if place.contains("/parameters/") && item["description"].is_null() {
                    found.push(place.clone());
                }
                undescribed(item, &place, found);
            }
        }
        return;
    };
    for (key, inner) in object {
        let inner_place = format!("{place}/{key}");
        if matches!(key.as_str(), "example" | "examples" | "default" | "enum") {
            continue;
        }
        let parent = place.rsplit('/').next().unwrap_or_default();
        let is_named = matches!(parent, "properties" | "headers" | "responses" | "schemas");
        let is_told_elsewhere = inner.get("$ref").is_some() && parent == "responses";
        if is_named && !is_told_elsewhere && inner["description"].is_null() {
            // The parts of a schema that is made of several have descriptions of their own.
            if inner.get("allOf").is_none() && inner.get("oneOf").is_none() {
                found.push(inner_place.clone());
            }
        }
        undescribed(inner, &inner_place, found);
    }
}

#[test]
fn everything_that_has_a_name_has_a_description() {
    let mut found = Vec::new();
    undescribed(&document(), "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let place = part.split('"').next().unwrap();
        assert!(document.pointer(place).is_some(), "{place}");
    }
}
