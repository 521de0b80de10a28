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

/// Reports that the database had a vector.
pub fn embedding_found(model: &str) {
    with(|events| {
        events.vectors_found += 1;
        events.model = Some(model.to_owned());
    });
}

/// Reports that a vector was looked up in the cache, and whether the cache had it.
pub fn embedding_looked_up(model: &str, is_cached: bool) {
    with(|events| match is_cached {
        true => {
            events.cache_hits += 1;
            events.model = Some(model.to_owned());
        }
        false => events.cache_misses += 1,
    });
}

/// Reports that a model made `count` vectors. Counts each vector, with its share of `duration`: a
/// provider makes many in one call, and the local model makes them one by one.
pub fn embeddings_made(model: &str, count: usize, duration: Duration) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count > 0 {
        with(|events| {
            events.model = Some(model.to_owned());
            events.generations.push((model.to_owned(), count, duration));
        });
    }
}

/// Reports that a record is stored, and whether it was a replay. A batch stores many.
pub fn record_stored(kind: &str, is_replayed: bool) {
    with(|events| events.stored.push((kind.to_owned(), is_replayed)));
}

/// Reports the number of items of a batch, each of which counts as a record.
pub fn items_received(count: usize) {
    with(|events| events.items = i64::try_from(count).unwrap_or(i64::MAX));
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
            cache: cache_outcome(&events),
            error: exchange.error,
        },
    );
    summed(counted(exchange, events))
}

/// `hit` if the database or the cache had every vector, `miss` if not, `None` without vectors.
fn cache_outcome(events: &RequestEvents) -> Option<&'static str> {
    if events.cache_misses > 0 || !events.generations.is_empty() {
        return Some("miss");
    }
    (events.vectors_found + events.cache_hits > 0).then_some("hit")
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
    if let Some(written) = audit_write.map(str::to_owned) {
        if matches!(exchange.status, 200..=299) {
            let refused = events.items - i64::try_from(events.stored.len()).unwrap_or(i64::MAX);
            let stored = events.stored.into_iter();
            counters.extend(stored.map(|(kind, is_replay)| (Counter::Stored(kind, is_replay), 1)));
            if refused > 0 {
                counters.push((Counter::NotStored(written.clone(), false), refused));
            }
            counters.push((Counter::Write(written.clone(), bucket), 1));
            counters.push((Counter::WriteMicroseconds(written), duration));
        } else {
            let not_stored = Counter::NotStored(written, exchange.status >= 500);
            counters.push((not_stored, events.items.max(1)));
        }
        let failures = events.database_failures.into_iter();
        counters.extend(failures.map(|class| (Counter::DatabaseWriteError(class), 1)));
    }
    counters.extend(events.log_rounds.into_iter().map(log_round));
    let vectors = [
        (Counter::Reused, events.vectors_found),
        (Counter::Cache(true), events.cache_hits),
        (Counter::Cache(false), events.cache_misses),
    ];
    counters.extend(vectors.into_iter().filter(|(_, count)| *count > 0));
    for (model, count, duration) in events.generations {
        let bucket = bucket_of(duration / count);
        counters.push((Counter::Generation(model.clone(), bucket), count.into()));
        counters.push((
            Counter::GenerationMicroseconds(model),
            microseconds(duration),
        ));
    }
    counters
}

#[cfg(test)]
mod tests;
