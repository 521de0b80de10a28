//! Each kind of tampering gives exactly its finding, and an untouched log gives none.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

#[path = "audit/history.rs"]
mod history;
mod log;
#[path = "audit/retention.rs"]
mod retention;

use log::TestLog;
use proptest::prelude::*;
use tlog::audit::{Body, FindingKind, Report, Verdict};

use FindingKind::{
    Altered, LeafAltered, LeafMissing, LeafMoved, LeafUnreadable, Missing, RootMismatch,
    TileAltered,
};

/// Names and places of the findings.
fn found(report: &Report) -> Vec<(FindingKind, String)> {
    let findings = report.findings.kept().iter();
    findings
        .map(|finding| (finding.kind, finding.place.to_string()))
        .collect()
}

fn only(report: &Report, kind: FindingKind, place: &str) {
    assert_eq!(found(report), [(kind, place.to_owned())]);
    assert_eq!(report.verdict(), Verdict::Tampered);
}

fn what(report: &Report) -> &str {
    &report.findings.kept()[0].what
}

fn record(
    log: &mut TestLog,
    leaf: u64,
    change: impl FnOnce(&mut String, &mut Option<String>, &mut tlog::Envelope),
) {
    match &mut log.evidence_of(leaf).body {
        Body::Record {
            content,
            recorded_by,
            envelope,
        } => change(content, recorded_by, envelope),
        _ => panic!("no record"),
    }
}

#[test]
fn an_untouched_log_gives_no_finding() {
    let log = TestLog::of_everything();
    let report = log.audit(None);
    assert_eq!(found(&report), []);
    assert_eq!(report.verdict(), Verdict::Intact);
    assert_eq!(report.leaves, log.size());
    assert_eq!(report.holds, 3);
    assert_eq!(report.removals.len(), 3);
    assert_eq!(report.records + report.removed, 700);
    assert_eq!((report.missing, report.unchecked), (0, 0));
}

#[test]
fn logs_of_every_size_around_a_tile_give_no_finding() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513] {
        let report = TestLog::of_records(size).audit(None);
        assert_eq!(found(&report), [], "{size} records");
        assert_eq!(report.records, size as u64);
    }
}

#[test]
fn an_altered_record_is_told_by_its_field() {
    type Change = fn(&mut String, &mut Option<String>, &mut tlog::Envelope);
    let cases: [(&str, Change); 8] = [
        ("the content", |content, _, _| {
            *content = content.replace("it is", "it was")
        }),
        ("the content", |_, _, envelope| {
            envelope.content_hash = "x".to_owned()
        }),
        ("the correlation_id", |_, _, envelope| {
            envelope.correlation_id = "x".to_owned()
        }),
        ("the created_at", |_, _, envelope| {
            envelope.created_at = "x".to_owned()
        }),
        ("the recorded_by", |_, recorded_by, _| {
            *recorded_by = Some("x".to_owned())
        }),
        ("the recorded_by", |_, _, envelope| {
            envelope.recorded_by = Some("x".to_owned())
        }),
        ("the content, cluster or nonce", |_, _, envelope| {
            envelope.cluster = "x".to_owned()
        }),
        ("the content, which is no record,", |content, _, _| {
            content.clear()
        }),
    ];
    for (field, change) in cases {
        let mut log = TestLog::of_records(300);
        record(&mut log, 17, change);
        let report = log.audit(None);
        only(&report, Altered, "leaf 17");
        assert_eq!(what(&report), format!("{field} of remediation 18"));
        assert_eq!(report.records, 299);
    }
}

#[test]
fn an_altered_record_with_a_matching_hash_is_found() {
    let mut log = TestLog::of_records(3);
    let other = TestLog::of_records(5);
    let evidence = other.evidence[&4].clone();
    log.evidence_of(1).body = evidence.body;
    only(&log.audit(None), Altered, "leaf 1");
}

#[test]
fn an_altered_column_is_told_by_its_name() {
    for field in ["id", "kind", "recorded_at", "nonce"] {
        let mut log = TestLog::of_records(3);
        let evidence = log.evidence_of(1);
        match field {
            "id" => evidence.id = 9,
            "kind" => evidence.kind = "workflow".to_owned(),
            "recorded_at" => evidence.recorded_at = "2025-11-02T10:00:00.000001Z".to_owned(),
            _ => evidence.nonce = "AAAA".to_owned(),
        }
        let report = log.audit(None);
        only(&report, Altered, "leaf 1");
        assert!(what(&report).starts_with(&format!("the {field}")));
    }
}

