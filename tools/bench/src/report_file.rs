//! The report of a run as it is kept: JSON that later versions of this program read again, to
//! show how the service's speed changed from commit to commit.
//!
//! Every number has its unit in its name. What was not measured is absent; `null` and an empty
//! array are read as the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::report::Spread;

/// The version of the format that this program writes and reads.
pub(crate) const VERSION: u32 = 1;

/// A run: what was measured, where and with what.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// When the run began, as RFC 3339 has it.
    pub(crate) date: String,
    /// The commit that was measured: 12 hexadecimal digits, then `-dirty` when files differ from it.
    pub(crate) commit: String,
    /// The first line of its message.
    #[serde(default)]
    pub(crate) commit_subject: String,
    /// When it was made, as RFC 3339 has it.
    #[serde(default)]
    pub(crate) commit_date: String,
    /// Whether a service was measured that was up already: the commit may be another one's.
    #[serde(default)]
    pub(crate) is_running_service: bool,
    /// How thorough the run was.
    pub(crate) mode: Mode,
    /// The machine and the versions.
    pub(crate) surroundings: Surroundings,
    /// Every constant that matters to the numbers, by its name.
    #[serde(default)]
    pub(crate) settings: Map<String, Value>,
    /// How long the service took to start.
    #[serde(default)]
    pub(crate) start_up: Vec<StartUp>,
    /// How much memory the host had, by what was asked of it.
    #[serde(default)]
    pub(crate) host_memory: Vec<HostMemory>,
    /// As many requests as can be had.
    #[serde(default)]
    pub(crate) measures: Vec<Measure>,
    /// Latencies while requests arrive at a constant rate.
    #[serde(default)]
    pub(crate) at_rate: Vec<AtRate>,
    /// Writes, lists and searches at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mixed: Option<Mixed>,
}

/// How thorough a run was.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Everything, as long as it takes.
    Full,
    /// Everything in short.
    Quick,
    /// Only to see that it works: the numbers mean nothing.
    Smoke,
}

impl Mode {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Smoke => "smoke",
        }
    }
}

/// The machine, the versions and the settings of what the service depends on. A text that is
/// empty was not found out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Surroundings {
    /// The processor's name.
    pub(crate) cpu: String,
    /// How many of its cores may be used.
    pub(crate) cores: usize,
    /// The machine's memory, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_mib: Option<u64>,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// The load averages at the beginning: what else the machine was busy with.
    pub(crate) load_average: String,
    /// The compiler's version.
    pub(crate) rustc: String,
    /// What served, how it was built and its version.
    pub(crate) host: String,
    /// PostgreSQL's version.
    pub(crate) postgresql: String,
    /// pgvector's version.
    pub(crate) pgvector: String,
    /// PostgreSQL's settings that matter.
    pub(crate) postgresql_settings: String,
    /// Redis's version.
    pub(crate) redis: String,
    /// The version of wrk, which loads as much as it can.
    pub(crate) wrk: String,
    /// The version of oha, which loads at a constant rate.
    pub(crate) oha: String,
    /// The version of pgbench, which runs the same statements without the service.
    pub(crate) pgbench: String,
}

/// How long the service took to start.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct StartUp {
    /// `cold`, without compiled components in the cache, or `warm`, with them.
    pub(crate) name: String,
    /// From the start of the process to the first answer of readiness, in seconds.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) seconds: Rounds,
}

/// How much memory a host had that was started for a part of the run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct HostMemory {
    /// What was asked of it.
    pub(crate) name: String,
    /// How many incidents were stored.
    pub(crate) incidents: u64,
    /// The most that its processes had until its end, in MiB.
    pub(crate) peak_mib: f64,
}

