//! Logs, traces and counts the request: an instance serves only one, so events such as
//! [`count_retry`] need no handle. Writes only the log: [`end`] returns metric increments for the
//! caller to store, and [`exposition`] formats stored ones.

mod counter;
mod current;
mod exchange;
mod exposition;
mod log;
mod log_gauges;
mod trace;

pub use exchange::{
    Exchange, begin, count_retry, database_failed, embedding_found, embedding_looked_up,
    embeddings_made, end, end_after_response, items_received, log_round_ended, name, record_stored,
    traceparent, tracestate,
};
pub use exposition::{CONTENT_TYPE, exposition};
pub use log::{error, warn};
pub use log_gauges::LogGauges;
pub use trace::Trace;

/// Redis hash of the metrics, with a field per counter.
pub const METRICS_HASH: &str = "data-storage:metrics";
