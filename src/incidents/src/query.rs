//! Query parameters of incident lists.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, Utc};
use records::{
    CORRELATION_ID_CHARACTERS_MAX, KIND_NAMES, Report, is_correlation_id, parse_timestamp,
};

use crate::cursor::Cursor;
use crate::filter::{Filter, STATUSES};
use crate::place::parse_place;

/// Default number of incidents per page.
pub const LIMIT_DEFAULT: i64 = 100;
/// Maximum number of incidents per page.
pub const LIMIT_MAX: i64 = 1000;
/// Longest filter value, in characters.
pub const FILTER_CHARACTERS_MAX: usize = 255;
/// Longest severity, in characters.
pub const SEVERITY_CHARACTERS_MAX: usize = 64;
/// Values of the `count` parameter.
pub const COUNTS: [&str; 3] = ["bounded", "exact", "none"];

/// How the total of a list is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Exact up to [`TOTAL_BOUND`](crate::TOTAL_BOUND), a lower bound beyond.
    #[default]
    Bounded,
    /// Always exact.
    Exact,
    /// Not counted.
    None,
}

/// A request for one page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Conditions that the incidents must meet.
    pub filter: Filter,
    /// Maximum number of incidents on the page.
    pub limit: i64,
    /// Number of incidents before the page; 0 with a cursor.
    pub offset: i64,
    /// How the first page counts its total.
    pub count: Count,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

impl ListQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let filter = parameters.take_filter();
        let limit = parameters.take_number("limit", 1, LIMIT_MAX);
        let offset = parameters.take_number("offset", 0, i64::MAX);
        let count = parameters.take("count", |text| match text {
            "bounded" => Ok(Count::Bounded),
            "exact" => Ok(Count::Exact),
            "none" => Ok(Count::None),
            _ => Err(not_among(&COUNTS)),
        });
        let cursor = parameters.take("cursor", |text| {
            let malformed = || broken("format", "must be the next_cursor of an earlier page");
            let cursor = Cursor::parse(text).ok_or_else(malformed)?;
            if cursor.is_of(&filter) {
                Ok(cursor)
            } else {
                Err(of_another_filter())
            }
        });
        if cursor.is_some() && offset.is_some() {
            parameters.refuse("cursor", "conflict", "cannot be combined with offset");
        }
        parameters.finish()?;
        Ok(Self {
            filter,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
            offset: offset.unwrap_or(0),
            count: count.unwrap_or_default(),
            cursor,
        })
    }

    /// Returns the query parameters of the page at a cursor.
    pub fn parameters_after(&self, cursor: String) -> Vec<(&'static str, String)> {
        let mut parameters = self.filter.parameters();
        parameters.push(("limit", self.limit.to_string()));
        parameters.push(("cursor", cursor));
        parameters
    }
}

