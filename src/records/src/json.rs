//! Strict JSON: refuses what serde_json would silently lose or change.

use std::cell::{OnceCell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::format::is_correlation_id;
use crate::violation::Report;

/// Maximum nesting of arrays and objects, including the record itself.
pub(crate) const JSON_NESTING_MAX: usize = 32;

/// Some clients send it before UTF-8; a parser may ignore it (RFC 8259, section 8.1).
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one JSON object from a request body. Besides invalid JSON, refuses duplicate keys, NUL in
/// strings (PostgreSQL cannot store it) and nesting beyond [`JSON_NESTING_MAX`]. `None` means that
/// nothing is left to check; the report says why.
pub(crate) fn read_object(body: &[u8], report: &mut Report) -> Option<Map<String, Value>> {
    let marked = body.len();
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.is_empty() {
        report.add("body", "required", "the body is empty");
        return None;
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let position = marked - body.len() + error.valid_up_to();
            report.add(
                "body",
                "utf-8",
                format!("the body is not UTF-8 at byte {position}"),
            );
            return None;
        }
    };
    let shared = RefCell::new(report);
    let unreadable = OnceCell::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let root = Strict {
        report: &shared,
        unreadable: &unreadable,
        place: &Place::Root,
        level: 0,
    };
    let parsed = root
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    let report = shared.into_inner();
    match parsed {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) => {
            report.add("body", "type", "the body must be a JSON object");
            None
        }
        Err(error) => {
            let place = unreadable.into_inner();
            report.add(
                place.unwrap_or_else(|| Place::Root.to_string()),
                "json",
                format!("cannot read the JSON: {error}"),
            );
            None
        }
    }
}

/// A valid `correlationId`, even of an object that is refused.
pub(crate) fn correlation_id_in(object: &Map<String, Value>) -> Option<String> {
    let text = object.get("correlationId")?.as_str()?;
    is_correlation_id(text).then(|| text.to_owned())
}

/// Path in the document; formatted only for a violation.
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => f.write_str("body"),
            Place::Key(Place::Root, key) => f.write_str(key),
            Place::Key(parent, key) => write!(f, "{parent}[{key:?}]"),
            Place::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a, 'r> {
    report: &'a RefCell<&'r mut Report>,
    /// Path at which reading failed.
    unreadable: &'a OnceCell<String>,
    place: &'a Place<'a>,
    level: usize,
}

impl Strict<'_, '_> {
    fn refuse_nul(&self, text: &str) {
        if text.contains('\0') {
            self.report.borrow_mut().add_at(
                || self.place.to_string(),
                "nul",
                "a NUL character cannot be stored",
            );
        }
    }

    fn enter<E: Error>(&self) -> Result<usize, E> {
        if self.level == JSON_NESTING_MAX {
            return Err(E::custom(format_args!(
                "arrays and objects are nested deeper than {JSON_NESTING_MAX} levels"
            )));
        }
        Ok(self.level + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self).inspect_err(|_| {
            // The innermost value comes first; keep its path.
            self.unreadable.get_or_init(|| self.place.to_string());
        })
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.refuse_nul(value);
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        self.refuse_nul(&value);
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let level = self.enter()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict {
            place: &Place::Index(self.place, array.len()),
            level,
            ..self
        })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let level = self.enter()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Key(self.place, &key);
            let inner = Strict {
                place: &place,
                level,
                ..self
            };
            inner.refuse_nul(&key);
            if object.contains_key(&key) {
                self.report.borrow_mut().add_at(
                    || place.to_string(),
                    "duplicate",
                    "the key is given more than once",
                );
            }
            let value = entries.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(body: &[u8]) -> Vec<(String, &'static str)> {
        let mut report = Report::default();
        read_object(body, &mut report);
        report
            .into_violations()
            .into_iter()
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    fn nested(levels: usize) -> String {
        format!(
            "{{\"a\":{}{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    }

    #[test]
    fn nesting_is_accepted_at_the_limit_and_refused_one_level_deeper() {
        assert!(rules(nested(JSON_NESTING_MAX).as_bytes()).is_empty());
        assert_eq!(
            rules(nested(JSON_NESTING_MAX + 1).as_bytes()),
            [(format!("a{}", "[0]".repeat(JSON_NESTING_MAX - 1)), "json")]
        );
    }

    #[test]
    fn nesting_of_a_hundred_thousand_levels_does_not_exhaust_the_stack() {
        let found = rules(&[b'['; 100_000]);
        let [(field, "json")] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(field.starts_with("body[0][0]"), "{field}");
    }

    #[test]
    fn text_that_cannot_be_read_is_named_with_its_field() {
        for (body, field) in [
            (r#"{"a":"\ud800"}"#, "a"),
            (r#"{"a":"\udc00\ud800"}"#, "a"),
            (r#"{"a":"\ud800x"}"#, "a"),
            (r#"{"a":"\ud83d\u0041"}"#, "a"),
            (r#"{"a":{"b":["x","\udfff"]}}"#, r#"a["b"][1]"#),
            (r#"{"a":{"\ud800":1}}"#, "a"),
            (r#"{"\ud800":1}"#, "body"),
            (r#"{"a":"\u12"}"#, "a"),
            (r#"{"a":"x"#, "a"),
            ("{\"a\":\"\n\"}", "a"),
            (r#"{"a":1e999}"#, "a"),
            (r#"{"a":NaN}"#, "a"),
            (r#"{"a":[1,2}"#, "a"),
            (r#"{"a":1,}"#, "body"),
            (r#"{"a" 1}"#, "body"),
        ] {
            assert_eq!(
                rules(body.as_bytes()),
                [(field.to_owned(), "json")],
                "{body}"
            );
        }
    }

    #[test]
    fn duplicate_keys_are_named_wherever_they_are() {
        assert_eq!(
            rules(br#"{"a":1,"b":{"c":1,"c":2},"a":3}"#),
            [
                ("b[\"c\"]".to_owned(), "duplicate"),
                ("a".to_owned(), "duplicate")
            ]
        );
    }

    #[test]
    fn keys_that_are_equal_once_unescaped_are_duplicates() {
        assert_eq!(
            rules(br#"{"a":1,"\u0061":2}"#),
            [("a".to_owned(), "duplicate")]
        );
    }

    #[test]
    fn nul_is_refused_in_keys_and_values_at_any_depth() {
        assert_eq!(
            rules(br#"{"a":["x\u0000"],"b\u0000":1}"#),
            [("a[0]".to_owned(), "nul"), ("b\0".to_owned(), "nul")]
        );
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for (body, rule) in [
            (&b""[..], "required"),
            (b"\xff{}", "utf-8"),
            (b"{\"a\":\"\xc3\x28\"}", "utf-8"),
            (b"[]", "type"),
            (b"null", "type"),
            (b"{", "json"),
            (b"{} {}", "json"),
            (b"{\"a\":1,}", "json"),
            (b"\xef\xbb\xbf\xef\xbb\xbf{}", "json"),
            (b"\xef\xbb\xbf", "required"),
        ] {
            assert_eq!(
                rules(body),
                [("body".to_owned(), rule)],
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn an_escaped_surrogate_pair_is_one_character() {
        let mut report = Report::default();
        let object = read_object(br#"{"a":"\ud83d\ude00"}"#, &mut report).unwrap();
        assert_eq!(object.get("a"), Some(&Value::String("😀".to_owned())));
    }
}
