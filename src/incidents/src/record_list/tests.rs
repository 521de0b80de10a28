use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use records::KIND_NAMES;
use url::form_urlencoded::Serializer;

use super::*;
use crate::place::PLACE_MAX;

fn any_filter() -> impl Strategy<Value = RecordFilter> {
    let text = || prop::option::of("[^\0]{1,255}");
    let instants =
        prop::collection::vec(-62_135_596_800_000_000..=253_402_300_799_999_999_i64, 0..=2);
    (
        prop::option::of(prop::sample::select(KIND_NAMES.as_slice())),
        text(),
        text(),
        prop::option::of("[A-Za-z0-9._:-]{1,128}"),
        instants,
    )
        .prop_map(|(kind, namespace, name, correlation_id, mut instants)| {
            instants.sort_unstable();
            let instant =
                |at: Option<&i64>| at.map(|at| DateTime::from_timestamp_micros(*at).unwrap());
            RecordFilter {
                kind: kind.map(str::to_owned),
                namespace,
                name,
                correlation_id,
                since: instant(instants.first()),
                until: instant(instants.get(1)),
            }
        })
}

fn written(parameters: &[(&'static str, String)]) -> String {
    Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

fn found(last_index: i64, log_size: i64) -> FoundRecords {
    FoundRecords {
        records: Vec::new(),
        last_index,
        log_size,
    }
}

fn rules(query: &str) -> Vec<(String, &'static str)> {
    let violations = RecordsQuery::parse(query).unwrap_err().into_violations();
    let named = violations.into_iter();
    named
        .map(|violation| (violation.field, violation.rule))
        .collect()
}

proptest! {
    #[test]
    fn a_page_leads_to_what_follows_it_under_the_same_filter(
        filter in any_filter(), last in 0..=PLACE_MAX, limit in 1..=LIMIT_MAX
    ) {
        let query = RecordsQuery { filter, limit, after: None };
        let position = query.answer(found(last, last + 2)).pagination;
        prop_assert_eq!(&position.next_cursor, &position.resume_cursor);
        let next = RecordsQuery::parse(&written(&query.parameters_after(position.next_cursor))).unwrap();
        prop_assert_eq!((&next.filter, next.limit, next.after_index()), (&query.filter, limit, last));
    }

    #[test]
    fn a_cursor_of_another_filter_is_refused(one in any_filter(), other in any_filter()) {
        prop_assume!(one != other);
        let cursor = write_place(&one.list(), 7);
        let mut parameters = other.parameters();
        parameters.push(("cursor", cursor));
        prop_assert_eq!(rules(&written(&parameters)), [("cursor".to_owned(), "conflict")]);
    }

    #[test]
    fn any_query_is_read_or_refused(query in "[ -~]{0,100}") {
        if let Err(report) = RecordsQuery::parse(&query) {
            prop_assert!(!report.is_empty());
        }
    }
}

#[test]
fn the_end_of_the_log_has_no_next_page_and_can_be_resumed() {
    let query = RecordsQuery::parse("").unwrap();
    assert_eq!((query.limit, query.after_index()), (LIMIT_DEFAULT, -1));
    let position = query.answer(found(9, 10)).pagination;
    assert_eq!(position.next_cursor, None);
    let resumed = query.parameters_after(position.resume_cursor);
    let resumed = RecordsQuery::parse(&written(&resumed)).unwrap();
    assert_eq!(resumed.after_index(), 9);
    // A standby that lags behind what was read already.
    let position = resumed.answer(found(9, 5)).pagination;
    assert_eq!(position.next_cursor, None);
    let resumed = resumed.parameters_after(position.resume_cursor);
    let resumed = RecordsQuery::parse(&written(&resumed)).unwrap();
    assert_eq!(resumed.after_index(), 9);
}

#[test]
fn an_empty_log_is_followed_from_its_beginning() {
    let query = RecordsQuery::parse("limit=5&kind=workflow").unwrap();
    let position = query.answer(found(-1, 0)).pagination;
    assert_eq!(position.next_cursor, None);
    assert_eq!(position.resume_cursor, None);
    let parameters = query.parameters_after(position.resume_cursor);
    assert_eq!(written(&parameters), "kind=workflow&limit=5");
}

#[test]
fn a_cursor_is_read_only_as_it_was_written() {
    let list = RecordFilter::default().list();
    for text in [
        "leaf 1",
        "x",
        &URL_SAFE_NO_PAD.encode("leaf"),
        &URL_SAFE_NO_PAD.encode("hold 1"),
        &URL_SAFE_NO_PAD.encode(format!("{list} -1")),
        &URL_SAFE_NO_PAD.encode(format!("{list} 01")),
        &URL_SAFE_NO_PAD.encode(format!("{list} 9223372036854775807")),
        &format!("{}=", write_place(&list, 1)),
    ] {
        let query = written(&[("cursor", text.to_owned())]);
        assert_eq!(rules(&query), [("cursor".to_owned(), "format")], "{text}");
    }
}

#[test]
fn every_parameter_is_checked() {
    for (query, field, rule) in [
        ("kind=", "kind", "empty"),
        ("kind=Workflow", "kind", "enum"),
        ("kind=hold", "kind", "enum"),
        ("kind=workflow&kind=workflow", "kind", "duplicate"),
        ("namespace=", "namespace", "empty"),
        ("name=", "name", "empty"),
        ("name=%00", "name", "nul"),
        ("name=%ff", "name", "utf-8"),
        ("correlation_id=a%20b", "correlation_id", "format"),
        ("since=yesterday", "since", "format"),
        ("until=2026-11-01", "until", "format"),
        (
            "since=2026-11-01T10:00:00.000001Z&until=2026-11-01T10:00:00Z",
            "until",
            "order",
        ),
        ("limit=0", "limit", "range"),
        ("limit=1001", "limit", "range"),
        ("offset=1", "offset", "unknown"),
    ] {
        assert_eq!(rules(query), [(field.to_owned(), rule)], "{query}");
    }
    for name in ["namespace", "name"] {
        assert!(RecordsQuery::parse(&format!("{name}={}", "a".repeat(255))).is_ok());
        let longer = format!("{name}={}", "a".repeat(256));
        assert_eq!(rules(&longer), [(name.to_owned(), "length")]);
    }
    for kind in KIND_NAMES {
        let query = RecordsQuery::parse(&format!("kind={kind}")).unwrap();
        assert_eq!(query.filter.kind.as_deref(), Some(kind));
    }
}
