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
    /// What pgbench runs to show what a bare INSERT of the same records costs.
    pub(crate) bare: Option<Script>,
    /// What pgbench runs to show what all rows that a write stores cost.
    pub(crate) rows: Option<Script>,
    /// The rate at which latencies are measured.
    pub(crate) rate_per_second: Option<u32>,
}

impl Case {
    /// Requests without a script or a rate.
    pub(crate) fn new(name: impl Into<String>, requests: Requests) -> Self {
        Self {
            name: name.into(),
            requests,
            script: None,
            bare: None,
            rows: None,
            rate_per_second: None,
        }
    }

    /// Reads of paths, in turn.
    pub(crate) fn read(
        name: impl Into<String>,
        paths: Vec<String>,
        script: Option<Script>,
    ) -> Self {
        Self {
            script,
            ..Self::new(name, Requests::Read(paths))
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
    /// Batches of so many new records, different ones each time.
    Batch(Writes, u64),
    /// Paths to read in turn.
    Read(Vec<String>),
}

impl Requests {
    /// Request `number` of a series.
    pub(crate) fn make(&self, generator: &Generator, series: &str, number: u64) -> Result<Request> {
        match self {
            Self::Write(writes) => {
                let (kind, record) = writes.record(generator, series, number)?;
                Ok(Request::write(kind, record))
            }
            Self::Batch(writes, count) => {
                let numbers = number * count..(number + 1) * count;
                let records = numbers.map(|number| writes.record(generator, series, number));
                let records: Vec<_> = records.collect::<Result<_>>()?;
                Ok(Request::write_batch(&records))
            }
            Self::Read(paths) => {
                let index = usize::try_from(number)? % paths.len().max(1);
                let path = paths.get(index).context("there is nothing to read")?;
                Ok(Request::get(path.as_str()))
            }
        }
    }

    /// How many records each of them writes; 0 for reads.
    pub(crate) fn records(&self) -> u64 {
        match self {
            Self::Write(_) => 1,
            Self::Batch(_, count) => *count,
            Self::Read(_) => 0,
        }
    }

    /// Whether they are writes.
    pub(crate) fn are_writes(&self) -> bool {
        self.records() > 0
    }
}

impl Writes {
    /// Record `number` of a series, with its kind.
    fn record(
        self,
        generator: &Generator,
        series: &str,
        number: u64,
    ) -> Result<(RecordKind, Vec<u8>)> {
        let text = match self {
            // Spread over any hundred in a row.
            Self::Mixed if number * 37 % 100 >= MIXED_REPEATS_PERCENT => None,
            Self::Fresh => None,
            Self::Repeat | Self::Mixed => Some(known_alert(number)),
            Self::Reports => {
                let text = known_alert(number / REPORTS_OF_INCIDENT);
                return generator.report_with(series, number, text);
            }
            Self::Incidents => return generator.report(series, number),
        };
        // What signals are called repeats; what is found out about them is new.
        let (kind, text) = match text {
            Some(text) => (RecordKind::Remediation, text.to_owned()),
            None => (
                RecordKind::Aianalysis,
                generator.fresh_text(series, number)?,
            ),
        };
        Ok((kind, generator.record(kind, series, number, &text)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;

    use super::*;

    #[test]
    fn written_records_are_all_different() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap();
        for writes in [Writes::Repeat, Writes::Mixed, Writes::Reports] {
            let requests = Requests::Write(writes);
            let made = (0..1_000).map(|number| requests.make(&generator, "s", number).unwrap());
            let different: HashSet<String> = made.map(|request| format!("{request:?}")).collect();
            assert_eq!(different.len(), 1_000, "{writes:?}");
        }
    }

    #[test]
    fn batches_in_a_row_have_the_records_of_single_writes() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap();
        let record = |number| Writes::Fresh.record(&generator, "s", number).unwrap();
        let batch = Requests::Batch(Writes::Fresh, 3).make(&generator, "s", 2);
        let expected = Request::write_batch(&[record(6), record(7), record(8)]);
        assert_eq!(format!("{:?}", batch.unwrap()), format!("{expected:?}"));
    }
}
