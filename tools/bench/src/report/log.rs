//! What a report says of the tamper-evident log.

use serde::{Deserialize, Serialize};

use super::render::Table;
use super::tables::{grouped, number, with_range};
use super::{Latency, Measure, median, spread};
use crate::load::Errors;

/// Entries that a round of the service logs at most (`src/store/src/log.rs`).
const ROUND_ENTRIES_MAX: u64 = 8_192;

/// The log of a database.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogReport {
    /// Stored before the run.
    pub(crate) incidents: u64,
    pub(crate) writes: Vec<LogWrites>,
    pub(crate) ages: Vec<LogAge>,
    pub(crate) disk: Vec<LogDisk>,
    pub(crate) reads: Vec<LogRead>,
    pub(crate) rounds: Vec<LogRounds>,
}

/// Closed loops with the log and without it.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogWrites {
    pub(crate) connections: u64,
    pub(crate) logged: Measure,
    pub(crate) unlogged: Measure,
}

/// From when a record is stored until a checkpoint that covers it is signed.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogAge {
    pub(crate) name: String,
    /// Writes that were asked for, or answered at the greatest rate.
    pub(crate) per_second: f64,
    pub(crate) records: u64,
    /// Records that no checkpoint covered when the load ended.
    pub(crate) uncovered: u64,
    pub(crate) age: Latency,
    /// One per checkpoint.
    pub(crate) entries_per_round: Vec<f64>,
    pub(crate) errors: Errors,
}

/// What a table of the log takes with its indexes.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogDisk {
    pub(crate) name: String,
    pub(crate) bytes: i64,
    /// In the log; none is pending.
    pub(crate) leaves: i64,
    pub(crate) bytes_per_leaf: f64,
}

/// Reads, one after the other.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogRead {
    pub(crate) name: String,
    pub(crate) leaves: u64,
    pub(crate) requests: u64,
    pub(crate) latency: Latency,
    pub(crate) errors: Errors,
}

/// Checkpoints while entries are pending.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogRounds {
    pub(crate) pending: u64,
    /// One per round of the benchmark.
    pub(crate) milliseconds: Vec<f64>,
}

impl LogReport {
    /// As [`super::Report::errors`].
    pub(super) fn errors(&self) -> impl Iterator<Item = (String, &str, u64)> {
        let writes = self.writes.iter().flat_map(|one| {
            let measures = [&one.logged, &one.unlogged];
            let named = |measure: &Measure| format!("{}, {}", measure.name, measure.connections);
            measures.map(|measure| (named(measure), &measure.errors))
        });
        let ages = self.ages.iter();
        let ages = ages.map(|one| (format!("age, {}", one.name), &one.errors));
        let reads = self.reads.iter().map(|one| (one.name.clone(), &one.errors));
        let all = writes.chain(ages).chain(reads);
        all.flat_map(|(load, errors)| {
            let load = format!("log: {load}");
            let errors = errors.iter();
            errors.map(move |(error, count)| (load.clone(), error.as_str(), *count))
        })
    }
}

