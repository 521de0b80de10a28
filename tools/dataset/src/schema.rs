//! Prepares the schema for a load and restores its indexes afterwards.

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDate;
use tokio_postgres::Client;

const TABLES: [&str; 7] = [
    "audit_records",
    "embeddings",
    "action_histories",
    "incidents",
    "incident_versions",
    "incident_actions",
    "incident_records",
];

/// Builds indexes in memory, and accepts that a crash loses records.
const SETTINGS: &str = "SET maintenance_work_mem = '1GB'; SET statement_timeout = 0; \
    SET lock_timeout = '10s'; SET synchronous_commit = off";

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    definition: String,
}

/// A table or an index; partitions count towards their parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its name.
    pub name: String,
    /// Whether it is an index.
    pub is_index: bool,
    /// Its size on disk in bytes.
    pub bytes: i64,
}

pub(crate) async fn set_up_session(client: &Client) -> Result<()> {
    let set = client.batch_execute(SETTINGS).await;
    set.context("set up the connection to the database")
}

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

pub(crate) async fn add_partitions(client: &Client, months: &[NaiveDate]) -> Result<()> {
    for month in months {
        client
            .query(
                "SELECT add_month_partition(inhrelid::regclass, $1) FROM pg_inherits
                 WHERE inhparent = 'audit_records'::regclass",
                &[month],
            )
            .await
            .with_context(|| format!("make the partitions of {month}"))?;
    }
    Ok(())
}

/// Drops the indexes of incidents and vectors that writes do not need, and returns them.
pub(crate) async fn drop_indexes(client: &Client) -> Result<Vec<Index>> {
    let rows = client
        .query(
            "SELECT indexrelid::regclass::text,
                 concat(pg_get_indexdef(indexrelid), '; COMMENT ON INDEX '
                     || indexrelid::regclass || ' IS '
                     || quote_literal(obj_description(indexrelid, 'pg_class')))
             FROM pg_index
             WHERE indrelid IN (
                     'incidents'::regclass, 'incident_records'::regclass, 'embeddings'::regclass)
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
             ORDER BY 1",
            &[],
        )
        .await
        .context("find the indexes")?;
    let mut indexes = Vec::with_capacity(rows.len());
    for row in rows {
        let index = Index {
            name: row.try_get(0)?,
            definition: row.try_get(1)?,
        };
        client
            .batch_execute(&format!("DROP INDEX {}", index.name))
            .await
            .with_context(|| format!("drop {}", index.name))?;
        indexes.push(index);
    }
    Ok(indexes)
}

pub(crate) async fn make_index(client: &Client, index: &Index) -> Result<()> {
    let made = client.batch_execute(&index.definition).await;
    made.with_context(|| format!("make {}", index.name))
}

pub(crate) async fn vacuum(client: &Client) -> Result<()> {
    let vacuumed = client.batch_execute("VACUUM (ANALYZE)").await;
    vacuumed.context("vacuum and analyze the tables")
}

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

/// Returns the sizes of the schema's tables and indexes, largest first.
///
/// # Errors
///
/// The query fails.
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
