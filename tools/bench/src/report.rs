//! What was measured, measure by measure: as Markdown for people and JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cpu::Usage;
use crate::load;
use crate::pgbench;

/// One measure, all its rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// Its name.
    pub(crate) name: String,
    /// Its rounds, oldest first.
    pub(crate) rounds: Vec<Round>,
    /// The service's rate over pgbench's of the same round, where there are both.
    pub(crate) efficiency: Vec<f64>,
}

/// One round of a measure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    /// Requests that were answered as they should be, or transactions that succeeded.
    pub(crate) requests: u64,
    /// How many of them per second.
    pub(crate) per_second: f64,
    /// Latencies in milliseconds.
    pub(crate) latency_ms: Latency,
    /// Everything else, by what was wrong.
    pub(crate) errors: BTreeMap<String, u64>,
    /// CPU time per request in milliseconds.
    pub(crate) cpu_ms_per_request: CpuTime,
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// CPU time in milliseconds, by who used it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CpuTime {
    host: Option<f64>,
    postgres: Option<f64>,
    load: Option<f64>,
}

impl Round {
    /// A round of requests to the service. `used` is left out where others used it, too.
    pub(crate) fn of_load(outcome: &load::Outcome, used: Option<&Usage>) -> Self {
        let requests = outcome.answered + outcome.errors.total();
        Self {
            requests: outcome.answered,
            per_second: outcome.answered as f64 / outcome.elapsed.as_secs_f64(),
            latency_ms: Latency::of(&outcome.latencies),
            errors: outcome.errors.0.clone(),
            cpu_ms_per_request: CpuTime::new(used, requests),
        }
    }

    /// A round of pgbench.
    pub(crate) fn of_pgbench(outcome: &pgbench::Outcome, used: &Usage) -> Self {
        let pgbench::Outcome { summary, latencies } = outcome;
        let mut errors = BTreeMap::new();
        if summary.failed > 0 {
            errors.insert("failed transaction".to_owned(), summary.failed);
        }
        Self {
            requests: summary.transactions,
            per_second: summary.per_second,
            latency_ms: Latency::of(latencies),
            errors,
            cpu_ms_per_request: CpuTime::new(Some(used), summary.transactions + summary.failed),
        }
    }
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        let milliseconds = |microseconds: u64| microseconds as f64 / 1_000.0;
        let quantile = |q| milliseconds(latencies.value_at_quantile(q));
        Self {
            mean: latencies.mean() / 1_000.0,
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: milliseconds(latencies.max()),
        }
    }
}

impl CpuTime {
    fn new(used: Option<&Usage>, requests: u64) -> Self {
        let each = |seconds: Option<f64>| Some(seconds? * 1_000.0 / requests.max(1) as f64);
        Self {
            host: each(used.and_then(|used| used.host)),
            postgres: each(used.and_then(|used| used.postgres)),
            load: each(used.and_then(|used| used.load)),
        }
    }
}

/// The middle of some numbers, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle one, or between the middle two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of some numbers; none of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get(values.len().saturating_sub(1) / 2)?;
        Some(Self {
            median: f64::midpoint(*lower, *upper),
            min: *values.first()?,
            max: *values.last()?,
        })
    }

    /// The median and in brackets the ends, or a dash.
    pub(crate) fn shown(spread: Option<Self>, decimals: usize) -> String {
        spread.map_or_else(
            || "-".to_owned(),
            |Self { median, min, max }| {
                format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
            },
        )
    }
}

impl Measured {
    /// One that has yet to be taken.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            rounds: Vec::new(),
            efficiency: Vec::new(),
        }
    }

    /// Sets it beside what is possible.
    pub(crate) fn compare(&mut self, possible: &Self) {
        let rounds = self.rounds.iter().zip(&possible.rounds);
        let efficiency = rounds.map(|(reached, possible)| reached.per_second / possible.per_second);
        self.efficiency = efficiency.collect();
    }

    fn median(&self, value: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        Spread::of(self.rounds.iter().filter_map(value)).map(|spread| spread.median)
    }

    fn error_count(&self) -> u64 {
        self.rounds
            .iter()
            .flat_map(|round| round.errors.values())
            .sum()
    }

    fn row(&self) -> String {
        let number = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
        };
        let latency = |value: fn(&Latency) -> f64| {
            number(self.median(|round| Some(value(&round.latency_ms))))
        };
        let cpu = |value: fn(&CpuTime) -> Option<f64>| {
            number(self.median(|round| value(&round.cpu_ms_per_request)))
        };
        let max = self.rounds.iter().map(|round| round.latency_ms.max);
        [
            self.name.clone(),
            Spread::shown(
                Spread::of(self.rounds.iter().map(|round| round.per_second)),
                0,
            ),
            latency(|latency| latency.mean),
            latency(|latency| latency.p50),
            latency(|latency| latency.p95),
            latency(|latency| latency.p99),
            number(Spread::of(max).map(|spread| spread.max)),
            self.error_count().to_string(),
            cpu(|cpu| cpu.host),
            cpu(|cpu| cpu.postgres),
            cpu(|cpu| cpu.load),
            Spread::shown(Spread::of(self.efficiency.iter().copied()), 2),
        ]
        .join(" | ")
    }
}

/// What is to know about the tables of measures.
pub(crate) const LEGEND: &str = "\
    Latencies and CPU times are medians over the rounds, max is the greatest of all. Efficiency is \
    the service's rate over pgbench's of the same round.\n";

/// Measures as a table of Markdown, with what errors there were.
pub(crate) fn table(measures: &[Measured]) -> String {
    let mut text = "\
        | measure | /s: median (range) | mean ms | p50 ms | p95 ms | p99 ms | max ms | errors \
        | host CPU ms each | PostgreSQL CPU ms each | load CPU ms each \
        | efficiency: median (range) |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for measured in measures {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", measured.row());
    }
    let mut errors = load::Errors::default();
    for measured in measures {
        for (error, count) in measured.rounds.iter().flat_map(|round| &round.errors) {
            *errors
                .0
                .entry(format!("{}: {error}", measured.name))
                .or_default() += count;
        }
    }
    if errors.total() > 0 {
        let _ = writeln!(text, "\nErrors: {errors}.");
    }
    text
}

/// How many errors there were, in all measures.
pub(crate) fn error_count(measures: &[Measured]) -> u64 {
    measures.iter().map(Measured::error_count).sum()
}

/// Prints a report, and writes it as JSON where that is asked for.
pub(crate) fn hand_out(markdown: &str, report: &impl Serialize, file: Option<&Path>) -> Result<()> {
    println!("{markdown}");
    if let Some(path) = file {
        let json = serde_json::to_vec_pretty(report).context("write the report as JSON")?;
        fs::write(path, json).with_context(|| format!("write the report to {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        let median = |values: &[f64]| Spread::of(values.iter().copied()).map(|s| s.median);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    }
}
