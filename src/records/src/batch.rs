//! Batches of records.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::BYTE_ORDER_MARK;
use crate::kinds::{AnyRecord, KIND_NAMES, RecordKind};
use crate::violation::{Rejection, Report, Violation};

/// Size limit of a record as JSON.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Maximum number of records in a batch.
pub const BATCH_ITEMS_MAX: usize = 500;

/// How a batch separates its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchForm {
    /// A JSON array.
    Array,
    /// A line of JSON for each item (application/x-ndjson).
    Lines,
}

/// Parses a batch of `{"kind": ..., "record": {...}}`, each independently of the others.
/// `cluster_name` is the cluster of a record that names none.
///
/// # Errors
///
/// Reports what is wrong with the batch as a whole; each item, what is wrong with it.
pub fn parse_batch(
    body: &[u8],
    form: BatchForm,
    cluster_name: &str,
) -> Result<Vec<Result<AnyRecord, Rejection>>, Report> {
    let items = match form {
        BatchForm::Array => split_array(body)?,
        BatchForm::Lines => split_lines(body),
    };
    if items.is_empty() || items.len() > BATCH_ITEMS_MAX {
        let message = format!("must have 1 to {BATCH_ITEMS_MAX} items");
        return Err(Violation::new("body", "count", message).into());
    }
    let parsed = items.into_iter().map(|item| parse_item(item, cluster_name));
    Ok(parsed.collect())
}

fn split_array(body: &[u8]) -> Result<Vec<&[u8]>, Report> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("the body is not UTF-8 at byte {}", error.valid_up_to());
        Violation::new("body", "utf-8", message)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('[') {
        let message = "must be an array of items; lines of JSON are application/x-ndjson";
        return Err(Violation::new("body", "type", message).into());
    }
    let Items(items) = serde_json::from_str(text).map_err(|error| {
        let message = format!("cannot read the JSON: {error}");
        Violation::new("body", "json", message)
    })?;
    Ok(items.iter().map(|item| item.get().as_bytes()).collect())
}

/// Passes over empty lines, such as the one after the last line break. Keeps one line more than a
/// batch may have.
fn split_lines(body: &[u8]) -> Vec<&[u8]> {
    body.strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(body)
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(BATCH_ITEMS_MAX + 1)
        .collect()
}

fn parse_item(item: &[u8], cluster_name: &str) -> Result<AnyRecord, Rejection> {
    let (kind, record) = read_item(item).map_err(|report| Rejection {
        correlation_id: None,
        report,
    })?;
    (kind.parse)(record.get().as_bytes(), cluster_name)
}

fn read_item(item: &[u8]) -> Result<(RecordKind, &RawValue), Report> {
    let text = std::str::from_utf8(item).map_err(|error| {
        let message = format!("the item is not UTF-8 at byte {}", error.valid_up_to());
        Violation::new("body", "utf-8", message)
    })?;
    if !text.starts_with('{') {
        let message = "must be an object with kind and record";
        return Err(Violation::new("body", "type", message).into());
    }
    let Members(members) = serde_json::from_str(text).map_err(|error| {
        let message = format!("cannot read the JSON: {error}");
        Violation::new("body", "json", message)
    })?;
    let mut report = Report::default();
    let (mut kind, mut record) = (None, None);
    for (name, value) in members {
        let member = match name.as_str() {
            "kind" => &mut kind,
            "record" => &mut record,
            _ => {
                report.add(name, "unknown", "an item has only kind and record");
                continue;
            }
        };
        if member.replace(value).is_some() {
            report.add(name, "duplicate", "the key is given more than once");
        }
    }
    let kind = read_kind(kind, &mut report);
    match record {
        None => report.add("record", "required", "the field is required"),
        Some(record) if record.get().len() > RECORD_BYTES_MAX => {
            let message = format!("must be at most {RECORD_BYTES_MAX} bytes of JSON");
            report.add("record", "length", message);
        }
        Some(_) => {}
    }
    match (kind, record) {
        (Some(kind), Some(record)) if report.is_empty() => Ok((kind, record)),
        _ => Err(report),
    }
}

fn read_kind(kind: Option<&RawValue>, report: &mut Report) -> Option<RecordKind> {
    let Some(kind) = kind else {
        report.add("kind", "required", "the field is required");
        return None;
    };
    let named = serde_json::from_str::<String>(kind.get())
        .ok()
        .and_then(|name| RecordKind::named(&name));
    if named.is_none() {
        let message = format!("must be one of {}", KIND_NAMES.join(", "));
        report.add("kind", "enum", message);
    }
    named
}

/// The members of an object, in order and with repetitions.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// The items of an array; one more than a batch may have if there are more.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() <= BATCH_ITEMS_MAX {
                        items.push(item);
                    }
                }
                Ok(Items(items))
            }
        }

        deserializer.deserialize_seq(Collect)
    }
}
