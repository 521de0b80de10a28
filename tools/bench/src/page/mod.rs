//! `bench page`: what was measured, as a page with plots.

mod charts;
mod colour;
mod html;
mod plot;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use clap::Args;

use crate::report_file::Report;

/// Makes a page with plots from reports of the benchmark.
///
/// Shows one report, and how the service's efficiency changed over all of them in the order of
/// their commits. The page is one HTML file that needs nothing else.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the reports; every *.json in it is one.
    #[arg(long, default_value = "docs/benchmarks")]
    reports: PathBuf,
    /// The page to write.
    #[arg(long)]
    out: PathBuf,
    /// The report to show, in the folder or not; else it is the one of the newest commit.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    write(&options.reports, options.report.as_deref(), &options.out)?;
    println!("{}", options.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the page about `report`, else about the newest, and about all in the folder `reports`.
pub(crate) fn write(reports: &Path, report: Option<&Path>, out: &Path) -> Result<()> {
    let mut history = read_all(reports)?;
    let shown = report.map(Report::read).transpose()?;
    if let (Some(report), Some(path)) = (&shown, report)
        && !history.iter().any(|(_, known)| known == report)
    {
        history.push((path.to_owned(), report.clone()));
    }
    let history = in_order(history)?;
    let shown = shown.as_ref().or(history.last());
    let shown = shown.with_context(|| format!("there is no report in {}", reports.display()))?;
    let page = html::html(shown, &history)?;
    fs::write(out, page).with_context(|| format!("write the page to {}", out.display()))
}

/// The reports of a folder with their paths.
fn read_all(folder: &Path) -> Result<Vec<(PathBuf, Report)>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("read the folder of the reports, {}", folder.display()))?;
    let mut reports = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("read the folder {}", folder.display()))?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let report = Report::read(&path)?;
            reports.push((path, report));
        }
    }
    Ok(reports)
}

/// The reports in the order of their commits, and those of the same in the order of their runs.
fn in_order(reports: Vec<(PathBuf, Report)>) -> Result<Vec<Report>> {
    let mut dated = Vec::new();
    for (path, report) in reports {
        let date = |what: &str, text: &str| -> Result<DateTime<Utc>> {
            let date = DateTime::parse_from_rfc3339(text);
            let date = date.with_context(|| format!("{}: {what}, {text:?}", path.display()))?;
            Ok(date.to_utc())
        };
        let measured = date("the date", &report.date)?;
        let committed = match report.commit_date.as_str() {
            "" => measured,
            text => date("the date of the commit", text)?,
        };
        dated.push(((committed, measured), report));
    }
    ensure!(!dated.is_empty(), "there is no report to make a page of");
    dated.sort_by_key(|(dates, _)| *dates);
    Ok(dated.into_iter().map(|(_, report)| report).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report_file;

    /// A report of a commit made on that day of March, with that time zone.
    fn of_commit(commit: &str, date: &str) -> Report {
        let mut report = report_file::tests::sample();
        report.commit = commit.to_owned();
        report.commit_date = date.to_owned();
        report
    }

    #[test]
    fn the_newest_commit_is_shown_and_all_are_in_the_order_of_their_commits() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("page.html");
        // Later, though its text sorts before the other's.
        let newer = of_commit("bbbbbbbbbbbb", "2026-03-01T23:30:00-02:00");
        let older = of_commit("aaaaaaaaaaaa", "2026-03-02T01:00:00Z");
        newer.write(&folder.path().join("1.json")).unwrap();
        older.write(&folder.path().join("2.json")).unwrap();
        fs::write(folder.path().join("README.md"), "no report").unwrap();

        write(folder.path(), None, &out).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert!(page.contains("<h1>Benchmark of bbbbbbbbbbbb</h1>"));
        assert!(page.find("\naaaaaaa\n").unwrap() < page.find("\nbbbbbbb\n").unwrap());

        write(folder.path(), Some(&folder.path().join("2.json")), &out).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert!(page.contains("<h1>Benchmark of aaaaaaaaaaaa</h1>"));
        assert_eq!(page.matches("<td>aaaaaaaaaaaa</td>").count(), 1);
    }

    #[test]
    fn a_report_from_elsewhere_joins_the_history() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("report.txt");
        let out = folder.path().join("page.html");
        of_commit("cccccccccccc", "2026-03-05T00:00:00Z")
            .write(&elsewhere)
            .unwrap();
        write(folder.path(), Some(&elsewhere), &out).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert!(page.contains("<tr class=\"shown\"><td>cccccccccccc</td>"));
    }

    #[test]
    fn what_cannot_be_shown_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("page.html");
        let failure = || format!("{:#}", write(folder.path(), None, &out).unwrap_err());
        assert!(failure().contains("no report"), "{}", failure());

        of_commit("dddddddddddd", "yesterday")
            .write(&folder.path().join("dated.json"))
            .unwrap();
        assert!(failure().contains("dated.json"), "{}", failure());

        fs::remove_file(folder.path().join("dated.json")).unwrap();
        fs::write(folder.path().join("other.json"), "{}").unwrap();
        assert!(failure().contains("other.json"), "{}", failure());
        assert!(!out.exists());

        let missing = folder.path().join("missing");
        let error = write(&missing, None, &out).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
