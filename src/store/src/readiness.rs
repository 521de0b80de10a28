//! Checks whether the service can use the database.

use std::time::Instant;

use crate::address::is_elsewhere;
use crate::connection::{Database, RETRY_WINDOW, Session};
use crate::error::{Cause, StoreError};

/// Oldest supported PostgreSQL, as `server_version_num`.
const POSTGRESQL_VERSION_MIN: i32 = 16_00_00;

/// Oldest supported pgvector: earlier ones corrupt HNSW indexes under vacuum.
const PGVECTOR_VERSION_MIN: [u32; 3] = [0, 8, 4];

/// Last migration in `migrations/`. The database may be ahead, never behind.
const SCHEMA_VERSION: i32 = 1;

const UNDEFINED_TABLE: &str = "42P01";

/// A check that the database fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadiness {
    /// `postgresql`, `encoding`, `writable`, `pgvector`, `migrations`, or the variable at fault.
    pub check: &'static str,
    /// What is wrong and what is required.
    pub message: String,
}

impl Database {
    /// Returns failed checks of the grant (`host:port`), connection, write access and versions.
    pub fn check_writing(&self, granted: &str) -> Vec<Unreadiness> {
        if let Some(unready) = self.check_granted(granted) {
            return vec![unready];
        }
        let begun = Instant::now();
        loop {
            let checked = self.run_once("check the database", |session| {
                let found = find_unready(session)?;
                // A stale session can be the cause, so the check repeats in a new one.
                let is_over = !found.is_empty() && session.end_if_older(begun.elapsed());
                Ok((found, is_over))
            });
            match checked {
                Ok((_, true)) if begun.elapsed() < RETRY_WINDOW => {}
                Ok((found, _)) => return found,
                Err(error) => return vec![self.unready(&error)],
            }
        }
    }

    /// Returns failed checks of the grant (`host:port`), connection and read access.
    pub fn check_reading(&self, granted: &str) -> Vec<Unreadiness> {
        if let Some(unready) = self.check_granted(granted) {
            return vec![unready];
        }
        let read = self.run_once("read the database", |session| {
            let statement = "SELECT EXISTS (SELECT FROM incidents)";
            session.query(statement, &[]).map(|_| ())
        });
        read.err().iter().map(|error| self.unready(error)).collect()
    }

    /// The health component's grants exceed those of others, so connecting proves nothing.
    fn check_granted(&self, granted: &str) -> Option<Unreadiness> {
        let is_elsewhere = is_elsewhere(self.url.as_ref().ok()?, granted);
        is_elsewhere.then(|| Unreadiness {
            check: self.variables.host,
            message: format!(
                "the variable {} does not name the host:port of {}",
                self.variables.host, self.variables.url
            ),
        })
    }

    fn unready(&self, error: &StoreError) -> Unreadiness {
        Unreadiness {
            check: error.variable().unwrap_or(self.variables.url),
            message: error.to_string(),
        }
    }
}

fn find_unready(session: &Session) -> Result<Vec<Unreadiness>, Cause> {
    let mut found = Vec::new();
    let applied = read_applied_version(session)?;
    let Facts {
        server,
        encoding,
        is_standby,
        is_read_only,
        pgvector,
    } = read_facts(session)?;
    if server < POSTGRESQL_VERSION_MIN {
        found.push(Unreadiness {
            check: "postgresql",
            message: format!(
                "PostgreSQL {} is too old, {} or newer is needed",
                server / 10_000,
                POSTGRESQL_VERSION_MIN / 10_000
            ),
        });
    }
    if encoding != "UTF8" {
        found.push(Unreadiness {
            check: "encoding",
            message: format!("the database's encoding is {encoding}, UTF8 is needed"),
        });
    }
    if is_read_only {
        let message = if is_standby {
            "the server is a read-only standby; database_url must name the primary"
        } else {
            "transactions are read-only by default; turn off default_transaction_read_only"
        };
        found.push(Unreadiness {
            check: "writable",
            message: message.to_owned(),
        });
    }
    found.extend(check_pgvector(pgvector.as_deref()));
    if applied < SCHEMA_VERSION {
        found.push(Unreadiness {
            check: "migrations",
            message: format!(
                "the schema is at version {applied}, this service needs {SCHEMA_VERSION}: \
                 apply the migrations"
            ),
        });
    }
    Ok(found)
}

struct Facts {
    server: i32,
    encoding: String,
    is_standby: bool,
    is_read_only: bool,
    pgvector: Option<String>,
}

fn read_facts(session: &Session) -> Result<Facts, Cause> {
    let rows = session.query(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), \
         pg_is_in_recovery(), current_setting('transaction_read_only')::bool, (SELECT extversion FROM pg_extension WHERE extname = 'vector')",
        &[],
    )?;
    let mut row = rows.only()?;
    Ok(Facts {
        server: row.next()?,
        encoding: row.next()?,
        is_standby: row.next()?,
        is_read_only: row.next()?,
        pgvector: row.next()?,
    })
}

/// Version of the last applied migration; 0 if there is none.
fn read_applied_version(session: &Session) -> Result<i32, Cause> {
    match session.query("SELECT max(version) FROM refinery_schema_history", &[]) {
        Ok(rows) => {
            let mut row = rows.only()?;
            Ok(row.next::<Option<i32>>()?.unwrap_or(0))
        }
        Err(cause) if cause.sqlstate() == Some(UNDEFINED_TABLE) => Ok(0),
        Err(cause) => Err(cause),
    }
}

fn check_pgvector(version: Option<&str>) -> Option<Unreadiness> {
    let [major, minor, patch] = PGVECTOR_VERSION_MIN;
    let message = match version {
        None => "the extension vector (pgvector) is not installed in the database".to_owned(),
        Some(version) => {
            let parts: Vec<u32> = version
                .split('.')
                .map_while(|part| part.parse().ok())
                .collect();
            if parts.as_slice() >= PGVECTOR_VERSION_MIN.as_slice() {
                return None;
            }
            format!("pgvector {version} is too old")
        }
    };
    Some(Unreadiness {
        check: "pgvector",
        message: format!("{message}, {major}.{minor}.{patch} or newer is needed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgvector_is_compared_by_number_not_by_text() {
        for version in ["0.8.4", "0.8.10", "0.10.0", "1.0.0", "1.0"] {
            assert_eq!(check_pgvector(Some(version)), None, "{version}");
        }
        for version in [None, Some("0.8.3"), Some("0.7.9"), Some("0.8"), Some("")] {
            assert!(check_pgvector(version).is_some(), "{version:?}");
        }
    }
}