pub(super) fn log_tables(log: &LogReport) -> [Table; 5] {
    let title = |name: &str| format!("{name}: {} incidents", grouped(log.incidents));
    let age = |one: &LogAge| {
        let entries = spread(&one.entries_per_round);
        [
            ("writes", one.name.clone()),
            ("writes/s", number(Some(one.per_second))),
            ("records", grouped(one.records)),
            ("p50 ms", number(one.age.p50_ms)),
            ("p99 ms", number(one.age.p99_ms)),
            ("max ms", number(one.age.max_ms)),
            ("checkpoints", one.entries_per_round.len().to_string()),
            (
                "entries per checkpoint",
                number(entries.map(|[_, middle, _]| middle)),
            ),
            ("most entries", number(entries.map(|[_, _, most]| most))),
            ("left out", grouped(one.uncovered)),
        ]
    };
    let disk = |one: &LogDisk| {
        [
            ("table", one.name.clone()),
            ("bytes", grouped(one.bytes.unsigned_abs())),
            ("leaves", grouped(one.leaves.unsigned_abs())),
            ("bytes per leaf", number(Some(one.bytes_per_leaf))),
        ]
    };
    let read = |one: &LogRead| {
        [
            ("read", one.name.clone()),
            ("leaves", grouped(one.leaves)),
            ("requests", grouped(one.requests)),
            ("p50 ms", number(one.latency.p50_ms)),
            ("p99 ms", number(one.latency.p99_ms)),
            ("max ms", number(one.latency.max_ms)),
        ]
    };
    let rounds = |one: &LogRounds| {
        let count = one.pending.div_ceil(ROUND_ENTRIES_MAX);
        let each = median(&one.milliseconds).map(|all| all / count.max(1) as f64);
        let rate = |taken: &f64| one.pending as f64 * 1e3 / taken;
        let rates: Vec<f64> = one.milliseconds.iter().map(rate).collect();
        [
            ("pending", grouped(one.pending)),
            ("rounds", count.to_string()),
            ("ms", with_range(&one.milliseconds)),
            ("ms per round", number(each)),
            ("entries/s", with_range(&rates)),
        ]
    };
    [
        Table::new(
            title("Writes with and without the log"),
            "Numbers are medians over the rounds, with the range in brackets, but latencies of all \
             rounds; the ratio is that of the same round. With the log, rounds are included. Without \
             it, the service still draws a nonce and computes the commitment.",
            log.writes.iter().flat_map(writes),
        ),
        Table::new(
            title("Age of a record when a checkpoint covers it"),
            "From when a record is stored until the first checkpoint that covers it is signed. \
             Records that no checkpoint covered when the load ended are left out.",
            log.ages.iter().map(age),
        ),
        Table::new(
            title("Disk of the log"),
            "With indexes, when nothing is pending. The entries of log_pending leave room behind, \
             which the next ones use.",
            log.disk.iter().map(disk),
        ),
        Table::new(
            title("Reads of the log"),
            "Random ones, one after the other on one connection.",
            log.reads.iter().map(read),
        ),
        Table::new(
            title("Rounds"),
            "How long a checkpoint takes while so many entries are pending, on an idle service.",
            log.rounds.iter().map(rounds),
        ),
    ]
}

/// With, without, and the ratio.
fn writes(one: &LogWrites) -> [[(&'static str, String); 9]; 3] {
    let (logged, unlogged) = (values(&one.logged), values(&one.unlogged));
    let mut ratios = logged.clone();
    for (ratio, without) in ratios.iter_mut().zip(&unlogged) {
        let pairs = ratio
            .iter()
            .zip(without)
            .filter(|(_, without)| **without > 0.0);
        *ratio = pairs.map(|(with, without)| with / without).collect();
    }
    [("with", logged), ("without", unlogged), ("ratio", ratios)].map(|(log, values)| {
        let [rate, p50, p99, postgresql, host, redis, wal] = values.map(|one| with_range(&one));
        [
            ("connections", one.connections.to_string()),
            ("log", log.to_owned()),
            ("writes/s", rate),
            ("p50 ms", p50),
            ("p99 ms", p99),
            ("PostgreSQL CPU ms", postgresql),
            ("host CPU ms", host),
            ("Redis CPU ms", redis),
            ("WAL bytes", wal),
        ]
    })
}

fn values(measure: &Measure) -> [Vec<f64>; 7] {
    let latency = measure.closed_loop_latency.unwrap_or_default();
    let cpu = &measure.cpu_ms_per_request;
    [
        measure.service_per_second.clone(),
        latency.p50_ms.into_iter().collect(),
        latency.p99_ms.into_iter().collect(),
        cpu.postgresql.clone(),
        cpu.host.clone(),
        cpu.redis.clone(),
        measure.wal_bytes_per_request.clone(),
    ]
}
