//! pgbench runs the service's statements without the service.

mod sample;
mod service;
mod vectors;
mod write;

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

pub(crate) use self::service::{INCIDENT_SOURCE, statement};
pub(crate) use self::vectors::{VECTOR_TABLE, make_vectors};
pub(crate) use self::write::{
    BARE_TABLE, MIXED_REPEATS_PERCENT, Writes, bare_script, batch_script, rows_script,
    script as write_script,
};
use crate::database::Database;

/// How long pgbench may take to start and end, in addition to its run.
const MARGIN: Duration = Duration::from_secs(60);

/// The start of the names of pgbench's logs.
const LOG_PREFIX: &str = "transactions";

/// A script of one transaction.
#[derive(Clone)]
pub(crate) struct Script {
    /// SQL and pgbench's own commands.
    pub(crate) text: String,
    /// pgbench's variables, which it sends as parameters.
    pub(crate) variables: Vec<(String, String)>,
    /// Whether a connection plans the statement once. The host prepares each of its own anew.
    pub(crate) is_prepared: bool,
}

/// Transactions of a run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Transactions {
    pub(crate) successful: u64,
    /// Successful ones that ended in the time window.
    pub(crate) within: u64,
    pub(crate) failed: u64,
}

/// Runs a script for a time over a number of connections and returns the folder with its logs; the
/// seed is that of pgbench's random numbers.
pub(crate) async fn run(
    program: &Path,
    database: &Database,
    script: &Script,
    connections: usize,
    duration: Duration,
    seed: usize,
) -> Result<TempDir> {
    let folder = tempfile::tempdir().context("create a folder for pgbench's script and logs")?;
    let file = folder.path().join("script.sql");
    fs::write(&file, &script.text).context("write pgbench's script")?;
    let (user, password, name) = database.login()?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--log"])
        .arg(if script.is_prepared {
            "--protocol=prepared"
        } else {
            "--protocol=extended"
        })
        .arg("--file")
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
    Ok(folder)
}

/// Counts the transactions in the logs of a run.
pub(crate) fn count(folder: &TempDir, window: &Range<SystemTime>) -> Result<Transactions> {
    let mut transactions = Transactions::default();
    for entry in fs::read_dir(folder.path()).context("look for pgbench's logs")? {
        let entry = entry.context("look for pgbench's logs")?;
        if entry.file_name().to_string_lossy().starts_with(LOG_PREFIX) {
            let log = fs::read_to_string(entry.path()).context("read a log of pgbench")?;
            for line in log.lines() {
                count_line(&mut transactions, line, window)?;
            }
        }
    }
    Ok(transactions)
}

/// Counts a line: `client transaction microseconds script second microsecond`. A failed transaction
/// has a word instead of its time.
fn count_line(
    transactions: &mut Transactions,
    line: &str,
    window: &Range<SystemTime>,
) -> Result<()> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [_, _, time, _, second, microsecond, ..] = fields.as_slice() else {
        bail!("a log of pgbench has the line {line:?}");
    };
    if time.parse::<u64>().is_err() {
        transactions.failed += 1;
        return Ok(());
    }
    let ended = Duration::from_secs(second.parse().context("read a time of pgbench's log")?)
        + Duration::from_micros(microsecond.parse().unwrap_or(0));
    transactions.successful += 1;
    transactions.within += u64::from(window.contains(&(UNIX_EPOCH + ended)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_transactions_and_those_outside_of_the_window_are_told_apart() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let window = after(100)..after(102);
        let mut counted = Transactions::default();
        for line in [
            "0 1 1000 0 99 999999",
            "0 2 2000 0 100 0",
            "1 1 failed 0 100 1",
            "1 2 3000 0 101 5",
            "0 3 1000 0 102 0",
        ] {
            count_line(&mut counted, line, &window).unwrap();
        }
        let expected = Transactions {
            successful: 4,
            within: 2,
            failed: 1,
        };
        assert_eq!(counted, expected);
        assert!(count_line(&mut counted, "0 1 1000", &window).is_err());
    }
}
