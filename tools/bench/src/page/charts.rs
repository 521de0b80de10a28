//! Which plots a report and the ones before it make.

use anyhow::Result;
use plotters::style::RGBColor;

use super::colour::{SERIES, SHADES};
use super::plot::{Bar, Bars, Group, Lines};
use crate::report_file::{Latency, Measure, Mode, Report, Rounds};
use crate::tables::grouped;

/// Plots about the same thing.
pub(crate) struct Section {
    /// What they are about.
    pub(crate) title: &'static str,
    /// How to read them.
    pub(crate) note: &'static str,
    /// The plots.
    pub(crate) figures: Vec<Figure>,
}

/// A plot with what is to know about it.
pub(crate) struct Figure {
    /// What it shows.
    pub(crate) title: String,
    /// What stands along its horizontal axis.
    pub(crate) along: &'static str,
    /// What the colours mean.
    pub(crate) legend: Vec<(RGBColor, String)>,
    /// The plot.
    pub(crate) svg: String,
}

/// The plots of a report, and of all of them; `history` is the oldest first.
pub(crate) fn sections(report: &Report, history: &[Report]) -> Result<Vec<Section>> {
    let sections = [
        Section {
            title: "Throughput",
            note: "Requests per second that the service answers, beside transactions per second of \
                   pgbench with the same statement and as many connections: medians of the rounds, \
                   with lines from the smallest to the greatest. Each connection sends its next \
                   request when it has its answer.",
            figures: throughput(&report.measures)?,
        },
        Section {
            title: "Latency at constant rates",
            note: "Requests become due at a constant rate, whatever the answers do, and a latency \
                   counts from when its request was due. All have the same logarithmic scale.",
            figures: latency(report)?,
        },
        Section {
            title: "Efficiency over commits",
            note: "The service's throughput over pgbench's, medians of the rounds; 1 would be a \
                   service that costs nothing. The reports are in the order of their commits. \
                   Those of runs that only tried whether everything works are left out, and those of \
                   services that were up already.",
            figures: efficiency(history)?,
        },
    ];
    Ok(sections
        .into_iter()
        .filter(|section| !section.figures.is_empty())
        .collect())
}

/// The things that share a key, in the order in which the keys first come.
fn by_key<T, K: PartialEq>(
    things: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for thing in things {
        let key = key(&thing);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(thing),
            None => groups.push((key, vec![thing])),
        }
    }
    groups
}

fn title(name: &str, incidents: u64) -> String {
    match incidents {
        0 => name.to_owned(),
        _ => format!("{name}, {} incidents", grouped(incidents)),
    }
}

fn throughput(measures: &[Measure]) -> Result<Vec<Figure>> {
    let bar = |colour, rounds: &Rounds| {
        rounds.spread().map(|spread| Bar {
            colour,
            value: spread.median,
            low: spread.min,
            high: spread.max,
        })
    };
    let [service, pgbench, ..] = SERIES;
    let measured = measures
        .iter()
        .filter(|measure| !measure.service_per_second.is_empty());
    by_key(measured, |measure| title(&measure.name, measure.incidents))
        .into_iter()
        .map(|(title, measures)| {
            let is_compared = measures
                .iter()
                .any(|measure| !measure.pgbench_per_second.is_empty());
            let group = |measure: &&Measure| {
                let mut bars = vec![bar(service, &measure.service_per_second)];
                if is_compared {
                    bars.push(bar(pgbench, &measure.pgbench_per_second));
                }
                Group {
                    label: measure.connections.to_string(),
                    bars,
                }
            };
            let mut legend = vec![(service, "service".to_owned())];
            if is_compared {
                legend.push((pgbench, "pgbench".to_owned()));
            }
            let bars = Bars {
                unit: "per second",
                groups: measures.iter().map(group).collect(),
                log_range: None,
            };
            Ok(Figure {
                title,
                along: "connections",
                legend,
                svg: bars.draw()?,
            })
        })
        .collect()
}

