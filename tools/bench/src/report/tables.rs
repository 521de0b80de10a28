//! What a report says, as facts and tables.

use serde_json::Value;

use super::batch::{batch_table, ratio};
use super::export::export_table;
use super::log::log_tables;
use super::render::Table;
use super::{AtRate, DiskUse, ListCheck, Measure, Recall, Report, Total, median, spread};

const MEBIBYTE: f64 = 1_048_576.0;

/// The conditions of the run by name, without those that are unknown.
pub(super) fn facts(report: &Report) -> Vec<(String, String)> {
    let commit = format!(
        "{} {} ({})",
        report.commit, report.commit_subject, report.commit_date
    );
    let mut facts = vec![
        ("commit".to_owned(), commit),
        ("date".to_owned(), report.date.clone()),
        (
            "mode".to_owned(),
            format!("{:?}", report.mode).to_lowercase(),
        ),
    ];
    let noted = report.surroundings.iter().chain(&report.settings);
    facts.extend(noted.map(|(name, value)| (name.replace('_', " "), shown(value))));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join("/"),
        other => other.to_string(),
    }
}

/// The tables that have rows.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![
        measures(&report.measures),
        bare_inserts(&report.measures),
        batch_table(&report.batches),
        at_rate(
            "Latency at a constant rate".to_owned(),
            "Requests are sent at a constant rate, however fast the answers are. Latency counts from \
             when a request was due.",
            &report.at_rate,
        ),
    ];
    tables.extend(report.mixed.iter().map(|mixed| {
        let incidents = grouped(mixed.incidents);
        at_rate(
            format!("Mixed load: {incidents} incidents, {} s", mixed.seconds),
            "All loads at the same time, each at its constant rate. Latency counts from when a \
             request was due.",
            &mixed.loads,
        )
    }));
    tables.extend([
        Table::new(
            "Errors",
            "What went wrong, how often. Any error fails the run.",
            report.errors().into_iter().map(|(load, error, count)| {
                let error = ("error", error.to_owned());
                [("load", load), error, ("count", grouped(count))]
            }),
        ),
        Table::new(
            "Start-up",
            "From the start of the process until it says that it is ready.",
            report.start_up.iter().map(|start| {
                let seconds = with_range(&start.seconds);
                [("start", start.name.clone()), ("seconds", seconds)]
            }),
        ),
        Table::new(
            "Memory",
            "The peak of a host process, including shared memory, under the loads above.",
            report.host_memory.iter().map(|host| {
                [
                    ("host", host.name.clone()),
                    ("incidents", grouped(host.incidents)),
                    ("peak MiB", number(Some(host.peak_mib))),
                ]
            }),
        ),
        export_table(&report.exports),
        lists(&report.lists),
        recall(&report.recall),
        disk_table(&report.disk),
    ]);
    tables.extend(report.log.iter().flat_map(log_tables));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn measures(measures: &[Measure]) -> Table {
    let row = |m: &Measure| {
        let latency = m.closed_loop_latency.unwrap_or_default();
        let (cpu, pgbench_cpu) = (&m.cpu_ms_per_request, &m.pgbench_cpu_ms_per_request);
        let middle = |rounds: &[f64]| number(median(rounds));
        let wire = m.postgresql_wire;
        [
            ("measure", m.name.clone()),
            ("incidents", grouped(m.incidents)),
            ("connections", m.connections.to_string()),
            ("service/s", with_range(&m.service_per_second)),
            ("pgbench/s", with_range(&m.pgbench_per_second)),
            ("efficiency", with_range(&m.efficiency)),
            ("closed-loop p50 ms", number(latency.p50_ms)),
            ("closed-loop p95 ms", number(latency.p95_ms)),
            ("closed-loop p99 ms", number(latency.p99_ms)),
            ("host CPU ms", middle(&cpu.host)),
            ("PostgreSQL CPU ms", middle(&cpu.postgresql)),
            (
                "PostgreSQL CPU ms for pgbench",
                middle(&pgbench_cpu.postgresql),
            ),
            ("Redis CPU ms", middle(&cpu.redis)),
            ("load CPU ms", middle(&cpu.load_generator)),
            ("pgbench CPU ms", middle(&pgbench_cpu.load_generator)),
            (
                "round trips to PostgreSQL",
                number(wire.map(|w| w.round_trips)),
            ),
            ("bytes to PostgreSQL", number(wire.map(|w| w.bytes_sent))),
            (
                "bytes from PostgreSQL",
                number(wire.map(|w| w.bytes_received)),
            ),
            ("WAL bytes", with_range(&m.wal_bytes_per_request)),
            ("HOT updates", middle(&m.hot_update_share)),
            ("errors", grouped(m.errors.values().sum())),
        ]
    };
    Table::new(
        "Throughput",
        "Each connection sends its next request when it has its answer. Numbers are medians over the \
         rounds, some with the range in brackets; efficiency is the service's rate divided by \
         pgbench's of the same round, with the same statement. In this closed loop a slow answer \
         holds back further requests, so its latencies only show what the throughput costs; the next \
         tables show latencies at constant rates. CPU times, round trips and bytes are per request or \
         transaction. WAL includes the full pages that follow a checkpoint. HOT updates are the share \
         of the updates of incidents that need no new index entries.",
        measures.iter().map(row),
    )
}

