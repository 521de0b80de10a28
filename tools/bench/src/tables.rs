//! What a report says, as facts and tables: the same for Markdown and for the page.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::report::Spread;
use crate::report_file::{AtRate, HostMemory, Latency, Measure, Mixed, Report, Rounds, StartUp};

/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// A table, with what is to know about it.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) title: String,
    /// How to read it.
    pub(crate) note: &'static str,
    /// The columns' names, the first of them of what the row is about.
    pub(crate) columns: Vec<&'static str>,
    /// The cells, in the columns' order.
    pub(crate) rows: Vec<Vec<String>>,
    /// What went wrong, a line each.
    pub(crate) errors: Vec<String>,
}

/// What the run was made of, by name; what is not known is left out.
pub(crate) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let found = &report.surroundings;
    let cores = match found.cores {
        0 => String::new(),
        1 => ", 1 core".to_owned(),
        cores => format!(", {cores} cores"),
    };
    let memory = found
        .memory_mib
        .map(|memory| format!(", {memory} MiB of memory"))
        .unwrap_or_default();
    let postgresql = [
        ("", &found.postgresql),
        ("pgvector ", &found.pgvector),
        ("", &found.postgresql_settings),
    ];
    let postgresql = postgresql
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}{value}"));
    let settings = report
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {}", shown_setting(value)));
    let facts = [
        ("commit", commit(report)),
        ("date", report.date.clone()),
        ("mode", report.mode.name().to_owned()),
        ("machine", format!("{}{cores}{memory}", found.cpu)),
        ("kernel", found.kernel.clone()),
        ("load average before", found.load_average.clone()),
        ("host", found.host.clone()),
        ("compiler", found.rustc.clone()),
        ("PostgreSQL", postgresql.collect::<Vec<_>>().join(", ")),
        ("Redis", found.redis.clone()),
        ("wrk", found.wrk.clone()),
        ("oha", found.oha.clone()),
        ("pgbench", found.pgbench.clone()),
        ("settings", settings.collect::<Vec<_>>().join(", ")),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// The commit with its message and date.
fn commit(report: &Report) -> String {
    let date = &report.commit_date;
    let date = match date.as_str() {
        "" => String::new(),
        date => format!(" ({date})"),
    };
    format!("{} {}{date}", report.commit, report.commit_subject)
}

fn shown_setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values
            .iter()
            .map(shown_setting)
            .collect::<Vec<_>>()
            .join("/"),
        other => other.to_string(),
    }
}

