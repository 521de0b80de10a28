//! Holds, which keep records from retention.

use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Map, Value};

use crate::common_fields::{CORRELATION_ID, NAME, NAMESPACE};
use crate::content::Content;
use crate::field::{Field, Text};
use crate::field_reader::FieldReader;
use crate::format;
use crate::json;
use crate::schema::list;
use crate::violation::{Rejection, Report};

const REASON_CHARACTERS_MAX: usize = 1024;

pub(crate) const REASON: Text = Text::Characters(1, REASON_CHARACTERS_MAX);

/// Fields of which a hold must set at least one.
const SELECTORS: [&str; 4] = ["correlationId", "namespace", "since", "until"];

/// A hold: retention keeps the records that it selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Which records it keeps.
    pub selection: Selection,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<FixedOffset>>,
    /// The whole hold, with its reason, in canonical form.
    pub content: Content,
}

/// What a hold names. Records must match all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Correlation id of the records.
    pub correlation_id: Option<String>,
    /// Namespace of the reported objects.
    pub namespace: Option<String>,
    /// Name of the reported objects; only with a namespace.
    pub name: Option<String>,
    /// Earliest `createdAt`, inclusive.
    pub since: Option<DateTime<FixedOffset>>,
    /// Latest `createdAt`, inclusive; not before `since`.
    pub until: Option<DateTime<FixedOffset>>,
}

/// The times of a hold.
const TIMES: [&str; 3] = ["since", "until", "expiresAt"];

/// Least offset that PostgreSQL refuses.
const OFFSET_SECONDS_MAX: i32 = 16 * 3600;

impl Hold {
    /// Parses a request body that arrives `now`.
    ///
    /// # Errors
    ///
    /// Reports everything that is wrong with the hold at once.
    pub fn parse(body: &[u8], now: DateTime<Utc>) -> Result<Self, Rejection> {
        let mut report = Report::default();
        let mut correlation_id = None;
        let hold = json::read_object(body, &mut report).and_then(|object| {
            correlation_id = json::correlation_id_in(&object);
            Self::read(object, now, &mut report)
        });
        match hold {
            Some(hold) if report.is_empty() => Ok(hold),
            _ => Err(Rejection {
                correlation_id,
                report,
            }),
        }
    }

    fn read(object: Map<String, Value>, now: DateTime<Utc>, report: &mut Report) -> Option<Self> {
        let content = Content::of(&object)
            .map_err(|error| report.add("body", "json", error.to_string()))
            .ok();
        let unstorable = TIMES.map(|field| {
            let text = object.get(field).and_then(Value::as_str);
            (field, text.is_some_and(|text| !is_storable(text)))
        });
        let mut fields = FieldReader::new(object, report);
        let (selection, expires_at) = take_fields(&mut fields);
        for (field, _) in unstorable
            .iter()
            .filter(|(_, is_unstorable)| *is_unstorable)
        {
            let message = "must have an offset of less than 16 hours, a year from 0001 and no leap \
                           second";
            fields.refuse(field, "format", message);
        }
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            fields.refuse("expiresAt", "order", "must be in the future");
        }
        fields.refuse_unknown();
        selection.check_presence(report);
        Some(Self {
            selection,
            expires_at,
            content: content?,
        })
    }

    /// Returns every field of a hold, in the order in which the parser reads them.
    pub fn schema() -> Vec<Field> {
        list(|fields| {
            take_fields(fields);
        })
    }
}

/// Whether retention can read a time as it was sent: PostgreSQL's times have narrower forms than RFC
/// 3339. A text that is no time is refused for that.
fn is_storable(text: &str) -> bool {
    format::parse_timestamp(text).is_none_or(|time| {
        time.offset().local_minus_utc().abs() < OFFSET_SECONDS_MAX
            && !text.starts_with("0000")
            && text.get(17..19) != Some("60")
    })
}

fn take_fields(fields: &mut FieldReader<'_>) -> (Selection, Option<DateTime<FixedOffset>>) {
    let selection = Selection::take(fields);
    fields.required_text("reason", &REASON);
    (selection, fields.timestamp("expiresAt"))
}

