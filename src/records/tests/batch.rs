//! Batches of records.

#![allow(clippy::unwrap_used, reason = "what fails here is to stop the test")]

use proptest::prelude::*;
use records::{
    BATCH_ITEMS_MAX, BATCH_VIOLATIONS_MAX, BatchForm, KIND_NAMES, RECORD_BYTES_MAX, Report,
    parse_batch,
};
use serde_json::{Value, json};

fn workflow() -> Value {
    json!({"kind": "workflow", "record": {
        "name": "a", "namespace": "b", "phase": "Pending", "createdAt": "2026-11-01T10:00:00Z",
        "correlationId": "c", "remediationRequestRef": "r", "workflowName": "w", "stepCount": 1,
    }})
}

fn listed(report: Report) -> Vec<(Option<usize>, String, &'static str)> {
    let violations = report.into_violations().into_iter();
    violations
        .map(|violation| (violation.item, violation.field, violation.rule))
        .collect()
}

/// What is wrong with the only item.
fn item_rules(item: &str) -> Vec<(String, &'static str)> {
    let mut parsed = parse_batch(item.as_bytes(), BatchForm::Lines, "any").unwrap();
    assert_eq!(parsed.len(), 1);
    let report = parsed.pop().unwrap().unwrap_err().report;
    let violations = listed(report).into_iter();
    violations.map(|(_, field, rule)| (field, rule)).collect()
}

fn body_rules(body: &[u8], form: BatchForm) -> Vec<(Option<usize>, String, &'static str)> {
    listed(parse_batch(body, form, "any").unwrap_err())
}

#[test]
fn a_batch_has_one_item_to_the_limit() {
    for form in [BatchForm::Array, BatchForm::Lines] {
        let batch = |count: usize| {
            let items = vec![workflow().to_string(); count];
            match form {
                BatchForm::Array => format!("[{}]", items.join(",")),
                BatchForm::Lines => items.join("\n"),
            }
        };
        let parsed = parse_batch(batch(BATCH_ITEMS_MAX).as_bytes(), form, "any").unwrap();
        assert_eq!(parsed.len(), BATCH_ITEMS_MAX);
        assert!(parsed.iter().all(Result::is_ok));
        let refused = [(None, "body".to_owned(), "count")];
        assert_eq!(
            body_rules(batch(BATCH_ITEMS_MAX + 1).as_bytes(), form),
            refused
        );
        assert_eq!(body_rules(batch(0).as_bytes(), form), refused);
    }
}

#[test]
fn empty_lines_carriage_returns_and_a_byte_order_mark_are_passed_over() {
    let line = workflow().to_string();
    let body = format!("\u{feff}\r\n{line}\r\n\n  \n{line}\n");
    let parsed = parse_batch(body.as_bytes(), BatchForm::Lines, "any").unwrap();
    assert_eq!(parsed.len(), 2);
    assert!(parsed.iter().all(Result::is_ok));
    let body = format!("\u{feff} [{line}, \n {line}]\n");
    let parsed = parse_batch(body.as_bytes(), BatchForm::Array, "any").unwrap();
    assert_eq!(parsed.len(), 2);
}

#[test]
fn what_is_no_array_is_refused_as_a_whole() {
    let workflow = workflow().to_string();
    for (body, rule) in [
        (&b""[..], "type"),
        (b"{}", "type"),
        (b"null", "type"),
        (workflow.as_bytes(), "type"),
        (b"[", "json"),
        (b"[{}", "json"),
        (b"[{}] []", "json"),
        (b"[{},]", "json"),
        (b"[\xff]", "utf-8"),
    ] {
        let refused = [(None, "body".to_owned(), rule)];
        let name = String::from_utf8_lossy(body);
        assert_eq!(body_rules(body, BatchForm::Array), refused, "{name}");
    }
}

