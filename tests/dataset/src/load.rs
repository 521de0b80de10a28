//! Loads a data set: rows as the service would have written them, by `COPY`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use embedding::{Embedding, EmbeddingCache};
use futures::{StreamExt as _, TryStreamExt as _, stream, try_join};
use tokio::task::spawn_blocking;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls};

use crate::Dataset;
use crate::rows::{self, Row};
use crate::schema::{self, LastIds, Size};
use crate::stored::Incident;

/// How many incidents are made at a time, and how many such parts at once: what bounds the
/// memory.
const INCIDENTS_OF_PART: u64 = 500;
const PARTS_AT_ONCE: usize = 2;

/// How often the progress is said.
const INCIDENTS_OF_LINE: u64 = 50_000;

/// What was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The tables and how many rows they have.
    pub rows: Vec<(&'static str, i64)>,
    /// What they and their indexes take on disk, the largest first.
    pub sizes: Vec<Size>,
}

/// Loads a data set into the database that `config` names, which has the schema and no rows.
/// `say` is told each step and how long it took.
///
/// Keeps the hash of each distinct text and target in memory, and nothing else that grows.
///
/// # Errors
///
/// The database has rows already, or something fails on the way. Then some of the rows may be
/// there and indexes be missing: drop the database.
pub async fn load(config: &Config, dataset: Arc<Dataset>, say: impl Fn(String)) -> Result<Loaded> {
    let client = connect(config).await?;
    schema::require_empty(&client).await?;

    let begun = Instant::now();
    let added = schema::add_partitions(&client, &dataset.months()).await?;
    say(format!("made {added} partitions: {}", took(begun)));

    let begun = Instant::now();
    let indexes = schema::drop_indexes(&client).await?;
    schema::set_triggers(&client, false).await?;
    say(format!(
        "dropped {} indexes: {}",
        indexes.len(),
        took(begun)
    ));

    let begun = Instant::now();
    let last_ids = copy(config, &dataset, &say).await?;
    say(format!("copied all rows: {}", took(begun)));

    for index in &indexes {
        let begun = Instant::now();
        schema::make_index(&client, index).await?;
        say(format!("made {}: {}", index.name, took(begun)));
    }
    schema::set_triggers(&client, true).await?;
    schema::set_sequences(&client, &last_ids).await?;

    let begun = Instant::now();
    if schema::rebuild_incident_index(&client).await? {
        say(format!(
            "rebuilt the index of the incidents: {}",
            took(begun)
        ));
    }
    let begun = Instant::now();
    schema::vacuum(&client).await?;
    say(format!("vacuumed and analyzed: {}", took(begun)));

    Ok(Loaded {
        rows: schema::count(&client).await?,
        sizes: schema::sizes(&client).await?,
    })
}

/// Makes the incidents and writes their rows, each table through a connection of its own.
async fn copy(config: &Config, dataset: &Arc<Dataset>, say: &impl Fn(String)) -> Result<LastIds> {
    let begun = Instant::now();
    let mut tables = Tables::open(config).await?;
    let mut known = Known::default();
    let parts = (0..dataset.incidents()).step_by(INCIDENTS_OF_PART as usize);
    let mut parts = stream::iter(parts)
        .map(|first| {
            let dataset = Arc::clone(dataset);
            async move { spawn_blocking(move || make(&dataset, first)).await? }
        })
        .buffered(PARTS_AT_ONCE);
    let mut copied = 0;
    while let Some(part) = parts.try_next().await? {
        let part = known.number(&part)?;
        tables.write(&part).await?;
        copied += part.incidents.len() as u64;
        if copied % INCIDENTS_OF_LINE == 0 {
            say(format!(
                "copied {copied} of {} incidents: {}",
                dataset.incidents(),
                took(begun)
            ));
        }
    }
    tables.finish().await?;
    Ok(LastIds {
        records: known.records,
        embeddings: known.embeddings.len() as i64,
        histories: known.histories.len() as i64,
        incidents: known.incidents,
    })
}

/// A part of the incidents, as the service reads them.
fn make(dataset: &Dataset, first: u64) -> Result<Vec<Incident>> {
    let end = dataset.incidents().min(first + INCIDENTS_OF_PART);
    (first..end)
        .map(|number| Incident::read(&dataset.reports(number)?))
        .collect()
}

/// The ids of what several incidents share, and the last ones given.
#[derive(Default)]
struct Known {
    embeddings: HashMap<[u8; 32], i64>,
    histories: HashMap<[u8; 32], i64>,
    incidents: i64,
    records: i64,
}

/// A part with its ids.
#[derive(Default)]
struct Numbered<'a> {
    incidents: Vec<NumberedIncident<'a>>,
    /// What this part is the first to have.
    embeddings: Vec<(i64, Embedding, DateTime<Utc>)>,
    histories: Vec<(i64, [&'a str; 4], [u8; 32])>,
}

struct NumberedIncident<'a> {
    id: i64,
    history_id: i64,
    incident: &'a Incident,
    /// Of each record its own id and its embedding's.
    records: Vec<(i64, i64)>,
}

