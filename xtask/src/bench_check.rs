//! Checks that the benchmark works: a step of `cargo xtask test`.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::{Options, measure_with};
use crate::database::Database;
use crate::project::Project;
use crate::redis::Redis;
use crate::steps::Steps;

/// Runs a minimal benchmark; an error if a request failed or a measurement is missing.
pub(crate) async fn check(
    project: &Project,
    database: &Database,
    redis: &Redis,
    is_built: bool,
    steps: &mut Steps,
) -> Result<String> {
    let out = project.data.join("bench/smoke");
    fs::remove_dir_all(&out).ok();
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let is_right = measure_with(
        project,
        &Options::smoke(is_built),
        database,
        redis,
        &out,
        steps,
    )
    .await?;
    ensure!(is_right, "The benchmark failed: see above.");
    let read = |name: &str| {
        fs::read_to_string(out.join(name)).with_context(|| format!("the benchmark wrote no {name}"))
    };
    let report: Value =
        serde_json::from_str(&read("report.json")?).context("cannot read report.json")?;
    let named = WHAT_IS_MEASURED
        .into_iter()
        .filter(|(list, key, name)| !has(report.pointer(list), key, name))
        .map(|(_, key, name)| format!("{key} of {name}"));
    let unnamed = WHAT_HAS_NO_NAME
        .into_iter()
        .filter(|(list, count, key)| !has_all(report.pointer(list), *count, key))
        .map(|(list, count, key)| format!("{key} of {count} in {list}"));
    let missing: Vec<_> = named.chain(unnamed).collect();
    ensure!(
        missing.is_empty(),
        "The benchmark's report lacks {}.",
        missing.join(", ")
    );
    for name in ["report.md", "report.html"] {
        ensure!(
            read(name)?.contains("write-fresh"),
            "{name} does not show the benchmark's report."
        );
    }
    Ok(format!(
        "{} measurements found",
        WHAT_IS_MEASURED.len() + WHAT_HAS_NO_NAME.len()
    ))
}

/// Required measurements: a list in the report, the path of the numbers in one of its measurements,
/// the measurement's name.
const WHAT_IS_MEASURED: [(&str, &str, &str); 34] = [
    ("/start_up", "seconds", "cold"),
    ("/start_up", "seconds", "warm"),
    ("/host_memory", "peak_mib", "writes"),
    ("/measures", "efficiency", "write-repeat"),
    ("/measures", "efficiency", "write-fresh"),
    ("/measures", "efficiency", "write-mixed"),
    ("/measures", "efficiency", "list"),
    ("/measures", "efficiency", "get"),
    ("/measures", "efficiency", "search"),
    ("/measures", "efficiency", "select-1"),
    ("/measures", "service_per_second", "empty"),
    ("/measures", "closed_loop_latency", "write-fresh"),
    ("/measures", "cpu_ms_per_request", "write-fresh"),
    ("/measures", "pgbench_cpu_ms_per_request", "write-fresh"),
    ("/measures", "postgresql_wire", "write-fresh"),
    ("/measures", "wal_bytes_per_request", "write-fresh"),
    ("/measures", "service_per_second", "write-reports"),
    ("/measures", "hot_update_share", "write-reports"),
    ("/at_rate", "latency", "write-repeat"),
    ("/at_rate", "latency", "write-fresh"),
    ("/at_rate", "latency", "list"),
    ("/at_rate", "latency", "get"),
    ("/at_rate", "latency", "search"),
    ("/at_rate", "latency", "outcomes"),
    ("/at_rate", "latency", "outcomes-namespace"),
    ("/at_rate", "latency", "similar"),
    ("/mixed/loads", "latency", "write-mixed"),
    ("/mixed/loads", "latency", "list"),
    ("/mixed/loads", "latency", "search"),
    ("/log/0/ages", "age", "greatest rate"),
    ("/log/0/disk", "bytes_per_leaf", "log_entries"),
    ("/log/0/reads", "latency", "proof"),
    ("/log/0/reads", "latency", "tile"),
    ("/log/0/reads", "latency", "entries"),
];

