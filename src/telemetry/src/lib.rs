//! What a request tells of itself: its log line, its trace, and what it adds to the metrics.
//!
//! An instance of a component serves one request, so what is known of "the" request is kept
//! here, once for the thread, and deeper code says what happened without being handed
//! anything: [`count_retry`], [`warn`]. Nothing here reaches the network or a store: what is
//! to be added to the metrics is given back as numbers ([`end`]), and numbers become the
//! text that Prometheus reads ([`exposition`]).

mod counter;
mod exposition;
mod log;
mod request;
mod trace;

pub use exposition::{CONTENT_TYPE, exposition};
pub use log::{error, warn};
pub use request::{
    Exchange, begin, count_retry, database_failed, embedding_found, embedding_made,
    embedding_missing, end, name, record_stored, traceparent, tracestate,
};
pub use trace::Trace;

/// The hash of Redis that holds the metrics: a field per counter.
pub const METRICS_HASH: &str = "data-storage:metrics";
