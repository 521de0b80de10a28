//! The request of this instance, and what happened in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::counter::{Counter, bucket_of, microseconds};
use crate::log::{Identity, write_line};
use crate::trace::Trace;

thread_local! {
    static REQUEST: RefCell<RequestEvents> = RefCell::default();
}

/// The paths of audit writes begin so; the type of the record follows.
const AUDIT_WRITE: &str = "/api/v1/audit/";

/// The class of a failure to connect, where a SQLSTATE would name it.
const NO_CONNECTION: &str = "connection";
/// The class of a failure that the host tells no SQLSTATE of.
const UNKNOWN: &str = "unknown";
/// How long the class is that a SQLSTATE begins with, in characters.
const CLASS_LENGTH: usize = 2;

#[derive(Default)]
struct RequestEvents {
    correlation_id: Option<String>,
    trace: Option<Trace>,
    retries: u32,
    is_replayed: bool,
    model: Option<String>,
    is_cached: Option<bool>,
    generations: Vec<(String, Duration)>,
    database_failures: Vec<String>,
}

/// A request and its answer, as the log line and the metrics have them.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The path's template: never a raw path.
    pub route: &'a str,
    /// The method, one of HTTP's own or `OTHER`.
    pub method: &'a str,
    /// The answer's status.
    pub status: u16,
    /// From the request's arrival until its answer was sent.
    pub duration: Duration,
    /// The size of the request's body, as far as it was read.
    pub request_bytes: usize,
    /// The size of the answer's body.
    pub response_bytes: usize,
    /// What went wrong, where that is not for the caller.
    pub error: Option<&'a str>,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    route: &'a str,
    method: &'a str,
    status: u16,
    duration_ms: f64,
    request_bytes: usize,
    response_bytes: usize,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn with<T>(f: impl FnOnce(&mut RequestEvents) -> T) -> T {
    REQUEST.with_borrow_mut(f)
}

/// Begins a request, of this trace.
pub fn begin(trace: Option<Trace>) {
    with(|events| {
        *events = RequestEvents {
            trace,
            ..RequestEvents::default()
        };
    });
}

/// Names the request, for the lines of the log that follow. The first name stays.
pub fn name(correlation_id: &str) {
    with(|events| {
        events
            .correlation_id
            .get_or_insert_with(|| correlation_id.to_owned());
    });
}

/// The `traceparent` for requests that this one makes, if it is part of a trace.
pub fn traceparent() -> Option<String> {
    with(|events| events.trace.as_ref().map(Trace::traceparent))
}

/// The `tracestate` that goes with [`traceparent`], if it was brought one.
pub fn tracestate() -> Option<String> {
    with(|events| {
        let state = events.trace.as_ref()?.tracestate()?;
        Some(state.to_owned())
    })
}

/// Says that something is tried again: a statement, or a call to a provider.
pub fn count_retry() {
    with(|events| events.retries += 1);
}

/// Says that an attempt of a statement failed: without a connection, or with this SQLSTATE where
/// the host tells one.
pub fn database_failed(is_connected: bool, sqlstate: Option<&str>) {
    let class = match sqlstate.and_then(|sqlstate| sqlstate.get(..CLASS_LENGTH)) {
        Some(class) => class,
        None if is_connected => UNKNOWN,
        None => NO_CONNECTION,
    };
    with(|events| events.database_failures.push(class.to_owned()));
}

/// Says that the vector of a text was found, in the database or the key-value store.
pub fn embedding_found(model: &str) {
    with(|events| {
        events.is_cached = Some(true);
        events.model = Some(model.to_owned());
    });
}

/// Says that the vector of a text was found nowhere.
pub fn embedding_missing() {
    with(|events| events.is_cached = Some(false));
}

/// Says that a model made a vector.
pub fn embedding_made(model: &str, duration: Duration) {
    with(|events| {
        events.model = Some(model.to_owned());
        events.generations.push((model.to_owned(), duration));
    });
}

/// Says that a record is stored, and whether an earlier request did it.
pub fn record_stored(is_replayed: bool) {
    with(|events| events.is_replayed = is_replayed);
}

