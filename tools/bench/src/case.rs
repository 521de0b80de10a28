//! What is measured: requests to the service, and the script of pgbench to compare with.

use anyhow::{Context as _, Result};

use crate::client::Request;
use crate::pgbench::{MIXED_REPEATS_PERCENT, Script, Writes};
use crate::record::{Generator, REPORTS_OF_INCIDENT, RecordKind, known_alert};

/// Something to measure.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) requests: Requests,
    /// What pgbench runs for comparison.
    pub(crate) script: Option<Script>,
    /// The rate at which latencies are measured.
    pub(crate) rate_per_second: Option<u32>,
}

impl Case {
    /// Reads of paths, in turn.
    pub(crate) fn read(
        name: impl Into<String>,
        paths: Vec<String>,
        script: Option<Script>,
    ) -> Self {
        Self {
            name: name.into(),
            requests: Requests::Read(paths),
            script,
            rate_per_second: None,
        }
    }

    /// The same with a rate.
    pub(crate) fn at(self, per_second: u32) -> Self {
        Self {
            rate_per_second: Some(per_second),
            ..self
        }
    }
}

/// The requests of a case.
pub(crate) enum Requests {
    /// New records, different ones each time.
    Write(Writes),
    /// Paths to read in turn.
    Read(Vec<String>),
}

impl Requests {
    /// Request `number` of a series.
    pub(crate) fn make(&self, generator: &Generator, series: &str, number: u64) -> Result<Request> {
        let writes = match self {
            Self::Write(writes) => *writes,
            Self::Read(paths) => {
                let index = usize::try_from(number)? % paths.len().max(1);
                let path = paths.get(index).context("there is nothing to read")?;
                return Ok(Request::get(path.as_str()));
            }
        };
        let text = match writes {
            // Spread over any hundred in a row.
            Writes::Mixed if number * 37 % 100 >= MIXED_REPEATS_PERCENT => None,
            Writes::Fresh => None,
            Writes::Repeat | Writes::Mixed => Some(known_alert(number)),
            Writes::Reports => {
                let text = known_alert(number / REPORTS_OF_INCIDENT);
                let (kind, record) = generator.report_with(series, number, text)?;
                return Ok(Request::write(kind, record));
            }
            Writes::Incidents => {
                let (kind, record) = generator.report(series, number)?;
                return Ok(Request::write(kind, record));
            }
        };
        let text = text.map_or_else(|| generator.fresh_text(series, number), str::to_owned);
        let record = generator.record(series, number, &text)?;
        Ok(Request::write(RecordKind::Remediation, record))
    }

    /// Whether they are writes.
    pub(crate) fn are_writes(&self) -> bool {
        matches!(self, Self::Write(_))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;

    use super::*;

    #[test]
    fn written_records_are_all_different() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH);
        for writes in [Writes::Repeat, Writes::Mixed, Writes::Reports] {
            let requests = Requests::Write(writes);
            let made = (0..1_000).map(|number| requests.make(&generator, "s", number).unwrap());
            let different: HashSet<String> = made.map(|request| format!("{request:?}")).collect();
            assert_eq!(different.len(), 1_000, "{writes:?}");
        }
    }
}
