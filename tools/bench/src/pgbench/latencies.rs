//! How long each transaction took: pgbench's summary has the mean alone, its logs have all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use crate::load;

/// A transaction that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transaction {
    /// When it ended, in microseconds since 1970.
    ended: u64,
    /// How long it took, in microseconds.
    latency: u64,
}

/// The latencies of transactions.
pub(super) fn histogram(transactions: &[Transaction]) -> Result<Histogram<u64>> {
    let mut latencies = load::histogram()?;
    for transaction in transactions {
        latencies.saturating_record(transaction.latency);
    }
    Ok(latencies)
}

/// How many transactions ended within a window of time.
pub(super) fn count_within(transactions: &[Transaction], window: &Range<SystemTime>) -> u64 {
    let ended = |one: &Transaction| UNIX_EPOCH + Duration::from_micros(one.ended);
    let within = transactions.iter().map(ended);
    within.filter(|ended| window.contains(ended)).count() as u64
}

/// Reads the logs in a folder, one of each of pgbench's threads, and removes them.
pub(super) fn take(folder: &Path, prefix: &str) -> Result<Vec<Transaction>> {
    let mut transactions = Vec::new();
    for entry in fs::read_dir(folder).context("look for pgbench's logs")? {
        let entry = entry.context("look for pgbench's logs")?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        read(BufReader::new(File::open(&path)?), &mut transactions)
            .with_context(|| format!("read pgbench's log {}", path.display()))?;
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(transactions)
}

/// A line is `client transaction microseconds script second microsecond`; a transaction that
/// failed or was left out has a word instead of its time.
fn read(log: impl BufRead, transactions: &mut Vec<Transaction>) -> Result<()> {
    for line in log.lines() {
        let line = line?;
        let mut fields = line.split(' ').skip(2);
        let time = fields.next();
        let time = time.with_context(|| format!("there is no time in {line:?}"))?;
        let mut number = |skipped| fields.nth(skipped)?.parse::<u64>().ok();
        let (second, microsecond) = (number(1), number(0));
        if let Ok(latency) = time.parse() {
            let second = second.with_context(|| format!("there is no second in {line:?}"))?;
            transactions.push(Transaction {
                ended: second * 1_000_000 + microsecond.unwrap_or(0),
                latency,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_is_read_once_and_failures_have_no_latency() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("script.sql", "SELECT 1;");
        file(
            "log.17",
            "0 1 1000 0 1793000000 17\n0 2 failed 0 1793000000 18\n",
        );
        file(
            "log.17.1",
            "1 1 2000 0 1793000000 19\n1 2 3000 0 1793000000 20\n",
        );
        let transactions = take(folder.path(), "log").unwrap();
        let latencies = histogram(&transactions).unwrap();
        assert_eq!(latencies.len(), 3);
        assert_eq!(latencies.value_at_quantile(0.5), 2000);
        assert!(
            (2999..=3003).contains(&latencies.max()),
            "{}",
            latencies.max()
        );
        assert!(take(folder.path(), "log").unwrap().is_empty());
        assert!(folder.path().join("script.sql").exists());
    }

    #[test]
    fn what_is_no_log_is_an_error() {
        for line in ["pgbench\n", "0 1 1000\n"] {
            assert!(read(line.as_bytes(), &mut Vec::new()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_ends_outside_the_window_does_not_count() {
        let transactions: Vec<_> = (1..=40)
            .map(|number| Transaction {
                ended: 1_000_000 + number * 100_000,
                latency: 100_000,
            })
            .collect();
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let count = |from, until| count_within(&transactions, &(after(from)..after(until)));
        assert_eq!(count(3, 4), 10);
        assert_eq!(count(0, 9), 40);
        assert_eq!(count(6, 9), 0);
    }
}
