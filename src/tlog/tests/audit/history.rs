//! Earlier and later checkpoints, and what changes while a log is read.

use super::log::TestLog;
use super::{found, only, what};
use tlog::audit::FindingKind::{Forked, LeafAltered, Lost, RolledBack};
use tlog::{Checkpoint, Entry, Hash, SignerKey};

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
        other.change(7, "T10:00", "T10:01");
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
    log.restart("2-1-1-00000002");
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
    first.origin = "example.com/log/9-9-9-00000009".to_owned();
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
    later.change(7, "T10:00", "T10:01");
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
