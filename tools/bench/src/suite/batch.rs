//! Batches, beside single writes and beside what PostgreSQL does with as many records.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::host::SERVICE;
use super::plan::Group;
use super::{Suite, memory};
use crate::case::{Case, Requests};
use crate::measure::Setup;
use crate::pgbench::{Writes, bare_script, batch_script};
use crate::record::Generator;
use crate::report::{Batches, Measure, Report};

/// How many times longer slow batches are measured, or none might end within the measurement.
const SLOW_FACTOR: u32 = 5;

/// Which batches are measured, and how long.
pub(super) struct Extent {
    /// Texts with their name in the report.
    pub(super) texts: &'static [(&'static str, Writes)],
    /// Records of a batch.
    pub(super) sizes: &'static [u64],
    pub(super) connections: &'static [usize],
    pub(super) rounds: usize,
    /// The length of a measurement.
    pub(super) duration: Duration,
}

impl Suite<'_> {
    /// Measures batches in the database that is written to.
    pub(super) async fn measure_batches(&self, report: &mut Report) -> Result<()> {
        let mut databases = self.plan.databases.iter();
        let stored = databases.find(|one| matches!(one.purpose, Group::Write | Group::All));
        let (Some(stored), true) = (stored, self.plan.includes(Group::Batch)) else {
            return Ok(());
        };
        let host = self.start(SERVICE, &stored.url, None).await?;
        let mut setup = self.setup(host.as_ref(), stored).await?;
        report.batches = measure(&mut setup, &self.plan.batch_extent()).await?;
        if let Some(mut host) = host {
            report.host_memory.extend(memory(&host, "batches", stored));
            host.end(Signal::SIGTERM).await?;
        }
        Ok(())
    }
}

/// Measures batches of an extent.
async fn measure(setup: &mut Setup<'_>, extent: &Extent) -> Result<Vec<Batches>> {
    (setup.rounds, setup.duration) = (extent.rounds, extent.duration);
    let cases = cases(extent, setup.generator)?;
    let (slow, others): (Vec<_>, Vec<_>) = cases.into_iter().partition(is_slow);
    let mut measures = setup.measure(&others, extent.connections).await?;
    setup.duration *= SLOW_FACTOR;
    measures.extend(setup.measure(&slow, extent.connections).await?);
    Ok(join(extent, &measures))
}

/// Whether a batch may take seconds, where several are written at once.
fn is_slow(case: &Case) -> bool {
    matches!(case.requests, Requests::Batch(Writes::Fresh, 101..))
}

/// Single writes first, so that known texts are known.
fn cases(extent: &Extent, generator: &Generator) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (texts, writes) in extent.texts {
        cases.push(Case::new(single_name(texts), Requests::Write(*writes)));
    }
    for (texts, writes) in extent.texts {
        for size in extent.sizes {
            // It writes contents with known texts.
            let is_bare = *writes == Writes::Repeat;
            cases.push(Case {
                script: batch_script(*writes, *size, generator)?,
                bare: is_bare.then(|| bare_script(*size, generator)).transpose()?,
                ..Case::new(batch_name(texts, *size), Requests::Batch(*writes, *size))
            });
        }
    }
    Ok(cases)
}

fn single_name(texts: &str) -> String {
    format!("single-{texts}")
}

fn batch_name(texts: &str, size: u64) -> String {
    format!("batch-{size}-{texts}")
}

/// Puts batches beside single writes with the same texts and connections.
fn join(extent: &Extent, measures: &[Measure]) -> Vec<Batches> {
    let mut batches = Vec::new();
    for (texts, _) in extent.texts {
        for size in extent.sizes {
            let name = batch_name(texts, *size);
            for batch in measures.iter().filter(|one| one.name == name) {
                let single = measures.iter().find(|one| {
                    one.connections == batch.connections && one.name == single_name(texts)
                });
                batches.push(Batches {
                    texts: (*texts).to_owned(),
                    records: *size,
                    single: single.cloned().unwrap_or_default(),
                    batch: batch.clone(),
                });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const EXTENT: Extent = Extent {
        texts: &[("known", Writes::Repeat), ("new", Writes::Fresh)],
        sizes: &[1, 10],
        connections: &[1, 8],
        rounds: 1,
        duration: Duration::from_secs(1),
    };

    #[test]
    fn batches_stand_beside_single_writes_of_the_same_connections() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap();
        let mut rate = 0.0;
        let mut measures = Vec::new();
        for case in cases(&EXTENT, &generator).unwrap() {
            assert_eq!(case.script.is_some(), case.name.starts_with("batch"));
            for connections in [1, 8] {
                rate += 1.0;
                measures.push(Measure {
                    name: case.name.clone(),
                    connections,
                    service_per_second: vec![rate],
                    bare_per_second: case.bare.iter().map(|_| rate).collect(),
                    ..Measure::default()
                });
            }
        }
        let rows: Vec<_> = join(&EXTENT, &measures)
            .iter()
            .map(|one| {
                let single = one.single.service_per_second[0];
                let bare = one.batch.bare_per_second.first().copied();
                (one.batch.name.clone(), one.batch.connections, single, bare)
            })
            .collect();
        let row =
            |name: &str, connections, single, bare| (name.to_owned(), connections, single, bare);
        assert_eq!(
            rows,
            [
                row("batch-1-known", 1, 1.0, Some(5.0)),
                row("batch-1-known", 8, 2.0, Some(6.0)),
                row("batch-10-known", 1, 1.0, Some(7.0)),
                row("batch-10-known", 8, 2.0, Some(8.0)),
                row("batch-1-new", 1, 3.0, None),
                row("batch-1-new", 8, 4.0, None),
                row("batch-10-new", 1, 3.0, None),
                row("batch-10-new", 8, 4.0, None),
            ]
        );
    }
}
