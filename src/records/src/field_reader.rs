//! Takes fields out of a JSON object. If a rule is broken, a method reports it and returns a usable
//! value, so that the parser checks all fields; the report then rejects the record.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};

use crate::field::{Field, FieldType, Text};
use crate::format;
use crate::violation::Report;

/// Largest whole number that canonical JSON keeps exactly (RFC 7493, section 2.2).
pub(crate) const INTEGER_MAX: i64 = (1 << 53) - 1;

/// A closed set of values that a field may take.
pub(crate) trait Choice: Copy + 'static {
    const VALUES: &'static [(&'static str, Self)];

    fn names() -> impl Iterator<Item = &'static str> {
        Self::VALUES.iter().map(|(name, _)| *name)
    }

    fn read(text: &str) -> Option<Self> {
        Self::VALUES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
    }
}

/// The fields of an object that are not taken yet.
#[derive(Debug)]
pub struct FieldReader<'r> {
    object: Map<String, Value>,
    /// Path of the object, such as `stepStatuses[0]`; empty for the record itself.
    place: String,
    report: &'r mut Report,
    /// Collects every requested field with its rule.
    schema: Option<&'r mut Vec<Field>>,
}

impl<'r> FieldReader<'r> {
    pub(crate) fn new(object: Map<String, Value>, report: &'r mut Report) -> Self {
        Self {
            object,
            place: String::new(),
            report,
            schema: None,
        }
    }

    pub(crate) fn listing(schema: &'r mut Vec<Field>, report: &'r mut Report) -> Self {
        Self {
            schema: Some(schema),
            ..Self::new(Map::new(), report)
        }
    }

    fn note(&mut self, field: &str, is_required: bool, field_type: impl FnOnce() -> FieldType) {
        if let Some(schema) = &mut self.schema {
            schema.push(Field {
                name: field.to_owned(),
                is_required,
                field_type: field_type(),
            });
        }
    }

    pub(crate) fn refuse(&mut self, field: &str, rule: &'static str, message: impl Into<String>) {
        if self.place.is_empty() {
            self.report.add(field, rule, message);
        } else {
            let place = format!("{}[{field:?}]", self.place);
            self.report.add(place, rule, message);
        }
    }