/// Requests as fast as they are answered, at a number of connections: a closed loop.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Measure {
    /// What was asked for, `list` for example.
    pub(crate) name: String,
    /// How many incidents were stored.
    pub(crate) incidents: u64,
    /// How many connections there were, each with a request under way.
    pub(crate) connections: u64,
    /// Requests per second that were answered as they should be.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) service_per_second: Rounds,
    /// Transactions per second of pgbench, with the same statement and as many connections.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) pgbench_per_second: Rounds,
    /// The service's rate over pgbench's of the same round.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) efficiency: Rounds,
    /// Every answer that was not as it should be, by what was wrong.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// Latencies as the closed loop has them: a request waits for the one before it, so that a
    /// slow answer also keeps away those that would have been slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed_loop_latency: Option<Latency>,
    /// CPU time of a request, in milliseconds.
    #[serde(default)]
    pub(crate) cpu_ms_per_request: CpuTime,
    /// CPU time of a transaction of pgbench, in milliseconds.
    #[serde(default)]
    pub(crate) pgbench_cpu_ms_per_request: CpuTime,
    /// What a request costs between the service and PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgresql_wire: Option<Wire>,
    /// Bytes of write-ahead log of a request.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) wal_bytes_per_request: Rounds,
    /// Of the updates of incidents, the part that made no new entry in any index.
    #[serde(default, skip_serializing_if = "Rounds::is_empty")]
    pub(crate) hot_update_share: Rounds,
}

impl Measure {
    /// How many answers were not as they should be.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// CPU time in milliseconds, by who used it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct CpuTime {
    /// The process that serves.
    #[serde(skip_serializing_if = "Rounds::is_empty")]
    pub(crate) host: Rounds,
    /// All processes of PostgreSQL.
    #[serde(skip_serializing_if = "Rounds::is_empty")]
    pub(crate) postgresql: Rounds,
    /// Redis.
    #[serde(skip_serializing_if = "Rounds::is_empty")]
    pub(crate) redis: Rounds,
    /// What sends the requests or transactions.
    #[serde(skip_serializing_if = "Rounds::is_empty")]
    pub(crate) load_generator: Rounds,
}

/// What a request costs on the wire between the service and PostgreSQL.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Wire {
    /// How often the service waits for PostgreSQL.
    pub(crate) round_trips: f64,
    /// Bytes to PostgreSQL.
    pub(crate) bytes_sent: f64,
    /// Bytes from PostgreSQL.
    pub(crate) bytes_received: f64,
}

/// Requests that arrive at a constant rate, whatever the answers do. A latency counts from when
/// the request was due.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AtRate {
    /// What was asked for.
    pub(crate) name: String,
    /// How many incidents were stored.
    pub(crate) incidents: u64,
    /// How many connections there were.
    pub(crate) connections: u64,
    /// How many requests per second were asked for.
    pub(crate) per_second: f64,
    /// How many requests were made.
    pub(crate) requests: u64,
    /// How many of them were sent before in the same run.
    #[serde(default)]
    pub(crate) replayed: u64,
    /// Every answer that was not as it should be, by what was wrong.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// How long the answers took.
    #[serde(default)]
    pub(crate) latency: Latency,
}

/// Several loads at once, each at its constant rate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Mixed {
    /// How many incidents were stored.
    pub(crate) incidents: u64,
    /// How long, in seconds.
    pub(crate) seconds: f64,
    /// The loads.
    #[serde(default)]
    pub(crate) loads: Vec<MixedLoad>,
}

/// One of several loads at once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct MixedLoad {
    /// What was asked for.
    pub(crate) name: String,
    /// How many requests per second were asked for.
    pub(crate) per_second: f64,
    /// How many requests were made.
    pub(crate) requests: u64,
    /// How many of them were sent before in the same run.
    #[serde(default)]
    pub(crate) replayed: u64,
    /// Every answer that was not as it should be, by what was wrong.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, u64>,
    /// How long the answers took.
    #[serde(default)]
    pub(crate) latency: Latency,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Latency {
    /// The mean.
    pub(crate) mean_ms: Option<f64>,
    /// The median.
    pub(crate) p50_ms: Option<f64>,
    /// Nine of ten take no longer.
    pub(crate) p90_ms: Option<f64>,
    /// 95 of 100 take no longer.
    pub(crate) p95_ms: Option<f64>,
    /// 99 of 100 take no longer.
    pub(crate) p99_ms: Option<f64>,
    /// 999 of 1,000 take no longer.
    pub(crate) p99_9_ms: Option<f64>,
    /// The longest.
    pub(crate) max_ms: Option<f64>,
}

