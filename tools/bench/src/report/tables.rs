//! What a report says, as facts and tables.

use serde_json::Value;

use super::render::Table;
use super::{
    AtRate, DiskUse, HostMemory, ListCheck, Measure, Recall, Report, Spread, StartUp, Total, median,
};
use crate::load::Errors;

const MEBIBYTE: f64 = 1_048_576.0;

/// The conditions of the run by name, without those that are unknown.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let found = &report.surroundings;
    let memory = found.memory_mib.map(|mib| format!("{mib} MiB of memory"));
    let cores = (found.cores > 0).then(|| format!("{} cores", found.cores));
    let commit_date = (!report.commit_date.is_empty()).then(|| format!("({})", report.commit_date));
    let pgvector = (!found.pgvector.is_empty()).then(|| format!("pgvector {}", found.pgvector));
    let settings = report.settings.iter();
    let settings = settings.map(|(name, value)| format!("{name} {}", setting(value)));
    let stored = (found.records_before > 0).then(|| {
        format!(
            "{} records, {} vectors",
            found.records_before, found.vectors_before
        )
    });
    let facts = [
        (
            "commit",
            joined(
                " ",
                [
                    Some(report.commit.clone()),
                    Some(report.commit_subject.clone()),
                    commit_date,
                ],
            ),
        ),
        ("date", report.date.clone()),
        ("mode", format!("{:?}", report.mode).to_lowercase()),
        (
            "machine",
            joined(", ", [Some(found.cpu.clone()), cores, memory]),
        ),
        ("kernel", found.kernel.clone()),
        ("load average before", found.load_average.clone()),
        ("host", found.host.clone()),
        ("compiler", found.rustc.clone()),
        (
            "PostgreSQL",
            joined(
                ", ",
                [
                    Some(found.postgresql.clone()),
                    pgvector,
                    Some(found.postgresql_settings.clone()),
                ],
            ),
        ),
        ("Redis", found.redis.clone()),
        ("pgbench", found.pgbench.clone()),
        ("stored before", stored.unwrap_or_default()),
        ("settings", settings.collect::<Vec<_>>().join(", ")),
    ];
    let mut facts = Vec::from(facts);
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// The texts that are not empty.
fn joined<const N: usize>(separator: &str, texts: [Option<String>; N]) -> String {
    let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(separator)
}

fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(setting).collect::<Vec<_>>().join("/"),
        other => other.to_string(),
    }
}

/// The tables that have rows.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![
        measures(&report.measures),
        pgbench(&report.measures),
        at_rate(
            "Latency at a constant rate".to_owned(),
            "Requests are sent at a constant rate, however fast the answers are. Latency counts from \
             when a request was due.",
            &report.at_rate,
        ),
    ];
    if let Some(mixed) = &report.mixed {
        let incidents = grouped(mixed.incidents);
        tables.push(at_rate(
            format!("Mixed load: {incidents} incidents, {} s", mixed.seconds),
            "All loads at the same time, each at its constant rate. Latency counts from when a \
             request was due.",
            &mixed.loads,
        ));
    }
    tables.extend([
        start_up(&report.start_up),
        host_memory(&report.host_memory),
        lists(&report.lists),
        recall(&report.recall),
        disk_table(&report.disk),
    ]);
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn measures(measures: &[Measure]) -> Table {
    let latency = |measure: &Measure| measure.closed_loop_latency.unwrap_or_default();
    let cpu = |rounds: &[f64]| number(median(rounds));
    let mut table = Table::new(
        "Throughput",
        "Each connection sends its next request when it has its answer. Rates and efficiencies are \
         medians over the rounds, with the range in brackets; efficiency is the service's rate \
         divided by pgbench's of the same round, with the same statement. In this closed loop a slow \
         answer holds back further requests, so its latencies only show what the throughput costs; \
         the next tables show latencies at constant rates. CPU times, round trips and bytes are per \
         request. WAL includes the full pages that follow a checkpoint. HOT updates are the share of \
         the updates of incidents that need no new index entries.",
        measures,
        &[
            ("measure", &|m| m.name.clone()),
            ("incidents", &|m| grouped(m.incidents)),
            ("connections", &|m| m.connections.to_string()),
            ("service/s", &|m| with_range(&m.service_per_second)),
            ("pgbench/s", &|m| with_range(&m.pgbench_per_second)),
            ("efficiency", &|m| with_range(&m.efficiency)),
            ("closed-loop p50 ms", &|m| number(latency(m).p50_ms)),
            ("closed-loop p99 ms", &|m| number(latency(m).p99_ms)),
            ("host CPU ms", &|m| cpu(&m.cpu_ms_per_request.host)),
            ("PostgreSQL CPU ms", &|m| {
                cpu(&m.cpu_ms_per_request.postgresql)
            }),
            ("Redis CPU ms", &|m| cpu(&m.cpu_ms_per_request.redis)),
            ("load CPU ms", &|m| {
                cpu(&m.cpu_ms_per_request.load_generator)
            }),
            ("round trips to PostgreSQL", &|m| {
                number(m.postgresql_wire.map(|wire| wire.round_trips))
            }),
            ("bytes to PostgreSQL", &|m| {
                number(m.postgresql_wire.map(|wire| wire.bytes_sent))
            }),
            ("bytes from PostgreSQL", &|m| {
                number(m.postgresql_wire.map(|wire| wire.bytes_received))
            }),
            ("WAL bytes", &|m| with_range(&m.wal_bytes_per_request)),
            ("HOT updates", &|m| number(median(&m.hot_update_share))),
            ("errors", &|m| grouped(m.errors.values().sum())),
        ],
    );
    let with_place = |m: &Measure| {
        let incidents = grouped(m.incidents);
        format!(
            "{}, {incidents} incidents, {} connections",
            m.name, m.connections
        )
    };
    table.errors = errors(measures.iter().map(|m| (with_place(m), &m.errors)));
    table
}

