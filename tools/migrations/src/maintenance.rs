//! The maintenance of the month partitions. What it does stands in the database, as the
//! procedure `maintain_audit_partitions`; this calls it and reads what it reports.

use anyhow::Context;
use tokio_postgres::error::{DbError, Severity};

use crate::connection::{connect, disconnect};

/// How long one run may take: the longest step copies a month of records.
const RUN_SECONDS_MAX: u32 = 3_600;

/// What [`maintain`] is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// How many months after this one have a partition afterwards: 1 to 120.
    pub months_ahead: i32,
    /// Partitions that ended at least so many months ago are detached: 1 to 1200. None
    /// detaches nothing.
    pub retention_months: Option<i32>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            months_ahead: 12,
            retention_months: None,
        }
    }
}

/// What [`maintain`] did, a line per partition, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was done, or that another run is doing it.
    pub done: Vec<String>,
    /// What is left to the next run, as a table was in use.
    pub postponed: Vec<String>,
}

/// Makes the month partitions that are missing in the database at `database_url`, and
/// detaches those whose retention has ended. At any time, beside writes and other runs.
///
/// # Errors
///
/// When the database cannot be reached or is not at this version's schema, when an option is
/// out of range, and when a step fails for another reason than a lock. The steps before it
/// stay done.
pub async fn maintain(database_url: &str, options: Maintenance) -> anyhow::Result<Report> {
    let (client, connection) = connect(database_url, "partition maintenance").await?;
    let called = async {
        client
            .batch_execute(&format!(
                "SET client_min_messages = notice; SET statement_timeout = '{RUN_SECONDS_MAX}s'; \
                 SET default_transaction_isolation = 'read committed'"
            ))
            .await
            .context("prepare the maintenance of the partitions")?;
        client
            .execute(
                "CALL maintain_audit_partitions($1, $2)",
                &[&options.months_ahead, &options.retention_months],
            )
            .await
            .context("maintain the partitions")
    }
    .await;
    let notices = disconnect(client, connection).await;
    called?;
    Ok(report_of(&notices))
}

fn report_of(notices: &[DbError]) -> Report {
    let of = |severity: Severity| {
        notices
            .iter()
            .filter(|notice| notice.parsed_severity() == Some(severity))
            .map(|notice| notice.message().to_owned())
            .collect()
    };
    Report {
        done: of(Severity::Notice),
        postponed: of(Severity::Warning),
    }
}
