//! What a report says of records that were read page by page.

use serde::{Deserialize, Serialize};

use super::Latency;
use super::render::Table;
use super::tables::{grouped, number};
use crate::load::Errors;

/// One walk through the records, page by page, on one connection.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Export {
    /// Stored before the run.
    pub(crate) incidents: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) records_per_second: f64,
    /// Of a page.
    pub(crate) latency: Latency,
    /// Of the host, which did nothing else.
    pub(crate) host_peak_mib: Option<f64>,
    pub(crate) errors: Errors,
}

pub(super) fn export_table(exports: &[Export]) -> Table {
    let row = |export: &Export| {
        [
            ("incidents", grouped(export.incidents)),
            ("records", grouped(export.records)),
            ("MB", number(Some(export.bytes as f64 / 1e6))),
            ("seconds", number(Some(export.seconds))),
            ("records/s", number(Some(export.records_per_second))),
            ("page p50 ms", number(export.latency.p50_ms)),
            ("page p95 ms", number(export.latency.p95_ms)),
            ("page p99 ms", number(export.latency.p99_ms)),
            ("host peak MiB", number(export.host_peak_mib)),
        ]
    };
    Table::new(
        "Export",
        "Records as they were sent, in the order of the log: lines of JSON, by cursor, on one \
         connection. The host was started for this.",
        exports.iter().map(row),
    )
}
