//! The database schema, and what applies it.
//!
//! The schema is the SQL of this folder: `V<number>__<name>.sql`, applied in the order of
//! the numbers, each in a transaction of its own, together with its row in
//! [`HISTORY_TABLE`]. A migration that was applied is never edited: what is in the database
//! and what is here would no longer be the same, and [`apply`] refuses to go on.
//!
//! The schema has a partition per month, which somebody has to make: [`maintain`].
//!
//! This crate knows nothing of the service: whoever may create tables applies the schema,
//! before the service of that version starts.

mod connection;
mod maintenance;
mod psql;

use anyhow::Context;
use tokio_postgres::Client;

use crate::connection::{connect, disconnect};
pub use crate::maintenance::{Maintenance, Report, maintain};
pub use crate::psql::{PSQL_SCRIPT_FILE, psql_script};

mod embedded {
    // The macro writes public items without documentation.
    #![allow(missing_docs, unreachable_pub)]
    refinery::embed_migrations!(".");
}

/// The table that lists what was applied. It is the library's own; the service's readiness
/// check reads it.
pub const HISTORY_TABLE: &str = "refinery_schema_history";

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
    /// The migrations applied now, oldest first, as `V1__create_audit`. Empty when the
    /// schema was up to date.
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

    let mut runner = embedded::migrations::runner()
        .set_abort_divergent(true)
        .set_abort_missing(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    let report = runner
        .run_async(client)
        .await
        .context("apply the migrations")?;
    let migrations = report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();

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
