//! What PostgreSQL itself does with the service's statement: pgbench as the client, no
//! service between.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::Utc;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::database::Database;
use crate::record::{
    ALERTS, Generator, Parsed, RecordKind, TARGET_PREFIX, TARGETS, known_alert, parse,
};

/// The service's statement (`store::record::WRITE_AUDIT_RECORD`; keep the two the same), with
/// what changes from one record to the next made of the transaction's number `n`.
const STATEMENT: &str = "\
SELECT stored_record_id, stored_embedding_id, stored_at, stored_incident_id, is_replayed \
FROM write_audit_record(:kind, {created_at}, sha256(convert_to({identity}, 'UTF8')), :content, \
:version, {identity}, :namespace, {identity}, :phase, :cluster, \
replace(:facts::text, :sample_target::text, :target_prefix::text || :target)::jsonb, \
:model, sha256(convert_to({text}, 'UTF8')), {vector});\n";

/// A vector that nobody has seen: 60 of 1,536 components, one in each run of 25.
const RANDOM_VECTOR: &str = "(SELECT '{' || string_agg(\
(place * 25 + 1 + floor(random() * 25)::int)::text || ':' || (random() - 0.5)::real::text, ',') \
|| '}/1536' FROM generate_series(0, 59) AS place)";

/// More than any run has transactions; pgbench's integers end at 2^63.
const NUMBER_MAX: i64 = 1_000_000_000_000_000_000;

/// How long pgbench may take to begin and to end, beside the time it measures.
const MARGIN: Duration = Duration::from_secs(60);

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// New records of texts that were seen before.
    KnownText,
    /// New records of new texts.
    FreshText,
    /// The same records again.
    Replay,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::KnownText => "pgbench-known",
            Self::FreshText => "pgbench-fresh",
            Self::Replay => "pgbench-replay",
        }
    }

    fn statement(self) -> String {
        let alert = "(:alerts::text[])[:alert]";
        let identity = ":prefix::text || :n";
        let (text, vector) = match self {
            Self::FreshText => (identity, RANDOM_VECTOR),
            Self::KnownText | Self::Replay => (alert, "NULL"),
        };
        let created_at = match self {
            Self::Replay => ":created_at",
            Self::KnownText | Self::FreshText => "now() AT TIME ZONE 'UTC'",
        };
        STATEMENT
            .replace("{identity}", identity)
            .replace("{created_at}", created_at)
            .replace("{text}", text)
            .replace("{vector}", vector)
    }

    /// `number` is how pgbench gets the transaction's number.
    fn script(self, number: &str) -> String {
        let alerts = ALERTS.len();
        let (alert, target) = match self {
            // Equal numbers must give equal records.
            Self::Replay => (format!("1 + :n % {alerts}"), format!("1 + :n % {TARGETS}")),
            Self::KnownText | Self::FreshText => (
                format!("random(1, {alerts})"),
                format!("random(1, {TARGETS})"),
            ),
        };
        format!(
            "\\set n {number}\n\\set alert {alert}\n\\set target {target}\n{}",
            self.statement()
        )
    }
}

/// pgbench, ready to run.
pub(crate) struct PgBench<'a> {
    program: PathBuf,
    database: &'a Database,
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    prefix: String,
    /// How many connections it uses.
    pub(crate) connections: usize,
}

/// What pgbench said about one run.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// How many transactions succeeded.
    pub(crate) transactions: u64,
    /// How many failed.
    pub(crate) failed: u64,
    /// Transactions per second, without the time to connect.
    pub(crate) per_second: f64,
    /// Their mean latency.
    pub(crate) mean_milliseconds: f64,
}

impl<'a> PgBench<'a> {
    /// `model` is the name that the service's vectors are stored under.
    pub(crate) fn new(
        program: PathBuf,
        database: &'a Database,
        generator: &Generator,
        kind: RecordKind,
        model: &str,
        connections: usize,
    ) -> Result<Self> {
        let sample = generator.record(kind, "pgbench-sample", 0, known_alert(0))?;
        let record = parse(kind, &sample)?;
        Ok(Self {
            program,
            database,
            folder: tempfile::tempdir().context("make a folder for pgbench's scripts")?,
            variables: variables(&record, model)?,
            prefix: generator.prefix(""),
            connections,
        })
    }

    /// Writes for so long; another `seed` gives other records.
    pub(crate) async fn run(
        &self,
        sort: Sort,
        duration: Duration,
        seed: u64,
        replayed: u64,
    ) -> Result<Outcome> {
        let number = match sort {
            Sort::Replay => format!("random(1, {replayed})"),
            Sort::KnownText | Sort::FreshText => format!("random(1, {NUMBER_MAX})"),
        };
        let extent = ["--time".to_owned(), duration.as_secs().max(1).to_string()];
        let arguments = [
            format!("--client={}", self.connections),
            format!("--jobs={}", self.connections.min(2)),
            format!("--random-seed={seed}"),
        ];
        self.execute(sort, &number, extent.into_iter().chain(arguments), duration)
            .await
    }

    /// Writes the records that [`Sort::Replay`] writes again: numbers 1 to `count`.
    pub(crate) async fn write_replayed(&self, count: u64) -> Result<()> {
        let arguments = [
            format!("--transactions={count}"),
            "--client=1".to_owned(),
            "--define=n=0".to_owned(),
        ];
        let outcome = self
            .execute(Sort::Replay, ":n + 1", arguments.into_iter(), MARGIN)
            .await?;
        ensure!(
            outcome.transactions == count,
            "pgbench wrote {} of {count} records to be replayed",
            outcome.transactions
        );
        Ok(())
    }

