//! Calls the procedure `maintain_audit_partitions` and collects its report.

use anyhow::Context;
use tokio_postgres::error::{DbError, Severity};

use crate::connection::{connect, disconnect};

/// Statement timeout of a run: the longest step copies a month of records.
const RUN_SECONDS_MAX: u32 = 3_600;

/// Options of [`maintain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// Number of future months that must have a partition: 1 to 120.
    pub months_ahead: i32,
    /// Detaches partitions that ended at least this many months ago: 1 to 1200. `None` keeps all.
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

/// Result of [`maintain`], a line per partition, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Completed steps, or a note that another run is active.
    pub done: Vec<String>,
    /// Steps left to the next run because a table was in use.
    pub postponed: Vec<String>,
}

/// Makes missing month partitions in the database at `database_url`, and detaches those whose
/// retention has ended. Safe beside writes and other runs.
///
/// # Errors
///
/// The database is unreachable or has another schema version, an option is out of range, or a step
/// fails for another reason than a lock. Earlier steps stay.
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
