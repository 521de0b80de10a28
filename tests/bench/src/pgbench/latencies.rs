//! How long each transaction took: pgbench's summary has the mean alone, its logs have all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

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

/// How many transactions ended later than so long after the first began, and how many of them per
/// second.
pub(super) fn rate_after(transactions: &[Transaction], warm_up: Duration) -> (u64, f64) {
    let began = |one: &Transaction| one.ended.saturating_sub(one.latency);
    let first = transactions.iter().map(began).min().unwrap_or(0);
    let from = first.saturating_add(u64::try_from(warm_up.as_micros()).unwrap_or(u64::MAX));
    let later = transactions.iter().map(|one| one.ended);
    let later = later.filter(|ended| *ended > from);
    let (count, last) = later.fold((0, from), |(count, last), ended| {
        (count + 1, last.max(ended))
    });
    (
        count,
        count as f64 * 1e6 / last.abs_diff(from).max(1) as f64,
    )
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
    fn what_ends_in_the_beginning_does_not_count_for_the_rate() {
        let transactions: Vec<_> = (1..=40)
            .map(|number| Transaction {
                ended: 1_000_000 + number * 100_000,
                latency: 100_000,
            })
            .collect();
        let (count, per_second) = rate_after(&transactions, Duration::from_secs(2));
        assert_eq!(count, 20);
        assert!((per_second - 10.0).abs() < 1e-9, "{per_second}");
        assert_eq!(rate_after(&transactions, Duration::from_secs(9)), (0, 0.0));
        assert_eq!(rate_after(&[], Duration::ZERO), (0, 0.0));
    }
}
