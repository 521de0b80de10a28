//! The database schema, and what applies it.
//!
//! The schema is the SQL of this folder, in two parts. The baseline, `baseline_*.sql`, is what holds
//! data: types, tables, indexes, roles. It is applied once, as migration `V1__baseline`, in one
//! transaction with its row in [`HISTORY_TABLE`]. A migration that was released is never edited: what
//! is in the database and what is here would no longer be the same, and [`apply`] refuses to go on.
//! A later change of the tables is a migration of its own, in [`MIGRATIONS`]. The functions,
//! `functions_*.sql`, hold no data: they are edited in place, and applied again, all in one
//! transaction, when any of them has changed ([`FUNCTIONS_TABLE`] knows which were applied).
//!
//! The schema has a partition per month, which somebody has to make: [`maintain`].
//!
//! This crate knows nothing of the service: whoever may create tables applies the schema,
//! before the service of that version starts.

mod connection;
mod maintenance;
mod psql;

use anyhow::Context;
use refinery::{Migration, Runner};
use tokio_postgres::Client;

use crate::connection::{connect, disconnect};
pub use crate::maintenance::{Maintenance, Report, maintain};
pub use crate::psql::{PSQL_SCRIPT_FILE, psql_script};

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(File { name: $name, sql: include_str!(concat!("../../../migrations/", $name)) }),+]
    };
}

/// A file of SQL in this folder.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Changes of what holds data: version, name, and the files that make it, in order.
pub(crate) const MIGRATIONS: &[(u32, &str, &[File])] = &[(
    1,
    "baseline",
    files![
        "baseline_1_audit_records.sql",
        "baseline_2_embeddings.sql",
        "baseline_3_incidents.sql",
        "baseline_4_lists.sql",
        "baseline_5_roles.sql",
    ],
)];

/// The functions, in an order in which each finds those that its parsed body names.
pub(crate) const FUNCTIONS: &[File] = files![
    "functions_1_write.sql",
    "functions_2_read.sql",
    "functions_3_search.sql",
    "functions_4_partitions.sql",
    "functions_5_leaving.sql",
    "functions_6_backfill.sql",
];

/// The table that lists which migrations were applied. It is the library's own; the service's
/// readiness check reads it.
pub const HISTORY_TABLE: &str = "refinery_schema_history";

/// The table that says which functions were applied, by the checksum of their files: one row.
pub const FUNCTIONS_TABLE: &str = "schema_functions";

/// What [`Applied::migrations`] and the script for psql call the functions.
const FUNCTIONS_NAME: &str = "functions";

/// The session-level advisory lock of this database that whoever migrates holds: two that
/// start at once would otherwise both see the same migrations missing. The library takes no
/// lock itself. (The number is "migrate" in ASCII.)
const ADVISORY_LOCK: i64 = 0x6d_69_67_72_61_74_65;

/// How long to wait for another one that is migrating this database.
const OTHER_MIGRATION_SECONDS_MAX: u32 = 600;

/// How long a migration waits for a lock on a table. Everything that comes after it queues
/// behind it meanwhile, the service's writes too, whose statements may take 5 s; so it gives up
/// early and can be repeated.
const LOCK_SECONDS_MAX: u32 = 2;

/// How long one migration may take: building an index over millions of vectors takes minutes.
const STATEMENT_SECONDS_MAX: u32 = 1_800;

/// What [`apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What was applied now, in order: migrations as `V1__baseline`, then `functions`. Empty when
    /// the schema was up to date.
    pub migrations: Vec<String>,
    /// The schema's version afterwards: the highest number applied, 0 for none.
    pub version: i64,
}

/// Brings the database at `database_url` to this version's schema.
///
/// Safe to call from several places at once: the second one waits for the first and then
/// finds nothing to do.
///
/// # Errors
///
/// When the database cannot be reached, when a migration fails (it is rolled back, those
/// before it stay), and when the database holds a migration that this version does not know
/// or knows with other content.
pub async fn apply(database_url: &str) -> anyhow::Result<Applied> {
    let (mut client, connection) = connect(database_url, "migrations").await?;
    let applied = apply_with(&mut client).await;
    // The end of the session gives the lock back, whatever happened before.
    disconnect(client, connection).await;
    applied
}

async fn apply_with(client: &mut Client) -> anyhow::Result<Applied> {
    client
        .batch_execute(&format!(
            "SET lock_timeout = '{OTHER_MIGRATION_SECONDS_MAX}s'"
        ))
        .await
        .context("set the time limits of a migration")?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&ADVISORY_LOCK])
        .await
        .context("wait for another migration of this database")?;
    client
        .batch_execute(&format!(
            "SET lock_timeout = '{LOCK_SECONDS_MAX}s'; \
             SET statement_timeout = '{STATEMENT_SECONDS_MAX}s'"
        ))
        .await
        .context("set the time limits of a migration")?;

    let mut runner = Runner::new(&migrations()?)
        .set_abort_divergent(true)
        .set_abort_missing(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    let report = runner
        .run_async(client)
        .await
        .context("apply the migrations")?;
    let mut migrations: Vec<_> = report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    if apply_functions(client)
        .await
        .context("apply the functions")?
    {
        migrations.push(FUNCTIONS_NAME.to_owned());
    }

    let version = client
        .query_one(
            &format!("SELECT coalesce(max(version), 0)::bigint FROM {HISTORY_TABLE}"),
            &[],
        )
        .await
        .context("read the schema's version")?
        .try_get(0)
        .context("read the schema's version")?;
    Ok(Applied {
        migrations,
        version,
    })
}

/// The migrations as the library takes them.
pub(crate) fn migrations() -> anyhow::Result<Vec<Migration>> {
    MIGRATIONS
        .iter()
        .map(|(version, name, files)| {
            Migration::unapplied(&format!("V{version}__{name}"), &text_of(files))
                .with_context(|| format!("read the migration {name}"))
        })
        .collect()
}

/// Tells these functions from those of other versions.
pub(crate) fn functions_checksum() -> anyhow::Result<String> {
    let functions = Migration::unapplied("V1__functions", &text_of(FUNCTIONS));
    Ok(functions
        .context("read the functions")?
        .checksum()
        .to_string())
}

fn text_of(files: &[File]) -> String {
    let texts: Vec<_> = files.iter().map(|file| file.sql).collect();
    texts.join("\n")
}

/// Applies the functions unless they are the ones that were applied last; whether they were not.
async fn apply_functions(client: &mut Client) -> anyhow::Result<bool> {
    let checksum = functions_checksum()?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(CREATE_FUNCTIONS_TABLE).await?;
    let known = transaction
        .query_opt(&format!("SELECT checksum FROM {FUNCTIONS_TABLE}"), &[])
        .await?;
    if known.is_some_and(|row| row.get::<_, &str>(0) == checksum) {
        return Ok(false);
    }
    transaction.batch_execute(&text_of(FUNCTIONS)).await?;
    transaction
        .batch_execute(&format!("DELETE FROM {FUNCTIONS_TABLE}"))
        .await?;
    transaction
        .execute(
            &format!("INSERT INTO {FUNCTIONS_TABLE} (checksum) VALUES ($1)"),
            &[&checksum],
        )
        .await?;
    transaction.commit().await?;
    Ok(true)
}

const CREATE_FUNCTIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_functions (
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now())";