/// Name of the broken rule, as in a record's violations, and the message.
pub(crate) type Broken = (&'static str, String);

pub(crate) fn broken(rule: &'static str, message: &str) -> Broken {
    (rule, message.to_owned())
}

pub(crate) fn not_among(names: &[&str]) -> Broken {
    ("enum", format!("must be one of {}", names.join(", ")))
}

fn of_another_filter() -> Broken {
    let message = "belongs to a list with another filter; send the filter of the first page";
    broken("conflict", message)
}

/// Parameters not taken yet, and the violations found so far.
pub(crate) struct Parameters {
    given: Vec<(String, String)>,
    report: Report,
}

impl Parameters {
    /// Splits a form-encoded query; refuses, not replaces, invalid UTF-8 and percent-encoding.
    pub(crate) fn split(query: &str) -> Self {
        let mut parameters = Self {
            given: Vec::new(),
            report: Report::default(),
        };
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => parameters.given.push((name, value)),
                (Ok(name), Err((rule, message))) => parameters.refuse(&name, rule, message),
                (Err((rule, message)), _) => {
                    parameters.refuse(name, rule, format!("invalid name: {message}"));
                }
            }
        }
        parameters
    }

    /// Takes the `cursor` of a list that only grows. The list's name may be followed by the mark of
    /// its filter.
    pub(crate) fn take_place(&mut self, list: &str) -> Option<i64> {
        let name = |list: &str| list.split(' ').next().map(str::to_owned);
        self.take("cursor", |text| match parse_place(text) {
            Some((of, place)) if of == list => Ok(place),
            Some((of, _)) if name(&of) == name(list) => Err(of_another_filter()),
            _ => Err(broken("format", "must be the cursor of an earlier page")),
        })
    }

    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.report.names(name)
    }

    /// Takes a parameter, which must not be empty or repeated.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        self.take_any(name, |value| match value {
            "" => Err(broken(
                "empty",
                "must not be empty; omit the parameter instead",
            )),
            value => read(value),
        })
    }

    pub(crate) fn take_any<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        let (own, others) = std::mem::take(&mut self.given)
            .into_iter()
            .partition::<Vec<_>, _>(|(given, _)| given == name);
        self.given = others;
        let mut values = own.into_iter().map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            self.refuse(name, "duplicate", "the parameter is given more than once");
            return None;
        }
        read(&value)
            .map_err(|(rule, message)| self.refuse(name, rule, message))
            .ok()
    }

    pub(crate) fn take_number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        self.take(name, |text| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(broken("type", "must be a whole number"));
            }
            let number = text
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| ("range", format!("must be {min} to {max}")))
        })
    }

    pub(crate) fn take_filter(&mut self) -> Filter {
        let filter = Filter {
            // Cluster-scoped targets have an empty namespace.
            namespace: self.take_any("namespace", |text| short(text, 0, FILTER_CHARACTERS_MAX)),
            cluster: self.take("cluster", filter_text),
            alert_name: self.take("alert_name", filter_text),
            environment: self.take("environment", filter_text),
            workflow_name: self.take("workflow_name", filter_text),
            remediation_name: self.take("remediation_name", filter_text),
            fingerprint: self.take("fingerprint", filter_text),
            target_type: self.take("target_type", filter_text),
            target_name: self.take("target_name", filter_text),
            action_type: self.take("action_type", filter_text),
            severity: self.take("severity", |text| short(text, 1, SEVERITY_CHARACTERS_MAX)),
            status: self.take("status", |text| one_of(&STATUSES, text)),
            correlation_id: self.take("correlation_id", correlation_id),
            action_history_id: self.take_number("action_history_id", 1, i64::MAX),
            ..Filter::default()
        };
        let (since, until) = self.take_span();
        Filter {
            since,
            until,
            ..filter
        }
    }

    /// Takes `since` and `until`.
    pub(crate) fn take_span(&mut self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let since = self.take("since", instant);
        let until = self.take("until", instant);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            self.refuse("until", "order", "must not be before since");
        }
        (since, until)
    }

    /// Takes the `kind` of records.
    pub(crate) fn take_kind(&mut self) -> Option<String> {
        self.take("kind", |text| one_of(&KIND_NAMES, text))
    }

    pub(crate) fn refuse(&mut self, name: &str, rule: &'static str, message: impl Into<String>) {
        self.report.add(name, rule, message);
    }

    pub(crate) fn finish(mut self) -> Result<(), Report> {
        let unknown: BTreeSet<_> = std::mem::take(&mut self.given)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in unknown {
            self.refuse(&name, "unknown", "no such parameter");
        }
        if self.report.is_empty() {
            Ok(())
        } else {
            Err(self.report)
        }
    }
}

/// Checks only `max`; [`Parameters::take`] refuses empty values.
pub(crate) fn short(text: &str, min: usize, max: usize) -> Result<String, Broken> {
    if text.chars().count() <= max {
        return Ok(text.to_owned());
    }
    let message = match min {
        0 => format!("must be at most {max} characters"),
        _ => format!("must be {min} to {max} characters"),
    };
    Err(("length", message))
}

pub(crate) fn filter_text(text: &str) -> Result<String, Broken> {
    short(text, 1, FILTER_CHARACTERS_MAX)
}

fn one_of(names: &[&str], text: &str) -> Result<String, Broken> {
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(not_among(names)),
    }
}

pub(crate) fn correlation_id(text: &str) -> Result<String, Broken> {
    let text = short(text, 1, CORRELATION_ID_CHARACTERS_MAX)?;
    if is_correlation_id(&text) {
        Ok(text)
    } else {
        let message = "must be made up of the characters A-Z a-z 0-9 . _ : -";
        Err(broken("format", message))
    }
}

/// Truncates to microseconds, as the database does.
fn instant(text: &str) -> Result<DateTime<Utc>, Broken> {
    let message = "must be an RFC 3339 timestamp with an offset, in the years 0001 to 9999; write \
                   a plus sign as %2B";
    parse_timestamp(text)
        .map(|timestamp| timestamp.to_utc().trunc_subsecs(6))
        .ok_or_else(|| broken("format", message))
}

