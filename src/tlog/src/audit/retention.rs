//! Which leaves retention accounts for.

use std::collections::BTreeMap;

use crate::audit::finding::{FindingKind, Findings, Place, Removal};
use crate::entry::{RetentionEntry, StoredEntry, digest_ids, entry_hash};

/// A leaf for which nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Index of the leaf.
    pub index: u64,
    /// Id of the record or hold.
    pub id: i64,
    /// Kind, as entries have it.
    pub kind: String,
}

/// The leaves since the last retention, by kind and month. Holds have no month.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    groups: BTreeMap<(String, Option<String>), Group>,
    /// Whether leaves were skipped, so that numbers cannot be compared.
    is_incomplete: bool,
}

#[derive(Debug, Default)]
struct Group {
    /// Ids of all leaves that retention may account for.
    ids: Vec<i64>,
    /// Index and id of those for which nothing was stored.
    absent: Vec<(u64, i64)>,
}

impl Accounts {
    /// Notes that a leaf could not be counted.
    pub(super) fn distrust(&mut self) {
        self.is_incomplete = true;
    }

    pub(super) fn leaf(&mut self, leaf: u64, entry: &StoredEntry, is_absent: bool) {
        let key = (entry.kind.clone(), entry.month.clone());
        let group = self.groups.entry(key).or_default();
        if entry.month.is_some() {
            group.ids.push(entry.id);
        }
        if is_absent {
            group.absent.push((leaf, entry.id));
        }
    }

    /// Settles what a retention entry accounts for.
    pub(super) fn retention(
        &mut self,
        leaf: u64,
        entry: &RetentionEntry,
        findings: &mut Findings,
    ) -> Removal {
        let key = (entry.record_kind.clone(), Some(entry.month.clone()));
        let mut group = self.groups.remove(&key).unwrap_or_default();
        group.ids.sort_unstable();
        let records = group.ids.len() as u64;
        let is_counted = entry.records == records;
        let is_same = entry.digest == entry_hash(&digest_ids(group.ids));
        let is_right = is_counted && is_same;
        if !is_right && !self.is_incomplete {
            let what = if is_counted {
                format!(
                    "the retention of {} records of {} names other records than the log has",
                    entry.record_kind, entry.month
                )
            } else {
                format!(
                    "the retention of {} records of {} names {} records, the log has {records}",
                    entry.record_kind, entry.month, entry.records
                )
            };
            findings.add(FindingKind::Miscounted, what, Place::Leaf(leaf));
        }
        Removal {
            leaf,
            record_kind: entry.record_kind.clone(),
            month: entry.month.clone(),
            records: entry.records,
            absent: group.absent.len() as u64,
        }
    }

    /// What is absent and not accounted for.
    pub(super) fn absent(&self) -> impl Iterator<Item = Absent> + '_ {
        self.groups.iter().flat_map(|((kind, _), group)| {
            group.absent.iter().map(|(index, id)| Absent {
                index: *index,
                id: *id,
                kind: kind.clone(),
            })
        })
    }

    /// Takes a leaf out of the absent ones; returns whether it was one.
    pub(super) fn found(&mut self, leaf: u64) -> bool {
        self.groups.values_mut().any(|group| {
            let at = group.absent.iter().position(|(index, _)| *index == leaf);
            at.map(|at| group.absent.swap_remove(at)).is_some()
        })
    }

    /// Reports what is absent and returns how much.
    pub(super) fn report_missing(&self, findings: &mut Findings) -> u64 {
        let mut absent: Vec<Absent> = self.absent().collect();
        absent.sort_unstable_by_key(|absent| absent.index);
        for Absent { index, id, kind } in &absent {
            let what = format!("{kind} {id} is gone and no retention accounts for it");
            findings.add(FindingKind::Missing, what, Place::Leaf(*index));
        }
        absent.len() as u64
    }
}
