//! How the log's origins and the kept checkpoint lead to the checkpoint.

use crate::audit::finding::{FindingKind, Findings, Place};
use crate::checkpoint::Checkpoint;
use crate::entry::OriginEntry;
use crate::hash::{Hash, hash_from_base64};
use crate::note::VerifierKey;

/// The origin entries, with their leaves.
#[derive(Debug, Default)]
pub(super) struct History(Vec<(u64, OriginEntry)>);

impl History {
    pub(super) fn origin(&mut self, leaf: u64, entry: OriginEntry) {
        self.0.push((leaf, entry));
    }

    /// Checks the origins and that the log contains the kept checkpoint. `root_at` gives the tree's
    /// root at a size, if it is known.
    pub(super) fn check(
        &self,
        checkpoint: &Checkpoint,
        key: &VerifierKey,
        kept: Option<&Checkpoint>,
        root_at: impl Fn(u64) -> Option<Hash>,
        findings: &mut Findings,
    ) {
        self.check_origins(checkpoint, key, &root_at, findings);
        if let Some(kept) = kept
            && let Some((kind, what)) = self.check_kept(checkpoint, kept, &root_at)
        {
            findings.add(kind, what, Place::Log);
        }
    }

    fn check_origins(
        &self,
        checkpoint: &Checkpoint,
        key: &VerifierKey,
        root_at: impl Fn(u64) -> Option<Hash>,
        findings: &mut Findings,
    ) {
        let mut before: Option<&OriginEntry> = None;
        for (leaf, entry) in &self.0 {
            let previous = &entry.previous;
            let root = root_at(*leaf);
            let what = if before.is_some_and(|before| before.origin != previous.origin) {
                "the origin entry follows another origin than the log had"
            } else if previous.size != *leaf {
                "the origin entry follows a log of another size"
            } else if root.is_some() && root != hash_from_base64(&previous.root) {
                "the origin entry follows a log with another root"
            } else {
                before = Some(entry);
                continue;
            };
            findings.add(FindingKind::Forked, what, Place::Leaf(*leaf));
            before = Some(entry);
        }
        let Some((leaf, last)) = self.0.last() else {
            return;
        };
        let what = if last.origin != checkpoint.origin {
            "the last origin entry names another origin than the checkpoint"
        } else if last.key != key.named(&last.origin).to_string() {
            "the last origin entry names another key than the one that signed the checkpoint"
        } else {
            return;
        };
        findings.add(FindingKind::Forked, what, Place::Leaf(*leaf));
    }

    fn check_kept(
        &self,
        checkpoint: &Checkpoint,
        kept: &Checkpoint,
        root_at: impl Fn(u64) -> Option<Hash>,
    ) -> Option<(FindingKind, String)> {
        if kept.origin == checkpoint.origin {
            if checkpoint.size < kept.size {
                let what = format!(
                    "the log has {} leaves, it had {}",
                    checkpoint.size, kept.size
                );
                return Some((FindingKind::RolledBack, what));
            }
        } else {
            let next = self
                .0
                .iter()
                .rev()
                .find(|(_, entry)| entry.previous.origin == kept.origin);
            let Some((leaf, entry)) = next else {
                let what = format!("no origin entry leads from {}", kept.origin);
                return Some((FindingKind::Forked, what));
            };
            if entry.previous.size < kept.size {
                let what = format!(
                    "the log went on from leaf {leaf} and had {} leaves: {} leaves are lost",
                    kept.size,
                    kept.size - entry.previous.size
                );
                return Some((FindingKind::Lost, what));
            }
        }
        let root = root_at(kept.size);
        (root.is_some() && root != Some(kept.root)).then(|| {
            let what = format!(
                "the first {} leaves are not those of the kept checkpoint",
                kept.size
            );
            (FindingKind::Forked, what)
        })
    }
}
