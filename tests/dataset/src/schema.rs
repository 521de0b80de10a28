//! What is done to the schema around a load: partitions before it, indexes dropped for it and
//! made after it, and what is found out in the end.

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDate;
use tokio_postgres::Client;

/// The tables that are loaded.
pub(crate) const TABLES: [&str; 5] = [
    "audit_records",
    "embeddings",
    "action_histories",
    "incidents",
    "incident_embeddings",
];

/// All that is loaded into, with the partitions, as a common table expression.
const LOADED: &str = "loaded AS (
    SELECT relid AS id FROM pg_partition_tree('audit_records')
    UNION SELECT unnest(ARRAY[
        'embeddings', 'action_histories', 'incidents', 'incident_embeddings']::regclass[]))";

/// For one index over all vectors, built in memory.
const SETTINGS: &str = "SET maintenance_work_mem = '1GB'; SET statement_timeout = 0; \
    SET lock_timeout = '10s'; SET synchronous_commit = off";

/// An index that is dropped and made again.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    definition: String,
    comment: Option<String>,
}

/// A table or an index, partitions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its name.
    pub name: String,
    /// Whether it is an index.
    pub is_index: bool,
    /// What it takes on disk.
    pub bytes: i64,
}

/// Prepares the session for long statements.
pub(crate) async fn set_up_session(client: &Client) -> Result<()> {
    let set = client.batch_execute(SETTINGS).await;
    set.context("set up the connection to the database")
}

/// Refuses a database that is in use.
pub(crate) async fn require_empty(client: &Client) -> Result<()> {
    for table in TABLES {
        let row = client
            .query_one(&format!("SELECT EXISTS (SELECT FROM {table})"), &[])
            .await
            .with_context(|| {
                format!("look into {table}; were the migrations applied (cargo xtask migrate)?")
            })?;
        ensure!(
            !row.try_get::<_, bool>(0)?,
            "{table} has rows already: a data set is loaded into a database without any only, \
             create a new one and apply the migrations to it"
        );
    }
    Ok(())
}

/// Makes the partitions that are missing for some months; how many.
pub(crate) async fn add_partitions(client: &Client, months: &[NaiveDate]) -> Result<usize> {
    let mut added = 0;
    for month in months {
        let rows = client
            .query(
                "SELECT add_month_partition(inhrelid::regclass, $1) FROM pg_inherits
                 WHERE inhparent = 'audit_records'::regclass",
                &[month],
            )
            .await
            .with_context(|| format!("make the partitions of {month}"))?;
        for row in rows {
            added += usize::from(row.try_get::<_, Option<&str>>(0)?.is_some());
        }
    }
    Ok(added)
}

/// Drops the indexes that hold no constraint. Those of a partitioned table go and come with
/// their parts, though its definition is that of an index without any (`ON ONLY`).
pub(crate) async fn drop_indexes(client: &Client) -> Result<Vec<Index>> {
    let rows = client
        .query(
            &format!(
                "WITH {LOADED}
                 SELECT indexrelid::regclass::text,
                     replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '),
                     obj_description(indexrelid, 'pg_class')
                 FROM pg_index JOIN loaded ON loaded.id = indrelid
                 WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
                     AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
                 ORDER BY 1"
            ),
            &[],
        )
        .await
        .context("find the indexes")?;
    let mut indexes = Vec::with_capacity(rows.len());
    for row in rows {
        let index = Index {
            name: row.try_get(0)?,
            definition: row.try_get(1)?,
            comment: row.try_get(2)?,
        };
        client
            .batch_execute(&format!("DROP INDEX {}", index.name))
            .await
            .with_context(|| format!("drop {}", index.name))?;
        indexes.push(index);
    }
    Ok(indexes)
}

/// Makes a dropped index again.
pub(crate) async fn make_index(client: &Client, index: &Index) -> Result<()> {
    let Index {
        name,
        definition,
        comment,
    } = index;
    client
        .batch_execute(definition)
        .await
        .with_context(|| format!("make {name}"))?;
    if let Some(comment) = comment {
        let quoted = comment.replace('\'', "''");
        client
            .batch_execute(&format!("COMMENT ON INDEX {name} IS '{quoted}'"))
            .await
            .with_context(|| format!("comment {name}"))?;
    }
    Ok(())
}

/// Lets the triggers of the loaded tables fire or not.
pub(crate) async fn set_triggers(client: &Client, are_enabled: bool) -> Result<()> {
    let verb = if are_enabled { "ENABLE" } else { "DISABLE" };
    for table in TABLES {
        client
            .batch_execute(&format!("ALTER TABLE {table} {verb} TRIGGER USER"))
            .await
            .with_context(|| format!("set the triggers of {table}"))?;
    }
    Ok(())
}

/// The last ids that were given.
pub(crate) struct LastIds {
    pub(crate) records: i64,
    pub(crate) embeddings: i64,
    pub(crate) histories: i64,
    pub(crate) incidents: i64,
}

/// Sets the sequences to the last ids that were given.
pub(crate) async fn set_sequences(client: &Client, last: &LastIds) -> Result<()> {
    client
        .execute(
            "SELECT setval('audit_record_ids', $1), setval('incident_embedding_ids', $1),
                 setval(pg_get_serial_sequence('embeddings', 'id'), $2),
                 setval(pg_get_serial_sequence('action_histories', 'id'), $3),
                 setval(pg_get_serial_sequence('incidents', 'id'), $4)",
            &[
                &last.records,
                &last.embeddings,
                &last.histories,
                &last.incidents,
            ],
        )
        .await
        .context("set the sequences to the last ids")?;
    Ok(())
}

/// Makes what later migrations derive from the incidents; whether there is such.
pub(crate) async fn rebuild_incident_index(client: &Client) -> Result<bool> {
    let exists = client
        .query_one(
            "SELECT to_regprocedure('rebuild_incident_index()') IS NOT NULL",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .context("look for rebuild_incident_index")?;
    if exists {
        client
            .batch_execute("SELECT rebuild_incident_index()")
            .await
            .context("rebuild the index of the incidents")?;
    }
    Ok(exists)
}

/// Makes the tables as autovacuum would have left them.
pub(crate) async fn vacuum(client: &Client) -> Result<()> {
    let vacuumed = client.batch_execute("VACUUM (ANALYZE)").await;
    vacuumed.context("vacuum and analyze the tables")
}

/// How many rows the tables have.
pub(crate) async fn count(client: &Client) -> Result<Vec<(&'static str, i64)>> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let count = client
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .await
            .and_then(|row| row.try_get(0))
            .with_context(|| format!("count {table}"))?;
        counts.push((table, count));
    }
    Ok(counts)
}

/// What the schema's tables and indexes take, the largest first.
///
/// # Errors
///
/// The database could not be asked.
pub async fn sizes(client: &Client) -> Result<Vec<Size>> {
    let rows = client
        .query(
            "SELECT coalesce(pg_partition_root(oid), oid)::regclass::text AS name,
                 relkind = 'i' AS is_index,
                 sum(CASE relkind WHEN 'i' THEN pg_relation_size(oid)
                     ELSE pg_table_size(oid) END)::bigint AS bytes
             FROM pg_class
             WHERE relkind IN ('r', 'i') AND relnamespace = current_schema()::regnamespace
             GROUP BY name, is_index
             ORDER BY bytes DESC, name",
            &[],
        )
        .await
        .context("ask for the sizes")?;
    rows.iter()
        .map(|row| {
            Ok(Size {
                name: row.try_get(0)?,
                is_index: row.try_get(1)?,
                bytes: row.try_get(2)?,
            })
        })
        .collect()
}
