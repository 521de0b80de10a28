//! Loads a data set through `write_audit_records`, the function that the service writes with.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use embedding::EmbeddingKey;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use records::{AnyRecord, sha256};
use store::AuditWrite;
use tlog::{Envelope, Nonce, entry_hash, entry_time, to_base64};
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::model::Model;
use crate::record::parse;
use crate::schema::{self, Size};
use crate::{CLUSTER, Dataset};

/// Incidents generated at a time, at most as many as a batch of the service has records, and parts
/// generated at once. They bound the memory.
const INCIDENTS_OF_PART: u64 = 500;
const PARTS_AT_ONCE: usize = 3;

/// Batches in flight, so that the server never waits for the next one.
const BATCHES_AT_ONCE: usize = 8;

/// Records between progress messages.
const RECORDS_OF_LINE: usize = 200_000;

const WRITE: &str = "\
SELECT count(*) FROM json_array_elements(
    write_audit_records($1::text::json, NULL, false) -> 'records') AS record
WHERE record ->> 'replayed' IS NULL";

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
            let batch = records.and_then(|records| Batch::new(&records, model, &mut known));
            async move { batch?.write(client, statement).await }
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
fn make(dataset: &Dataset, first: u64) -> Result<Vec<Vec<AnyRecord>>> {
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

/// Records as the argument of [`WRITE`].
struct Batch {
    writes: String,
    count: usize,
}

impl Batch {
    /// A vector is sent once, with the first record of its text: batches are written in order.
    fn new(records: &[AnyRecord], model: Model, known: &mut HashSet<[u8; 32]>) -> Result<Self> {
        let name = model.name();
        let keys = records.iter().map(|record| EmbeddingKey {
            model: name.clone(),
            text_hash: sha256(&record.embedded_text),
        });
        let keys: Vec<_> = keys.collect();
        let mut writes = Vec::with_capacity(records.len());
        for (record, key) in records.iter().zip(&keys) {
            let is_new = known.insert(key.text_hash);
            let embedding = is_new
                .then(|| model.embed(&record.embedded_text))
                .transpose()?;
            let vector = embedding.as_ref().map(|embedding| &embedding.vector);
            let (nonce, commitment) = commit(record)?;
            writes.push(AuditWrite::new(record, key, vector, &nonce, commitment));
        }
        Ok(Self {
            writes: serde_json::to_string(&writes).context("write a batch as JSON")?,
            count: records.len(),
        })
    }

    async fn write(self, client: &Client, statement: &Statement) -> Result<usize> {
        let written = client.query_one(statement, &[&self.writes]).await;
        let written: i64 = written.context("write records")?.try_get(0)?;
        ensure!(
            usize::try_from(written) == Ok(self.count),
            "of {} records {written} were written: the others were there",
            self.count
        );
        Ok(self.count)
    }
}

fn commit(record: &AnyRecord) -> Result<(Nonce, String)> {
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
