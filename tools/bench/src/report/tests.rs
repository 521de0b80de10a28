use serde_json::json;

use super::*;

/// A report with something in most of its tables.
pub(crate) fn sample() -> Report {
    let report = json!({
        "version": 1, "commit": "0123456789ab", "commit_date": "2026-03-01T09:00:00Z",
        "surroundings": {"cores": 2}, "settings": {"connections": [8, 64]},
        "measures": [{
            "name": "a | b\n*c* <i>", "incidents": 20_000, "connections": 8,
            "service_per_second": [1_200.0, 1_180.0], "efficiency": [0.3, 0.5],
            "errors": {"status 503": 2}, "closed_loop_latency": {"p50_ms": 6.25},
        }],
        "batches": [{
            "texts": "known", "records": 100,
            "batch": {
                "connections": 8, "service_per_second": [20.0], "pgbench_per_second": [25.0],
                "bare_per_second": [40.0],
                "cpu_ms_per_request": {"host": [50.0]},
            },
            "single": {"service_per_second": [500.0]},
        }],
        "exports": [{"records": 1_985, "seconds": 0.5, "errors": {"status 503": 1}}],
        "mixed": {"seconds": 120.0, "loads": [{"name": "search", "errors": {"not sent": 1}}]},
        "lists": [{"name": "low", "rows": 1, "total": {"total": 12, "relation": "eq"}}],
        "recall": [{"altered": {"right": 9, "expected": 10}, "wrong": 1, "failed": 1}],
        "disk": [{"name": "incidents", "bytes": 1_048_576}],
        "log": [{
            "writes": [{
                "connections": 8,
                "logged": {"service_per_second": [900.0]},
                "unlogged": {"service_per_second": [1_000.0]},
            }],
            "ages": [{"name": "10/s", "errors": {"status 503": 3}}],
            "rounds": [{"pending": 50_000, "milliseconds": [7_000.0]}],
        }],
    });
    serde_json::from_value(report).unwrap()
}

#[test]
fn markdown_shows_the_facts_and_the_tables() {
    let text = markdown(&sample());
    for line in [
        "# Benchmark of 0123456789ab",
        "- cores: 2",
        "- connections: 8/64",
        // Text from elsewhere is no markup.
        "| a \\| b \\*c\\* \\<i\\> | 20,000 | 8 | 1190 (1180-1200) | - | 0.400 (0.300-0.500) | 6.25 |",
        "| known | 100 | 8 | 2000 | 500 | 4.00 | 2500 | 0.800 | 4000 | 0.500 | - | - | - | 0.500 |",
        "| 0 | 1,985 | 0.000 | 0.500 |",
        "## Mixed load: 0 incidents, 120 s",
        "| search, 0 incidents, 0/s | not sent | 1 |",
        "| low | 12 | - | 1 | NO |",
        "| all of it | 1.0 | 0.0 |",
        "| 8 | ratio | 0.900 | - | - | - | - | - | - |",
        "| 50,000 | 7 | 7000 | 1000 | 7143 |",
        "| log: age, 10/s | status 503 | 3 |",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("## Start-up"));
}

#[test]
fn other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.json");
    for (text, reason) in [
        ("{\"version\": 2}", "version 2"),
        ("[]", "version 0"),
        ("7", "no report"),
    ] {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", Report::read(&path).err().unwrap());
        assert!(error.contains("other.json"), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn every_error_counts() {
    // Two failed requests, a page that was not read, one late request, a wrong total, a wrong and a
    // failed search, and three failed requests to the log.
    assert_eq!(sample().error_count(), 2 + 1 + 1 + 1 + 2 + 3);
}

#[test]
fn the_median_is_the_middle_number_or_between_the_middle_two() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0]), Some(2.0));
    assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
}

#[test]
fn percentiles_need_enough_answers() {
    let mut latencies = crate::load::histogram().unwrap();
    assert_eq!(Latency::new(&latencies), Latency::default());
    for milliseconds in 1..=100 {
        latencies.record(milliseconds * 1_000).unwrap();
    }
    let latency = Latency::new(&latencies);
    assert_eq!(latency.p99_ms.map(f64::round), Some(99.0));
    assert_eq!(latency.p99_9_ms, None);
}
