//! Collects what happens during the request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::counter::{Counter, bucket_of, microseconds};
use crate::current::{RequestEvents, with};
use crate::log::write_line;
use crate::trace::Trace;

const AUDIT_WRITE: &str = "/api/v1/audit/";

/// Error class of a failed connection, beside the SQLSTATE classes.
const NO_CONNECTION: &str = "connection";
/// Error class if the host reports no SQLSTATE.
const UNKNOWN: &str = "unknown";
const CLASS_LENGTH: usize = 2;

/// A request and its response, for the log and the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Path template; never a raw path.
    pub route: &'a str,
    /// A standard method or `OTHER`.
    pub method: &'a str,
    /// HTTP status code.
    pub status: u16,
    /// Time from the request's arrival until the response is sent.
    pub duration: Duration,
    /// Bytes of the request body that were read.
    pub request_bytes: usize,
    /// Bytes of the response body.
    pub response_bytes: usize,
    /// Internal error, logged only.
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

/// Starts a request.
pub fn begin(trace: Option<Trace>) {
    with(|events| {
        *events = RequestEvents {
            trace,
            ..RequestEvents::default()
        };
    });
}

/// Sets the correlation id for later log lines. Only the first call has an effect.
pub fn name(correlation_id: &str) {
    with(|events| {
        events
            .correlation_id
            .get_or_insert_with(|| correlation_id.to_owned());
    });
}

/// The `traceparent` for outgoing requests.
pub fn traceparent() -> Option<String> {
    with(|events| events.trace.as_ref().map(Trace::traceparent))
}

/// The `tracestate` that belongs to [`traceparent`].
pub fn tracestate() -> Option<String> {
    with(|events| {
        let state = events.trace.as_ref()?.tracestate()?;
        Some(state.to_owned())
    })
}

/// Counts a retry of a statement or provider call.
pub fn count_retry() {
    with(|events| events.retries += 1);
}

/// Counts a failed attempt of a statement, with its SQLSTATE if the host reports it.
pub fn database_failed(is_connected: bool, sqlstate: Option<&str>) {
    let class = match sqlstate.and_then(|sqlstate| sqlstate.get(..CLASS_LENGTH)) {
        Some(class) => class,
        None if is_connected => UNKNOWN,
        None => NO_CONNECTION,
    };
    with(|events| events.database_failures.push(class.to_owned()));
}

/// Reports that a vector was in the database or the cache.
pub fn embedding_found(model: &str) {
    with(|events| {
        events.is_cached = Some(true);
        events.model = Some(model.to_owned());
    });
}

/// Reports that a vector has to be computed.
pub fn embedding_missing() {
    with(|events| events.is_cached = Some(false));
}

/// Reports that a model computed a vector.
pub fn embedding_made(model: &str, duration: Duration) {
    with(|events| {
        events.model = Some(model.to_owned());
        events.generations.push((model.to_owned(), duration));
    });
}

/// Reports that a record is stored, and whether it was a replay.
pub fn record_stored(is_replayed: bool) {
    with(|events| events.is_replayed = is_replayed);
}

/// Reports how a round of the log ended: `signed`, `lost` to another round, or `failed`.
pub fn log_round_ended(outcome: &'static str) {
    with(|events| events.log_rounds.push(outcome));
}

/// Logs the request, and returns increments of fields of [`METRICS_HASH`](crate::METRICS_HASH).
pub fn end(exchange: &Exchange<'_>) -> Vec<(String, i64)> {
    let level = match exchange.status {
        500.. => "error",
        _ if exchange.error.is_some() => "warn",
        _ => "info",
    };
    let events = with(std::mem::take);
    // Later log lines still identify the request.
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
    summed(counted(exchange, events))
}

/// Returns increments for what happened after [`end`].
pub fn end_after_response() -> Vec<(String, i64)> {
    let rounds = with(|events| std::mem::take(&mut events.log_rounds));
    summed(rounds.into_iter().map(log_round))
}

fn log_round(outcome: &str) -> (Counter, i64) {
    (Counter::LogRound(outcome.to_owned()), 1)
}

fn summed(counted: impl IntoIterator<Item = (Counter, i64)>) -> Vec<(String, i64)> {
    let mut increments = BTreeMap::<Counter, i64>::new();
    for (counter, by) in counted {
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
    counters.extend(events.log_rounds.into_iter().map(log_round));
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
}
