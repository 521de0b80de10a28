//! What a list of incidents is asked for: the query part of its URL.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, Utc};
use records::{Violation, is_correlation_id, parse_timestamp};

use crate::cursor::Cursor;
use crate::filter::{Filter, STATUSES};

/// How many incidents a page has where the request does not say.
pub const LIMIT_DEFAULT: i64 = 100;
/// The most incidents that a page may have.
pub const LIMIT_MAX: i64 = 1000;
/// The longest value of a filter, in characters.
pub const FILTER_CHARACTERS_MAX: usize = 255;
/// The longest severity, in characters.
pub const SEVERITY_CHARACTERS_MAX: usize = 64;
/// How exactly a list can be counted.
pub const COUNTS: [&str; 3] = ["bounded", "exact", "none"];

/// How exactly a list is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Exactly up to [`TOTAL_BOUND`](crate::TOTAL_BOUND), and whether there are more.
    #[default]
    Bounded,
    /// Exactly, however many there are.
    Exact,
    /// Not at all.
    None,
}

/// Which page of which list of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// What the incidents have in common.
    pub filter: Filter,
    /// How many incidents the page has at most.
    pub limit: i64,
    /// How many incidents come before the page; 0 with a cursor.
    pub offset: i64,
    /// How exactly the incidents are counted, for the first page.
    pub count: Count,
    /// Where an earlier page ended.
    pub cursor: Option<Cursor>,
}

impl ListQuery {
    /// Reads the query part of a URL, without its question mark.
    ///
    /// # Errors
    ///
    /// Every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Vec<Violation>> {
        let mut parameters = Parameters::split(query);
        let filter = parameters.take_filter();
        let limit = parameters.take_number("limit", 1, LIMIT_MAX);
        let offset = parameters.take_number("offset", 0, i64::MAX);
        let count = parameters.take("count", |text| match text {
            "bounded" => Ok(Count::Bounded),
            "exact" => Ok(Count::Exact),
            "none" => Ok(Count::None),
            _ => Err("must be one of bounded, exact, none"),
        });
        let cursor = parameters.take("cursor", |text| {
            let cursor = Cursor::parse(text).ok_or("must be the next_cursor of an earlier page")?;
            if cursor.is_of(&filter) {
                Ok(cursor)
            } else {
                Err("is of a list with another filter; send the filter that it began with")
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

    /// The parameters that ask for the page that a cursor leads to.
    pub fn parameters_after(&self, cursor: String) -> Vec<(&'static str, String)> {
        let mut parameters = self.filter.parameters();
        parameters.push(("limit", self.limit.to_string()));
        parameters.push(("cursor", cursor));
        parameters
    }
}

/// The parameters of a query that nobody has asked for yet, and what is wrong with the others.
pub(crate) struct Parameters {
    given: Vec<(String, String)>,
    violations: Vec<Violation>,
}

impl Parameters {
    /// Splits a query as a form is written (`application/x-www-form-urlencoded`). What is no
    /// UTF-8 or no percent-encoding is refused rather than replaced: it would be searched for
    /// as something else.
    pub(crate) fn split(query: &str) -> Self {
        let mut parameters = Self {
            given: Vec::new(),
            violations: Vec::new(),
        };
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => parameters.given.push((name, value)),
                (Some(name), None) => parameters.refuse(
                    &name,
                    "encoding",
                    "must be percent-encoded UTF-8 without a NUL",
                ),
                (None, _) => parameters.refuse(
                    name,
                    "encoding",
                    "its name must be percent-encoded UTF-8 without a NUL",
                ),
            }
        }
        parameters
    }

    /// Whether something is wrong with a parameter that is given.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.violations
            .iter()
            .any(|violation| violation.field == name)
    }