impl Known {
    fn number<'a>(&mut self, part: &'a [Incident]) -> Result<Numbered<'a>> {
        let mut numbered = Numbered::default();
        for incident in part {
            self.incidents += 1;
            let target = incident.target()?;
            let hash = rows::target_hash(target);
            let (history_id, is_new) = id_of(&mut self.histories, hash);
            if is_new {
                numbered.histories.push((history_id, target, hash));
            }
            let mut records = Vec::new();
            for view in incident.views() {
                self.records += 1;
                let hash = view.embedding.key().text_hash;
                let (embedding_id, is_new) = id_of(&mut self.embeddings, hash);
                if is_new {
                    // The local model needs no cache.
                    let no_cache = || EmbeddingCache::open(Duration::ZERO);
                    let embedding = view.embedding.embed(no_cache);
                    numbered
                        .embeddings
                        .push((embedding_id, embedding, view.recorded_at()));
                }
                records.push((self.records, embedding_id));
            }
            numbered.incidents.push(NumberedIncident {
                id: self.incidents,
                history_id,
                incident,
                records,
            });
        }
        Ok(numbered)
    }
}

/// The id of what has a hash, and whether it is a new one.
fn id_of(known: &mut HashMap<[u8; 32], i64>, hash: [u8; 32]) -> (i64, bool) {
    let next = known.len() as i64 + 1;
    let id = *known.entry(hash).or_insert(next);
    (id, id == next)
}

/// All that is written to.
struct Tables {
    records: Table,
    embeddings: Table,
    histories: Table,
    incidents: Table,
    incident_embeddings: Table,
}

impl Tables {
    async fn open(config: &Config) -> Result<Self> {
        Ok(Self {
            records: Table::open(config, "audit_records").await?,
            embeddings: Table::open(config, "embeddings").await?,
            histories: Table::open(config, "action_histories").await?,
            incidents: Table::open(config, "incidents").await?,
            incident_embeddings: Table::open(config, "incident_embeddings").await?,
        })
    }

    async fn write(&mut self, part: &Numbered<'_>) -> Result<()> {
        let embeddings = part.embeddings.iter();
        let embeddings =
            embeddings.map(|(id, embedding, made_at)| rows::embedding(*id, embedding, *made_at));
        let histories = part.histories.iter();
        let histories = histories.map(|(id, target, hash)| rows::history(*id, *target, hash));
        let incidents = part.incidents.iter();
        let incidents =
            incidents.map(|known| rows::incident(known.id, known.history_id, known.incident));
        let records = part.incidents.iter().flat_map(|known| {
            let records = known.incident.views().zip(&known.records);
            records.map(|(view, (id, _))| rows::record(*id, &view))
        });
        let incident_embeddings = part.incidents.iter().flat_map(|known| {
            let records = known.incident.views().zip(&known.records);
            records.map(|(view, (id, embedding_id))| {
                rows::incident_embedding(*id, known.id, *embedding_id, &view)
            })
        });
        try_join!(
            self.records.write(records),
            self.embeddings.write(embeddings),
            self.histories.write(histories),
            self.incidents.write(incidents),
            self.incident_embeddings.write(incident_embeddings),
        )?;
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        self.records.finish().await?;
        self.embeddings.finish().await?;
        self.histories.finish().await?;
        self.incidents.finish().await?;
        self.incident_embeddings.finish().await
    }
}

/// A table that is written to.
struct Table {
    name: &'static str,
    client: Client,
    /// From the first row on, which says the columns.
    writer: Option<Pin<Box<BinaryCopyInWriter>>>,
}

impl Table {
    async fn open(config: &Config, name: &'static str) -> Result<Self> {
        Ok(Self {
            name,
            client: connect(config).await?,
            writer: None,
        })
    }

    async fn write<'a>(&mut self, rows: impl Iterator<Item = Row<'a>>) -> Result<()> {
        let name = self.name;
        for row in rows {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                none => none.insert(begin_copy(&self.client, name, &row).await?),
            };
            let cells = row.iter().map(|(_, cell)| cell);
            let written = writer.as_mut().write_raw(cells).await;
            written.with_context(|| format!("write a row of {name}"))?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        let name = self.name;
        if let Some(writer) = &mut self.writer {
            let rows = writer.as_mut().finish().await;
            rows.with_context(|| format!("write the last rows of {name}"))?;
        }
        Ok(())
    }
}

async fn begin_copy(
    client: &Client,
    name: &str,
    row: &Row<'_>,
) -> Result<Pin<Box<BinaryCopyInWriter>>> {
    let columns: Vec<_> = row.iter().map(|(column, _)| *column).collect();
    let columns = columns.join(", ");
    let begin = async {
        let columns_of = client
            .prepare(&format!("SELECT {columns} FROM {name}"))
            .await?;
        let types: Vec<Type> = columns_of
            .columns()
            .iter()
            .map(|column| column.type_().clone())
            .collect();
        let sink = client
            .copy_in(&format!("COPY {name} ({columns}) FROM STDIN BINARY"))
            .await?;
        Ok::<_, tokio_postgres::Error>(Box::pin(BinaryCopyInWriter::new(sink, &types)))
    };
    begin
        .await
        .with_context(|| format!("begin to write {name}"))
}

async fn connect(config: &Config) -> Result<Client> {
    let connected = config.connect(NoTls).await;
    let (client, connection) = connected.context("connect to the database")?;
    // It ends with the client.
    tokio::spawn(connection);
    schema::set_up_session(&client).await?;
    Ok(client)
}

fn took(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}
