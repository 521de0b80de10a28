//! The state of the current request. An instance serves one request at a time.

use std::cell::RefCell;
use std::time::Duration;

use serde::Serialize;

use crate::trace::Trace;

thread_local! {
    static REQUEST: RefCell<RequestEvents> = RefCell::default();
}

/// What happened in the request, for its log line and the metrics.
#[derive(Default)]
pub(crate) struct RequestEvents {
    pub(crate) correlation_id: Option<String>,
    pub(crate) trace: Option<Trace>,
    pub(crate) retries: u32,
    /// Number of items of a batch.
    pub(crate) items: i64,
    /// Stored records: kind, and whether it was a replay.
    pub(crate) stored: Vec<(String, bool)>,
    pub(crate) model: Option<String>,
    /// Number of vectors that the database had.
    pub(crate) vectors_found: i64,
    /// Number of vectors that the cache had.
    pub(crate) cache_hits: i64,
    pub(crate) cache_misses: i64,
    /// Made vectors: model, number, and time for all.
    pub(crate) generations: Vec<(String, u32, Duration)>,
    pub(crate) database_failures: Vec<String>,
    /// Outcomes of rounds of the log.
    pub(crate) log_rounds: Vec<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<String>,
}

/// Reads or changes the state of the current request.
pub(crate) fn with<T>(f: impl FnOnce(&mut RequestEvents) -> T) -> T {
    REQUEST.with_borrow_mut(f)
}

pub(crate) fn identity() -> Identity {
    with(|events| Identity {
        correlation_id: events.correlation_id.clone(),
        trace_id: events.trace.as_ref().map(|trace| trace.trace_id.clone()),
        parent_id: events.trace.as_ref().map(|trace| trace.parent_id.clone()),
        span_id: events.trace.as_ref().map(|trace| trace.span_id.clone()),
    })
}
