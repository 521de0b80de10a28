//! The plan of a run, which `cargo xtask bench` makes.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::batch;
use crate::log;
use crate::pgbench::Writes;
use crate::report::Mode;

/// A run. No `Debug`, since it contains a key and passwords.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) mode: Mode,
    /// The folder for the report.
    pub(super) out: PathBuf,
    /// What to measure; everything if absent.
    pub(super) only: Option<Vec<Group>>,
    /// Rounds, if not those of the mode.
    pub(super) rounds: Option<usize>,
    /// The length of a measurement, if not that of the mode.
    pub(super) seconds: Option<u64>,
    /// The program pgbench.
    pub(super) pgbench: PathBuf,
    /// The program that runs the components, to be started.
    pub(super) host: Option<HostProgram>,
    /// The service, if it is running already.
    pub(super) service: Option<RunningService>,
    pub(super) redis: Option<Redis>,
    pub(super) databases: Vec<StoredIncidents>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    Write,
    /// Many records at a time.
    Batch,
    Read,
    /// Writes, lists and searches at the same time.
    Mixed,
    /// The tamper-evident log.
    Log,
    /// Components that do almost nothing.
    Baseline,
    StartUp,
    /// All of these.
    All,
}

/// The program that runs the components.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostProgram {
    pub(super) program: PathBuf,
    pub(super) kind: HostKind,
    /// Its name in the report.
    pub(super) name: String,
    /// The project's folder.
    pub(super) root: PathBuf,
    /// The key that signs the log.
    pub(super) log_signing_key: String,
}

/// Kinds of programs that run components.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum HostKind {
    Spin,
    Devhost,
}

/// A service that is running already.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunningService {
    pub(super) url: String,
}

/// The Redis of the service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    pub(super) url: String,
    pub(super) pid: Option<u32>,
    /// Its name in the report.
    pub(super) name: String,
}

/// A database, what it is for, and about how many incidents it has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredIncidents {
    pub(super) purpose: Group,
    pub(super) incidents: u64,
    pub(super) url: String,
}

/// How often and how long things are measured.
pub(super) struct Extent {
    pub(super) rounds: usize,
    /// The length of a measurement.
    pub(super) duration: Duration,
    /// Time before each measurement that does not count.
    pub(super) warm_up: Duration,
    /// Divides all rates: a smoke test must not depend on the speed of the machine.
    pub(super) rate_divisor: u32,
    /// How long a constant rate is kept.
    pub(super) at_rate: Duration,
    /// How long the mixed load is.
    pub(super) mixed: Duration,
    /// How often the service is started.
    pub(super) starts: usize,
}

impl Plan {
    /// Whether a group is to be measured.
    pub(super) fn includes(&self, group: Group) -> bool {
        let only = self.only.as_deref().unwrap_or(&[Group::All]);
        only.contains(&group) || only.contains(&Group::All)
    }

    /// How much of the log is measured.
    pub(super) fn log_extent(&self) -> log::Extent {
        let ages = self.extent().at_rate;
        match self.mode {
            Mode::Smoke => log::Extent {
                ages,
                rate_divisor: self.extent().rate_divisor,
                pending_max: 500,
                reads: 20,
            },
            _ => log::Extent::full(ages),
        }
    }

    /// Which batches are measured, and how long: there are many, so shorter than other writes.
    pub(super) fn batch_extent(&self) -> batch::Extent {
        let full = batch::Extent {
            texts: &[("known", Writes::Repeat), ("new", Writes::Fresh)],
            sizes: &[1, 10, 100, 500],
            connections: &[1, 8],
            rounds: self.rounds.unwrap_or(2),
            duration: Duration::from_secs(self.seconds.unwrap_or(4)),
        };
        match self.mode {
            Mode::Quick => batch::Extent {
                rounds: self.rounds.unwrap_or(1),
                duration: Duration::from_secs(self.seconds.unwrap_or(2)),
                ..full
            },
            Mode::Smoke => batch::Extent {
                texts: &[("known", Writes::Repeat)],
                sizes: &[10],
                connections: &[1],
                rounds: 1,
                duration: Duration::from_secs(1),
            },
            _ => full,
        }
    }

    /// How often and how long.
    pub(super) fn extent(&self) -> Extent {
        let (rounds, seconds, warm_up, at_rate, mixed, starts) = match self.mode {
            Mode::Full | Mode::Read | Mode::Log => (3, 8, 2, 20, 120, 3),
            Mode::Quick => (2, 2, 1, 4, 15, 2),
            Mode::Smoke => (1, 1, 1, 1, 2, 1),
        };
        Extent {
            rounds: self.rounds.unwrap_or(rounds),
            duration: Duration::from_secs(self.seconds.unwrap_or(seconds)),
            warm_up: Duration::from_secs(warm_up),
            rate_divisor: if self.mode == Mode::Smoke { 10 } else { 1 },
            at_rate: Duration::from_secs(at_rate),
            mixed: Duration::from_secs(mixed),
            starts,
        }
    }
}