fn pgbench(measures: &[Measure]) -> Table {
    let mut measures = measures.to_vec();
    measures.retain(|m| !m.pgbench_cpu_ms_per_request.load_generator.is_empty());
    Table::new(
        "CPU time of pgbench",
        "Per transaction, medians over the rounds, beside what PostgreSQL needs for a request of the \
         service.",
        &measures,
        &[
            ("measure", &|m| m.name.clone()),
            ("incidents", &|m| grouped(m.incidents)),
            ("connections", &|m| m.connections.to_string()),
            ("PostgreSQL CPU ms for pgbench", &|m| {
                number(median(&m.pgbench_cpu_ms_per_request.postgresql))
            }),
            ("PostgreSQL CPU ms for the service", &|m| {
                number(median(&m.cpu_ms_per_request.postgresql))
            }),
            ("pgbench's own CPU ms", &|m| {
                number(median(&m.pgbench_cpu_ms_per_request.load_generator))
            }),
        ],
    )
}

fn at_rate(title: String, note: &'static str, loads: &[AtRate]) -> Table {
    let mut table = Table::new(
        title,
        note,
        loads,
        &[
            ("load", &|load| load.name.clone()),
            ("incidents", &|load| grouped(load.incidents)),
            ("connections", &|load| load.connections.to_string()),
            ("asked /s", &|load| load.per_second.to_string()),
            ("requests", &|load| grouped(load.requests)),
            ("mean ms", &|load| number(load.latency.mean_ms)),
            ("p50 ms", &|load| number(load.latency.p50_ms)),
            ("p90 ms", &|load| number(load.latency.p90_ms)),
            ("p95 ms", &|load| number(load.latency.p95_ms)),
            ("p99 ms", &|load| number(load.latency.p99_ms)),
            ("p99.9 ms", &|load| number(load.latency.p99_9_ms)),
            ("max ms", &|load| number(load.latency.max_ms)),
            ("errors", &|load| grouped(load.errors.values().sum())),
        ],
    );
    table.errors = errors(loads.iter().map(|load| {
        let name = format!("{} at {}/s", load.name, load.per_second);
        (name, &load.errors)
    }));
    table
}

fn start_up(starts: &[StartUp]) -> Table {
    Table::new(
        "Start-up",
        "From the start of the process until it says that it is ready.",
        starts,
        &[
            ("start", &|start| start.name.clone()),
            ("seconds", &|start| with_range(&start.seconds)),
        ],
    )
}

fn host_memory(hosts: &[HostMemory]) -> Table {
    Table::new(
        "Memory",
        "The peak of a host process, including shared memory, under the loads above.",
        hosts,
        &[
            ("host", &|host| host.name.clone()),
            ("incidents", &|host| grouped(host.incidents)),
            ("peak MiB", &|host| number(Some(host.peak_mib))),
        ],
    )
}

