//! Query parameters of the list of holds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use records::Report;
use store::StoredHold;
use url::form_urlencoded;

use super::view::{HoldPage, HoldPagination};

/// Default number of holds per page.
pub const HOLDS_DEFAULT: i64 = 100;
/// Maximum number of holds per page.
pub const HOLDS_MAX: i64 = 1000;

const CURSOR_PREFIX: &str = "hold ";

/// A request for one page of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldsQuery {
    limit: i64,
    /// Id of the last hold of the previous page; 0 for the first page.
    pub(crate) after: i64,
}

impl HoldsQuery {
    /// Parses a query string without its question mark.
    pub(crate) fn parse(query: &str) -> Result<Self, Report> {
        let mut report = Report::default();
        let mut limit = None;
        let mut cursor = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "limit" => &mut limit,
                "cursor" => &mut cursor,
                _ => {
                    report.add(name, "unknown", "no such parameter");
                    continue;
                }
            };
            if parameter.replace(value.into_owned()).is_some() && !report.names(&name) {
                let message = "the parameter is given more than once";
                report.add(name, "duplicate", message);
            }
        }
        let limit = take(limit, "limit", &mut report, |text| {
            if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(("type", "must be a whole number".to_owned()));
            }
            let limit = text.parse().ok();
            limit
                .filter(|limit| (1..=HOLDS_MAX).contains(limit))
                .ok_or_else(|| ("range", format!("must be 1 to {HOLDS_MAX}")))
        });
        let after = take(cursor, "cursor", &mut report, |text| {
            let message = "must be the next_cursor of an earlier page";
            parse_cursor(text).ok_or_else(|| ("format", message.to_owned()))
        });
        if report.is_empty() {
            Ok(Self {
                limit: limit.unwrap_or(HOLDS_DEFAULT),
                after: after.unwrap_or(0),
            })
        } else {
            Err(report)
        }
    }

    /// Number of holds to read: one more reveals whether there is a next page.
    pub(crate) fn read_max(&self) -> i64 {
        self.limit + 1
    }

    /// Builds the page from up to [`Self::read_max`] holds.
    pub(crate) fn page(&self, mut found: Vec<StoredHold>) -> HoldPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last);
        HoldPage {
            pagination: HoldPagination {
                limit: self.limit,
                next_cursor: next.map(|hold| write_cursor(hold.id)),
            },
            data: found.into_iter().map(Into::into).collect(),
        }
    }

    /// Returns the query parameters of the page at a cursor.
    pub(crate) fn parameters_after(&self, cursor: String) -> [(&'static str, String); 2] {
        [("limit", self.limit.to_string()), ("cursor", cursor)]
    }
}

/// Reads a parameter, which must not be empty, unless it is refused already.
fn take<T>(
    value: Option<String>,
    name: &str,
    report: &mut Report,
    read: impl FnOnce(&str) -> Result<T, (&'static str, String)>,
) -> Option<T> {
    let value = value.filter(|_| !report.names(name))?;
    let value = match value.as_str() {
        "" => Err((
            "empty",
            "must not be empty; omit the parameter instead".to_owned(),
        )),
        value => read(value),
    };
    value
        .map_err(|(rule, message)| report.add(name, rule, message))
        .ok()
}

/// Opaque to clients, so that it can come to mean more.
fn write_cursor(id: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{CURSOR_PREFIX}{id}"))
}

fn parse_cursor(text: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let id = std::str::from_utf8(&bytes)
        .ok()?
        .strip_prefix(CURSOR_PREFIX)?;
    let id = id.parse().ok().filter(|id| *id > 0)?;
    (write_cursor(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let violations = HoldsQuery::parse(query).unwrap_err().into_violations();
        let named = violations.into_iter();
        named
            .map(|violation| (violation.field, violation.rule))
            .collect()
    }

    fn holds(ids: std::ops::RangeInclusive<i64>) -> Vec<StoredHold> {
        ids.map(|id| StoredHold {
            id,
            content: json!({}),
            recorded_at: 0,
            recorded_by: None,
            log_nonce: String::new(),
            leaf_index: None,
            release: None,
        })
        .collect()
    }

    #[test]
    fn a_page_has_up_to_its_limit_and_leads_to_the_next() {
        let query = HoldsQuery::parse("limit=2").unwrap();
        assert_eq!((query.after, query.read_max()), (0, 3));
        let page = query.page(holds(1..=3));
        let ids: Vec<_> = page.data.iter().map(|hold| hold.id).collect();
        assert_eq!(ids, [1, 2]);
        let cursor = page.pagination.next_cursor.unwrap();
        let next = HoldsQuery::parse(&format!("limit=2&cursor={cursor}")).unwrap();
        assert_eq!(next.after, 2);
        let last = next.page(holds(3..=4));
        assert_eq!((last.data.len(), last.pagination.next_cursor), (2, None));
    }

    #[test]
    fn limits_are_taken_up_to_the_greatest() {
        for (query, limit) in [("", 100), ("limit=1", 1), ("limit=1000", 1000)] {
            assert_eq!(HoldsQuery::parse(query).unwrap().limit, limit);
        }
        for (value, rule) in [
            ("0", "range"),
            ("1001", "range"),
            ("99999999999999999999", "range"),
            ("-1", "type"),
            ("1.0", "type"),
            ("", "empty"),
        ] {
            let query = format!("limit={value}");
            assert_eq!(rules(&query), [("limit".to_owned(), rule)], "{query}");
        }
    }

    #[test]
    fn only_a_cursor_of_an_earlier_page_is_read() {
        for id in [1, i64::MAX] {
            let query = format!("cursor={}", write_cursor(id));
            assert_eq!(HoldsQuery::parse(&query).unwrap().after, id);
        }
        for text in ["hold 0", "hold -1", "hold 01", "leaf 1", "1", "\u{fffd}"] {
            let query = format!("cursor={}", URL_SAFE_NO_PAD.encode(text));
            assert_eq!(rules(&query), [("cursor".to_owned(), "format")], "{text}");
        }
        let padded = format!("cursor={}=", write_cursor(1));
        assert_eq!(rules(&padded), [("cursor".to_owned(), "format")]);
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        assert_eq!(
            rules("limit=1&limit=x&limit=2&offset=1&cursor=%ff"),
            [
                ("limit".to_owned(), "duplicate"),
                ("offset".to_owned(), "unknown"),
                ("cursor".to_owned(), "format"),
            ]
        );
    }
}