fn bare_inserts(measures: &[Measure]) -> Table {
    let row = |m: &Measure| {
        let ratio = |one: &[f64], other: &[f64]| number(ratio(one, other));
        let postgresql = &m.cpu_ms_per_request.postgresql;
        let middle = |rounds: &[f64]| number(median(rounds));
        [
            ("measure", m.name.clone()),
            ("incidents", grouped(m.incidents)),
            ("connections", m.connections.to_string()),
            ("service/s", with_range(&m.service_per_second)),
            ("bare INSERT/s", with_range(&m.bare_per_second)),
            ("ratio", ratio(&m.service_per_second, &m.bare_per_second)),
            ("all rows/s", with_range(&m.rows_per_second)),
            (
                "ratio to all rows",
                ratio(&m.service_per_second, &m.rows_per_second),
            ),
            ("PostgreSQL CPU ms", middle(postgresql)),
            ("for a bare INSERT", middle(&m.bare_postgresql_ms)),
            ("for all rows", middle(&m.rows_postgresql_ms)),
            (
                "CPU ratio to all rows",
                ratio(postgresql, &m.rows_postgresql_ms),
            ),
        ]
    };
    Table::new(
        "Writes beside bare INSERTs",
        "Closed loops, beside pgbench with one INSERT of a content as long into a table without an \
         index, and beside pgbench with one statement, planned once, that inserts all rows of a write \
         into the service's tables. pgbench makes its records in SQL from a sample. Numbers are medians \
         over the rounds, some with the range in brackets; ratios are those of the medians.",
        measures
            .iter()
            .filter(|m| !m.bare_per_second.is_empty())
            .map(row),
    )
}

fn at_rate(title: String, note: &'static str, loads: &[AtRate]) -> Table {
    let row = |load: &AtRate| {
        [
            ("load", load.name.clone()),
            ("incidents", grouped(load.incidents)),
            ("connections", load.connections.to_string()),
            ("asked /s", load.per_second.to_string()),
            ("requests", grouped(load.requests)),
            ("mean ms", number(load.latency.mean_ms)),
            ("p50 ms", number(load.latency.p50_ms)),
            ("p90 ms", number(load.latency.p90_ms)),
            ("p95 ms", number(load.latency.p95_ms)),
            ("p99 ms", number(load.latency.p99_ms)),
            ("p99.9 ms", number(load.latency.p99_9_ms)),
            ("max ms", number(load.latency.max_ms)),
            ("errors", grouped(load.errors.values().sum())),
        ]
    };
    Table::new(title, note, loads.iter().map(row))
}