/// All tables of a report that have rows, the one of the measures first.
pub(crate) fn tables(report: &Report) -> Vec<Table> {
    let tables = [
        measures(&report.measures),
        pgbench(&report.measures),
        at_rate(&report.at_rate),
        mixed(report.mixed.as_ref()),
        start_up(&report.start_up),
        host_memory(&report.host_memory),
    ];
    tables
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn measures(measures: &[Measure]) -> Table {
    let row = |measure: &Measure| {
        let latency = measure.closed_loop_latency.unwrap_or_default();
        let cpu = &measure.cpu_ms_per_request;
        let wire = measure.postgresql_wire;
        vec![
            measure.name.clone(),
            grouped(measure.incidents),
            measure.connections.to_string(),
            with_range(&measure.service_per_second),
            with_range(&measure.pgbench_per_second),
            with_range(&measure.efficiency),
            number(latency.p50_ms),
            number(latency.p99_ms),
            number(cpu.host.median()),
            number(cpu.postgresql.median()),
            number(cpu.redis.median()),
            number(cpu.load_generator.median()),
            number(wire.map(|wire| wire.round_trips)),
            number(wire.map(|wire| wire.bytes_sent)),
            number(wire.map(|wire| wire.bytes_received)),
            with_range(&measure.wal_bytes_per_request),
            number(measure.hot_update_share.median()),
            grouped(measure.error_count()),
        ]
    };
    Table {
        title: "Throughput".to_owned(),
        note: "As many requests as are answered, each connection sending its next when it has its \
               answer. Rates and efficiencies are medians over the rounds, with the smallest and \
               the greatest in brackets; efficiency is the service's rate over pgbench's of the \
               same round, with the same statement. The latencies are those of this closed loop, \
               in which a slow answer keeps away the requests that would have waited for it: \
               read them as what the throughput costs, and take latencies from the next tables. \
               CPU times, round trips and bytes are per request. WAL has the pages that are logged \
               whole, once each after a checkpoint. HOT updates are the part of the updates of \
               incidents that made no new entry in any index.",
        columns: vec![
            "measure",
            "incidents",
            "connections",
            "service/s",
            "pgbench/s",
            "efficiency",
            "closed-loop p50 ms",
            "closed-loop p99 ms",
            "host CPU ms",
            "PostgreSQL CPU ms",
            "Redis CPU ms",
            "load CPU ms",
            "round trips to PostgreSQL",
            "bytes to PostgreSQL",
            "bytes from PostgreSQL",
            "WAL bytes",
            "HOT updates",
            "errors",
        ],
        rows: measures.iter().map(row).collect(),
        errors: measures
            .iter()
            .flat_map(|measure| errors(&of_measure(measure), &measure.errors))
            .collect(),
    }
}

/// What a measure is called where there may be several of its name.
pub(crate) fn of_measure(measure: &Measure) -> String {
    let Measure {
        name,
        incidents,
        connections,
        ..
    } = measure;
    format!(
        "{name}, {} incidents, {connections} connections",
        grouped(*incidents)
    )
}

fn pgbench(measures: &[Measure]) -> Table {
    let rows = measures.iter().filter_map(|measure| {
        let cpu = &measure.pgbench_cpu_ms_per_request;
        let is_measured = !cpu.postgresql.is_empty() || !cpu.load_generator.is_empty();
        is_measured.then(|| {
            vec![
                measure.name.clone(),
                grouped(measure.incidents),
                measure.connections.to_string(),
                number(cpu.postgresql.median()),
                number(measure.cpu_ms_per_request.postgresql.median()),
                number(cpu.load_generator.median()),
            ]
        })
    });
    Table {
        title: "CPU time of pgbench".to_owned(),
        note: "Per transaction, medians over the rounds, beside what PostgreSQL needs for a \
               request of the service.",
        columns: vec![
            "measure",
            "incidents",
            "connections",
            "PostgreSQL CPU ms for pgbench",
            "PostgreSQL CPU ms for the service",
            "pgbench's own CPU ms",
        ],
        rows: rows.collect(),
        errors: Vec::new(),
    }
}

const LATENCIES: [&str; 7] = [
    "mean ms", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms", "max ms",
];

fn latencies(latency: &Latency) -> [String; 7] {
    [
        latency.mean_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p99_9_ms,
        latency.max_ms,
    ]
    .map(number)
}

fn at_rate(loads: &[AtRate]) -> Table {
    let row = |load: &AtRate| {
        let mut row = vec![
            load.name.clone(),
            grouped(load.incidents),
            load.connections.to_string(),
            load.per_second.to_string(),
            grouped(load.requests),
            grouped(load.replayed),
        ];
        row.extend(latencies(&load.latency));
        row.push(grouped(load.errors.values().sum()));
        row
    };
    let mut columns = vec![
        "load",
        "incidents",
        "connections",
        "asked /s",
        "requests",
        "of them replays",
    ];
    columns.extend(LATENCIES);
    columns.push("errors");
    Table {
        title: "Latency at a constant rate".to_owned(),
        note: "Requests become due at the rate that was asked for, whatever the answers do, and a \
               latency counts from when its request was due. Replays are requests that had been \
               sent before in the same run.",
        columns,
        rows: loads.iter().map(row).collect(),
        errors: loads
            .iter()
            .flat_map(|load| {
                errors(
                    &format!("{} at {}/s", load.name, load.per_second),
                    &load.errors,
                )
            })
            .collect(),
    }
}

fn mixed(mixed: Option<&Mixed>) -> Table {
    let loads = mixed
        .map(|mixed| mixed.loads.as_slice())
        .unwrap_or_default();
    let mut columns = vec!["load", "asked /s", "requests", "of them replays"];
    columns.extend(LATENCIES);
    columns.push("errors");
    let rows = loads.iter().map(|load| {
        let mut row = vec![
            load.name.clone(),
            load.per_second.to_string(),
            grouped(load.requests),
            grouped(load.replayed),
        ];
        row.extend(latencies(&load.latency));
        row.push(grouped(load.errors.values().sum()));
        row
    });
    Table {
        title: mixed.map_or_else(String::new, |mixed| {
            format!(
                "Mixed load: {} incidents, {} s",
                grouped(mixed.incidents),
                mixed.seconds
            )
        }),
        note: "All at once, each at its constant rate; a latency counts from when its request was \
               due.",
        columns,
        rows: rows.collect(),
        errors: loads
            .iter()
            .flat_map(|load| errors(&load.name, &load.errors))
            .collect(),
    }
}

fn start_up(starts: &[StartUp]) -> Table {
    Table {
        title: "Start-up".to_owned(),
        note: "From the start of the process until it says that it is ready.",
        columns: vec!["start", "seconds"],
        rows: starts
            .iter()
            .map(|start| vec![start.name.clone(), with_range(&start.seconds)])
            .collect(),
        errors: Vec::new(),
    }
}

fn host_memory(hosts: &[HostMemory]) -> Table {
    let row = |host: &HostMemory| {
        vec![
            host.name.clone(),
            grouped(host.incidents),
            number(Some(host.peak_mib)),
        ]
    };
    Table {
        title: "Memory".to_owned(),
        note: "The most that a host had, with the memory it shares; each was asked for as many \
               requests as it could answer, over as many connections as above.",
        columns: vec!["host", "incidents", "peak MiB"],
        rows: hosts.iter().map(row).collect(),
        errors: Vec::new(),
    }
}

fn errors(what: &str, errors: &BTreeMap<String, u64>) -> Vec<String> {
    errors
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(error, count)| format!("{what}: {error}: {}", grouped(*count)))
        .collect()
}

/// So many decimals that a number has about three digits.
fn decimals(value: f64) -> usize {
    match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    }
}

/// A number with about three digits, more where it is great, or a dash.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || NOTHING.to_owned(),
        |value| format!("{value:.*}", decimals(value)),
    )
}

/// The median, and the range where there is more than one round.
fn with_range(rounds: &Rounds) -> String {
    let spread = rounds.spread();
    match spread {
        Some(Spread { median, min, max }) if min < max => Spread::shown(spread, decimals(median)),
        _ => number(rounds.median()),
    }
}

/// A count with its thousands apart.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report_file;

    #[test]
    fn numbers_have_about_three_digits_and_counts_their_thousands_apart() {
        let shown = [0.0123, 1.256, 12.34, 1234.5].map(|value| number(Some(value)));
        assert_eq!(shown, ["0.012", "1.26", "12.3", "1234"]);
        assert_eq!(number(None), "-");
        let counts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(with_range(&Rounds(vec![5.0])), "5.00");
        assert_eq!(with_range(&Rounds(vec![5.0, 6.0, 7.0])), "6.00 (5.00-7.00)");
        assert_eq!(with_range(&Rounds(Vec::new())), "-");
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let tables = tables(&report_file::tests::sample());
        assert_eq!(tables.len(), 6);
        for table in tables {
            for row in &table.rows {
                assert_eq!(row.len(), table.columns.len(), "{}", table.title);
            }
        }
    }
}
