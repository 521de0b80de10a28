//! Query parameters of incident lists.

use records::Report;

use crate::cursor::Cursor;
use crate::filter::Filter;
use crate::parameters::{Parameters, broken, not_among, of_another_filter};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded::Serializer;

    use super::*;
    use crate::filter::STATUSES;
    use chrono::DateTime;

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