fn lists(lists: &[ListCheck]) -> Table {
    let shown = |total: &Option<Total>| match total {
        None => "-".to_owned(),
        Some(Total { total, relation }) if relation == "eq" => total.to_string(),
        Some(Total { total, .. }) => format!("{total} or more"),
    };
    let row = |list: &ListCheck| {
        let right = if list.is_wrong() { "NO" } else { "yes" };
        [
            ("case", list.name.clone()),
            ("total", shown(&list.total)),
            ("counted", shown(&list.expected)),
            ("on the page", list.rows.to_string()),
            ("right", right.to_owned()),
            ("request", list.path.clone()),
        ]
    };
    Table::new(
        "Lists",
        "The requests, each checked once: its total and what a count of all incidents says.",
        lists.iter().map(row),
    )
}

fn recall(recall: &[Recall]) -> Table {
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.4}"));
    let row = |one: &Recall| {
        let mut all = one.verbatim;
        all.add(one.altered);
        [
            ("case", one.name.clone()),
            ("recall@10", ratio(all.ratio())),
            ("of stored texts", ratio(one.verbatim.ratio())),
            ("of altered texts", ratio(one.altered.ratio())),
            ("to be found", grouped(all.expected)),
            ("incomplete queries", one.incomplete.len().to_string()),
            ("understated", grouped(one.understated)),
            ("wrong", grouped(one.wrong)),
            ("failed", grouped(one.failed)),
            ("request", one.request.clone()),
        ]
    };
    Table::new(
        "Recall",
        "The share of an exact search's ten best results that the service finds; of equally similar \
         incidents any is right. Understated results are more similar than the service says, because \
         it missed their nearest text. Wrong ones are less similar, or do not pass the filter.",
        recall.iter().map(row),
    )
}

/// What tables and indexes take on disk, and all of them together.
fn disk_table(parts: &[DiskUse]) -> Table {
    let mebibytes = |bytes: f64| format!("{:.1}", bytes / MEBIBYTE);
    let row = |name: String, bytes: i64, per_million: f64| {
        [
            ("name", name),
            ("MiB", mebibytes(bytes as f64)),
            ("MiB per million incidents", mebibytes(per_million)),
        ]
    };
    let mut rows: Vec<_> = parts
        .iter()
        .map(|part| {
            let index = if part.is_index { "index " } else { "" };
            let name = format!("{index}{}", part.name);
            row(name, part.bytes, part.bytes_per_million_incidents)
        })
        .collect();
    if !parts.is_empty() {
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let per_million = parts.iter().map(|part| part.bytes_per_million_incidents);
        rows.push(row("all of it".to_owned(), bytes, per_million.sum()));
    }
    Table::new("Disk", "Tables and indexes, partitions together.", rows)
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

/// A number with at least three digits, or a dash.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| {
        format!("{value:.*}", decimals(value))
    })
}

/// The median, and the range if it is one.
pub(super) fn with_range(rounds: &[f64]) -> String {
    match spread(rounds) {
        Some([min, median, max]) if min < max => {
            let decimals = decimals(median);
            format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
        }
        _ => number(median(rounds)),
    }
}

/// A count with a comma between thousands.
pub(crate) fn grouped(count: u64) -> String {
    if count < 1_000 {
        return count.to_string();
    }
    format!("{},{:03}", grouped(count / 1_000), count % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_three_digits_and_counts_commas() {
        let shown = [0.0123, 1.256, 12.34, 1234.5].map(|value| number(Some(value)));
        assert_eq!(shown, ["0.012", "1.26", "12.3", "1234"]);
        let counts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(with_range(&[5.0]), "5.00");
        assert_eq!(with_range(&[5.0, 6.0, 7.0]), "6.00 (5.00-7.00)");
        assert_eq!(with_range(&[]), "-");
    }
}
