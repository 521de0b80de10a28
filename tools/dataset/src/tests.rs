use std::collections::{BTreeMap, BTreeSet};

use records::AnyRecord;

use super::*;

fn dataset(incidents: u64) -> Dataset {
    let until = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
    Dataset::new(1, incidents, until).unwrap()
}

fn records(incidents: u64) -> impl Iterator<Item = AnyRecord> {
    let dataset = dataset(incidents);
    let reports = (0..incidents).flat_map(move |number| dataset.reports(number).unwrap());
    reports.map(|report| parse(report.kind, report.record.to_string().as_bytes(), CLUSTER).unwrap())
}

#[test]
fn the_same_seed_makes_the_same_records() {
    let all: String = records(1_000)
        .map(|record| record.content.json().to_owned())
        .collect();
    let hash = records::sha256(&all)
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert_eq!(
        hash,
        "3d59354418049b4d5f3d6f6d33eeb1dbf48d2ca07ca86469f586d3c04894fd26"
    );
}

#[test]
fn another_seed_makes_others() {
    let until = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
    let other = Dataset::new(2, 1_000, until).unwrap();
    assert_ne!(
        other.reports(0).unwrap(),
        dataset(1_000).reports(0).unwrap()
    );
}

#[test]
fn every_record_is_as_large_as_a_real_one_and_has_nothing_left_to_fill_in() {
    for record in records(5_000) {
        let json = record.content.json();
        assert!((500..1_500).contains(&json.len()), "{}: {json}", json.len());
        assert!(
            !record.embedded_text.contains(['{', '}']),
            "{}",
            record.embedded_text
        );
    }
}

#[test]
fn incidents_are_as_the_proportions_say() {
    let mut correlation_ids = BTreeSet::new();
    let mut kinds = BTreeMap::<_, u32>::new();
    let mut texts = BTreeSet::new();
    for record in records(4_000) {
        *kinds.entry(record.kind).or_default() += 1;
        correlation_ids.insert(record.common.correlation_id);
        texts.insert(record.embedded_text);
    }
    assert_eq!(correlation_ids.len(), 4_000);
    assert_eq!(kinds["remediation"], 4_000);
    assert!((3_950..4_000).contains(&kinds["aianalysis"]));
    assert!((3_900..3_970).contains(&kinds["execution"]));
    assert_eq!(kinds["workflow"], kinds["execution"]);
    assert!((2_000..3_500).contains(&texts.len()), "{}", texts.len());
}
