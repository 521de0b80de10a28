//! Each kind of tampering gives exactly its finding, and an untouched log gives none.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

mod log;

use log::TestLog;
use proptest::prelude::*;
use tlog::audit::{Body, FindingKind, Report, Verdict};
use tlog::{Checkpoint, Entry, Hash, SignerKey};

use FindingKind::{
    Altered, Forked, LeafAltered, LeafMissing, LeafMoved, LeafUnreadable, Lost, Miscounted,
    Missing, RolledBack, RootMismatch, TileAltered,
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
fn content_in_another_form_is_not_altered() {
    let mut log = TestLog::of_records(3);
    record(&mut log, 1, |content, _, _| {
        *content = content.replace("\":", "\" : ")
    });
    assert_eq!(found(&log.audit(None)), []);
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
fn retention_accounts_only_for_leaves_before_it() {
    let mut log = TestLog::new();
    log.record(1, "remediation", "2025-11");
    log.retention("remediation", "2025-11");
    log.record(2, "remediation", "2025-11");
    log.sign();
    assert_eq!(found(&log.audit(None)), []);
    log.evidence.remove(&2);
    only(&log.audit(None), Missing, "leaf 2");
}

#[test]
fn a_retention_of_other_records_is_miscounted() {
    for (from, to) in [
        ("\"records\":2", "\"records\":1"),
        ("\"digest\":\"", "\"digest\":\"A"),
    ] {
        let mut log = TestLog::new();
        log.record(1, "remediation", "2025-11");
        log.record(2, "remediation", "2025-11");
        log.retention("remediation", "2025-11");
        log.change(2, from, to);
        log.sign();
        let report = log.audit(None);
        only(&report, Miscounted, "leaf 2");
        assert_eq!(report.removed, 2);
    }
}

#[test]
fn ids_that_arrived_in_another_order_are_counted_in_ascending_order() {
    let mut log = TestLog::new();
    for id in [3, 1, 2] {
        log.record(id, "remediation", "2025-11");
    }
    log.retention("remediation", "2025-11");
    log.sign();
    assert_eq!(found(&log.audit(None)), []);
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
    log.change(17, "2025-11-02", "2025-11-03");
    log.evidence_of(17).recorded_at = "2025-11-03T10:00:00.000000Z".to_owned();
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
    ] {
        let mut log = TestLog::of_records(3);
        log.change(1, from, to);
        log.sign();
        only(&log.audit(None), LeafUnreadable, "leaf 1");
    }
}

#[test]
fn a_log_contains_its_earlier_checkpoints() {
    let mut log = TestLog::new();
    let mut kept = Vec::new();
    for id in 1..=600 {
        log.record(id, "remediation", "2025-11");
        if [1, 100, 255, 256, 257, 512, 600].contains(&id) {
            log.sign();
            kept.push(log.opened());
        }
    }
    for kept in kept {
        assert_eq!(found(&log.audit(Some(kept))), []);
    }
}

#[test]
fn a_smaller_log_was_rolled_back() {
    let kept = TestLog::of_records(20).opened();
    only(
        &TestLog::of_records(19).audit(Some(kept)),
        RolledBack,
        "the log",
    );
}

#[test]
fn a_log_with_another_past_has_forked() {
    for size in [20, 256, 300] {
        let mut other = TestLog::of_records(size);
        other.change(7, "2025-11-02", "2025-11-03");
        other.sign();
        let report = TestLog::of_records(300).audit(Some(other.opened()));
        only(&report, Forked, "the log");
    }
}

#[test]
fn an_altered_entry_does_not_pass_for_a_fork() {
    let mut log = TestLog::of_records(600);
    let kept = log.opened();
    log.change(3, "\"version\":1", "\"version\":2");
    log.write_bundles();
    only(&log.audit(Some(kept)), LeafAltered, "leaf 3");
}

/// Two origins: 20 records under the first, 10 under the second. The checkpoint of the first.
fn restarted() -> (TestLog, Checkpoint) {
    let mut log = TestLog::of_records(20);
    let first = log.opened();
    log.restart("2-1-1");
    for id in 21..=30 {
        log.record(id, "remediation", "2025-11");
    }
    log.sign();
    (log, first)
}

#[test]
fn a_kept_checkpoint_of_an_earlier_origin_is_followed() {
    let (log, first) = restarted();
    assert_eq!(found(&log.audit(Some(first))), []);
    assert_eq!(
        found(&log.audit(Some(TestLog::of_records(11).opened()))),
        []
    );
    assert_eq!(found(&log.audit(Some(log.opened()))), []);
}

#[test]
fn a_restored_log_has_lost_what_came_after() {
    let (log, _) = restarted();
    let report = log.audit(Some(TestLog::of_records(25).opened()));
    only(&report, Lost, "the log");
    assert!(
        what(&report).ends_with("5 leaves are lost"),
        "{}",
        what(&report)
    );
}

#[test]
fn a_kept_checkpoint_of_an_unknown_origin_has_forked() {
    let (log, mut first) = restarted();
    first.origin = "example.com/log/9-9-9".to_owned();
    only(&log.audit(Some(first)), Forked, "the log");
}

#[test]
fn an_origin_entry_must_continue_the_log() {
    for change in ["root", "size", "origin", "key", "name"] {
        let (mut log, _) = restarted();
        let Some(Entry::Origin(mut entry)) =
            Entry::parse(std::str::from_utf8(&log.entries[20]).unwrap())
        else {
            panic!("no origin entry")
        };
        let other: Hash = [1; 32];
        match change {
            "root" => entry.previous.root = tlog::entry_hash(&other),
            "size" => entry.previous.size = 19,
            "origin" => entry.origin.push('1'),
            "key" => {
                entry.key = SignerKey::from_seed("other", &[1; 32])
                    .verifier()
                    .to_string()
            }
            _ => entry.previous.origin.push('1'),
        }
        log.entries[20] = Entry::Origin(entry).to_text().unwrap().into_bytes();
        log.sign();
        let report = log.audit(None);
        match change {
            // The first origin of a log is whatever it was.
            "name" => assert_eq!(found(&report), []),
            _ => only(&report, Forked, "leaf 20"),
        }
    }
}

#[test]
fn a_record_that_left_meanwhile_is_accounted_for_by_a_later_retention() {
    let mut log = TestLog::of_records(300);
    log.evidence.clear();
    let mut audit = log.fed(None);
    assert_eq!(audit.absent(10).1, 300);
    let mut later = TestLog::of_records(300);
    later.record(301, "remediation", "2025-11");
    later.retention("remediation", "2025-11");
    later.sign();
    assert_eq!(audit.followed(), 300);
    assert!(!audit.follow(&later.opened(), &[log.bundles[&1].clone()]));
    assert!(audit.follow(&later.opened(), &[later.bundles[&1].clone()]));
    assert_eq!(audit.followed(), 302);
    assert_eq!(audit.absent(10).1, 0);
    let report = audit.finish(Some(4));
    assert_eq!(found(&report), []);
    assert_eq!((report.removed, report.pending), (300, Some(4)));
}

#[test]
fn a_later_checkpoint_that_does_not_continue_the_log_has_forked() {
    let log = TestLog::of_records(300);
    let mut later = TestLog::of_records(310);
    later.change(7, "2025-11-02", "2025-11-03");
    later.sign();
    let mut audit = log.fed(None);
    assert!(!audit.follow(&later.opened(), &[later.bundles[&1].clone()]));
    only(&audit.finish(None), Forked, "leaves 300 to 309");
}

#[test]
fn a_record_that_was_late_is_checked() {
    for leaf in [10, 299] {
        let mut log = TestLog::of_records(300);
        let late = log.evidence.remove(&leaf).unwrap();
        let mut audit = log.fed(None);
        assert_eq!(audit.absent(10).0[0].index, leaf);
        let entries = log.bundles[&(leaf / 256)].clone();
        assert!(!audit.found(&entries[2..], &late));
        assert!(audit.found(&entries, &late));
        let report = audit.finish(None);
        assert_eq!(found(&report), []);
        assert_eq!(report.records, 300);
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
