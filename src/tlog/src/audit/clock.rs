//! When entries say that something was recorded, compared with the order of the log.

use chrono::{DateTime, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::audit::finding::{FindingKind, Findings, Place};
use crate::entry::{RetentionEntry, StoredEntry, entry_time};

/// Minutes that an entry's `recorded_at` may be before that of an earlier leaf: entries of
/// concurrent writes are not added in the order of their times.
pub const BACK_DATED_MINUTES_MAX: i64 = 10;

/// Entries that a time is compared with at least, and half of the most: a clock that was wrong for a
/// moment must not accuse all that follow.
const COMPARED_ENTRIES: u32 = 256;

/// The greatest `recorded_at` of the latest entries.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Of the last [`COMPARED_ENTRIES`] that were complete.
    before: Option<DateTime<Utc>>,
    /// Of those since.
    latest: Option<DateTime<Utc>>,
    entries: u32,
}

impl Clock {
    /// Begins anew: another database may have another clock.
    pub(super) fn origin(&mut self) {
        *self = Self::default();
    }

    pub(super) fn stored(&mut self, leaf: u64, entry: &StoredEntry, findings: &mut Findings) {
        let name = || format!("{} {}", entry.kind, entry.id);
        self.entry(leaf, &entry.recorded_at, name, findings);
    }

    /// Also reports a retention before its month had to leave.
    pub(super) fn retention(&mut self, leaf: u64, entry: &RetentionEntry, findings: &mut Findings) {
        let name = || {
            format!(
                "the retention of {} records of {}",
                entry.record_kind, entry.month
            )
        };
        self.entry(leaf, &entry.recorded_at, name, findings);
        let leaves_at = leaves_at(&entry.month, &entry.policy);
        if leaves_at.is_some_and(|at| parse_time(&entry.recorded_at).is_some_and(|time| time < at))
        {
            let what = format!(
                "{} at {} was before the month had to leave",
                name(),
                entry.recorded_at
            );
            findings.add(FindingKind::Miscounted, what, Place::Leaf(leaf));
        }
    }

    fn entry(
        &mut self,
        leaf: u64,
        recorded_at: &str,
        name: impl Fn() -> String,
        findings: &mut Findings,
    ) {
        let Some(time) = parse_time(recorded_at) else {
            return;
        };
        let latest = self.before.max(self.latest);
        if let Some(latest) =
            latest.filter(|latest| *latest - time > TimeDelta::minutes(BACK_DATED_MINUTES_MAX))
        {
            let what = format!(
                "{} states that it was recorded at {recorded_at}, after an entry of {}",
                name(),
                entry_time(latest)
            );
            findings.add(FindingKind::BackDated, what, Place::Leaf(leaf));
        }
        self.latest = self.latest.max(Some(time));
        self.entries += 1;
        if self.entries == COMPARED_ENTRIES {
            self.before = self.latest.take();
            self.entries = 0;
        }
    }
}

/// Reads a time as entries have it.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (entry_time(time) == text).then_some(time)
}

/// When a month leaves: its end, and the months of a policy `retention_months=N` later.
fn leaves_at(month: &str, policy: &str) -> Option<DateTime<Utc>> {
    let begin = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?;
    let end = begin.checked_add_months(Months::new(1))?;
    let months = policy
        .strip_prefix("retention_months=")
        .and_then(|months| months.parse().ok());
    let leaves_on = months.and_then(|months| end.checked_add_months(Months::new(months)));
    Some(leaves_on.unwrap_or(end).and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_wrong_for_a_moment_accuses_only_the_next_entries() {
        let mut clock = Clock::default();
        let mut findings = Findings::default();
        let mut enter = |leaf, time: &str| {
            clock.entry(leaf, time, || "an entry".to_owned(), &mut findings);
            findings.total()
        };
        enter(0, "2026-11-02T10:00:00.000000Z");
        enter(1, "2027-11-02T10:00:00.000000Z");
        let mut found = Vec::new();
        for leaf in 2..1024 {
            found.push(enter(leaf, "2026-11-02T10:09:00.000000Z"));
        }
        let last = found.last().copied().unwrap_or_default();
        assert!((256..=512).contains(&last), "{last}");
        assert_eq!(enter(1024, "2026-11-02T09:59:00.000001Z"), last);
        assert_eq!(enter(1025, "2026-11-02T09:58:59.999999Z"), last + 1);
    }

    #[test]
    fn a_time_has_one_form() {
        assert!(parse_time("2025-11-02T10:00:00.000000Z").is_some());
        for text in [
            "",
            "x",
            "2025-11-02",
            "2025-11-02T10:00:00Z",
            "2025-11-02T10:00:00.000Z",
            "2025-11-02T10:00:00.000000+00:00",
            "2025-11-02t10:00:00.000000z",
            "2025-11-02T11:00:00.000000+01:00",
            "2025-13-02T10:00:00.000000Z",
        ] {
            assert!(parse_time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_month_leaves_after_its_end_and_the_months_of_the_policy() {
        for (month, policy, at) in [
            ("2025-11", "retention_months=1", "2026-01-01"),
            ("2025-11", "retention_months=12", "2026-12-01"),
            ("2025-12", "retention_months=3", "2026-04-01"),
            ("2025-11", "retention_months=4294967295", "2025-12-01"),
            ("2025-11", "retention_months=x", "2025-12-01"),
            ("2025-11", "by hand", "2025-12-01"),
        ] {
            let at = parse_time(&format!("{at}T00:00:00.000000Z"));
            assert_eq!(leaves_at(month, policy), at, "{month} {policy}");
        }
        assert_eq!(leaves_at("2025", "retention_months=1"), None);
    }
}