    async fn execute(
        &self,
        sort: Sort,
        number: &str,
        arguments: impl Iterator<Item = String>,
        duration: Duration,
    ) -> Result<Outcome> {
        let script = self.folder.path().join(format!("{}.sql", sort.name()));
        fs::write(&script, sort.script(number)).context("write pgbench's script")?;
        let (user, password, name) = self.database.login()?;
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol=extended", "--file"])
            .arg(&script)
            .args(arguments)
            .args(["--host", &self.database.host])
            .args(["--port", &self.database.port.to_string()])
            .args(["--username", user]);
        let prefix = format!("{}{}-", self.prefix, sort.name());
        for (name, value) in self.variables.iter().chain([&("prefix", prefix)]) {
            command.arg(format!("--define={name}={value}"));
        }
        command.arg(name);
        if let Some(password) = password {
            use std::os::unix::ffi::OsStringExt as _;
            command.env("PGPASSWORD", OsString::from_vec(password.to_vec()));
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(duration + MARGIN, command.output())
            .await
            .context("pgbench did not end in time")?
            .with_context(|| {
                format!(
                    "start {}; name another pgbench with --pgbench",
                    self.program.display()
                )
            })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last: Vec<_> = said.lines().rev().take(5).collect();
            bail!("pgbench failed ({}): {}", output.status, last.join(" / "));
        }
        read_summary(&String::from_utf8_lossy(&output.stdout))
    }
}

/// The parameters that stay the same, as the service would send them.
fn variables(record: &Parsed, model: &str) -> Result<Vec<(&'static str, String)>> {
    let hex: String = record
        .version
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let facts: Value = serde_json::from_str(&record.facts).context("read a record's facts")?;
    let target = facts.get("target_name").and_then(Value::as_str);
    Ok(vec![
        ("alerts", format!("{{{}}}", ALERTS.join(","))),
        ("kind", record.kind.to_owned()),
        ("created_at", Utc::now().naive_utc().to_string()),
        ("content", record.content.clone()),
        ("version", format!("\\x{hex}")),
        ("namespace", record.namespace.clone()),
        ("phase", record.phase.to_owned()),
        ("cluster", record.cluster.clone()),
        ("facts", record.facts.clone()),
        // Kinds without a target have nothing to replace.
        ("sample_target", target.unwrap_or(TARGET_PREFIX).to_owned()),
        ("target_prefix", TARGET_PREFIX.to_owned()),
        ("model", model.to_owned()),
    ])
}

/// Reads what pgbench prints at its end.
fn read_summary(text: &str) -> Result<Outcome> {
    let number = |label: &str| -> Result<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(label))
            .and_then(|rest| {
                let digits = |c: char| !c.is_ascii_digit() && c != '.';
                rest.trim_start().split(digits).next()?.parse().ok()
            })
            .with_context(|| format!("read pgbench's summary, which has no {label:?}:\n{text}"))
    };
    Ok(Outcome {
        transactions: number("number of transactions actually processed:")? as u64,
        failed: number("number of failed transactions:")? as u64,
        per_second: number("tps =")?,
        mean_milliseconds: number("latency average =")?,
    })
}

/// Finds pgbench: where it is said to be, else beside an embedded PostgreSQL under `.data`,
/// else on `PATH`.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf> {
    const FOLDERS_DEEP_MAX: usize = 8;
    if let Some(given) = given {
        ensure!(
            given.is_file(),
            "there is no {}; --pgbench takes the path of the program itself",
            given.display()
        );
        return Ok(given.to_owned());
    }
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("pgbench"))
            .find(|program| program.is_file())
    });
    find_below(Path::new(".data"), FOLDERS_DEEP_MAX)
        .or(on_path)
        .context(
            "there is no pgbench under .data or on PATH: name it with --pgbench, run \
             `cargo xtask up` once, or leave the pgbench measures out with --measures",
        )
}

fn find_below(folder: &Path, deep: usize) -> Option<PathBuf> {
    let program = folder.join("bin/pgbench");
    if program.is_file() {
        return Some(program);
    }
    if deep == 0 {
        return None;
    }
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_below(&entry.path(), deep - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_pgbench_is_read() {
        let text = "transaction type: x\nnumber of transactions actually processed: 12345\n\
            number of failed transactions: 2 (0.016%)\nlatency average = 3.210 ms\n\
            initial connection time = 8.4 ms\n\
            tps = 2492.118 (without initial connection time)\n";
        assert_eq!(
            read_summary(text).unwrap(),
            Outcome {
                transactions: 12_345,
                failed: 2,
                per_second: 2492.118,
                mean_milliseconds: 3.21,
            }
        );
        assert!(read_summary("").is_err());
    }

    #[test]
    fn the_statement_calls_the_function_that_the_service_calls() {
        let service = include_str!("../../../src/store/src/record.rs");
        let columns = "SELECT stored_record_id, stored_embedding_id, stored_at,";
        assert!(service.contains(columns) && STATEMENT.starts_with(columns));
        assert!(service.contains("write_audit_record($1,"));
        assert!(service.contains("$11::text::jsonb, $12, $13, \\\n    $14) ON true"));
    }
}