    /// Takes a field. Null and an empty text, which clients send for unset fields, count as absent.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.object
            .remove(field)
            .filter(|value| !value.is_null() && value != "")
    }

    fn take_required(&mut self, field: &str) -> Option<Value> {
        let value = self.take(field);
        if value.is_none() {
            self.refuse_absent(field);
        }
        value
    }

    fn refuse_absent(&mut self, field: &str) {
        self.refuse(field, "required", "the field is required");
    }

    fn read_text(&mut self, field: &str, rule: &Text, value: Value) -> Option<String> {
        let Value::String(text) = value else {
            self.refuse(field, "type", "must be a string");
            return None;
        };
        self.check_text(field, rule, &text).then_some(text)
    }

    fn check_text(&mut self, field: &str, rule: &Text, text: &str) -> bool {
        let (min, max) = match *rule {
            Text::Bytes(max) => {
                if text.len() > max {
                    let message = format!("must be at most {max} bytes of UTF-8");
                    self.refuse(field, "length", message);
                    return false;
                }
                return true;
            }
            Text::Characters(min, max) => (min, max),
            Text::Form(form) => (1, form.characters_max),
        };
        if !(min..=max).contains(&text.chars().count()) {
            let message = match min {
                0 => format!("must be at most {max} characters"),
                _ => format!("must be {min} to {max} characters"),
            };
            self.refuse(field, "length", message);
            return false;
        }
        if let Text::Form(form) = rule
            && !(form.is_valid)(text)
        {
            let message = format!("must be {}", form.description);
            self.refuse(field, "format", message);
            return false;
        }
        true
    }

    pub(crate) fn required_text(&mut self, field: &str, rule: &Text) -> String {
        self.note(field, true, || FieldType::Text(*rule));
        self.take_required(field)
            .and_then(|value| self.read_text(field, rule, value))
            .unwrap_or_default()
    }

    pub(crate) fn text(&mut self, field: &str, rule: &Text) -> Option<String> {
        self.note(field, false, || FieldType::Text(*rule));
        let value = self.take(field)?;
        self.read_text(field, rule, value)
    }

    pub(crate) fn base64(&mut self, field: &str, bytes_max: usize) {
        self.note(field, false, || FieldType::Base64(bytes_max));
        let Some(value) = self.take(field) else {
            return;
        };
        let Some(text) = self.read_text(field, &Text::ANY, value) else {
            return;
        };
        match STANDARD.decode(&text) {
            Ok(bytes) if bytes.len() <= bytes_max => {}
            Ok(_) => {
                let message = format!("must decode to at most {bytes_max} bytes");
                self.refuse(field, "length", message);
            }
            Err(error) => self.refuse(
                field,
                "format",
                format!("must be standard base64 with padding (RFC 4648, section 4): {error}"),
            ),
        }
    }

    fn read_choice<C: Choice>(&mut self, field: &str, value: &Value) -> Option<C> {
        let choice = value.as_str().and_then(C::read);
        if choice.is_none() {
            let names: Vec<_> = C::names().collect();
            let message = format!("must be one of {}", names.join(", "));
            self.refuse(field, "enum", message);
        }
        choice
    }

    pub(crate) fn required_choice<C: Choice>(&mut self, field: &str) -> Option<C> {
        self.note(field, true, || FieldType::Choice(C::names().collect()));
        let value = self.take_required(field)?;
        self.read_choice(field, &value)
    }

    fn read_timestamp(&mut self, field: &str, value: &Value) -> Option<DateTime<FixedOffset>> {
        let timestamp = value.as_str().and_then(format::parse_timestamp);
        if timestamp.is_none() {
            self.refuse(
                field,
                "format",
                "must be an RFC 3339 timestamp with an offset, in the years 0001 to 9999",
            );
        }
        timestamp
    }

    pub(crate) fn required_timestamp(&mut self, field: &str) -> Option<DateTime<FixedOffset>> {
        self.note(field, true, || FieldType::Timestamp);
        let value = self.take_required(field)?;
        let timestamp = self.read_timestamp(field, &value)?;
        if format::is_zero_time(timestamp) {
            self.refuse_absent(field);
            return None;
        }
        Some(timestamp)
    }

    /// Go's zero time counts as absent.
    pub(crate) fn timestamp(&mut self, field: &str) -> Option<DateTime<FixedOffset>> {
        self.note(field, false, || FieldType::Timestamp);
        let value = self.take(field)?;
        self.read_timestamp(field, &value)
            .filter(|timestamp| !format::is_zero_time(*timestamp))
    }

    /// An object of strings; a null value counts as an empty text.
    pub(crate) fn text_map(
        &mut self,
        field: &str,
        entries_max: usize,
        key_rule: &Text,
        value_rule: &Text,
    ) -> BTreeMap<String, String> {
        self.note(field, false, || FieldType::TextMap {
            entries_max,
            key: *key_rule,
            value: *value_rule,
        });
        let object = match self.take(field) {
            None => return BTreeMap::new(),
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.refuse(field, "type", "must be an object of strings");
                return BTreeMap::new();
            }
        };
        if object.len() > entries_max {
            let message = format!("must have at most {entries_max} entries");
            self.refuse(field, "count", message);
        }
        object
            .into_iter()
            .filter_map(|(key, value)| {
                let place = format!("{field}[{key:?}]");
                let key_is_valid = self.check_text(&place, key_rule, &key);
                let value = match value {
                    Value::Null => Value::String(String::new()),
                    value => value,
                };
                let value = self.read_text(&place, value_rule, value)?;
                key_is_valid.then_some((key, value))
            })
            .collect()
    }

    /// An object whose content only the limits of a body bound, and the precision of its numbers.
    pub(crate) fn object(&mut self, field: &str) {
        self.note(field, false, || FieldType::Object);
        match self.take(field) {
            None => {}
            Some(value) if value.is_object() => self.refuse_inexact(field, &value),
            Some(_) => self.refuse(field, "type", "must be an object"),
        }
    }

    /// Canonical JSON would change other whole numbers (RFC 7493, section 2.2).
    fn refuse_inexact(&mut self, place: &str, value: &Value) {
        match value {
            Value::Number(number) => {
                let is_exact = number.is_f64()
                    || number
                        .as_i64()
                        .is_some_and(|whole| (-INTEGER_MAX..=INTEGER_MAX).contains(&whole));
                if !is_exact {
                    let message = format!(
                        "a whole number beyond {INTEGER_MAX} would lose digits; write it as a string"
                    );
                    self.refuse(place, "range", message);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.refuse_inexact(&format!("{place}[{index}]"), item);
                }
            }
            Value::Object(object) => {
                for (key, inner) in object {
                    self.refuse_inexact(&format!("{place}[{key:?}]"), inner);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn texts(&mut self, field: &str) {
        self.note(field, false, || FieldType::Texts);
        let are_texts = match self.take(field) {
            None => true,
            Some(Value::Array(items)) => items.iter().all(Value::is_string),
            Some(_) => false,
        };
        if !are_texts {
            self.refuse(field, "type", "must be an array of strings");
        }
    }

    /// Reads each object of an array with `read` and returns their number.
    pub(crate) fn objects(
        &mut self,
        field: &str,
        mut read: impl FnMut(&mut FieldReader<'_>),
    ) -> usize {
        if self.schema.is_some() {
            let mut inner = Vec::new();
            read(&mut FieldReader::listing(&mut inner, self.report));
            self.note(field, false, || FieldType::Objects(inner));
        }
        let items = match self.take(field) {
            None => return 0,
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.refuse(field, "type", "must be an array of objects");
                return 0;
            }
        };
        let count = items.len();
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{field}[{index}]");
            let Value::Object(object) = item else {
                self.refuse(&place, "type", "must be an object");
                continue;
            };
            let mut fields = FieldReader {
                object,
                place,
                report: self.report,
                schema: None,
            };
            read(&mut fields);
            fields.refuse_unknown();
        }
        count
    }

    pub(crate) fn boolean(&mut self, field: &str) -> Option<bool> {
        self.note(field, false, || FieldType::Boolean);
        let value = self.take(field)?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.refuse(field, "type", "must be true or false");
        }
        boolean
    }

    /// Ranges must not exceed [`INTEGER_MAX`]: canonical JSON keeps the nearest double (RFC 8785).
    pub(crate) fn number(&mut self, field: &str, range: RangeInclusive<f64>) -> Option<f64> {
        self.note(field, false, || FieldType::Number(range.clone()));
        let value = self.take(field)?;
        let Some(number) = value.as_f64() else {
            self.refuse(field, "type", "must be a number");
            return None;
        };
        if !range.contains(&number) {
            let message = format!("must be {} to {}", range.start(), range.end());
            self.refuse(field, "range", message);
            return None;
        }
        Some(number)
    }

    fn read_integer(
        &mut self,
        field: &str,
        range: &RangeInclusive<i64>,
        value: &Value,
    ) -> Option<i64> {
        let Some(integer) = whole(value) else {
            self.refuse(field, "type", "must be a whole number");
            return None;
        };
        if !range.contains(&integer) {
            let message = format!("must be {} to {}", range.start(), range.end());
            self.refuse(field, "range", message);
            return None;
        }
        Some(integer)
    }

    pub(crate) fn required_integer(
        &mut self,
        field: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        self.note(field, true, || FieldType::Integer(range.clone()));
        let value = self.take_required(field)?;
        self.read_integer(field, &range, &value)
    }

    pub(crate) fn integer(&mut self, field: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.note(field, false, || FieldType::Integer(range.clone()));
        let value = self.take(field)?;
        self.read_integer(field, &range, &value)
    }

    pub(crate) fn refuse_unknown(mut self) {
        for field in std::mem::take(&mut self.object).keys() {
            self.refuse(
                field,
                "unknown",
                "no such field; it is refused so that no part of a record is lost silently",
            );
        }
    }
}

/// Canonical JSON has one number for `3`, `3.0` and `3e0`. Values beyond 64 bits saturate.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
        Some(number as i64)
    })
}
