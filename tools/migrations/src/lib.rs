//! The database schema and the code that applies it.
//!
//! The baseline, `baseline_*.sql`, creates types, tables, indexes and roles. It is migration
//! `V1__baseline`; a later change of the tables is another migration in [`MIGRATIONS`]. Never edit
//! a released migration: [`apply`] refuses to continue if a database holds other content. The
//! functions, `functions_*.sql`, are edited in place and applied again in one transaction when any
//! of them changes ([`FUNCTIONS_TABLE`] holds their checksum).
//!
//! [`maintain`] makes the monthly partitions. Apply the schema before a service of the same version
//! starts.

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

pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Migrations: version, name, and files in order.
pub(crate) const MIGRATIONS: &[(u32, &str, &[File])] = &[(
    1,
    "baseline",
    files![
        "baseline_1_audit_records.sql",
        "baseline_2_embeddings.sql",
        "baseline_3_incidents.sql",
        "baseline_4_lists.sql",
        "baseline_5_log.sql",
        "baseline_6_roles.sql",
    ],
)];

/// Functions in the order of their dependencies.
pub(crate) const FUNCTIONS: &[File] = files![
    "functions_1_write.sql",
    "functions_2_read.sql",
    "functions_3_search.sql",
    "functions_4_partitions.sql",
    "functions_5_leaving.sql",
    "functions_6_backfill.sql",
    "functions_7_log.sql",
    "functions_8_records.sql",
    "functions_9_holds.sql",
];

/// Table of applied migrations. The migration library owns it; the readiness check reads it.
pub const HISTORY_TABLE: &str = "refinery_schema_history";

/// Table with one row: the checksum of the applied functions' files.
pub const FUNCTIONS_TABLE: &str = "schema_functions";

/// Name of the functions in [`Applied::migrations`] and the psql script's output.
const FUNCTIONS_NAME: &str = "functions";

/// Session-level advisory lock that serialises migrations of a database, since the library takes no
/// lock. The number is "migrate" in ASCII.
const ADVISORY_LOCK: i64 = 0x6d_69_67_72_61_74_65;

/// Longest wait for another migration of this database.
const OTHER_MIGRATION_SECONDS_MAX: u32 = 600;

/// Longest wait of a migration for a table lock. Later statements queue behind it, and the
/// service's statements time out after 5 s, so it gives up early and can be repeated.
const LOCK_SECONDS_MAX: u32 = 2;

/// Statement timeout of a migration: an index over millions of vectors takes minutes.
const STATEMENT_SECONDS_MAX: u32 = 1_800;

/// Result of [`apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Migrations applied now, in order, then `functions`. Empty if the schema was up to date.
    pub migrations: Vec<String>,
    /// The highest version afterwards, 0 for none.
    pub version: i64,
}

/// Brings the database at `database_url` to this version's schema. Concurrent calls wait for each
/// other.
///
/// # Errors
///
/// The database is unreachable, a migration fails (its predecessors stay), or the database holds a
/// migration that this version does not know or knows with other content.
pub async fn apply(database_url: &str) -> anyhow::Result<Applied> {
    let (mut client, connection) = connect(database_url, "migrations").await?;
    let applied = apply_with(&mut client).await;
    // The end of the session releases the lock.
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

pub(crate) fn migrations() -> anyhow::Result<Vec<Migration>> {
    MIGRATIONS
        .iter()
        .map(|(version, name, files)| {
            Migration::unapplied(&format!("V{version}__{name}"), &text_of(files))
                .with_context(|| format!("read the migration {name}"))
        })
        .collect()
}

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

/// Applies the functions unless their checksum is current. Returns whether it applied them.
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