/// Required measurements of lists of one kind: the list, how many it has, the path of the numbers in
/// each. The batches here have known texts only: those of new texts stand beside no bare INSERT.
const WHAT_HAS_NO_NAME: [(&str, usize, &str); 9] = [
    ("/batches", 1, "batch/efficiency"),
    ("/batches", 1, "batch/closed_loop_latency"),
    ("/batches", 1, "batch/bare_per_second"),
    ("/batches", 1, "single/service_per_second"),
    ("/exports", 1, "records_per_second"),
    ("/exports", 1, "host_peak_mib"),
    ("/log/0/writes", 2, "logged/service_per_second"),
    ("/log/0/writes", 2, "unlogged/service_per_second"),
    ("/log/0/rounds", 2, "milliseconds"),
];

/// Connection counts at which every efficiency is measured.
const CONNECTIONS: [u64; 2] = [8, 64];

/// Whether a list has measurements of this name, all with numbers under the key; those with an
/// efficiency, for every number of connections.
fn has(list: Option<&Value>, key: &str, name: &str) -> bool {
    let named: Vec<_> = list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|one| one.get("name").and_then(Value::as_str) == Some(name))
        .collect();
    let connections: Vec<_> = named
        .iter()
        .filter_map(|one| one.get("connections")?.as_u64())
        .collect();
    let is_everywhere = named.iter().all(|one| one.get("efficiency").is_none())
        || CONNECTIONS.iter().all(|one| connections.contains(one));
    !named.is_empty() && is_everywhere && named.iter().all(|one| has_numbers(one, key))
}

/// Whether a list has so many measurements, all with numbers under the key.
fn has_all(list: Option<&Value>, count: usize, key: &str) -> bool {
    let list = list.and_then(Value::as_array);
    list.is_some_and(|list| list.len() == count && list.iter().all(|one| has_numbers(one, key)))
}

fn has_numbers(measurement: &Value, key: &str) -> bool {
    measurement
        .pointer(&format!("/{key}"))
        .is_some_and(has_number)
}

/// Whether a value has a number above zero.
fn has_number(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(has_number),
        Value::Object(values) => values.values().any(has_number),
        number => number.as_f64() > Some(0.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_numbers_was_not_measured() {
        let list = json!([
            {"name": "a", "rounds": [1.5]},
            {"name": "a", "rounds": [0.0, 2.0]},
            {"name": "b", "rounds": []},
            {"name": "c", "latency": {"p50_ms": 1.0, "p99_ms": null}},
            {"name": "d", "rounds": [1.0]},
            {"name": "d"},
            {"name": "e", "connections": 8, "efficiency": [1.0]},
            {"name": "f", "connections": 8, "efficiency": [1.0]},
            {"name": "f", "connections": 64, "efficiency": [1.0]},
            {"name": "g", "cpu": {"host": [0.0], "postgresql": [0.5]}},
        ]);
        assert!(has(Some(&list), "rounds", "a"));
        assert!(has(Some(&list), "latency", "c"));
        assert!(has(Some(&list), "efficiency", "f"));
        assert!(has(Some(&list), "cpu", "g"));
        assert!(has(Some(&list), "cpu/postgresql", "g"));
        for (key, name) in [
            ("rounds", "b"),
            ("rounds", "d"),
            ("rounds", "h"),
            ("efficiency", "e"),
            ("latency", "a"),
            ("cpu/host", "g"),
        ] {
            assert!(!has(Some(&list), key, name), "{key} of {name}");
        }
        assert!(!has(None, "rounds", "a"));
        let list = json!([{"batch": {"rate": 1.5}}, {"batch": {"rate": 2.0}, "one": 1.0}]);
        assert!(has_all(Some(&list), 2, "batch/rate"));
        assert!(!has_all(Some(&list), 1, "batch/rate"));
        assert!(!has_all(Some(&list), 2, "one"));
        assert!(!has_all(None, 0, "one"));
    }
}
