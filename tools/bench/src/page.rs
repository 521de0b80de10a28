//! `bench page`: a report and the efficiency over commits, as a web page.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use clap::Args;

use crate::report::{Mode, Report, Table, grouped, html, median, number};

/// Makes a web page from reports of the benchmark.
///
/// It shows one report, and the service's efficiency in all reports, in the order of their commits.
/// The page is one HTML file that needs nothing else.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the reports; every *.json in it is one.
    #[arg(long, default_value = "docs/benchmarks")]
    reports: PathBuf,
    /// The page to write.
    #[arg(long)]
    out: PathBuf,
    /// The report to show [default: that of the newest commit].
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = options.reports.display();
    let mut history = Vec::new();
    let entries = fs::read_dir(&options.reports);
    for entry in entries.with_context(|| format!("read the folder of the reports, {folder}"))? {
        let path = entry.context("read the folder of the reports")?.path();
        if path.extension().is_some_and(|end| end == "json") {
            history.push(Report::read(&path)?);
        }
    }
    let report = options.report.as_deref().map(Report::read).transpose()?;
    if let Some(report) = &report {
        history.retain(|other| (&other.commit, &other.date) != (&report.commit, &report.date));
        history.push(report.clone());
    }
    // Dates in other time zones do not sort as texts do.
    let instant = |date: &str| DateTime::parse_from_rfc3339(date).ok();
    history.sort_by_key(|report| (instant(&report.commit_date), instant(&report.date)));
    let shown = report.as_ref().or(history.last());
    let shown = shown.with_context(|| format!("there is no report in {folder}"))?;
    let page = html(shown, efficiencies(&history));
    let out = options.out.display();
    fs::write(&options.out, page).with_context(|| format!("write the page to {out}"))?;
    println!("{out}");
    Ok(ExitCode::SUCCESS)
}

/// A row for each measure and a column for each report. Smoke tests and services that were running
/// already are left out.
fn efficiencies(history: &[Report]) -> Table {
    let comparable = |report: &&Report| {
        matches!(report.mode, Mode::Full | Mode::Quick) && !report.is_running_service
    };
    let reports: Vec<&Report> = history.iter().filter(comparable).collect();
    // By name, incidents and connections, the efficiency in the reports that have it.
    let mut measured: BTreeMap<_, BTreeMap<usize, f64>> = BTreeMap::new();
    for (index, report) in reports.iter().enumerate() {
        for measure in &report.measures {
            let key = (&measure.name, measure.incidents, measure.connections);
            if let Some(efficiency) = median(&measure.efficiency) {
                measured.entry(key).or_default().insert(index, efficiency);
            }
        }
    }
    let row = |((name, incidents, connections), found): ((&String, u64, u64), BTreeMap<_, _>)| {
        let mut row = vec![
            ("measure".to_owned(), name.clone()),
            ("incidents".to_owned(), grouped(incidents)),
            ("connections".to_owned(), connections.to_string()),
        ];
        let reports = reports.iter().enumerate();
        row.extend(reports.map(|(index, one)| (label(one), number(found.get(&index).copied()))));
        row
    };
    Table::new(
        "Efficiency over commits",
        "The service's throughput divided by pgbench's, medians of the rounds. q marks quick runs, + \
         commits with changed files. What is sent may differ between commits, as new texts do up to \
         9b83783.",
        measured.into_iter().map(row),
    )
}

/// The start of a commit's id and how it was measured.
fn label(report: &Report) -> String {
    let digits: String = report.commit.chars().take(7).collect();
    let is_dirty = report.commit.ends_with("-dirty");
    let dirty = if is_dirty { "+" } else { "" };
    let quick = if report.mode == Mode::Quick { " q" } else { "" };
    format!("{digits}{dirty}{quick}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn the_newest_commit_is_shown_and_the_efficiencies_are_in_the_order_of_commits() {
        let folder = tempfile::tempdir().unwrap();
        for (file, commit, commit_date, is_running_service) in [
            // Newer, though its text sorts before the next one's.
            ("1.json", "bbbbbbbb", "2026-03-01T23:30:00-02:00", false),
            ("2.json", "aaaaaaaa-dirty", "2026-03-02T01:00:00Z", false),
            ("3.json", "cccccccc", "2026-02-01T01:00:00Z", true),
        ] {
            let report = Report {
                commit: commit.to_owned(),
                commit_date: commit_date.to_owned(),
                is_running_service,
                ..sample()
            };
            report.write(&folder.path().join(file)).unwrap();
        }
        fs::write(folder.path().join("README.md"), "no report").unwrap();
        let mut options = Options {
            reports: folder.path().to_owned(),
            out: folder.path().join("page.html"),
            report: None,
        };
        run(&options).unwrap();
        let page = fs::read_to_string(&options.out).unwrap();
        assert!(page.contains("<h1>Benchmark of bbbbbbbb</h1>"), "{page}");
        assert!(page.contains("<th>connections</th><th>aaaaaaa+</th><th>bbbbbbb</th></tr>"));
        assert!(page.contains("<td>a | b\n*c* &lt;i&gt;</td>"), "{page}");
        for absent in ["<script", "src=", "href=", "url(", "@import", "<i>"] {
            assert!(!page.contains(absent), "{absent}");
        }
        options.report = Some(folder.path().join("2.json"));
        run(&options).unwrap();
        let page = fs::read_to_string(&options.out).unwrap();
        assert!(page.contains("<h1>Benchmark of aaaaaaaa-dirty</h1>"));
    }
}
