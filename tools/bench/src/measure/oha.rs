//! oha: requests at a constant rate, whatever the answers do. A latency counts from when its
//! request was due.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::requests::Requests;
use crate::report_file::Latency;

/// An answer that takes longer is an error. The service itself gives up before.
const ANSWER_SECONDS_MAX: u64 = 20;

/// How long oha may take beside the time it sends for.
const MARGIN: Duration = Duration::from_secs(60);

/// What one run sends.
pub(super) struct Pace<'a> {
    /// What. oha draws them at random, each perhaps several times.
    pub(super) requests: Cow<'a, Requests>,
    /// How many a second.
    pub(super) per_second: u64,
    /// How long.
    pub(super) duration: Duration,
    /// Over how many connections.
    pub(super) connections: usize,
}

/// What came of it.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Answers as they should be.
    pub(super) answered: u64,
    /// Everything else, by what was wrong.
    pub(super) errors: BTreeMap<String, u64>,
    /// How long answers took.
    pub(super) latency: Latency,
}

/// What oha prints; times are in seconds, and null where nothing was answered.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    summary: Summary,
    latency_percentiles: BTreeMap<String, Option<f64>>,
    status_code_distribution: BTreeMap<u16, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    average: Option<f64>,
    slowest: Option<f64>,
}

/// Sends at this pace; all answers are to have this status.
pub(super) async fn run(program: &Path, url: &str, pace: Pace<'_>, status: u16) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("make a folder for oha's requests")?;
    let mut command = Command::new(program);
    command
        .args([
            "--no-tui",
            "--output-format",
            "json",
            "--latency-correction",
        ])
        .args(["--wait-ongoing-requests-after-deadline", "--no-color"])
        .args(["-q", &pace.per_second.to_string()])
        .args(["-z", &format!("{}s", pace.duration.as_secs())])
        .args(["-c", &pace.connections.to_string()])
        .args(["-t", &format!("{ANSWER_SECONDS_MAX}s")])
        .args(arguments(&pace.requests, url, folder.path())?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // They can be some hundred megabytes, and oha has its own.
    drop(pace.requests);
    let output = timeout(pace.duration + MARGIN, command.output())
        .await
        .context("oha did not end in time")?
        .with_context(|| format!("start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "oha failed ({}): {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    read(&said, status)
}

/// The requests, in a file.
fn arguments(requests: &Requests, url: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let file = folder.join("requests");
    let mut writer = File::create(&file).map(BufWriter::new)?;
    let mut arguments: Vec<PathBuf> = Vec::new();
    let written = match requests {
        Requests::Post(records) => {
            // All of them go where the first one goes.
            let (kind, _) = records.first().context("there is nothing to send")?;
            let options = ["-m", "POST", "-T", "application/json", "-Z"];
            arguments.extend(options.map(PathBuf::from));
            arguments.extend([file, format!("{url}{}", kind.path()).into()]);
            records
                .iter()
                .try_for_each(|(_, body)| writeln!(writer, "{body}"))
        }
        Requests::Get(paths) => {
            arguments.extend(["--urls-from-file".into(), file]);
            paths
                .iter()
                .try_for_each(|path| writeln!(writer, "{url}{path}"))
        }
    };
    written
        .and_then(|()| writer.flush())
        .context("write the requests for oha")?;
    Ok(arguments)
}

fn read(said: &str, status: u16) -> Result<Outcome> {
    let printed: Printed =
        serde_json::from_str(said).with_context(|| format!("read what oha printed: {said}"))?;
    let answered = printed.status_code_distribution.get(&status).copied();
    let answered = answered.unwrap_or(0);
    let others = printed.status_code_distribution.iter();
    let others = others.filter(|(code, _)| **code != status);
    let mut errors: BTreeMap<_, _> = others
        .map(|(code, count)| (format!("status {code}"), *count))
        .collect();
    errors.extend(printed.error_distribution);
    let milliseconds = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1_000.0);
    // Of fewer answers the greatest would be called a percentile.
    let percentile = |name: &str, answers_min: u64| {
        let seconds = printed.latency_percentiles.get(name).copied();
        milliseconds(seconds.flatten().filter(|_| answered >= answers_min))
    };
    Ok(Outcome {
        answered,
        errors,
        latency: Latency {
            mean_ms: milliseconds(printed.summary.average),
            p50_ms: percentile("p50", 2),
            p90_ms: percentile("p90", 10),
            p95_ms: percentile("p95", 20),
            p99_ms: percentile("p99", 100),
            p99_9_ms: percentile("p99.9", 1_000),
            max_ms: milliseconds(printed.summary.slowest),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_oha_prints_is_read_and_other_answers_are_errors() {
        let said = r#"{"summary": {"successRate": 1.0, "average": 0.0051, "slowest": 0.02},
            "latencyPercentiles": {"p10": 0.001, "p50": 0.004, "p90": 0.008, "p95": 0.009,
                "p99": 0.012, "p99.9": 0.013},
            "statusCodeDistribution": {"201": 1000, "503": 2},
            "errorDistribution": {"connection closed": 1}}"#;
        let outcome = read(said, 201).unwrap();
        assert_eq!(outcome.answered, 1_000);
        let errors: Vec<_> = outcome.errors.into_iter().collect();
        assert_eq!(
            errors,
            [
                ("connection closed".to_owned(), 1),
                ("status 503".to_owned(), 2)
            ]
        );
        assert_eq!(outcome.latency.p99_9_ms, Some(13.0));
        assert_eq!(outcome.latency.max_ms, Some(20.0));
        let fewer = read(&said.replace("1000", "999"), 201).unwrap().latency;
        assert_eq!((fewer.p99_ms, fewer.p99_9_ms), (Some(12.0), None));
        let nothing = r#"{"summary": {"average": null, "slowest": null},
            "latencyPercentiles": {"p50": null}, "statusCodeDistribution": {},
            "errorDistribution": {"refused": 3}}"#;
        let outcome = read(nothing, 201).unwrap();
        assert_eq!((outcome.answered, outcome.errors.len()), (0, 1));
        assert_eq!(outcome.latency, Latency::default());
        assert!(read("no JSON", 201).is_err());
    }
}
