//! Converts values to statement parameters.

use chrono::{DateTime, Utc};
use spin_sdk::pg4::ParameterValue;

pub(crate) fn text(value: &str) -> ParameterValue {
    ParameterValue::Str(value.to_owned())
}

pub(crate) fn bytes(value: &[u8]) -> ParameterValue {
    ParameterValue::Binary(value.to_owned())
}

pub(crate) fn optional_text(value: Option<String>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, ParameterValue::Str)
}

pub(crate) fn optional_number(value: Option<i64>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, ParameterValue::from)
}

/// Converts to UTC without a zone: the host has no timestamp with a zone.
pub(crate) fn optional_time(value: Option<DateTime<Utc>>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, |time| time.naive_utc().into())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .collect()
}