#[test]
fn an_altered_hold_or_release_is_found() {
    let mut log = TestLog::new();
    log.hold(1);
    log.release(1);
    log.sign();
    assert_eq!(found(&log.audit(None)), []);
    for leaf in 0..2 {
        let mut log = TestLog::new();
        log.hold(1);
        log.release(1);
        log.sign();
        match &mut log.evidence_of(leaf).body {
            Body::Hold { hold, .. } => *hold = hold.replace("case", "cape"),
            Body::HoldRelease { reason, .. } => reason.push('!'),
            Body::Record { .. } => {}
        }
        only(&log.audit(None), Altered, &format!("leaf {leaf}"));
    }
}

#[test]
fn content_in_another_form_is_altered() {
    // Readers could disagree on what it says: of two equal keys, some take the first.
    for (from, to) in [("\":", "\" : "), ("{", "{\"phase\":\"Failed\",")] {
        let mut log = TestLog::of_records(3);
        record(&mut log, 1, |content, _, _| {
            *content = content.replacen(from, to, 1)
        });
        only(&log.audit(None), Altered, "leaf 1");
    }
}

#[test]
fn what_claims_a_leaf_of_another_kind_is_found() {
    let mut log = TestLog::new();
    log.record(1, "remediation", "2025-11");
    log.retention("workflow", "2025-11");
    log.sign();
    let mut evidence = log.evidence[&0].clone();
    evidence.index = 1;
    log.evidence.insert(1, evidence);
    only(&log.audit(None), Altered, "leaf 1");
}

#[test]
fn a_record_that_is_gone_is_missing() {
    let mut log = TestLog::of_everything();
    log.evidence.remove(&500);
    let report = log.audit(None);
    only(&report, Missing, "leaf 500");
    assert_eq!(report.missing, 1);
}

#[test]
fn a_hold_that_is_gone_is_missing() {
    let mut log = TestLog::of_everything();
    log.evidence.remove(&300);
    only(&log.audit(None), Missing, "leaf 300");
}

#[test]
fn an_altered_entry_is_told_from_an_altered_tile() {
    for leaf in [0, 17, 255, 256, 599] {
        let mut log = TestLog::of_records(600);
        log.change(leaf, "\"version\":1", "\"version\":2");
        log.write_bundles();
        let report = log.audit(None);
        only(&report, LeafAltered, &format!("leaf {leaf}"));
        assert_eq!((report.records, report.unchecked), (599, 1));

        let mut log = TestLog::of_records(600);
        let index = leaf as u64 / 256;
        log.tiles.get_mut(&(0, index)).unwrap()[leaf % 256 * 32] ^= 1;
        let width = if index == 2 { ".p/88" } else { "" };
        only(
            &log.audit(None),
            TileAltered,
            &format!("tile/0/00{index}{width}"),
        );
    }
}

#[test]
fn an_altered_entry_beside_an_altered_hash_is_told() {
    let mut log = TestLog::of_records(600);
    log.change(3, "\"version\":1", "\"version\":2");
    log.write_bundles();
    log.tiles.get_mut(&(0, 0)).unwrap()[7 * 32] ^= 1;
    assert_eq!(
        found(&log.audit(None)),
        [
            (TileAltered, "tile/0/000".to_owned()),
            (LeafAltered, "leaf 3".to_owned())
        ]
    );
}

#[test]
fn an_altered_tile_above_the_leaves_is_found() {
    let mut log = TestLog::of_records(600);
    log.tiles.get_mut(&(1, 0)).unwrap()[32] ^= 1;
    only(&log.audit(None), TileAltered, "tile/1/000.p/2");
}

#[test]
fn a_log_with_tiles_of_three_levels_is_checked_on_each() {
    let mut log = TestLog::of_records(66_000);
    let kept = TestLog::of_records(65_700).opened();
    for tile in log.tiles.iter_mut().filter(|((level, _), _)| *level > 0) {
        tile.1[1] ^= 1;
    }
    let places = ["tile/1/001.p/1", "tile/2/000.p/1", "tile/1/000"];
    assert_eq!(
        found(&log.audit(Some(kept.clone()))),
        places.map(|place| (TileAltered, place.to_owned()))
    );
    log.sign();
    log.tiles.remove(&(1, 0));
    only(&log.audit(Some(kept.clone())), LeafMissing, "tile/1/000");
    log.sign();
    log.entries.swap(300, 65_999);
    log.write_bundles();
    assert_eq!(
        found(&log.audit(Some(kept))),
        [
            (LeafMoved, "leaf 300".to_owned()),
            (LeafMoved, "leaf 65999".to_owned())
        ]
    );
}

