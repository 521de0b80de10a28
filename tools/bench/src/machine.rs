//! Where and with what a benchmark runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use tokio_postgres::Client;

use crate::report::{Mode, Report, Surroundings, VERSION};

/// Settings of PostgreSQL that influence its speed.
const POSTGRESQL_SETTINGS: [&str; 9] = [
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "jit",
    "max_connections",
    "max_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "work_mem",
];

/// A report of a run that begins now, without measurements. The commit is that of the current folder.
pub(crate) async fn new_report(mode: Mode, date: DateTime<Utc>, client: &Client) -> Result<Report> {
    let commit = said_by("git", &["rev-parse", "--short=12", "HEAD"]);
    let is_dirty = !said_by("git", &["status", "--porcelain"]).is_empty();
    Ok(Report {
        version: VERSION,
        date: date.to_rfc3339_opts(SecondsFormat::Secs, true),
        commit: commit + if is_dirty { "-dirty" } else { "" },
        commit_subject: said_by("git", &["log", "-1", "--format=%s"]),
        commit_date: said_by("git", &["log", "-1", "--format=%cI"]),
        mode,
        surroundings: surroundings(client).await?,
        ..Report::default()
    })
}

async fn surroundings(client: &Client) -> Result<Surroundings> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version'), \
             (SELECT extversion FROM pg_extension WHERE extname = 'vector'), \
             (SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) \
              FROM pg_settings WHERE name = ANY ($1)), \
             (SELECT count(*) FROM audit_records), \
             (SELECT count(*) FROM embeddings)",
            &[&POSTGRESQL_SETTINGS.as_slice()],
        )
        .await
        .context("read the database's versions; are the migrations applied?")?;
    let memory_kib = line_of("/proc/meminfo", "MemTotal:");
    let memory_kib = memory_kib.trim_end_matches(" kB").parse::<u64>().ok();
    let load_average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load_average: Vec<_> = load_average.split(' ').take(3).collect();
    Ok(Surroundings {
        cpu: line_of("/proc/cpuinfo", "model name").replacen(": ", "", 1),
        cores: available_parallelism().map_or(1, usize::from),
        memory_mib: memory_kib.map(|kib| kib / 1_024),
        kernel: said_by("uname", &["-sr"]),
        load_average: load_average.join(" "),
        rustc: said_by("rustc", &["--version"]),
        postgresql: row.try_get(0)?,
        pgvector: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
        postgresql_settings: row.try_get(2)?,
        records_before: row.try_get(3)?,
        vectors_before: row.try_get(4)?,
        ..Surroundings::default()
    })
}

/// The first line of a program's `--version`; empty if it cannot be run.
pub(crate) fn version_of(program: &Path) -> String {
    said_by(&program.to_string_lossy(), &["--version"])
}

/// The rest of the first line with this start; empty if there is none.
fn line_of(file: &str, start: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_default().trim().to_owned()
}

/// The first line that a program prints; empty if it fails.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
