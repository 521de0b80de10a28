//! What retention entries account for, and when entries say that they were recorded.

use super::log::TestLog;
use super::{found, only, what};
use tlog::audit::FindingKind::{BackDated, Miscounted, Missing};

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
fn a_retention_before_its_month_had_to_leave_is_miscounted() {
    let of = |time: &str, policy: &str| {
        let mut log = TestLog::new();
        log.record(1, "remediation", "2025-11");
        log.retention("remediation", "2025-11");
        log.change(1, "2026-12-01T00:00:00.000000Z", time);
        log.change(1, "retention_months=12", policy);
        log.sign();
        log.audit(None)
    };
    for (time, policy) in [
        ("2026-12-01T00:00:00.000000Z", "retention_months=12"),
        ("2026-01-01T00:00:00.000000Z", "retention_months=1"),
        ("2025-12-01T00:00:00.000000Z", "retention_months=soon"),
        ("2025-12-01T00:00:00.000000Z", "by hand"),
    ] {
        assert_eq!(found(&of(time, policy)), [], "{time} {policy}");
    }
    for (time, policy) in [
        ("2026-11-30T23:59:59.999999Z", "retention_months=12"),
        ("2025-12-31T23:59:59.999999Z", "retention_months=1"),
        ("2025-11-30T23:59:59.999999Z", "by hand"),
    ] {
        let report = of(time, policy);
        only(&report, Miscounted, "leaf 1");
        let says = format!(
            "the retention of remediation records of 2025-11 at {time} was before the month had to leave"
        );
        assert_eq!(what(&report), says);
    }
}

/// A log of records that state these times, from "2025-11-02T" on.
fn of_times(times: &[&str]) -> TestLog {
    let mut log = TestLog::new();
    for (id, time) in (1..).zip(times) {
        log.time = format!("2025-11-02T{time}Z");
        log.record(id, "remediation", "2025-11");
    }
    log.sign();
    log
}

#[test]
fn entries_that_are_out_of_order_by_minutes_are_not_back_dated() {
    let log = of_times(&[
        "10:00:00.000000",
        "10:00:03.000000",
        "10:00:01.500000",
        "10:10:03.000000",
        "10:00:03.000000",
        "10:12:00.000000",
    ]);
    assert_eq!(found(&log.audit(None)), []);
}

#[test]
fn an_entry_that_states_an_earlier_time_is_back_dated() {
    let log = of_times(&[
        "10:00:00.000000",
        "10:30:00.000000",
        "10:19:59.999999",
        "10:20:00.000000",
        "10:31:00.000000",
    ]);
    let report = log.audit(None);
    only(&report, BackDated, "leaf 2");
    assert_eq!(
        report.findings.kept()[0].to_string(),
        "back-dated: remediation 3 states that it was recorded at 2025-11-02T10:19:59.999999Z, \
         after an entry of 2025-11-02T10:30:00.000000Z, leaf 2"
    );
}

#[test]
fn a_forged_entry_among_many_is_back_dated() {
    let mut log = TestLog::of_records(300);
    log.change(280, "2025-11-02T10:00", "2025-11-01T10:00");
    log.evidence_of(280).recorded_at = "2025-11-01T10:00:00.000000Z".to_owned();
    log.sign();
    only(&log.audit(None), BackDated, "leaf 280");
}

#[test]
fn a_retention_that_states_an_earlier_time_is_back_dated() {
    let mut log = TestLog::new();
    log.record(1, "remediation", "2025-11");
    log.retention("remediation", "2025-11");
    log.time = "2026-12-02T00:00:00.000000Z".to_owned();
    log.record(2, "workflow", "2026-12");
    log.retention("remediation", "2025-11");
    log.change(3, "2026-12-02T", "2026-12-01T");
    log.sign();
    only(&log.audit(None), BackDated, "leaf 3");
}

#[test]
fn times_begin_anew_with_an_origin() {
    let mut log = of_times(&["10:00:00.000000"]);
    log.time = "2025-11-01T10:00:00.000000Z".to_owned();
    log.restart("2-1-1-00000002");
    log.record(2, "remediation", "2025-11");
    log.sign();
    assert_eq!(found(&log.audit(None)), []);
}
