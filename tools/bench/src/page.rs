//! `bench page`: a report and the efficiency over commits, as a web page.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use clap::Args;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, IntoDrawingArea as _, Palette as _, Palette99, PathElement,
    SVGBackend, SeriesLabelPosition, WHITE,
};

use crate::report::{Mode, Report, grouped, html, median};

/// The size of a chart in pixels.
const CHART_SIZE: (u32, u32) = (760, 320);

/// Makes a web page from reports of the benchmark.
///
/// It shows one report, and charts of the service's efficiency in all reports, in the order of
/// their commits. The page is one HTML file that needs nothing else.
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
    let mut history = read_all(&options.reports)?;
    let report = options.report.as_deref().map(Report::read).transpose()?;
    if let Some(report) = &report
        && !history.contains(report)
    {
        history.push(report.clone());
    }
    // Dates in other time zones do not sort as texts do.
    let instant = |date: &str| DateTime::parse_from_rfc3339(date).ok();
    history.sort_by_key(|report| (instant(&report.commit_date), instant(&report.date)));
    let shown = report.as_ref().or(history.last());
    let shown =
        shown.with_context(|| format!("there is no report in {}", options.reports.display()))?;
    let page = html(shown, &efficiency_charts(&history)?);
    let out = options.out.display();
    fs::write(&options.out, page).with_context(|| format!("write the page to {out}"))?;
    println!("{out}");
    Ok(ExitCode::SUCCESS)
}

fn read_all(folder: &Path) -> Result<Vec<Report>> {
    let read_folder = || format!("read the folder of the reports, {}", folder.display());
    let mut reports = Vec::new();
    for entry in fs::read_dir(folder).with_context(read_folder)? {
        let path = entry.with_context(read_folder)?.path();
        if path.extension().is_some_and(|end| end == "json") {
            reports.push(Report::read(&path)?);
        }
    }
    Ok(reports)
}

/// A measure at a number of incidents and connections, with its efficiency in some of the reports,
/// which are numbered.
struct Line {
    name: String,
    incidents: u64,
    connections: u64,
    points: Vec<(usize, f64)>,
}

/// A chart for each measure. `history` is in the order of the commits. Smoke tests and services
/// that were running already are left out.
fn efficiency_charts(history: &[Report]) -> Result<String> {
    let comparable = |report: &&Report| {
        matches!(report.mode, Mode::Full | Mode::Quick) && !report.is_running_service
    };
    let reports: Vec<&Report> = history.iter().filter(comparable).collect();
    let mut lines: Vec<Line> = Vec::new();
    for (number, report) in reports.iter().enumerate() {
        for measure in &report.measures {
            let Some(efficiency) = median(&measure.efficiency) else {
                continue;
            };
            let is_same = |line: &&mut Line| {
                line.name == measure.name
                    && line.incidents == measure.incidents
                    && line.connections == measure.connections
            };
            match lines.iter_mut().find(is_same) {
                Some(line) => line.points.push((number, efficiency)),
                None => lines.push(Line {
                    name: measure.name.clone(),
                    incidents: measure.incidents,
                    connections: measure.connections,
                    points: vec![(number, efficiency)],
                }),
            }
        }
    }
    if lines.is_empty() {
        return Ok(String::new());
    }
    let mut section = "<h2>Efficiency over commits</h2>\n<p>The service's throughput divided by \
        pgbench's, medians of the rounds. q marks quick runs, + commits with changed files.</p>\n"
        .to_owned();
    let labels: Vec<String> = reports.iter().map(|report| label(report)).collect();
    lines.sort_by(|one, other| one.name.cmp(&other.name));
    for of_measure in lines.chunk_by(|one, other| one.name == other.name) {
        section.push_str(&chart(of_measure, &labels).context("draw a chart")?);
    }
    Ok(section)
}

/// The start of a commit's id and how it was measured.
fn label(report: &Report) -> String {
    let digits: String = report.commit.chars().take(7).collect();
    let is_dirty = report.commit.ends_with("-dirty");
    let dirty = if is_dirty { "+" } else { "" };
    let quick = if report.mode == Mode::Quick { " q" } else { "" };
    format!("{digits}{dirty}{quick}")
}

/// The lines of one measure as SVG.
fn chart(lines: &[Line], labels: &[String]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, CHART_SIZE).into_drawing_area();
        let points = lines.iter().flat_map(|line| &line.points);
        let top = points.map(|(_, value)| *value).fold(0.0, f64::max) * 1.1;
        let x: Range<f64> = -0.5..labels.len() as f64 - 0.5;
        let name = lines.first().map_or("", |line| &line.name);
        let mut chart = ChartBuilder::on(&area)
            .caption(name, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(50)
            .build_cartesian_2d(x, 0.0..top.max(0.01))?;
        let label_at = |x: &f64| {
            let index = x.round().max(0.0) as usize;
            let is_report = (x - x.round()).abs() < 0.01;
            let label = labels.get(index).filter(|_| is_report);
            label.cloned().unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(labels.len().clamp(2, 8) + 2)
            .x_label_formatter(&label_at)
            .y_desc("service / pgbench")
            .draw()?;
        for (number, line) in lines.iter().enumerate() {
            let colour = Palette99::pick(number).mix(1.0);
            let points: Vec<(f64, f64)> = line
                .points
                .iter()
                .map(|(report, value)| (*report as f64, *value))
                .collect();
            let dots = points
                .iter()
                .map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
            let (incidents, connections) = (grouped(line.incidents), line.connections);
            chart
                .draw_series([PathElement::new(points, colour.stroke_width(2))])?
                .label(format!("{incidents} incidents, {connections} connections"))
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    fn report_of(commit: &str, commit_date: &str) -> Report {
        Report {
            commit: commit.to_owned(),
            commit_date: commit_date.to_owned(),
            ..sample()
        }
    }

    #[test]
    fn the_newest_commit_is_shown_and_the_charts_have_all() {
        let folder = tempfile::tempdir().unwrap();
        // Newer, though its text sorts before the other's.
        let newer = report_of("bbbbbbbbbbbb", "2026-03-01T23:30:00-02:00");
        let older = report_of("aaaaaaaaaaaa", "2026-03-02T01:00:00Z");
        newer.write(&folder.path().join("1.json")).unwrap();
        older.write(&folder.path().join("2.json")).unwrap();
        fs::write(folder.path().join("README.md"), "no report").unwrap();
        let out = folder.path().join("page.html");
        let mut options = Options {
            reports: folder.path().to_owned(),
            out: out.clone(),
            report: None,
        };
        run(&options).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert!(page.contains("<h1>Benchmark of bbbbbbbbbbbb</h1>"));
        assert!(page.find("\naaaaaaa\n").unwrap() < page.find("\nbbbbbbb\n").unwrap());
        for absent in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(absent), "{absent}");
        }
        options.report = Some(folder.path().join("2.json"));
        run(&options).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert!(page.contains("<h1>Benchmark of aaaaaaaaaaaa</h1>"));
    }

    #[test]
    fn a_running_service_is_not_among_the_commits() {
        let mut report = sample();
        assert!(
            efficiency_charts(&[report.clone()])
                .unwrap()
                .contains("<svg")
        );
        report.is_running_service = true;
        assert_eq!(efficiency_charts(&[report]).unwrap(), "");
    }
}