/// Who the request is, for a line of the log.
pub(crate) fn identity() -> Identity {
    with(|events| Identity {
        correlation_id: events.correlation_id.clone(),
        trace_id: events.trace.as_ref().map(|trace| trace.trace_id.clone()),
        parent_id: events.trace.as_ref().map(|trace| trace.parent_id.clone()),
        span_id: events.trace.as_ref().map(|trace| trace.span_id.clone()),
    })
}

/// Writes the request's line of the log, and answers what it adds to the metrics: fields of
/// [`METRICS_HASH`](crate::METRICS_HASH), and by how much each grows.
pub fn end(exchange: &Exchange<'_>) -> Vec<(String, i64)> {
    let level = match exchange.status {
        500.. => "error",
        _ if exchange.error.is_some() => "warn",
        _ => "info",
    };
    let events = with(std::mem::take);
    // The line still names the request.
    with(|next| {
        next.correlation_id.clone_from(&events.correlation_id);
        next.trace.clone_from(&events.trace);
    });
    write_line(
        level,
        None,
        RequestLine {
            route: exchange.route,
            method: exchange.method,
            status: exchange.status,
            duration_ms: exchange.duration.as_micros() as f64 / 1000.0,
            request_bytes: exchange.request_bytes,
            response_bytes: exchange.response_bytes,
            retries: events.retries,
            model: events.model.as_deref(),
            cache: events
                .is_cached
                .map(|is_cached| if is_cached { "hit" } else { "miss" }),
            error: exchange.error,
        },
    );
    let mut increments = BTreeMap::<Counter, i64>::new();
    for (counter, by) in counted(exchange, events) {
        let sum = increments.entry(counter).or_default();
        *sum = sum.saturating_add(by);
    }
    increments
        .into_iter()
        .map(|(counter, by)| (counter.field(), by))
        .collect()
}

fn counted(exchange: &Exchange<'_>, events: RequestEvents) -> Vec<(Counter, i64)> {
    let (method, route) = (exchange.method.to_owned(), exchange.route.to_owned());
    let bucket = bucket_of(exchange.duration);
    let duration = microseconds(exchange.duration);
    let mut counters = vec![
        (
            Counter::Request(method.clone(), route.clone(), exchange.status, bucket),
            1,
        ),
        (Counter::RequestMicroseconds(method, route), duration),
    ];
    let audit_write = exchange
        .route
        .strip_prefix(AUDIT_WRITE)
        .filter(|_| exchange.method == "POST");
    if let Some(kind) = audit_write.map(str::to_owned) {
        if exchange.status == 201 {
            let stored = Counter::Stored(kind.clone(), events.is_replayed, bucket);
            counters.push((stored, 1));
            counters.push((Counter::StoredMicroseconds(kind), duration));
        } else {
            counters.push((Counter::NotStored(kind, exchange.status >= 500), 1));
        }
        let failures = events.database_failures.into_iter();
        counters.extend(failures.map(|class| (Counter::DatabaseWriteError(class), 1)));
    }
    counters.extend(
        events
            .is_cached
            .map(|is_cached| (Counter::Cache(is_cached), 1)),
    );
    for (model, duration) in events.generations {
        let bucket = bucket_of(duration);
        counters.push((Counter::Generation(model.clone(), bucket), 1));
        counters.push((
            Counter::GenerationMicroseconds(model),
            microseconds(duration),
        ));
    }
    counters
}

#[cfg(test)]
mod tests {
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
        embedding_missing();
        embedding_made("m", Duration::from_millis(20));
        database_failed(true, Some("40001"));
        database_failed(true, Some("40P01"));
        database_failed(false, None);
        database_failed(true, None);
        record_stored(false);
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
                (Counter::Stored(text("workflow"), false, Some(5_000)), 1),
                (Counter::StoredMicroseconds(text("workflow")), 4_000),
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
    fn a_request_begins_with_nothing_of_the_one_before() {
        begin(None);
        count_retry();
        record_stored(true);
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
}