#[test]
fn a_line_that_cannot_be_read_leaves_the_others_alone() {
    let line = workflow().to_string();
    let mut body = format!("{line}\n{{\n").into_bytes();
    body.extend(b"{\"kind\":\"\xff\"}\n");
    body.extend(line.as_bytes());
    let parsed = parse_batch(&body, BatchForm::Lines, "any").unwrap();
    let are_valid: Vec<_> = parsed.iter().map(Result::is_ok).collect();
    assert_eq!(are_valid, [true, false, false, true]);
}

#[test]
fn an_item_names_a_kind_and_has_a_record_and_nothing_else() {
    let rule = |field: &str, rule| (field.to_owned(), rule);
    for (item, rules) in [
        ("1", vec![rule("body", "type")]),
        ("[]", vec![rule("body", "type")]),
        ("{", vec![rule("body", "json")]),
        (
            "{}",
            vec![rule("kind", "required"), rule("record", "required")],
        ),
        (
            r#"{"kind":"approval","record":{}}"#,
            vec![rule("kind", "enum")],
        ),
        (r#"{"kind":null,"record":{}}"#, vec![rule("kind", "enum")]),
        (r#"{"kind":1,"record":{}}"#, vec![rule("kind", "enum")]),
        (
            r#"{"kind":"event","kind":"workflow","record":{},"x":1}"#,
            vec![rule("kind", "duplicate"), rule("x", "unknown")],
        ),
        (
            r#"{"kind":"workflow","record":[]}"#,
            vec![rule("body", "type")],
        ),
        (
            r#"{"kind":"workflow","record":{"a":1,"a":2}}"#,
            vec![rule("a", "duplicate")],
        ),
    ] {
        let found = item_rules(item);
        assert!(
            rules.iter().all(|rule| found.contains(rule)),
            "{item}: {found:?}"
        );
    }
}

#[test]
fn a_record_has_the_size_limit_of_a_single_one() {
    for (bytes, is_refused) in [(RECORD_BYTES_MAX, false), (RECORD_BYTES_MAX + 1, true)] {
        let mut item = workflow();
        item["record"]["padding"] = json!("");
        let padding = bytes - item["record"].to_string().len();
        item["record"]["padding"] = json!("x".repeat(padding));
        let rules = item_rules(&item.to_string());
        let length = ("record".to_owned(), "length");
        assert_eq!(rules.contains(&length), is_refused, "{bytes}");
    }
}

#[test]
fn violations_of_items_are_listed_up_to_the_limit_and_counted_beyond() {
    let report = |count: usize| {
        let mut report = Report::default();
        for number in 0..count {
            report.add(number.to_string(), "unknown", "no such field");
        }
        report
    };
    let joined = Report::of_items((0..60).map(|item| (item, report(101))));
    assert_eq!(joined.count(), 60 * 101);
    let listed = listed(joined);
    assert_eq!(listed.len(), BATCH_VIOLATIONS_MAX + 1);
    assert_eq!(listed.first(), Some(&(Some(0), "0".to_owned(), "unknown")));
    let last = listed.get(BATCH_VIOLATIONS_MAX - 1);
    assert_eq!(last, Some(&(Some(49), "99".to_owned(), "unknown")));
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in "[\\[\\]{},:\"a-z0-9\n ]{0,80}") {
        for form in [BatchForm::Array, BatchForm::Lines] {
            match parse_batch(body.as_bytes(), form, "any") {
                Ok(items) => prop_assert!(items.iter().all(Result::is_err)),
                Err(report) => prop_assert!(!report.is_empty()),
            }
        }
    }

    #[test]
    fn an_item_is_parsed_as_the_single_record(kind in prop::sample::select(&KIND_NAMES[..]), name in "[a-z]{0,3}") {
        let record = json!({"name": name, "namespace": "b", "correlationId": "c"});
        let item = json!({"kind": kind, "record": record}).to_string();
        let mut parsed = parse_batch(item.as_bytes(), BatchForm::Lines, "any").unwrap();
        let single = (records::RecordKind::named(kind).unwrap().parse)(record.to_string().as_bytes(), "any");
        prop_assert_eq!(parsed.pop().unwrap(), single);
    }
}
