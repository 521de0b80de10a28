//! What a report says of batches.

use serde::{Deserialize, Serialize};

use super::render::Table;
use super::tables::{grouped, number, with_range};
use super::{Measure, median};

/// Closed loops of batches of one size, beside single writes.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Batches {
    /// `known` or `new`.
    pub(crate) texts: String,
    /// Records of a batch.
    pub(crate) records: u64,
    /// A request, and a transaction of pgbench, is a batch.
    pub(crate) batch: Measure,
    /// A request is a record.
    pub(crate) single: Measure,
}

impl Batches {
    /// Both measures, for their errors.
    pub(super) fn measures(&self) -> [&Measure; 2] {
        [&self.batch, &self.single]
    }

    /// Records per second of so many batches.
    fn records_per_second(&self, batches: &[f64]) -> Vec<f64> {
        let records = batches.iter().map(|rate| rate * self.records as f64);
        records.collect()
    }

    fn row(&self) -> [(&'static str, String); 20] {
        let (cpu, pgbench_cpu) = (
            &self.batch.cpu_ms_per_request,
            &self.batch.pgbench_cpu_ms_per_request,
        );
        let latency = self.batch.closed_loop_latency.unwrap_or_default();
        let own = self.records_per_second(&self.batch.service_per_second);
        let same = self.records_per_second(&self.batch.pgbench_per_second);
        let bare = self.records_per_second(&self.batch.bare_per_second);
        let single = &self.single.service_per_second;
        let ratio = |other: &[f64]| number(ratio(&own, other));
        let each = |batches: &[f64]| {
            number(median(batches).map(|batch| batch / self.records.max(1) as f64))
        };
        [
            ("texts", self.texts.clone()),
            ("records of a batch", grouped(self.records)),
            ("connections", self.batch.connections.to_string()),
            ("records/s", with_range(&own)),
            ("single writes/s", with_range(single)),
            ("ratio", ratio(single)),
            ("pgbench records/s", with_range(&same)),
            ("ratio to pgbench", ratio(&same)),
            ("bare INSERT records/s", with_range(&bare)),
            ("ratio to bare INSERT", ratio(&bare)),
            ("batch p50 ms", number(latency.p50_ms)),
            ("batch p95 ms", number(latency.p95_ms)),
            ("batch p99 ms", number(latency.p99_ms)),
            ("host CPU ms", each(&cpu.host)),
            ("PostgreSQL CPU ms", each(&cpu.postgresql)),
            (
                "PostgreSQL CPU ms for pgbench",
                each(&pgbench_cpu.postgresql),
            ),
            ("Redis CPU ms", each(&cpu.redis)),
            ("load CPU ms", each(&cpu.load_generator)),
            ("WAL bytes", each(&self.batch.wal_bytes_per_request)),
            ("errors", grouped(self.batch.errors.values().sum())),
        ]
    }
}

/// The ratio of the medians: the two are not measured in the same rounds everywhere.
pub(super) fn ratio(one: &[f64], other: &[f64]) -> Option<f64> {
    let other = median(other).filter(|other| *other > 0.0)?;
    Some(median(one)? / other)
}

pub(super) fn batch_table(batches: &[Batches]) -> Table {
    Table::new(
        "Batches",
        "Closed loops, beside single writes at as many connections; beside pgbench with the same \
         statement and as many records per transaction; and beside pgbench with one INSERT of as many \
         known records, with contents as long, into a table without an index. pgbench makes its records in \
         SQL from a sample; no request or record is parsed. Numbers are medians over the rounds, some \
         with the range in brackets, latencies of all rounds; ratios are those of the medians. A \
         latency is of a whole batch; CPU times and WAL are per record.",
        batches.iter().map(Batches::row),
    )
}
