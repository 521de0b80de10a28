//! Whether the benchmark works: a step of `cargo xtask test`.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::{Options, measure_with};
use crate::database::Database;
use crate::project::Project;
use crate::redis::Redis;
use crate::steps::Steps;

/// Measures so shortly that the numbers mean nothing, and looks whether everything was measured and
/// no request failed: what `cargo xtask test` does.
pub(crate) async fn check(
    project: &Project,
    database: &Database,
    redis: &Redis,
    is_built: bool,
    steps: &mut Steps,
) -> Result<String> {
    let out = project.data.join("bench/smoke");
    fs::remove_dir_all(&out).ok();
    fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    let is_right = measure_with(
        project,
        &Options::smoke(is_built),
        database,
        redis,
        &out,
        steps,
    )
    .await?;
    ensure!(is_right, "the benchmark failed, see above");
    let read = |name: &str| {
        fs::read_to_string(out.join(name)).with_context(|| format!("the benchmark wrote no {name}"))
    };
    let report: Value = serde_json::from_str(&read("report.json")?).context("read report.json")?;
    let missing: Vec<_> = WHAT_IS_MEASURED
        .into_iter()
        .filter(|(list, key, name)| !has(report.get(list), key, name))
        .map(|(_, _, name)| name)
        .collect();
    ensure!(
        missing.is_empty(),
        "the report does not have {}",
        missing.join(", ")
    );
    for name in ["report.md", "report.html"] {
        ensure!(
            read(name)?.contains("write-fresh"),
            "{name} does not show the report"
        );
    }
    Ok(format!("{} things measured", WHAT_IS_MEASURED.len()))
}

/// Lists of the report, and what they have: a key whose value is this, with numbers in it.
const WHAT_IS_MEASURED: [(&str, &str, &str); 14] = [
    ("start_up", "seconds", "cold"),
    ("start_up", "seconds", "warm"),
    ("measures", "efficiency", "write-repeat"),
    ("measures", "efficiency", "write-fresh"),
    ("measures", "efficiency", "write-mixed"),
    ("measures", "efficiency", "list"),
    ("measures", "efficiency", "get"),
    ("measures", "efficiency", "search"),
    ("measures", "efficiency", "select-1"),
    ("measures", "service_per_second", "empty"),
    ("at_rate", "latency", "write-fresh"),
    ("at_rate", "latency", "list"),
    ("at_rate", "latency", "get"),
    ("at_rate", "latency", "search"),
];

/// Whether a list has something of that name, and every one of it has numbers under the key.
fn has(list: Option<&Value>, key: &str, name: &str) -> bool {
    let mut named = list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|one| one.get("name").and_then(Value::as_str) == Some(name))
        .peekable();
    let is_number = |number: &Value| number.as_f64() > Some(0.0);
    let has_numbers = |one: &Value| match one.get(key) {
        Some(Value::Array(numbers)) => numbers.iter().any(is_number),
        Some(Value::Object(numbers)) => numbers.values().any(is_number),
        _ => false,
    };
    named.peek().is_some() && named.all(has_numbers)
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
        ]);
        assert!(has(Some(&list), "rounds", "a"));
        assert!(has(Some(&list), "latency", "c"));
        for (key, name) in [
            ("rounds", "b"),
            ("rounds", "d"),
            ("rounds", "e"),
            ("latency", "a"),
        ] {
            assert!(!has(Some(&list), key, name), "{key} of {name}");
        }
        assert!(!has(None, "rounds", "a"));
    }
}