/// The percentiles that are shown.
fn percentiles(latency: &Latency) -> [Option<f64>; 3] {
    // A scale of powers has no place for zero.
    [latency.p50_ms, latency.p95_ms, latency.p99_ms].map(|value| value.filter(|ms| *ms > 0.0))
}

fn latency(report: &Report) -> Result<Vec<Figure>> {
    let loads = report.at_rate.iter().map(|load| {
        let label = format!("{}/s", load.per_second);
        (
            title(&load.name, load.incidents),
            "requests per second",
            label,
            load.latency,
        )
    });
    let mixed = report.mixed.iter().flat_map(|mixed| {
        let title = title("mixed load", mixed.incidents);
        mixed.loads.iter().map(move |load| {
            let label = format!("{} {}/s", load.name, load.per_second);
            (title.clone(), "all at once", label, load.latency)
        })
    });
    let loads: Vec<_> = loads
        .chain(mixed)
        .filter(|(_, _, _, latency)| percentiles(latency).iter().any(Option::is_some))
        .collect();
    let values = loads
        .iter()
        .flat_map(|(_, _, _, latency)| percentiles(latency))
        .flatten();
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    // A bar as high as the scale has no room for its label.
    let log_range = (
        10f64.powf(least.log10().floor()),
        10f64.powf((most * 1.6).log10().ceil()),
    );
    by_key(loads, |(title, along, _, _)| (title.clone(), *along))
        .into_iter()
        .map(|((title, along), loads)| {
            let groups = loads.into_iter().map(|(_, _, label, latency)| Group {
                label,
                bars: percentiles(&latency)
                    .into_iter()
                    .zip(SHADES)
                    .map(|(value, colour)| {
                        let value = value?;
                        Some(Bar {
                            colour,
                            value,
                            low: value,
                            high: value,
                        })
                    })
                    .collect(),
            });
            let bars = Bars {
                unit: "milliseconds",
                groups: groups.collect(),
                log_range: Some(log_range),
            };
            let names = ["p50", "p95", "p99"].map(str::to_owned);
            Ok(Figure {
                title,
                along,
                legend: SHADES.into_iter().zip(names).collect(),
                svg: bars.draw()?,
            })
        })
        .collect()
}

fn efficiency(history: &[Report]) -> Result<Vec<Figure>> {
    let reports: Vec<&Report> = history
        .iter()
        .filter(|report| report.mode != Mode::Smoke && !report.is_running_service)
        .collect();
    let measures = reports.iter().flat_map(|report| &report.measures);
    let measures = measures.filter(|measure| !measure.efficiency.is_empty());
    by_key(measures, |measure| measure.name.clone())
        .into_iter()
        .map(|(name, measures)| {
            let kinds = by_key(measures, |measure| (measure.incidents, measure.connections));
            let mut legend = Vec::new();
            let mut lines = Vec::new();
            for (((incidents, connections), _), colour) in
                kinds.into_iter().zip(SERIES.into_iter().cycle())
            {
                let value = |report: &&Report| {
                    let mut measures = report.measures.iter();
                    let measure = measures.find(|measure| {
                        measure.name == name
                            && measure.incidents == incidents
                            && measure.connections == connections
                    })?;
                    measure.efficiency.median()
                };
                lines.push((colour, reports.iter().map(value).collect()));
                let what = format!(
                    "{} incidents, {connections} connections",
                    grouped(incidents)
                );
                legend.push((colour, what));
            }
            let lines = Lines {
                unit: "service / pgbench",
                labels: reports.iter().map(|report| commit_label(report)).collect(),
                lines,
            };
            Ok(Figure {
                title: name,
                along: "commits",
                legend,
                svg: lines.draw()?,
            })
        })
        .collect()
}

/// Enough of a commit to find it in the table of reports: that files differed from it shows, and
/// that its numbers are of a short run.
fn commit_label(report: &Report) -> String {
    let digits: String = report.commit.chars().take(7).collect();
    let is_dirty = report.commit.ends_with("-dirty");
    let dirty = if is_dirty { "+" } else { "" };
    let quick = if report.mode == Mode::Quick { " q" } else { "" };
    format!("{digits}{dirty}{quick}")
}