fn lists(lists: &[ListCheck]) -> Table {
    let shown = |total: &Option<Total>| match total {
        None => "-".to_owned(),
        Some(Total { total, relation }) if relation == "eq" => total.to_string(),
        Some(Total { total, .. }) => format!("{total} or more"),
    };
    Table::new(
        "Lists",
        "The requests, each checked once: its total and what a count of all incidents says.",
        lists,
        &[
            ("case", &|list| list.name.clone()),
            ("total", &|list| shown(&list.total)),
            ("counted", &|list| shown(&list.expected)),
            ("on the page", &|list| list.rows.to_string()),
            ("right", &|list| {
                if list.is_wrong() { "NO" } else { "yes" }.to_owned()
            }),
            ("request", &|list| list.path.clone()),
        ],
    )
}

fn recall(recall: &[Recall]) -> Table {
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.4}"));
    let all = |recall: &Recall| {
        let mut share = recall.verbatim;
        share.add(recall.altered);
        share
    };
    Table::new(
        "Recall",
        "The share of an exact search's ten best results that the service finds; of equally similar \
         incidents any is right. Understated results are more similar than the service says, because \
         it missed their nearest text. Wrong ones are less similar, or do not pass the filter.",
        recall,
        &[
            ("case", &|one| one.name.clone()),
            ("recall@10", &|one| ratio(all(one).ratio())),
            ("of stored texts", &|one| ratio(one.verbatim.ratio())),
            ("of altered texts", &|one| ratio(one.altered.ratio())),
            ("to be found", &|one| grouped(all(one).expected)),
            ("incomplete queries", &|one| {
                one.incomplete.len().to_string()
            }),
            ("understated", &|one| grouped(one.understated)),
            ("wrong", &|one| grouped(one.wrong)),
            ("failed", &|one| grouped(one.failed)),
            ("request", &|one| one.request.clone()),
        ],
    )
}

/// What tables and indexes take on disk, and all of them together.
pub(crate) fn disk_table(parts: &[DiskUse]) -> Table {
    let mut rows = parts.to_vec();
    if !parts.is_empty() {
        rows.push(DiskUse {
            name: "all of it".to_owned(),
            is_index: false,
            bytes: parts.iter().map(|part| part.bytes).sum(),
            bytes_per_million_incidents: parts.iter().map(|p| p.bytes_per_million_incidents).sum(),
        });
    }
    let mebibytes = |bytes: f64| format!("{:.1}", bytes / MEBIBYTE);
    Table::new(
        "Disk",
        "Tables and indexes, partitions together.",
        &rows,
        &[
            ("name", &|part| {
                let index = if part.is_index { "index " } else { "" };
                format!("{index}{}", part.name)
            }),
            ("MiB", &|part| mebibytes(part.bytes as f64)),
            ("MiB per million incidents", &|part| {
                mebibytes(part.bytes_per_million_incidents)
            }),
        ],
    )
}

fn errors<'a>(errors: impl Iterator<Item = (String, &'a Errors)>) -> Vec<String> {
    errors
        .flat_map(|(name, errors)| {
            let line = move |(error, count): (&String, &u64)| {
                format!("{name}: {error}: {}", grouped(*count))
            };
            errors.iter().map(line)
        })
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

/// A number with at least three digits, or a dash.
fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| {
        format!("{value:.*}", decimals(value))
    })
}

/// The median, and the range if it is one.
fn with_range(rounds: &[f64]) -> String {
    match Spread::of(rounds) {
        Some(Spread { median, min, max }) if min < max => {
            let decimals = decimals(median);
            format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
        }
        _ => number(median(rounds)),
    }
}

/// A count with a comma between thousands.
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

    #[test]
    fn numbers_have_about_three_digits_and_counts_commas() {
        let shown = [0.0123, 1.256, 12.34, 1234.5].map(|value| number(Some(value)));
        assert_eq!(shown, ["0.012", "1.26", "12.3", "1234"]);
        assert_eq!(number(None), "-");
        let counts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(with_range(&[5.0]), "5.00");
        assert_eq!(with_range(&[5.0, 6.0, 7.0]), "6.00 (5.00-7.00)");
        assert_eq!(with_range(&[]), "-");
    }
}
