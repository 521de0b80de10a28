//! Where and with what a measurement was made.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio_postgres::Client;

use crate::report_file;

/// The machine, the versions and the state of the database before the run.
#[derive(Debug, Serialize)]
pub(crate) struct Surroundings {
    /// The processor's name.
    pub(crate) cpu: String,
    /// How many of its cores may be used.
    pub(crate) cores: usize,
    /// The load averages at the beginning: what else the machine is busy with.
    pub(crate) load_average: String,
    /// The compiler's version.
    pub(crate) rustc: String,
    /// The commit, with `-dirty` when files differ from it.
    pub(crate) commit: String,
    /// PostgreSQL's version.
    pub(crate) postgresql: String,
    /// pgvector's version.
    pub(crate) pgvector: String,
    /// PostgreSQL's settings that matter.
    pub(crate) postgresql_settings: String,
    /// Records stored before the run.
    pub(crate) records_before: i64,
    /// Vectors stored before the run.
    pub(crate) vectors_before: i64,
}

impl Surroundings {
    /// Looks around.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let row = client
            .query_one(
                "SELECT current_setting('server_version'), \
                 (SELECT extversion FROM pg_extension WHERE extname = 'vector'), \
                 (SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) \
                  FROM pg_settings WHERE name = ANY ($1)), \
                 (SELECT count(*) FROM audit_records), \
                 (SELECT count(*) FROM embeddings)",
                &[&vec![
                    "effective_cache_size",
                    "fsync",
                    "full_page_writes",
                    "jit",
                    "max_connections",
                    "max_wal_size",
                    "shared_buffers",
                    "synchronous_commit",
                    "work_mem",
                ]],
            )
            .await
            .context("read the database's versions; are the migrations applied?")?;
        Ok(Self {
            cpu: cpu_model(),
            cores: available_parallelism().map_or(1, usize::from),
            load_average: fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            rustc: said_by("rustc", &["--version"]),
            commit: commit().id,
            postgresql: row.try_get(0)?,
            pgvector: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
            postgresql_settings: row.try_get(2)?,
            records_before: row.try_get(3)?,
            vectors_before: row.try_get(4)?,
        })
    }
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} cores, load {} before), commit {}, {}, PostgreSQL {}, pgvector {} ({}), {} \
             records and {} vectors before",
            self.cpu,
            self.cores,
            self.load_average,
            self.commit,
            self.rustc,
            self.postgresql,
            self.pgvector,
            self.postgresql_settings,
            self.records_before,
            self.vectors_before,
        )
    }
}

/// A commit, and whether files differ from it.
pub(crate) struct Commit {
    /// Its id's first 12 digits, with `-dirty` when files differ from it.
    pub(crate) id: String,
    /// The first line of its message.
    pub(crate) subject: String,
    /// When it was made, as RFC 3339 has it.
    pub(crate) date: String,
}

/// The commit of the folder that this program was started in.
pub(crate) fn commit() -> Commit {
    let id = said_by("git", &["rev-parse", "--short=12", "HEAD"]);
    let is_dirty = !said_by("git", &["status", "--porcelain"]).is_empty();
    Commit {
        id: if is_dirty { format!("{id}-dirty") } else { id },
        subject: said_by("git", &["log", "-1", "--format=%s"]),
        date: said_by("git", &["log", "-1", "--format=%cI"]),
    }
}

/// The machine and the versions, for a report that is kept.
pub(crate) async fn surroundings(client: &Client) -> Result<report_file::Surroundings> {
    let known = Surroundings::read(client).await?;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    Ok(report_file::Surroundings {
        cpu: known.cpu,
        cores: known.cores,
        memory_mib: kib.and_then(|kib| Some(kib.trim().parse::<u64>().ok()? / 1_024)),
        kernel: said_by("uname", &["-sr"]),
        load_average: known.load_average,
        rustc: known.rustc,
        postgresql: known.postgresql,
        pgvector: known.pgvector,
        postgresql_settings: known.postgresql_settings,
        ..report_file::Surroundings::default()
    })
}

/// The first line that a program says about its version, whatever it ends with.
pub(crate) fn version_of(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().next().unwrap_or_default().to_owned()
}

fn cpu_model() -> String {
    fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned())
}

/// The first line that a program prints; empty when it cannot be run.
fn said_by(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().map(str::to_owned)
        })
        .unwrap_or_default()
}
