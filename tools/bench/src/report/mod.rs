//! The report of a run. Its JSON is kept, and later versions of this program read it again.
//!
//! Units are part of the names. What was not measured is `null`, empty or absent.

mod batch;
mod export;
mod log;
mod render;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::batch::Batches;
pub(crate) use self::export::Export;
pub(crate) use self::log::{LogAge, LogDisk, LogRead, LogReport, LogRounds, LogWrites};
pub(crate) use self::render::{Table, html, markdown};
pub(crate) use self::tables::{grouped, number};
use crate::load::Errors;

/// The version of the format that this program writes and reads.
pub(crate) const VERSION: u32 = 1;

/// What was measured, where, and with what.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Report {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// When the run began (RFC 3339).
    pub(crate) date: String,
    /// The commit's first 12 digits, with `-dirty` if files differ from it.
    pub(crate) commit: String,
    pub(crate) commit_subject: String,
    /// When it was committed (RFC 3339).
    pub(crate) commit_date: String,
    /// Whether the service was running already: it may be of another commit.
    pub(crate) is_running_service: bool,
    pub(crate) mode: Mode,
    /// The machine, the versions and PostgreSQL's settings.
    pub(crate) surroundings: Map<String, Value>,
    /// The run's own settings.
    pub(crate) settings: Map<String, Value>,
    pub(crate) start_up: Vec<StartUp>,
    pub(crate) host_memory: Vec<HostMemory>,
    /// Closed loops: as many requests as are answered.
    pub(crate) measures: Vec<Measure>,
    /// Closed loops of batches.
    pub(crate) batches: Vec<Batches>,
    /// Records read page by page.
    pub(crate) exports: Vec<Export>,
    /// Open loops: requests at a constant rate.
    pub(crate) at_rate: Vec<AtRate>,
    /// Several open loops at the same time.
    pub(crate) mixed: Option<Mixed>,
    /// Lists and their totals (`bench read`).
    pub(crate) lists: Vec<ListCheck>,
    /// How much of an exact search's results the service finds (`bench read`).
    pub(crate) recall: Vec<Recall>,
    /// What tables and indexes take (`bench read`).
    pub(crate) disk: Vec<DiskUse>,
    /// The tamper-evident log, per database.
    pub(crate) log: Vec<LogReport>,
}

/// How thorough a run is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    #[default]
    Full,
    Quick,
    /// Too short for numbers that mean anything: a test of the benchmark itself.
    Smoke,
    /// A run of `bench read`.
    Read,
    /// A run of `bench log`.
    Log,
}

/// How long the service takes from the start of its process until it is ready.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct StartUp {
    /// `cold` without compiled components in the cache, `warm` with them.
    pub(crate) name: String,
    /// One per start.
    pub(crate) seconds: Vec<f64>,
}

/// The peak memory of a host process and its children.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct HostMemory {
    /// What it was asked for.
    pub(crate) name: String,
    pub(crate) incidents: u64,
    pub(crate) peak_mib: f64,
}

/// A closed loop at a number of connections. Lists have one number per round.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Measure {
    pub(crate) name: String,
    /// Stored before the run.
    pub(crate) incidents: u64,
    pub(crate) connections: u64,
    pub(crate) service_per_second: Vec<f64>,
    /// Transactions of pgbench with the same statement and as many connections.
    pub(crate) pgbench_per_second: Vec<f64>,
    /// The service's rate divided by pgbench's of the same round.
    pub(crate) efficiency: Vec<f64>,
    /// Transactions of pgbench that insert as many records into an ordinary table.
    pub(crate) bare_per_second: Vec<f64>,
    /// CPU milliseconds of PostgreSQL for each of them.
    pub(crate) bare_postgresql_ms: Vec<f64>,
    /// Transactions of pgbench that insert all rows of a write into the service's tables.
    pub(crate) rows_per_second: Vec<f64>,
    /// CPU milliseconds of PostgreSQL for each of them.
    pub(crate) rows_postgresql_ms: Vec<f64>,
    pub(crate) errors: Errors,
    /// Of all rounds. A slow answer delays the requests that would have been slow too.
    pub(crate) closed_loop_latency: Option<Latency>,
    pub(crate) cpu_ms_per_request: CpuTime,
    pub(crate) pgbench_cpu_ms_per_request: CpuTime,
    pub(crate) postgresql_wire: Option<Wire>,
    /// Write-ahead log.
    pub(crate) wal_bytes_per_request: Vec<f64>,
    /// The share of the updates of incidents that need no new index entries.
    pub(crate) hot_update_share: Vec<f64>,
}

/// CPU milliseconds, one per round, by who used them.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct CpuTime {
    pub(crate) host: Vec<f64>,
    pub(crate) postgresql: Vec<f64>,
    pub(crate) redis: Vec<f64>,
    pub(crate) load_generator: Vec<f64>,
}

/// What a request costs between the service and PostgreSQL.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Wire {
    pub(crate) round_trips: f64,
    pub(crate) bytes_sent: f64,
    pub(crate) bytes_received: f64,
}

/// An open loop. Latency counts from when a request was due.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct AtRate {
    pub(crate) name: String,
    /// Stored before the run.
    pub(crate) incidents: u64,
    pub(crate) connections: u64,
    /// The rate that was asked for.
    pub(crate) per_second: f64,
    /// Answers of the measured part, and all errors.
    pub(crate) requests: u64,
    pub(crate) errors: Errors,
    pub(crate) latency: Latency,
}

/// Open loops at the same time.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Mixed {
    pub(crate) incidents: u64,
    pub(crate) seconds: f64,
    pub(crate) loads: Vec<AtRate>,
}