/// A number per round, oldest first; none where it was not measured.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Option<Vec<Option<f64>>>")]
pub(crate) struct Rounds(pub(crate) Vec<f64>);

impl From<Option<Vec<Option<f64>>>> for Rounds {
    // A number that JSON has no word for, like that of a division by zero, is written as null.
    fn from(values: Option<Vec<Option<f64>>>) -> Self {
        Self(values.into_iter().flatten().flatten().collect())
    }
}

impl From<Vec<f64>> for Rounds {
    fn from(values: Vec<f64>) -> Self {
        Self(values)
    }
}

impl Rounds {
    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The median and the range.
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(self.0.iter().copied())
    }

    /// The median.
    pub(crate) fn median(&self) -> Option<f64> {
        self.spread().map(|spread| spread.median)
    }
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Report {
    /// Reads a report. An error names the file and says what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        Self::parse(&text).with_context(|| format!("{shown} cannot be shown"))
    }

    /// Reads a report's JSON.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let Versioned { version } =
            serde_json::from_str(text).context("it is not a report of the benchmark")?;
        ensure!(
            version == VERSION,
            "it is a report of version {version}, and this program reads version {VERSION}"
        );
        serde_json::from_str(text).context("it is not a whole report of the benchmark")
    }

    /// How many requests were not answered as they should be, and transactions that failed.
    pub(crate) fn error_count(&self) -> u64 {
        let measures = self.measures.iter().map(|measure| &measure.errors);
        let at_rate = self.at_rate.iter().map(|load| &load.errors);
        let mixed = self.mixed.iter().flat_map(|mixed| &mixed.loads);
        measures
            .chain(at_rate)
            .chain(mixed.map(|load| &load.errors))
            .flat_map(BTreeMap::values)
            .sum()
    }

    /// Writes the report, readable and comparable line by line.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self).context("write the report as JSON")?;
        json.push('\n');
        fs::write(path, json).with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with everything, and a measure for which little was measured.
    pub(crate) fn sample() -> Report {
        Report::parse(SAMPLE).unwrap()
    }

    const SAMPLE: &str = include_str!("../fixtures/report.json");

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        sample().write(file.path()).unwrap();
        assert_eq!(Report::read(file.path()).unwrap(), sample());
        // The sample is written as this program writes, so nothing of it was overlooked.
        assert_eq!(fs::read_to_string(file.path()).unwrap(), SAMPLE);
    }

    #[test]
    fn absent_null_and_empty_are_all_not_measured() {
        let without = r#"{"name": "cold"}"#;
        let null = r#"{"name": "cold", "seconds": null}"#;
        let empty = r#"{"name": "cold", "seconds": []}"#;
        for text in [without, null, empty] {
            let start_up: StartUp = serde_json::from_str(text).unwrap();
            assert_eq!(start_up.seconds.spread(), None, "{text}");
        }
        let not_a_number = Rounds(vec![f64::NAN, 2.0]);
        let written = serde_json::to_string(&not_a_number).unwrap();
        let read: Rounds = serde_json::from_str(&written).unwrap();
        assert_eq!(read.0, [2.0]);
    }

    #[test]
    fn a_file_that_is_no_report_of_this_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            let path = folder.path().join("other.json");
            fs::write(&path, text).unwrap();
            format!("{:#}", Report::read(&path).unwrap_err())
        };
        let newer = SAMPLE.replacen("\"version\": 1", "\"version\": 2", 1);
        for (text, reason) in [
            (newer.as_str(), "version 2"),
            ("[]", "not a report"),
            ("{\"version\": 1}", "not a whole report"),
        ] {
            let error = refused(text);
            assert!(error.contains("other.json"), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
