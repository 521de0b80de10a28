use super::*;

fn exchange(route: &'static str, method: &'static str, status: u16) -> Exchange<'static> {
    Exchange {
        route,
        method,
        status,
        duration: Duration::from_micros(4_000),
        request_bytes: 1,
        response_bytes: 2,
        error: None,
    }
}

fn fields(increments: &[(String, i64)]) -> Vec<(Counter, i64)> {
    increments
        .iter()
        .map(|(field, by)| (Counter::read(field).unwrap(), *by))
        .collect()
}

#[test]
fn a_write_is_counted_once_in_every_metric_it_belongs_to() {
    let text = str::to_owned;
    begin(None);
    embedding_looked_up("m", false);
    embeddings_made("m", 1, Duration::from_millis(20));
    database_failed(true, Some("40001"));
    database_failed(true, Some("40P01"));
    database_failed(false, None);
    database_failed(true, None);
    record_stored("workflow", false);
    let counted = fields(&end(&exchange("/api/v1/audit/workflow", "POST", 201)));
    let path = text("/api/v1/audit/workflow");
    assert_eq!(
        counted,
        [
            (
                Counter::Request(text("POST"), path.clone(), 201, Some(5_000)),
                1
            ),
            (Counter::RequestMicroseconds(text("POST"), path), 4_000),
            (Counter::Stored(text("workflow"), false), 1),
            (Counter::Write(text("workflow"), Some(5_000)), 1),
            (Counter::WriteMicroseconds(text("workflow")), 4_000),
            (Counter::Cache(false), 1),
            (Counter::Generation(text("m"), Some(25_000)), 1),
            (Counter::GenerationMicroseconds(text("m")), 20_000),
            (Counter::DatabaseWriteError(text("40")), 2),
            (Counter::DatabaseWriteError(text("connection")), 1),
            (Counter::DatabaseWriteError(text("unknown")), 1),
        ]
    );
}

#[test]
fn a_batch_is_counted_by_its_records_and_texts_and_takes_its_time_once() {
    let text = str::to_owned;
    begin(None);
    embedding_found("m");
    for is_cached in [false, true, false, false, true] {
        embedding_looked_up("m", is_cached);
    }
    embeddings_made("m", 2, Duration::from_millis(40));
    embeddings_made("local", 1, Duration::from_millis(1));
    for (kind, is_replayed) in [
        ("workflow", false),
        ("event", false),
        ("workflow", false),
        ("workflow", true),
    ] {
        record_stored(kind, is_replayed);
    }
    let counted = fields(&end(&exchange("/api/v1/audit/batch", "POST", 207)));
    assert_eq!(
        counted[2..],
        [
            (Counter::Stored(text("event"), false), 1),
            (Counter::Stored(text("workflow"), false), 2),
            (Counter::Stored(text("workflow"), true), 1),
            (Counter::Write(text("batch"), Some(5_000)), 1),
            (Counter::WriteMicroseconds(text("batch")), 4_000),
            (Counter::Cache(false), 3),
            (Counter::Cache(true), 2),
            (Counter::Reused, 1),
            (Counter::Generation(text("local"), Some(2_500)), 1),
            (Counter::Generation(text("m"), Some(25_000)), 2),
            (Counter::GenerationMicroseconds(text("local")), 1_000),
            (Counter::GenerationMicroseconds(text("m")), 40_000),
        ]
    );
}

#[test]
fn a_batch_that_is_not_stored_is_counted_once() {
    for (status, is_fault) in [(400, false), (503, true)] {
        begin(None);
        record_stored("workflow", false);
        let counted = fields(&end(&exchange("/api/v1/audit/batch", "POST", status)));
        let not_stored = Counter::NotStored("batch".to_owned(), is_fault);
        assert_eq!(counted[2..], [(not_stored, 1)]);
    }
}

#[test]
fn the_log_says_hit_only_if_no_vector_had_to_be_made() {
    let outcome = || with(|events| cache_outcome(events));
    begin(None);
    assert_eq!(outcome(), None);
    embeddings_made("m", 0, Duration::ZERO);
    assert_eq!(outcome(), None);
    embedding_found("m");
    assert_eq!(outcome(), Some("hit"));
    embedding_looked_up("m", true);
    assert_eq!(outcome(), Some("hit"));
    embeddings_made("local", 1, Duration::ZERO);
    assert_eq!(outcome(), Some("miss"));
    begin(None);
    embedding_looked_up("m", true);
    embedding_looked_up("m", false);
    assert_eq!(outcome(), Some("miss"));
}

#[test]
fn a_request_begins_with_nothing_of_the_one_before() {
    begin(None);
    count_retry();
    record_stored("workflow", true);
    embedding_found("m");
    end(&exchange("/api/v1/audit/workflow", "POST", 201));
    begin(None);
    let counted = fields(&end(&exchange("/api/v1/audit/workflow", "POST", 503)));
    assert_eq!(
        counted[2],
        (Counter::NotStored("workflow".to_owned(), true), 1)
    );
    assert_eq!(counted.len(), 3);
}

#[test]
fn what_is_no_write_is_counted_as_a_request_alone() {
    for (route, method, status) in [
        ("/api/v1/incidents", "GET", 503),
        ("/api/v1/audit/workflow", "GET", 405),
        ("/...", "POST", 404),
    ] {
        begin(None);
        database_failed(true, Some("57014"));
        let counted = fields(&end(&exchange(route, method, status)));
        assert_eq!(counted.len(), 2, "{counted:?}");
    }
}

#[test]
fn rounds_are_counted_once_before_or_after_the_response() {
    begin(None);
    log_round_ended("lost");
    let counted = fields(&end(&exchange("/log/v1/checkpoint", "GET", 200)));
    assert_eq!(counted[2], log_round("lost"));
    log_round_ended("signed");
    log_round_ended("signed");
    let (counter, _) = log_round("signed");
    assert_eq!(fields(&end_after_response()), [(counter, 2)]);
    assert_eq!(end_after_response(), []);
}

#[test]
fn a_trace_is_handed_on_until_the_next_request() {
    let trace = Trace::read(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        Some("a=1"),
    );
    begin(trace);
    let handed_on = traceparent().unwrap();
    assert!(handed_on.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(!handed_on.contains("00f067aa0ba902b7"));
    assert_eq!(tracestate().as_deref(), Some("a=1"));
    begin(None);
    assert_eq!(traceparent(), None);
    assert_eq!(tracestate(), None);
}
