use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::stored::Incident;

fn dataset(incidents: u64) -> Dataset {
    let until = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
    Dataset::new(1, incidents, until).unwrap()
}

fn incidents(dataset: &Dataset) -> impl Iterator<Item = (Vec<Report>, Incident)> {
    (0..dataset.incidents()).map(|number| {
        let reports = dataset.reports(number).unwrap();
        let incident = Incident::read(&reports).unwrap();
        (reports, incident)
    })
}

#[test]
fn the_same_seed_makes_the_same_records() {
    let all: String = incidents(&dataset(1_000))
        .flat_map(|(_, incident)| {
            let contents = incident.views().map(|view| view.content.json().to_owned());
            contents.collect::<Vec<_>>()
        })
        .collect();
    let hash = records::sha256(&all)
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert_eq!(
        hash,
        "b321798dbaff9ccc6675d54ce63129367786f45148f24f4bc9876265760a96da"
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
fn every_record_is_valid_and_as_large_as_a_real_one() {
    for (reports, _) in incidents(&dataset(2_000)) {
        for Report { kind, record } in reports {
            let json = record.to_string();
            assert!(
                (500..1_500).contains(&json.len()),
                "{kind}, {}: {json}",
                json.len()
            );
        }
    }
}

#[test]
fn texts_have_nothing_left_to_fill_in() {
    for (_, incident) in incidents(&dataset(5_000)) {
        for view in incident.views() {
            let root_cause = view.root_cause.unwrap_or_default();
            assert!(!root_cause.contains(['{', '}']), "{root_cause}");
        }
    }
}

#[test]
fn incidents_are_as_the_proportions_say() {
    let dataset = dataset(4_000);
    let mut correlation_ids = BTreeSet::new();
    let mut records = BTreeMap::<_, u32>::new();
    let mut texts = BTreeSet::new();
    for (_, incident) in incidents(&dataset) {
        for view in incident.views() {
            *records.entry(view.kind).or_default() += 1;
            correlation_ids.insert(view.common.correlation_id.clone());
            texts.insert(view.embedding.key().text_hash);
        }
    }
    assert_eq!(correlation_ids.len(), 4_000);
    assert_eq!(records["remediation"], 4_000);
    assert!((3_950..4_000).contains(&records["aianalysis"]));
    assert!((3_900..3_970).contains(&records["execution"]));
    assert_eq!(records["workflow"], records["execution"]);
    assert!((1_500..3_000).contains(&texts.len()), "{}", texts.len());
}
