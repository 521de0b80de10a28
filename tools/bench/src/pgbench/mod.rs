//! What PostgreSQL itself does with the service's statements: pgbench as the client, no
//! service between.

mod latencies;
mod service;
mod write;

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

pub(crate) use self::service::{INCIDENT_SOURCE, statement};
pub(crate) use self::write::{MIXED_REPEATS_PERCENT, Sort, WriteScripts};
use crate::database::Database;

/// How long pgbench may take to begin and to end, beside the time it measures.
const MARGIN: Duration = Duration::from_secs(60);

/// What the names of pgbench's logs begin with.
const LOG_PREFIX: &str = "latencies";

/// A script of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What it does, in SQL and pgbench's own commands.
    pub(crate) text: String,
    /// Its variables, which are sent as parameters of the statement.
    pub(crate) variables: Vec<(String, String)>,
}

/// pgbench, ready to run.
pub(crate) struct PgBench<'a> {
    program: PathBuf,
    database: &'a Database,
    folder: TempDir,
    connections: usize,
}

/// What came of one run.
pub(crate) struct Outcome {
    /// What pgbench said at its end.
    pub(crate) summary: Summary,
    /// The latencies of its transactions, in microseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// What pgbench says at its end.
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    /// How many transactions succeeded.
    pub(crate) transactions: u64,
    /// How many failed.
    pub(crate) failed: u64,
    /// Transactions per second, without the time to connect.
    pub(crate) per_second: f64,
}

impl<'a> PgBench<'a> {
    /// `connections` is how many it uses.
    pub(crate) fn new(
        program: PathBuf,
        database: &'a Database,
        connections: usize,
    ) -> Result<Self> {
        Ok(Self {
            program,
            database,
            folder: tempfile::tempdir().context("make a folder for pgbench's scripts")?,
            connections,
        })
    }

    /// Runs a script for so long; another `seed` gives other random numbers.
    pub(crate) async fn run(
        &self,
        script: &Script,
        duration: Duration,
        seed: u64,
    ) -> Result<Outcome> {
        let summary = self.run_unread(script, duration, seed).await?;
        let transactions = latencies::take(self.folder.path(), LOG_PREFIX)?;
        Ok(Outcome {
            summary,
            latencies: latencies::histogram(&transactions)?,
        })
    }

    /// Of what [`Self::run_unread`] ran last: how many transactions ended within a window of time.
    pub(crate) fn count_within(&self, window: &Range<SystemTime>) -> Result<u64> {
        let transactions = latencies::take(self.folder.path(), LOG_PREFIX)?;
        Ok(latencies::count_within(&transactions, window))
    }

    /// Runs a script for so long, and leaves its logs.
    pub(crate) async fn run_unread(
        &self,
        script: &Script,
        duration: Duration,
        seed: u64,
    ) -> Result<Summary> {
        let arguments = [
            format!("--time={}", duration.as_secs().max(1)),
            format!("--client={}", self.connections),
            format!("--jobs={}", self.connections.min(2)),
            format!("--random-seed={}", seed & u64::from(u32::MAX)),
        ];
        self.execute(script, &arguments, duration).await
    }

    async fn execute(
        &self,
        script: &Script,
        arguments: &[String],
        duration: Duration,
    ) -> Result<Summary> {
        let file = self.folder.path().join("script.sql");
        fs::write(&file, &script.text).context("write pgbench's script")?;
        let (user, password, name) = self.database.login()?;
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol=extended", "--log", "--file"])
            .arg(&file)
            .arg("--log-prefix")
            .arg(self.folder.path().join(LOG_PREFIX))
            .args(arguments)
            .args(["--host", &self.database.host])
            .args(["--port", &self.database.port.to_string()])
            .args(["--username", user]);
        for (name, value) in &script.variables {
            command.arg(format!("--define={name}={value}"));
        }
        command.arg(name);
        if let Some(password) = password {
            use std::os::unix::ffi::OsStringExt as _;
            command.env("PGPASSWORD", OsString::from_vec(password.to_vec()));
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(duration + MARGIN, command.output())
            .await
            .context("pgbench did not end in time")?
            .with_context(|| format!("start {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last: Vec<_> = said.lines().rev().take(5).collect();
            bail!("pgbench failed ({}): {}", output.status, last.join(" / "));
        }
        read_summary(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Reads what pgbench prints at its end.
fn read_summary(text: &str) -> Result<Summary> {
    let number = |label: &str| -> Result<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(label))
            .and_then(|rest| {
                let digits = |c: char| !c.is_ascii_digit() && c != '.';
                rest.trim_start().split(digits).next()?.parse().ok()
            })
            .with_context(|| format!("read pgbench's summary, which has no {label:?}:\n{text}"))
    };
    Ok(Summary {
        transactions: number("number of transactions actually processed:")? as u64,
        failed: number("number of failed transactions:")? as u64,
        per_second: number("tps =")?,
    })
}

/// Finds pgbench: where it is said to be, else beside an embedded PostgreSQL under `.data`,
/// else on `PATH`.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf> {
    const FOLDERS_DEEP_MAX: usize = 8;
    if let Some(given) = given {
        ensure!(
            given.is_file(),
            "there is no {}; --pgbench takes the path of the program itself",
            given.display()
        );
        return Ok(given.to_owned());
    }
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("pgbench"))
            .find(|program| program.is_file())
    });
    find_below(Path::new(".data"), FOLDERS_DEEP_MAX)
        .or(on_path)
        .context(
            "there is no pgbench under .data or on PATH: name it with --pgbench, or run \
             `cargo xtask up` once; `--help` says how to measure without it",
        )
}

fn find_below(folder: &Path, deep: usize) -> Option<PathBuf> {
    let program = folder.join("bin/pgbench");
    if program.is_file() {
        return Some(program);
    }
    if deep == 0 {
        return None;
    }
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_below(&entry.path(), deep - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_pgbench_is_read() {
        let text = "transaction type: x\nnumber of transactions actually processed: 12345\n\
            number of failed transactions: 2 (0.016%)\nlatency average = 3.210 ms\n\
            initial connection time = 8.4 ms\n\
            tps = 2492.118 (without initial connection time)\n";
        assert_eq!(
            read_summary(text).unwrap(),
            Summary {
                transactions: 12_345,
                failed: 2,
                per_second: 2492.118,
            }
        );
        assert!(read_summary("").is_err());
    }
}
