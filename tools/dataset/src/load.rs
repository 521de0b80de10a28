//! Loads a data set through `write_audit_record`, the function that the service writes with.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDateTime;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use records::sha256;
use tlog::{Envelope, Nonce, entry_hash, entry_time, to_base64};
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::model::Model;
use crate::record::{Parsed, parse};
use crate::schema::{self, Size};
use crate::{CLUSTER, Dataset};

/// Incidents generated at a time, and parts generated at once. They bound the memory.
const INCIDENTS_OF_PART: u64 = 500;
const PARTS_AT_ONCE: usize = 4;

/// Batches in flight, so that the server never waits for the next one.
const BATCHES_AT_ONCE: usize = 8;

/// Records between progress messages.
const RECORDS_OF_LINE: usize = 200_000;

const WRITE: &str = "\
SELECT count(*) FROM (
    SELECT write_audit_record(
        kind, created_at, content_hash, content, correlation_id, namespace, name, phase, started_at,
        completed_at, progress, cluster, NULL, projection::jsonb, $1, text_hash, vector, log_nonce,
        commitment, false) AS stored
    FROM unnest(
        $2::text[], $3::timestamp[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::timestamp[], $11::timestamp[], $12::bigint[], $13::text[], $14::text[],
        $15::bytea[], $16::text[], $17::bytea[], $18::text[])
    AS record (
        kind, created_at, content_hash, content, correlation_id, namespace, name, phase, started_at,
        completed_at, progress, cluster, projection, text_hash, vector,
        log_nonce, commitment)
) AS written
WHERE NOT (stored).is_replayed";

/// Result of a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Row count of each table.
    pub rows: Vec<(&'static str, i64)>,
    /// Disk space of tables and indexes, largest first.
    pub sizes: Vec<Size>,
}

/// Loads a data set into the database of `config`, which must have the schema and no rows. Reports
/// each step and its duration to `say`. Memory grows only by a hash per distinct text.
///
/// # Errors
///
/// The database has rows, or a step fails. Drop a partly loaded database: it may lack indexes.
pub async fn load(
    config: &Config,
    dataset: Arc<Dataset>,
    model: Model,
    say: impl Fn(String),
) -> Result<Loaded> {
    let connected = config.connect(NoTls).await;
    let (client, connection) = connected.context("connect to the database")?;
    tokio::spawn(connection);
    schema::set_up_session(&client).await?;
    schema::require_empty(&client).await?;
    let begun = Instant::now();
    schema::add_partitions(&client, &dataset.months()).await?;
    let indexes = schema::drop_indexes(&client).await?;
    say(format!("prepared the tables: {}", took(begun)));

    let begun = Instant::now();
    write(&client, &dataset, model, &say).await?;
    say(format!("wrote all records: {}", took(begun)));

    for index in &indexes {
        let begun = Instant::now();
        schema::make_index(&client, index).await?;
        say(format!("made {}: {}", index.name, took(begun)));
    }
    let begun = Instant::now();
    schema::vacuum(&client).await?;
    say(format!("vacuumed and analyzed: {}", took(begun)));
    Ok(Loaded {
        rows: schema::count(&client).await?,
        sizes: schema::sizes(&client).await?,
    })
}

async fn write(
    client: &Client,
    dataset: &Arc<Dataset>,
    model: Model,
    say: &impl Fn(String),
) -> Result<()> {
    let begun = Instant::now();
    let statement = client.prepare(WRITE).await;
    let statement = &statement.context("prepare to write records")?;
    let mut known = HashSet::new();
    let parts = (0..dataset.incidents()).step_by(INCIDENTS_OF_PART as usize);
    let mut written = stream::iter(parts)
        .map(|first| {
            let dataset = Arc::clone(dataset);
            async move { spawn_blocking(move || make(&dataset, first)).await? }
        })
        .buffered(PARTS_AT_ONCE)
        .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
        .try_flatten()
        .map(|records| {
            let batch = records.and_then(|records| Batch::new(records, model, &mut known));
            async move { batch?.write(client, statement, model).await }
        })
        .buffered(BATCHES_AT_ONCE);
    let mut records = 0;
    while let Some(more) = written.try_next().await? {
        if (records + more) / RECORDS_OF_LINE > records / RECORDS_OF_LINE {
            say(format!("wrote {} records: {}", records + more, took(begun)));
        }
        records += more;
    }
    Ok(())
}