/// Decodes percent-encoded bytes, and plus signs as spaces.
fn decode(text: &str) -> Result<String, Broken> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let escaped = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                let escaped = escaped.and_then(|byte| u8::try_from(byte).ok());
                escaped.ok_or_else(|| {
                    broken(
                        "encoding",
                        "two hexadecimal digits must follow a percent sign",
                    )
                })?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        ("utf-8", format!("is not UTF-8 at byte {position}"))
    })?;
    if text.contains('\0') {
        return Err(broken("nul", "a NUL character cannot be stored"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded::Serializer;

    use super::*;

    fn any_filter() -> impl Strategy<Value = Filter> {
        let text = || prop::option::of("[^\0]{1,255}");
        let instants =
            prop::collection::vec(-62_135_596_800_000_000..=253_402_300_799_999_999_i64, 0..=2);
        (
            (
                text(),
                text(),
                text(),
                text(),
                text(),
                text(),
                text(),
                text(),
            ),
            prop::option::of("[^\0]{0,255}"),
            prop::option::of("[^\0]{1,64}"),
            prop::option::of(prop::sample::select(STATUSES.as_slice())),
            prop::option::of("[A-Za-z0-9._:-]{1,128}"),
            prop::option::of(1..=i64::MAX),
            instants,
        )
            .prop_map(
                |(texts, namespace, severity, status, correlation_id, id, mut instants)| {
                    let (cluster, alert_name, environment, workflow_name, ..) = texts.clone();
                    let (.., remediation_name, fingerprint, target_name, action_type) = texts;
                    instants.sort_unstable();
                    let instant = |at: Option<&i64>| {
                        at.map(|at| DateTime::from_timestamp_micros(*at).unwrap())
                    };
                    Filter {
                        namespace,
                        cluster,
                        alert_name,
                        environment,
                        workflow_name,
                        remediation_name,
                        fingerprint,
                        target_type: None,
                        target_name,
                        action_type,
                        severity,
                        status: status.map(str::to_owned),
                        correlation_id,
                        action_history_id: id,
                        since: instant(instants.first()),
                        until: instant(instants.get(1)),
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_filter_comes_back_from_its_parameters(filter in any_filter()) {
            let query = Serializer::new(String::new()).extend_pairs(filter.parameters()).finish();
            let read = ListQuery::parse(&query).unwrap();
            prop_assert_eq!(&read.filter, &filter);
            prop_assert_eq!(read.filter.hash(), filter.hash());
            prop_assert_eq!((read.limit, read.offset), (LIMIT_DEFAULT, 0));
        }

        #[test]
        fn filters_that_differ_have_other_hashes(one in any_filter(), other in any_filter()) {
            prop_assume!(one != other);
            prop_assert_ne!(one.hash(), other.hash());
        }

        #[test]
        fn any_query_is_read_or_refused(query in "[ -~]{0,100}") {
            if let Err(report) = ListQuery::parse(&query) {
                prop_assert!(!report.is_empty());
            }
        }
    }

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let violations = ListQuery::parse(query).unwrap_err().into_violations();
        let named = violations.into_iter();
        named
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    #[test]
    fn violations_are_listed_up_to_the_limit_and_counted_beyond() {
        for (count, listed) in [(100, 100), (101, 101), (5_000, 101)] {
            let query: String = (0..count).map(|number| format!("x{number}=1&")).collect();
            let report = ListQuery::parse(&query).unwrap_err();
            assert_eq!(report.count(), count);
            assert_eq!(report.into_violations().len(), listed, "{count}");
        }
    }

    #[test]
    fn only_a_namespace_may_be_empty() {
        let filter = ListQuery::parse("namespace=").unwrap().filter;
        assert_eq!(filter.namespace.as_deref(), Some(""));
        for name in [
            "cluster",
            "target_type",
            "severity",
            "since",
            "count",
            "cursor",
        ] {
            assert_eq!(rules(&format!("{name}=")), [(name.to_owned(), "empty")]);
        }
    }

    #[test]
    fn a_span_that_ends_before_it_begins_is_refused() {
        let query = |since, until| ListQuery::parse(&format!("since={since}&until={until}"));
        assert!(query("2026-11-01T10:00:00Z", "2026-11-01T11:00:00%2B01:00").is_ok());
        assert_eq!(
            rules("since=2026-11-01T10:00:00.000001Z&until=2026-11-01T10:00:00Z"),
            [("until".to_owned(), "order")]
        );
    }

    #[test]
    fn values_do_not_run_into_the_next_name() {
        let one = ListQuery::parse("namespace=acluster&cluster=b").unwrap();
        let other = ListQuery::parse("namespace=a&cluster=clusterb").unwrap();
        assert_ne!(one.filter.hash(), other.filter.hash());
    }
}