/// Latencies in milliseconds. A percentile of too few answers is missing.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) mean_ms: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p90_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) p99_9_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub(crate) fn new(latencies: &Histogram<u64>) -> Self {
        let percentile = |percent: f64, answers_min: u64| {
            let microseconds = latencies.value_at_percentile(percent) as f64;
            (latencies.len() >= answers_min).then_some(microseconds / 1e3)
        };
        Self {
            mean_ms: (!latencies.is_empty()).then(|| latencies.mean() / 1e3),
            p50_ms: percentile(50.0, 2),
            p90_ms: percentile(90.0, 10),
            p95_ms: percentile(95.0, 20),
            p99_ms: percentile(99.0, 100),
            p99_9_ms: percentile(99.9, 1_000),
            max_ms: percentile(100.0, 1),
        }
    }
}

/// A list and whether its total is right.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ListCheck {
    pub(crate) name: String,
    pub(crate) path: String,
    /// Incidents in the answer.
    pub(crate) rows: usize,
    /// The total in the answer.
    pub(crate) total: Option<Total>,
    /// The total according to a count of all incidents.
    pub(crate) expected: Option<Total>,
}

impl ListCheck {
    /// Whether the answer is empty or its total wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.rows == 0 || self.total != self.expected
    }
}

/// How many incidents pass a filter.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub(crate) struct Total {
    pub(crate) total: i64,
    /// `eq`, or `gte` if there may be more.
    pub(crate) relation: String,
}

/// The recall of one kind of search.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Recall {
    pub(crate) name: String,
    /// The request without its text.
    pub(crate) request: String,
    /// For texts that are stored.
    pub(crate) verbatim: Share,
    /// For texts that are not.
    pub(crate) altered: Share,
    /// Texts for which results are missing.
    pub(crate) incomplete: Vec<(String, Share)>,
    /// Results that are more similar than the service says, because it missed their nearest text.
    pub(crate) understated: u64,
    /// Results that are less similar than the service says, or do not pass the filter.
    pub(crate) wrong: u64,
    /// Searches without an answer.
    pub(crate) failed: u64,
}

/// Results that were found, of those that an exact search finds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) right: u64,
    pub(crate) expected: u64,
}

impl Share {
    /// The recall; `None` if there is nothing to find.
    pub(crate) fn ratio(self) -> Option<f64> {
        (self.expected > 0).then(|| self.right as f64 / self.expected as f64)
    }

    /// Adds another share.
    pub(crate) fn add(&mut self, other: Self) {
        self.right += other.right;
        self.expected += other.expected;
    }
}

/// What a table or an index takes on disk, all partitions together.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct DiskUse {
    pub(crate) name: String,
    pub(crate) is_index: bool,
    pub(crate) bytes: i64,
    pub(crate) bytes_per_million_incidents: f64,
}

impl DiskUse {
    /// The sizes in a database of so many incidents.
    pub(crate) fn new(sizes: Vec<dataset::Size>, incidents: u64) -> Vec<Self> {
        let millions = incidents.max(1) as f64 / 1e6;
        let disk_use = |size: dataset::Size| Self {
            name: size.name,
            is_index: size.is_index,
            bytes: size.bytes,
            bytes_per_million_incidents: size.bytes as f64 / millions,
        };
        sizes.into_iter().map(disk_use).collect()
    }
}

impl Report {
    /// Reads a report; errors name the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        let report: Self = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is no report of the benchmark"))?;
        let version = report.version;
        ensure!(
            version == VERSION,
            "{shown} has version {version} of the report's format, not {VERSION}"
        );
        Ok(report)
    }

    /// Writes the report as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).context("write the report as JSON")?;
        fs::write(path, json + "\n").with_context(|| format!("write {}", path.display()))
    }

    /// What went wrong when requests were sent: with which load, how, and how often.
    pub(crate) fn errors(&self) -> Vec<(String, &str, u64)> {
        let of_batches = self.batches.iter().flat_map(Batches::measures);
        let measures = self.measures.iter().chain(of_batches).map(|one| {
            let connections = format!("{} connections", one.connections);
            (&one.name, one.incidents, connections, &one.errors)
        });
        let mixed = self.mixed.iter().flat_map(|mixed| &mixed.loads);
        let at_rate = self.at_rate.iter().chain(mixed).map(|one| {
            let rate = format!("{}/s", one.per_second);
            (&one.name, one.incidents, rate, &one.errors)
        });
        let mut all = Vec::new();
        for (name, incidents, how, errors) in measures.chain(at_rate) {
            let load = format!("{name}, {} incidents, {how}", grouped(incidents));
            let errors = errors.iter();
            all.extend(errors.map(|(error, count)| (load.clone(), error.as_str(), *count)));
        }
        for export in &self.exports {
            let load = format!("export, {} incidents", grouped(export.incidents));
            let errors = export.errors.iter();
            all.extend(errors.map(|(error, count)| (load.clone(), error.as_str(), *count)));
        }
        all.extend(self.log.iter().flat_map(LogReport::errors));
        all
    }

    /// Requests, transactions, lists and searches that went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        let requests: u64 = self.errors().iter().map(|(_, _, count)| count).sum();
        let lists = self.lists.iter().filter(|list| list.is_wrong()).count();
        let searches: u64 = self.recall.iter().map(|one| one.wrong + one.failed).sum();
        requests + lists as u64 + searches
    }
}

/// The least, the median and the largest of some numbers; `None` if there are none.
pub(crate) fn spread(values: &[f64]) -> Option<[f64; 3]> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some([
        *values.first()?,
        f64::midpoint(*lower, *upper),
        *values.last()?,
    ])
}

/// The median of some numbers.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    spread(values).map(|[_, median, _]| median)
}

#[cfg(test)]
pub(crate) mod tests;