    /// Takes out a parameter, if it is given once and can be read.
    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.take_any(name, |value| match value {
            "" => Err(("empty", "must not be empty; leave it out instead")),
            value => read(value).map_err(|message| ("format", message)),
        })
    }

    /// Takes out a parameter that may be empty.
    fn take_any<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, (&'static str, &'static str)>,
    ) -> Option<T> {
        let (own, others) = std::mem::take(&mut self.given)
            .into_iter()
            .partition::<Vec<_>, _>(|(given, _)| given == name);
        self.given = others;
        let mut values = own.into_iter().map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            self.refuse(name, "repeated", "must be given once");
            return None;
        }
        read(&value)
            .map_err(|(rule, message)| self.refuse(name, rule, message))
            .ok()
    }

    /// Takes out a whole number in ASCII digits, without a sign.
    pub(crate) fn take_number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        let message = format!("must be a whole number from {min} to {max}");
        let number = self.take(name, |text| {
            let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            // A number that is too long for 64 bits is out of range, too.
            Ok(text
                .parse()
                .ok()
                .filter(|number| is_digits && (min..=max).contains(number)))
        })?;
        if number.is_none() {
            self.refuse(name, "range", &message);
        }
        number
    }

    /// Takes out the parameters of a filter.
    pub(crate) fn take_filter(&mut self) -> Filter {
        let filter = Filter {
            // Empty for targets without a namespace.
            namespace: self.take_any("namespace", |text| {
                filter_text(text).map_err(|message| ("format", message))
            }),
            cluster: self.take("cluster", filter_text),
            alert_name: self.take("alert_name", filter_text),
            environment: self.take("environment", filter_text),
            workflow_name: self.take("workflow_name", filter_text),
            remediation_name: self.take("remediation_name", filter_text),
            fingerprint: self.take("fingerprint", filter_text),
            target_type: self.take("target_type", filter_text),
            target_name: self.take("target_name", filter_text),
            action_type: self.take("action_type", filter_text),
            severity: self.take("severity", |text| {
                if text.chars().count() <= SEVERITY_CHARACTERS_MAX {
                    Ok(text.to_owned())
                } else {
                    Err("must be 1 to 64 characters long")
                }
            }),
            status: self.take("status", |text| {
                if STATUSES.contains(&text) {
                    Ok(text.to_owned())
                } else {
                    Err("must be one of pending, executing, completed, failed, rolled-back")
                }
            }),
            correlation_id: self.take("correlation_id", |text| {
                if is_correlation_id(text) {
                    Ok(text.to_owned())
                } else {
                    Err("must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
                }
            }),
            action_history_id: self.take_number("action_history_id", 1, i64::MAX),
            since: self.take("since", instant),
            until: self.take("until", instant),
        };
        if filter
            .since
            .zip(filter.until)
            .is_some_and(|(since, until)| since > until)
        {
            self.refuse("since", "order", "must not be after until");
        }
        filter
    }

    pub(crate) fn refuse(&mut self, name: &str, rule: &'static str, message: &str) {
        self.violations.push(Violation::new(name, rule, message));
    }

    /// Refuses what nobody has taken.
    pub(crate) fn finish(mut self) -> Result<(), Vec<Violation>> {
        let unknown: BTreeSet<_> = std::mem::take(&mut self.given)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in unknown {
            self.refuse(&name, "unknown", "no such parameter");
        }
        self.violations.truncate(records::VIOLATIONS_MAX);
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(self.violations)
        }
    }
}

fn filter_text(text: &str) -> Result<String, &'static str> {
    if text.chars().count() <= FILTER_CHARACTERS_MAX {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 255 characters long")
    }
}

/// An instant to the microsecond: more is not stored.
fn instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    parse_timestamp(text)
        .map(|timestamp| timestamp.to_utc().trunc_subsecs(6))
        .ok_or("must be an RFC 3339 timestamp with an offset; a plus sign is written %2B")
}

/// Decodes a part of a query: percent-encoded bytes and a plus sign for a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
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
            if let Err(violations) = ListQuery::parse(&query) {
                prop_assert!(!violations.is_empty());
            }
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
            let violations = ListQuery::parse(&format!("{name}=")).unwrap_err();
            assert_eq!((&*violations[0].field, violations[0].rule), (name, "empty"));
        }
    }

    #[test]
    fn a_span_that_ends_before_it_begins_is_refused() {
        let query = |since, until| ListQuery::parse(&format!("since={since}&until={until}"));
        assert!(query("2026-11-01T10:00:00Z", "2026-11-01T11:00:00%2B01:00").is_ok());
        let violations = query("2026-11-01T10:00:00.000001Z", "2026-11-01T10:00:00Z").unwrap_err();
        assert_eq!(
            (&*violations[0].field, violations[0].rule),
            ("since", "order")
        );
    }

    #[test]
    fn values_do_not_run_into_the_next_name() {
        let one = ListQuery::parse("namespace=acluster&cluster=b").unwrap();
        let other = ListQuery::parse("namespace=a&cluster=clusterb").unwrap();
        assert_ne!(one.filter.hash(), other.filter.hash());
    }
}
