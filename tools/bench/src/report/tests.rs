use super::*;

const JSON: &str = include_str!("../../fixtures/report.json");

/// A report that has everything.
pub(crate) fn sample() -> Report {
    serde_json::from_str(JSON).unwrap()
}

#[test]
fn json_is_read_and_written_as_expected() {
    let file = tempfile::NamedTempFile::new().unwrap();
    sample().write(file.path()).unwrap();
    assert_eq!(fs::read_to_string(file.path()).unwrap(), JSON);
    assert_eq!(Report::read(file.path()).unwrap(), sample());
}

#[test]
fn markdown_is_as_expected() {
    assert_eq!(
        markdown(&sample()),
        include_str!("../../fixtures/report.md")
    );
}

#[test]
fn a_report_without_measures_has_no_tables() {
    let report = Report {
        commit: "0123456789ab".to_owned(),
        ..Report::default()
    };
    let text = markdown(&report);
    assert!(text.starts_with("# Benchmark of 0123456789ab\n"), "{text}");
    assert!(!text.contains("##"), "{text}");
}

#[test]
fn text_from_elsewhere_is_no_markup() {
    let mut report = sample();
    report.measures[0].name = "a | b\n*c* <i>".to_owned();
    let text = markdown(&report);
    assert!(text.contains("| a \\| b \\*c\\* \\<i\\> |"), "{text}");
    let page = html(&report, "");
    assert!(page.contains("<td>a | b\n*c* &lt;i&gt;</td>"), "{page}");
}

#[test]
fn other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.json");
    let newer = JSON.replacen("\"version\": 1", "\"version\": 2", 1);
    for (text, reason) in [
        (newer.as_str(), "version 2"),
        ("[]", "version 0"),
        ("7", "no report"),
    ] {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", Report::read(&path).unwrap_err());
        assert!(error.contains("other.json"), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn every_error_counts() {
    // Two failed requests, one late one, a wrong total, and a wrong and a failed search.
    assert_eq!(sample().error_count(), 2 + 1 + 1 + 2);
}

#[test]
fn the_median_is_the_middle_number_or_between_the_middle_two() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
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
