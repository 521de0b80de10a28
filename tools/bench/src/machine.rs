//! Where and with what a benchmark runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;

use crate::report::{Mode, Report, VERSION};

/// Settings of PostgreSQL that influence its speed.
const POSTGRESQL_SETTINGS: &str = "effective_cache_size fsync full_page_writes jit max_connections \
    max_wal_size shared_buffers synchronous_commit work_mem";

/// A report of a run that begins now, without measurements. The commit is that of the current folder.
pub(crate) async fn new_report(mode: Mode, client: &Client) -> Result<Report> {
    let commit = said_by("git", &["rev-parse", "--short=12", "HEAD"]);
    let is_dirty = !said_by("git", &["status", "--porcelain"]).is_empty();
    let row = client
        .query_one(
            "SELECT current_setting('server_version'), \
             (SELECT extversion FROM pg_extension WHERE extname = 'vector'), \
             (SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) \
              FROM pg_settings WHERE name = ANY (string_to_array($1, ' '))), \
             (SELECT count(*) FROM audit_records), \
             (SELECT count(*) FROM embeddings)",
            &[&POSTGRESQL_SETTINGS],
        )
        .await
        .context("read the database's versions; are the migrations applied?")?;
    let load_average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(Report {
        version: VERSION,
        date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        commit: commit + if is_dirty { "-dirty" } else { "" },
        commit_subject: said_by("git", &["log", "-1", "--format=%s"]),
        commit_date: said_by("git", &["log", "-1", "--format=%cI"]),
        mode,
        surroundings: entries([
            ("cpu", line_of("/proc/cpuinfo", "model name").into()),
            (
                "cores",
                available_parallelism().map_or(1, usize::from).into(),
            ),
            ("memory", line_of("/proc/meminfo", "MemTotal").into()),
            ("kernel", said_by("uname", &["-sr"]).into()),
            ("load_average_before", load_average.trim().into()),
            ("rustc", said_by("rustc", &["--version"]).into()),
            ("postgresql", row.try_get::<_, String>(0)?.into()),
            ("pgvector", json!(row.try_get::<_, Option<String>>(1)?)),
            ("postgresql_settings", row.try_get::<_, String>(2)?.into()),
            ("records_before", row.try_get::<_, i64>(3)?.into()),
            ("vectors_before", row.try_get::<_, i64>(4)?.into()),
        ]),
        ..Report::default()
    })
}

/// Named values as a part of a report.
pub(crate) fn entries<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// The first line of a program's `--version`; empty if it cannot be run.
pub(crate) fn version_of(program: &Path) -> String {
    said_by(&program.to_string_lossy(), &["--version"])
}

/// The value of the first `name: value` of a file; empty if there is none.
fn line_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or("", |(_, value)| value.trim()).to_owned()
}

/// The first line that a program prints; empty if it fails.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