#[test]
fn two_swapped_entries_have_moved() {
    let mut log = TestLog::of_records(600);
    log.entries.swap(3, 400);
    log.write_bundles();
    assert_eq!(
        found(&log.audit(None)),
        [
            (LeafMoved, "leaf 3".to_owned()),
            (LeafMoved, "leaf 400".to_owned())
        ]
    );
}

#[test]
fn two_swapped_records_are_altered() {
    let mut log = TestLog::of_records(10);
    let (mut a, mut b) = (log.evidence[&3].clone(), log.evidence[&4].clone());
    (a.index, b.index) = (4, 3);
    log.evidence.insert(3, b);
    log.evidence.insert(4, a);
    assert_eq!(
        found(&log.audit(None)),
        [
            (Altered, "leaf 3".to_owned()),
            (Altered, "leaf 4".to_owned())
        ]
    );
}

#[test]
fn missing_or_short_files_are_found() {
    let mut log = TestLog::of_records(600);
    log.bundles.remove(&1);
    let report = log.audit(None);
    only(&report, LeafMissing, "tile/entries/001");
    assert_eq!((report.records, report.unchecked), (344, 256));

    let mut log = TestLog::of_records(600);
    log.bundles.get_mut(&2).unwrap().pop();
    only(&log.audit(None), LeafMissing, "tile/entries/002.p/88");

    for (key, place) in [
        ((0, 0), "tile/0/000"),
        ((0, 2), "tile/0/002.p/88"),
        ((1, 0), "tile/1/000.p/2"),
    ] {
        let mut log = TestLog::of_records(600);
        log.tiles.remove(&key);
        only(&log.audit(None), LeafMissing, place);
        let mut log = TestLog::of_records(600);
        log.tiles.get_mut(&key).unwrap().pop();
        only(&log.audit(None), LeafMissing, place);
    }
}

#[test]
fn entries_and_tile_that_were_altered_together_do_not_give_the_root() {
    let signed = TestLog::of_records(600);
    let mut log = TestLog::of_records(600);
    log.change(17, "T10:00", "T10:01");
    log.evidence_of(17).recorded_at = "2025-11-02T10:01:00.000000Z".to_owned();
    log.sign();
    log.checkpoint = signed.checkpoint.clone();
    // All tiles are those of the forged tree.
    only(&log.audit(None), RootMismatch, "the log");
    // Those above are the signed ones.
    log.tiles.insert((1, 0), signed.tiles[&(1, 0)].clone());
    only(&log.audit(None), RootMismatch, "leaves 0 to 255");
}

#[test]
fn an_entry_of_no_known_form_is_unreadable() {
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"kind\":\"remediation\"", "\"kind\":\"other\""),
        ("\"id\":2", "\"id\": 2"),
        ("{", "{\"a\":1,"),
        ("T10:00:00.000000Z", "T10:00:00Z"),
        ("2025-11-02T", "2025-11-32T"),
    ] {
        let mut log = TestLog::of_records(3);
        log.change(1, from, to);
        log.sign();
        only(&log.audit(None), LeafUnreadable, "leaf 1");
    }
}

#[test]
fn more_findings_than_are_kept_are_counted() {
    let mut log = TestLog::of_records(1500);
    log.evidence.clear();
    let report = log.audit(None);
    assert_eq!(report.findings.kept().len(), 1000);
    assert_eq!(report.findings.total(), 1500);
}

#[test]
fn a_finding_says_what_and_where() {
    let mut log = TestLog::of_records(3);
    log.evidence.remove(&1);
    let report = log.audit(None);
    assert_eq!(
        report.findings.kept()[0].to_string(),
        "missing: remediation 2 is gone and no retention accounts for it, leaf 1"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_altered_byte_of_any_file_is_found(
        size in 1i64..700, file in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let mut log = TestLog::of_records(size);
        let files = log.tiles.values_mut().chain(log.bundles.values_mut());
        let mut files: Vec<&mut Vec<u8>> = files.collect();
        let at = file.index(files.len());
        let length = files[at].len();
        files[at][byte.index(length)] ^= 1 << bit;
        let report = log.audit(None);
        prop_assert_eq!(report.findings.total(), 1, "{:?}", found(&report));
    }
}