impl Selection {
    fn take(fields: &mut FieldReader<'_>) -> Self {
        let selection = Self {
            correlation_id: fields.text("correlationId", &CORRELATION_ID),
            namespace: fields.text("namespace", &NAMESPACE),
            name: fields.text("name", &NAME),
            since: fields.timestamp("since"),
            until: fields.timestamp("until"),
        };
        // Exact, unlike the order of a record's times: otherwise the hold would select nothing.
        if let (Some(since), Some(until)) = (selection.since, selection.until)
            && until < since
        {
            fields.refuse("until", "order", "must not be before since");
        }
        selection
    }

    /// Reports what is missing; a field that is there but invalid does not count as missing.
    fn check_presence(&self, report: &mut Report) {
        let is_given = |is_set: bool, field: &str| is_set || report.names(field);
        let names_namespace = is_given(self.namespace.is_some(), "namespace");
        let lacks_namespace = is_given(self.name.is_some(), "name") && !names_namespace;
        let is_empty = self.correlation_id.is_none()
            && self.namespace.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && !SELECTORS.iter().any(|field| report.names(field));
        if lacks_namespace {
            report.add("namespace", "required", "must be set where name is set");
        } else if is_empty {
            let message = format!("must set at least one of {}", SELECTORS.join(", "));
            report.add("body", "required", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-01T10:00:00Z";

    fn parse(hold: &Value) -> Result<Hold, Rejection> {
        Hold::parse(hold.to_string().as_bytes(), NOW.parse().unwrap())
    }

    fn rules(report: Report) -> Vec<(String, &'static str)> {
        let violations = report.into_violations().into_iter();
        violations
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    #[track_caller]
    fn assert_refused(hold: &Value, expected: &[(&str, &'static str)]) {
        let found = rules(parse(hold).unwrap_err().report);
        let found: Vec<_> = found
            .iter()
            .map(|(field, rule)| (field.as_str(), *rule))
            .collect();
        assert_eq!(found, expected, "{hold}");
    }

    fn with(fields: Value) -> Value {
        let mut hold = json!({"correlationId": "req-1", "reason": "an inquiry"});
        let all = hold.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        hold
    }

    #[test]
    fn times_that_retention_could_not_read_are_refused() {
        let hold = |since: &str| {
            let body = json!({"reason": "r", "since": since}).to_string();
            Hold::parse(body.as_bytes(), DateTime::UNIX_EPOCH)
        };
        for since in [
            "2025-11-01T00:00:00+15:59",
            "2025-11-01T00:00:00.123456789-15:59",
            "0001-01-02T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:01+00:00",
        ] {
            assert!(hold(since).is_ok(), "{since}");
        }
        for since in [
            "2025-11-01T00:00:00+16:00",
            "2025-11-01T00:00:00-23:59",
            "0000-12-31T23:00:00-02:00",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
        ] {
            let report = hold(since).unwrap_err().report;
            let found: Vec<_> = report.into_violations();
            assert_eq!(
                (found[0].field.as_str(), found[0].rule),
                ("since", "format"),
                "{since}"
            );
        }
    }

    #[test]
    fn a_hold_is_read_with_all_that_it_names() {
        let hold = json!({
            "correlationId": "req-1", "namespace": "production", "name": "rr-1",
            "since": "2025-11-01T02:00:00+02:00", "until": "2025-11-30T00:00:00Z",
            "reason": "an inquiry", "expiresAt": "2026-11-01T10:00:00.000001Z",
        });
        let read = parse(&hold).unwrap();
        let time = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap());
        assert_eq!(
            read.selection,
            Selection {
                correlation_id: Some("req-1".to_owned()),
                namespace: Some("production".to_owned()),
                name: Some("rr-1".to_owned()),
                since: time("2025-11-01T00:00:00Z"),
                until: time("2025-11-30T00:00:00Z"),
            }
        );
        assert_eq!(read.expires_at, time("2026-11-01T10:00:00.000001Z"));
        let content: Value = serde_json::from_str(read.content.json()).unwrap();
        assert_eq!(content, hold);
    }

    #[test]
    fn a_field_may_be_of_its_greatest_length_and_no_longer() {
        for (field, at_the_limit, past_it) in [
            ("correlationId", "a".repeat(128), "a".repeat(129)),
            ("namespace", "a".repeat(63), "a".repeat(64)),
            ("reason", "ü".repeat(1024), "ü".repeat(1025)),
        ] {
            parse(&with(json!({ field: at_the_limit }))).unwrap();
            assert_refused(&with(json!({ field: past_it })), &[(field, "length")]);
        }
        let named = |name: String| with(json!({"namespace": "a", "name": name}));
        parse(&named("a".repeat(255))).unwrap();
        assert_refused(&named("a".repeat(256)), &[("name", "length")]);
        assert_refused(&with(json!({"reason": ""})), &[("reason", "required")]);
    }

    #[test]
    fn one_field_that_selects_is_enough_and_none_is_not() {
        for (field, value) in [
            ("correlationId", "req-1"),
            ("namespace", "production"),
            ("since", "2025-11-01T00:00:00Z"),
            ("until", "2025-11-01T00:00:00Z"),
        ] {
            parse(&json!({ field: value, "reason": "an inquiry" })).unwrap();
        }
        let unset = json!({
            "correlationId": "", "namespace": null, "since": "0001-01-01T00:00:00Z",
            "until": "0001-01-01T05:30:00+05:30", "name": "", "reason": "an inquiry",
            "expiresAt": "0001-01-01T00:00:00Z",
        });
        for hold in [unset, json!({"reason": "an inquiry"})] {
            assert_refused(&hold, &[("body", "required")]);
        }
    }

    #[test]
    fn a_name_needs_its_namespace() {
        let hold = with(json!({"name": "rr-1"}));
        assert_refused(&hold, &[("namespace", "required")]);
        let alone = json!({"name": "RR", "reason": "an inquiry"});
        assert_refused(&alone, &[("name", "format"), ("namespace", "required")]);
        let with_a_wrong_one = with(json!({"name": "rr-1", "namespace": "A"}));
        assert_refused(&with_a_wrong_one, &[("namespace", "format")]);
    }

    #[test]
    fn times_are_in_order_to_the_nanosecond() {
        let span = |since: &str, until: &str| with(json!({"since": since, "until": until}));
        parse(&span("2025-11-01T02:00:00+02:00", "2025-11-01T00:00:00Z")).unwrap();
        for since in ["2025-11-01T00:00:00.000000001Z", "2025-11-01T00:00:01Z"] {
            let hold = span(since, "2025-11-01T00:00:00Z");
            assert_refused(&hold, &[("until", "order")]);
        }
        parse(&with(
            json!({"expiresAt": "2026-11-01T10:00:00.000000001Z"}),
        ))
        .unwrap();
        let past = with(json!({ "expiresAt": NOW }));
        assert_refused(&past, &[("expiresAt", "order")]);
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        assert_refused(
            &json!({
                "correlationId": "a b", "namespace": "A", "name": 1, "since": "2025-11-01",
                "until": "x", "expiresAt": "2026-11-01T09:59:59Z", "cluster": "eu-1",
            }),
            &[
                ("correlationId", "format"),
                ("namespace", "format"),
                ("name", "type"),
                ("since", "format"),
                ("until", "format"),
                ("reason", "required"),
                ("expiresAt", "order"),
                ("cluster", "unknown"),
            ],
        );
        let wrong = Hold::parse(b"{\"since\":1,\"since\":2}", NOW.parse().unwrap());
        assert_eq!(
            rules(wrong.unwrap_err().report),
            [
                ("since".to_owned(), "duplicate"),
                ("since".to_owned(), "format"),
                ("reason".to_owned(), "required"),
            ]
        );
    }

    #[test]
    fn a_rejection_knows_the_correlation_id() {
        let rejection = parse(&json!({"correlationId": "req-1"})).unwrap_err();
        assert_eq!(rejection.correlation_id.as_deref(), Some("req-1"));
    }

    #[test]
    fn the_fields_of_holds_are_told() {
        let fields = Hold::schema();
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "correlationId",
                "namespace",
                "name",
                "since",
                "until",
                "reason",
                "expiresAt"
            ]
        );
        let required = fields.iter().filter(|field| field.is_required);
        assert_eq!(required.count(), 1);
    }
}
