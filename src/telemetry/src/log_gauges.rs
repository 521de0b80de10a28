//! Gauges of the tamper-evident log.

use prometheus::proto::{Gauge as ProtoGauge, Metric, MetricFamily, MetricType};

use crate::exposition::family;

/// State of the log, which the database knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogGauges {
    /// Number of leaves that the last checkpoint covers.
    pub size: u64,
    /// When the last checkpoint was signed, in Unix time in seconds; `None` before the first.
    pub checkpoint_at: Option<f64>,
    /// Number of pending entries.
    pub pending: u64,
    /// Age of the oldest pending entry in seconds; 0 if there is none.
    pub pending_age: f64,
}

impl LogGauges {
    pub(crate) fn families(self) -> Vec<MetricFamily> {
        let mut families = vec![
            gauge(
                "datastorage_log_leaves",
                "Leaves of the log that the last checkpoint covers.",
                self.size as f64,
            ),
            gauge(
                "datastorage_log_pending",
                "Entries that wait for the next round of the log, counted up to 100,000.",
                self.pending as f64,
            ),
            gauge(
                "datastorage_log_pending_age_seconds",
                "Age of the oldest entry that waits for the next round of the log.",
                self.pending_age,
            ),
        ];
        families.extend(self.checkpoint_at.map(|at| {
            gauge(
                "datastorage_log_checkpoint_timestamp_seconds",
                "When the last checkpoint of the log was signed, in Unix time.",
                at,
            )
        }));
        families
    }
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut gauge = ProtoGauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    family(name, help, MetricType::GAUGE, std::iter::once(metric))
}