/// Generates a part of the incidents in batches: first the records that begin incidents, then those
/// of every eighth incident, kind by kind. Incidents that share a page are updated one at a time,
/// because the page has room for only one more row version.
fn make(dataset: &Dataset, first: u64) -> Result<Vec<Vec<Parsed>>> {
    const APART: u64 = 8;
    let end = dataset.incidents().min(first + INCIDENTS_OF_PART);
    let mut batches = BTreeMap::<_, Vec<_>>::new();
    for number in first..end {
        for (place, report) in dataset.reports(number)?.into_iter().enumerate() {
            let body = serde_json::to_vec(&report.record).context("write a record as JSON")?;
            let batch = (place, if place == 0 { 0 } else { number % APART });
            let records = batches.entry(batch).or_default();
            records.push(parse(report.kind, &body, CLUSTER)?);
        }
    }
    Ok(batches.into_values().collect())
}

struct Batch {
    records: Vec<Parsed>,
    hashes: Vec<[u8; 32]>,
    vectors: Vec<Option<String>>,
    /// Nonce and commitment of each record's leaf in the log.
    commitments: Vec<(Nonce, String)>,
}

impl Batch {
    fn new(records: Vec<Parsed>, model: Model, known: &mut HashSet<[u8; 32]>) -> Result<Self> {
        let hashes: Vec<_> = records.iter().map(|record| sha256(&record.text)).collect();
        let mut vectors = Vec::with_capacity(records.len());
        for (record, hash) in records.iter().zip(&hashes) {
            let is_new = known.insert(*hash);
            let vector = is_new.then(|| model.embed(&record.text)).transpose()?;
            vectors.push(vector.map(|embedding| embedding.vector.to_text()));
        }
        let commitments = records.iter().map(commit).collect::<Result<_>>()?;
        Ok(Self {
            records,
            hashes,
            vectors,
            commitments,
        })
    }

    async fn write(self, client: &Client, statement: &Statement, model: Model) -> Result<usize> {
        fn each<'a, R, T>(records: &'a [R], column: impl Fn(&'a R) -> T) -> Vec<T> {
            records.iter().map(column).collect()
        }
        type Time = Option<NaiveDateTime>;
        let records = &self.records;
        let written = client
            .query_one(
                statement,
                &[
                    &model.name(),
                    &each(records, |record| record.kind),
                    &each(records, |record| record.common.created_at.naive_utc()),
                    &each(records, |record| record.content.hash().as_slice()),
                    &each(records, |record| record.content.json()),
                    &each(records, |record| &record.common.correlation_id),
                    &each(records, |record| &record.common.namespace),
                    &each(records, |record| &record.common.name),
                    &each(records, |record| record.common.phase.as_str()),
                    &each(records, |record| -> Time {
                        Some(record.common.started_at?.naive_utc())
                    }),
                    &each(records, |record| -> Time {
                        Some(record.common.completed_at?.naive_utc())
                    }),
                    &each(records, |record| record.progress),
                    &each(records, |record| &record.cluster),
                    &each(records, |record| &record.projection),
                    &each(&self.hashes, <[u8; 32]>::as_slice),
                    &self.vectors,
                    &each(&self.commitments, |(nonce, _)| nonce.as_slice()),
                    &each(&self.commitments, |(_, commitment)| commitment.as_str()),
                ],
            )
            .await
            .context("write records")?;
        let written: i64 = written.try_get(0)?;
        ensure!(
            usize::try_from(written) == Ok(records.len()),
            "of {} records {written} were written: the others were there",
            records.len()
        );
        Ok(records.len())
    }
}

fn commit(record: &Parsed) -> Result<(Nonce, String)> {
    // A data set has the same nonces each time.
    let mut nonce = Nonce::default();
    for (byte, of_hash) in nonce.iter_mut().zip(record.content.hash()) {
        *byte = *of_hash;
    }
    let envelope = Envelope {
        cluster: record.cluster.clone(),
        content_hash: to_base64(record.content.hash()),
        correlation_id: record.common.correlation_id.clone(),
        created_at: entry_time(record.common.created_at.to_utc()),
        recorded_by: None,
    };
    Ok((nonce, entry_hash(&envelope.commitment(&nonce)?)))
}

fn took(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}
