//! What is to be measured, and with what: `cargo xtask bench` says so.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::report_file::Mode;

/// A run. It has no `Debug`: its URLs hold passwords.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// How thorough it is.
    pub(super) mode: Mode,
    /// The folder that the report is written to.
    pub(super) out: PathBuf,
    /// What is measured; everything where there is none.
    #[serde(default)]
    pub(super) only: Option<Vec<Group>>,
    /// How often every measure is taken, if not as often as the mode says.
    #[serde(default)]
    pub(super) rounds: Option<usize>,
    /// How long each takes, in seconds, if not as long as the mode says.
    #[serde(default)]
    pub(super) seconds: Option<u64>,
    /// The programs that load.
    pub(super) programs: Programs,
    /// The program that serves, if it is to be started.
    #[serde(default)]
    pub(super) host: Option<HostProgram>,
    /// The service that is up already.
    #[serde(default)]
    pub(super) service: Option<RunningService>,
    /// The Redis of the service.
    #[serde(default)]
    pub(super) redis: Option<Redis>,
    /// The databases, by how many incidents they hold.
    pub(super) databases: Vec<StoredIncidents>,
}

/// What is measured together.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    /// Writes.
    Write,
    /// Lists, single incidents and searches.
    Read,
    /// Writes, lists and searches at once.
    Mixed,
    /// Components that do next to nothing.
    Baseline,
    /// How long the service takes to start.
    StartUp,
}

/// The programs that load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Programs {
    /// As many requests as can be had.
    pub(super) wrk: PathBuf,
    /// Requests at a constant rate.
    pub(super) oha: PathBuf,
    /// The statements without the service.
    pub(super) pgbench: PathBuf,
}

/// The program that serves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostProgram {
    /// Where it is.
    pub(super) program: PathBuf,
    /// Which one it is.
    pub(super) kind: HostKind,
    /// What it is called in the report.
    pub(super) name: String,
    /// The project's folder.
    pub(super) root: PathBuf,
}

/// Which program serves.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum HostKind {
    /// The `spin` command.
    Spin,
    /// The stand-in.
    Devhost,
}

/// A service that is up already.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunningService {
    /// Where.
    pub(super) url: String,
}

/// The Redis of the service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    /// Where.
    pub(super) url: String,
    /// Its process, if it is known.
    #[serde(default)]
    pub(super) pid: Option<u32>,
    /// What it is called in the report.
    #[serde(default)]
    pub(super) name: String,
}

/// What a database is there for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Purpose {
    /// To be written to: it is empty.
    Write,
    /// To be read: nothing is written to it.
    Read,
    /// To be written to while it is read.
    Mixed,
    /// It is a running service's: all of these.
    All,
}

impl Purpose {
    /// Whether a group is measured on it.
    pub(super) fn includes(self, group: Group) -> bool {
        match self {
            Self::Write => group == Group::Write,
            Self::Read => group == Group::Read,
            Self::Mixed => group == Group::Mixed,
            Self::All => matches!(group, Group::Write | Group::Read | Group::Mixed),
        }
    }
}

/// A database and how many incidents it holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredIncidents {
    /// What it is there for.
    pub(super) purpose: Purpose,
    /// How many: a round number, about.
    pub(super) incidents: u64,
    /// Where.
    pub(super) url: String,
}

/// How often and how long things are measured.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// How often every measure is taken.
    pub(super) rounds: usize,
    /// How long each takes.
    pub(super) duration: Duration,
    /// How long each is asked for before, uncounted.
    pub(super) warm_up: Duration,
    /// How much fewer requests arrive in a second than is measured otherwise: whether everything
    /// works is not to hang on how fast a machine is.
    pub(super) rate_divisor: u64,
    /// How long requests arrive at a constant rate.
    pub(super) at_rate: Duration,
    /// How long writes, lists and searches arrive at once.
    pub(super) mixed: Duration,
    /// How often the service is started.
    pub(super) starts: usize,
}

impl Plan {
    /// Reads a plan's JSON.
    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("read the plan of the run")
    }

    /// Whether a group is to be measured.
    pub(super) fn includes(&self, group: Group) -> bool {
        self.only
            .as_ref()
            .is_none_or(|groups| groups.contains(&group))
    }

    /// How often and how long.
    pub(super) fn extent(&self) -> Extent {
        let (rounds, seconds, warm_up, at_rate, mixed, starts) = match self.mode {
            Mode::Full => (3, 8, 2, 20, 120, 3),
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
