//! How long each transaction took: pgbench's summary has the mean alone, its logs have all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use crate::load;

/// Reads the logs in a folder, one of each of pgbench's threads, and removes them.
pub(super) fn take(folder: &Path, prefix: &str) -> Result<Histogram<u64>> {
    let mut latencies = load::histogram()?;
    for entry in fs::read_dir(folder).context("look for pgbench's logs")? {
        let entry = entry.context("look for pgbench's logs")?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        read(BufReader::new(File::open(&path)?), &mut latencies)
            .with_context(|| format!("read pgbench's log {}", path.display()))?;
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(latencies)
}

/// A line is `client transaction microseconds script second microsecond`; a transaction that
/// failed or was left out has a word instead of its time.
fn read(log: impl BufRead, latencies: &mut Histogram<u64>) -> Result<()> {
    for line in log.lines() {
        let line = line?;
        let time = line.split(' ').nth(2);
        let time = time.with_context(|| format!("there is no time in {line:?}"))?;
        if let Ok(microseconds) = time.parse() {
            latencies.saturating_record(microseconds);
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
        let latencies = take(folder.path(), "log").unwrap();
        assert_eq!(latencies.len(), 3);
        assert_eq!(latencies.value_at_quantile(0.5), 2000);
        assert!(
            (2999..=3003).contains(&latencies.max()),
            "{}",
            latencies.max()
        );
        assert_eq!(take(folder.path(), "log").unwrap().len(), 0);
        assert!(folder.path().join("script.sql").exists());
    }

    #[test]
    fn what_is_no_log_is_an_error() {
        let mut latencies = load::histogram().unwrap();
        assert!(read("pgbench\n".as_bytes(), &mut latencies).is_err());
    }
}
