//! wrk: as many requests as can be had, over so many connections.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::requests::Requests;
use crate::report_file::Latency;

const SCRIPT: &str = include_str!("wrk.lua");

/// What the summary's line begins with.
const SUMMARY: char = '@';

/// An answer that takes longer is counted as missing. The service itself gives up before.
const ANSWER_SECONDS_MAX: u64 = 20;

/// How long wrk may take beside the time it measures.
const MARGIN: Duration = Duration::from_secs(60);

/// wrk, ready to run.
pub(super) struct Wrk {
    program: PathBuf,
    folder: TempDir,
}

/// What is wrong where no request was answered in time.
pub(super) const NOTHING_ANSWERED: &str = "nothing was answered";

/// What came of one run.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Answers without an error's status.
    pub(super) answered: u64,
    /// How many of them per second.
    pub(super) per_second: f64,
    /// Everything else, by what was wrong.
    pub(super) errors: BTreeMap<String, u64>,
    /// How long answers took, as a closed loop sees it.
    pub(super) latency: Latency,
}

/// The line that the script prints at its end; latencies are in microseconds.
#[derive(Deserialize)]
struct Summary {
    requests: u64,
    microseconds: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Wrk {
    /// The program at a path.
    pub(super) fn new(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for wrk's script")?;
        fs::write(folder.path().join("wrk.lua"), SCRIPT).context("write wrk's script")?;
        Ok(Self {
            program: program.to_owned(),
            folder,
        })
    }

    /// Sends requests in turn for so long, on so many connections.
    pub(super) async fn run(
        &self,
        url: &str,
        requests: &Requests,
        connections: usize,
        duration: Duration,
    ) -> Result<Outcome> {
        let file = self.folder.path().join("requests");
        fs::write(&file, written(requests)).context("write the requests for wrk")?;
        let mut command = Command::new(&self.program);
        command
            .arg("--threads=1")
            .arg(format!("--connections={connections}"))
            .arg(format!("--duration={}s", duration.as_secs()))
            .arg(format!("--timeout={ANSWER_SECONDS_MAX}s"))
            .arg("--script")
            .arg(self.folder.path().join("wrk.lua"))
            .arg(url)
            .arg("--")
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(duration + MARGIN, command.output())
            .await
            .context("wrk did not end in time")?
            .with_context(|| format!("start {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "wrk failed ({}): {said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        read_summary(&said)
    }
}

/// The requests as the script reads them.
fn written(requests: &Requests) -> String {
    match requests {
        Requests::Post(records) => {
            let lines = records
                .iter()
                .map(|(kind, body)| format!("{} {body}\n", kind.path()));
            format!("POST\n{}", lines.collect::<String>())
        }
        Requests::Get(paths) => format!("GET\n{}\n", paths.join("\n")),
    }
}

fn read_summary(said: &str) -> Result<Outcome> {
    let line = said.lines().find_map(|line| line.strip_prefix(SUMMARY));
    let line = line.with_context(|| format!("wrk said nothing of its requests: {said}"))?;
    let summary: Summary =
        serde_json::from_str(line).with_context(|| format!("read wrk's summary {line}"))?;
    let answered = summary.requests.saturating_sub(summary.status);
    let nothing = u64::from(answered == 0);
    let errors = [
        ("no connection", summary.connect),
        ("connection lost on reading", summary.read),
        ("connection lost on writing", summary.write),
        ("status of 400 or above", summary.status),
        ("no answer in time", summary.timeout),
        (NOTHING_ANSWERED, nothing),
    ];
    let milliseconds = |microseconds: f64| Some(microseconds / 1_000.0);
    Ok(Outcome {
        answered,
        per_second: answered as f64 / (summary.microseconds.max(1) as f64 / 1e6),
        errors: errors
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(error, count)| (error.to_owned(), count))
            .collect(),
        latency: Latency {
            mean_ms: milliseconds(summary.mean),
            p50_ms: milliseconds(summary.p50),
            p90_ms: milliseconds(summary.p90),
            p95_ms: milliseconds(summary.p95),
            p99_ms: milliseconds(summary.p99),
            p99_9_ms: milliseconds(summary.p99_9),
            max_ms: milliseconds(summary.max),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_at_its_end_is_read_and_errors_are_named() {
        let said = "Running 1s test @ http://127.0.0.1:1\n  1 threads and 8 connections\n\
            \n@{\"requests\":2100,\"microseconds\":2000000,\"connect\":0,\"read\":1,\"write\":0,\
            \"status\":100,\"timeout\":2,\"mean\":5000.5,\"p50\":4000,\"p90\":8000,\"p95\":9000,\
            \"p99\":12000,\"p99_9\":13000,\"max\":20000}\n";
        let outcome = read_summary(said).unwrap();
        assert_eq!(outcome.answered, 2_000);
        assert_eq!(outcome.per_second, 1_000.0);
        let errors: Vec<_> = outcome.errors.into_iter().collect();
        assert_eq!(
            errors,
            [
                ("connection lost on reading".to_owned(), 1),
                ("no answer in time".to_owned(), 2),
                ("status of 400 or above".to_owned(), 100),
            ]
        );
        assert_eq!(outcome.latency.mean_ms, Some(5.0005));
        assert_eq!(outcome.latency.p99_9_ms, Some(13.0));
        let nothing = said.replace("\"requests\":2100", "\"requests\":100");
        let errors = read_summary(&nothing).unwrap().errors;
        assert_eq!(errors[NOTHING_ANSWERED], 1);
        assert!(read_summary("unable to connect to 127.0.0.1:1").is_err());
    }
}
