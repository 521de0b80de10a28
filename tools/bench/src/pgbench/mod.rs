//! pgbench runs the service's statements without the service.

mod service;
mod write;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

pub(crate) use self::service::{INCIDENT_SOURCE, statement};
pub(crate) use self::write::{MIXED_REPEATS_PERCENT, Writes, script as write_script};
use crate::database::Database;

/// How long pgbench may take to start and end, in addition to its run.
const MARGIN: Duration = Duration::from_secs(60);

/// The start of the names of pgbench's logs.
const LOG_PREFIX: &str = "transactions";

/// A script of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// SQL and pgbench's own commands.
    pub(crate) text: String,
    /// pgbench's variables, which it sends as parameters.
    pub(crate) variables: Vec<(String, String)>,
}

/// A run of pgbench that has ended.
pub(crate) struct Outcome {
    /// Successful transactions.
    pub(crate) transactions: u64,
    pub(crate) failed: u64,
    logs: TempDir,
}

impl Outcome {
    /// Transactions that ended in a time window.
    pub(crate) fn count_within(&self, window: &Range<SystemTime>) -> Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(self.logs.path()).context("look for pgbench's logs")? {
            let entry = entry.context("look for pgbench's logs")?;
            if entry.file_name().to_string_lossy().starts_with(LOG_PREFIX) {
                let log = File::open(entry.path()).context("open a log of pgbench")?;
                count += count_in_log(BufReader::new(log), window)?;
            }
        }
        Ok(count)
    }
}

/// Runs a script for a time over a number of connections; the seed is that of pgbench's random
/// numbers.
pub(crate) async fn run(
    program: &Path,
    database: &Database,
    script: &Script,
    connections: usize,
    duration: Duration,
    seed: usize,
) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("create a folder for pgbench's script and logs")?;
    let file = folder.path().join("script.sql");
    fs::write(&file, &script.text).context("write pgbench's script")?;
    let (user, password, name) = database.login()?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol=extended", "--log", "--file"])
        .arg(&file)
        .arg("--log-prefix")
        .arg(folder.path().join(LOG_PREFIX))
        .arg(format!("--time={}", duration.as_secs().max(1)))
        .arg(format!("--client={connections}"))
        .arg(format!("--jobs={}", connections.min(2)))
        .arg(format!("--random-seed={seed}"))
        .args(["--host", &database.host])
        .args(["--port", &database.port.to_string()])
        .args(["--username", user]);
    for (name, value) in &script.variables {
        command.arg(format!("--define={name}={value}"));
    }
    command.arg(name);
    if let Some(password) = password {
        command.env("PGPASSWORD", OsString::from_vec(password.to_vec()));
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(duration + MARGIN, command.output())
        .await
        .context("pgbench did not end in time")?
        .with_context(|| format!("start {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<_> = said.lines().rev().take(5).collect();
        bail!("pgbench failed ({}): {}", output.status, last.join(" / "));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(Outcome {
        transactions: number_after("number of transactions actually processed:", &said)?,
        failed: number_after("number of failed transactions:", &said)?,
        logs: folder,
    })
}

/// The number after a label in what pgbench prints.
fn number_after(label: &str, said: &str) -> Result<u64> {
    said.lines()
        .find_map(|line| line.strip_prefix(label))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("there is no {label:?} in what pgbench printed:\n{said}"))
}

/// Counts the successful transactions of a log that ended in a window. A line is `client transaction
/// microseconds script second microsecond`; a failed transaction has a word instead of its time.
fn count_in_log(log: impl BufRead, window: &Range<SystemTime>) -> Result<u64> {
    let mut count = 0;
    for line in log.lines() {
        let line = line.context("read a log of pgbench")?;
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, _, time, _, second, microsecond, ..] = fields.as_slice() else {
            bail!("a log of pgbench has the line {line:?}");
        };
        let ended = Duration::from_secs(second.parse().context("read a time of pgbench's log")?)
            + Duration::from_micros(microsecond.parse().unwrap_or(0));
        let is_success = time.parse::<u64>().is_ok();
        count += u64::from(is_success && window.contains(&(UNIX_EPOCH + ended)));
    }
    Ok(count)
}

/// Finds pgbench: at the given path, or else under `.data` (an embedded PostgreSQL) or on `PATH`.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf> {
    const DEPTH_MAX: usize = 8;
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
    find_below(Path::new(".data"), DEPTH_MAX)
        .or(on_path)
        .context(
            "there is no pgbench under .data or on PATH: name it with --pgbench, run `cargo xtask \
             up` once, or measure without it (--no-pgbench)",
        )
}

fn find_below(folder: &Path, depth: usize) -> Option<PathBuf> {
    let program = folder.join("bin/pgbench");
    if program.is_file() {
        return Some(program);
    }
    if depth == 0 {
        return None;
    }
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_below(&entry.path(), depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_pgbench_is_read() {
        let said = "transaction type: x\nnumber of transactions actually processed: 12345\n\
            number of failed transactions: 2 (0.016%)\n";
        let transactions = number_after("number of transactions actually processed:", said);
        assert_eq!(transactions.unwrap(), 12_345);
        let failed = number_after("number of failed transactions:", said);
        assert_eq!(failed.unwrap(), 2);
        assert!(number_after("tps =", said).is_err());
    }

    #[test]
    fn only_successful_transactions_in_the_window_count() {
        let log = "0 1 1000 0 99 999999\n0 2 2000 0 100 0\n1 1 failed 0 100 1\n\
            1 2 3000 0 101 5\n0 3 1000 0 102 0\n";
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let window = after(100)..after(102);
        assert_eq!(count_in_log(log.as_bytes(), &window).unwrap(), 2);
        for line in ["pgbench\n", "0 1 1000\n"] {
            assert!(count_in_log(line.as_bytes(), &window).is_err(), "{line}");
        }
    }
}
