//! Checks a whole log against a signed checkpoint: its tree, its entries and what is stored for
//! them. [`Audit`] is fed bytes in order and does no I/O. Per leaf it keeps an eighth of a byte, and
//! eight bytes while retention may still account for the leaf.

mod bundle;
mod clock;
mod evidence;
mod finding;
mod follow;
mod history;
mod retention;
mod root;
mod solve;
mod tree;

pub use bundle::{join_bundle, split_bundle};
pub use clock::BACK_DATED_MINUTES_MAX;
pub use evidence::{Body, Evidence, check_evidence};
pub use finding::{FINDINGS_MAX, Finding, FindingKind, Findings, Place, Removal, Report, Verdict};
pub use retention::Absent;

use records::KIND_NAMES;

use crate::checkpoint::Checkpoint;
use crate::edge::Edge;
use crate::entry::{ENTRY_VERSION, Entry, StoredEntry};
use crate::hash::{Hash, hash_leaf, split_hashes};
use crate::note::VerifierKey;
use crate::tile::{TILE_WIDTH, TilePath, tile_width};
use clock::{Clock, parse_time};
use history::History;
use retention::Accounts;
use tree::{Bundle, Tree};

/// The check of a log. Feed it each tile of [`Self::upper_tiles`], then each bundle from 0, then
/// what was late, and [`Self::finish`].
#[derive(Debug)]
pub struct Audit {
    checkpoint: Checkpoint,
    key: VerifierKey,
    kept: Option<Checkpoint>,
    tree: Tree,
    accounts: Accounts,
    clock: Clock,
    history: History,
    findings: Findings,
    removals: Vec<Removal>,
    records: u64,
    holds: u64,
    unchecked: u64,
    /// The log after the checkpoint, as far as it was followed.
    ahead: Option<Edge>,
}

impl Audit {
    /// Begins to check the log under a checkpoint that `key` signed. `kept` is the checkpoint of an
    /// earlier check.
    pub fn new(checkpoint: Checkpoint, key: VerifierKey, kept: Option<Checkpoint>) -> Self {
        Self {
            tree: Tree::new(checkpoint.size, checkpoint.root),
            checkpoint,
            key,
            kept,
            accounts: Accounts::default(),
            clock: Clock::default(),
            history: History::default(),
            findings: Findings::default(),
            removals: Vec::new(),
            records: 0,
            holds: 0,
            unchecked: 0,
            ahead: None,
        }
    }

    /// The tiles above level 0, in the order to feed them.
    pub fn upper_tiles(&self) -> impl Iterator<Item = TilePath> + use<> {
        upper_tiles(self.checkpoint.size)
    }

    /// Number of bundles.
    pub fn bundles(&self) -> u64 {
        self.checkpoint.size.div_ceil(TILE_WIDTH)
    }

    /// The bundle of entries with this index.
    pub fn bundle_path(&self, index: u64) -> TilePath {
        TilePath {
            level: None,
            index,
            width: tile_width(self.checkpoint.size, 0, index),
        }
    }

    /// The tile of a bundle's leaves.
    pub fn tile_path(&self, index: u64) -> TilePath {
        TilePath {
            level: Some(0),
            ..self.bundle_path(index)
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Takes a tile of [`Self::upper_tiles`]; `None` if the log does not have it.
    pub fn tile(&mut self, path: TilePath, bytes: Option<&[u8]>) {
        let Some(level) = path.level else { return };
        if let Some(hashes) = self.read_tile(path, bytes) {
            self.tree.put_upper(level, path.index, hashes);
        }
    }

    /// Takes the next bundle of entries, the tile of its leaves, and what is stored for the leaves;
    /// `None` for what the log does not have.
    pub fn bundle(
        &mut self,
        index: u64,
        entries: Option<&[u8]>,
        tile: Option<&[u8]>,
        evidence: &[Evidence],
    ) {
        let path = self.bundle_path(index);
        let entries = entries
            .and_then(split_bundle)
            .filter(|entries| entries.len() as u64 == path.width);
        if entries.is_none() {
            self.unchecked += path.width;
            self.accounts.distrust();
            let what = "the entries are missing or too short";
            self.findings
                .add(FindingKind::LeafMissing, what, Place::Tile(path));
        }
        let bundle = Bundle {
            entries: entries
                .as_ref()
                .map(|entries| entries.iter().map(|entry| hash_leaf(entry)).collect()),
            tile: self.read_tile(self.tile_path(index), tile),
        };
        let distrusted = self.tree.distrusted(index, &bundle);
        let first = index * TILE_WIDTH;
        let mut by_leaf: Vec<Option<&Evidence>> = vec![None; TILE_WIDTH as usize];
        for one in evidence {
            let offset = one.index.checked_sub(first).map(|offset| offset as usize);
            match offset.and_then(|offset| by_leaf.get_mut(offset)) {
                Some(slot @ None) => *slot = Some(one),
                // Whoever reads the other one is deceived.
                Some(Some(_)) | None => {
                    let what = format!("{} {} claims a leaf that is another's", one.kind, one.id);
                    self.findings
                        .add(FindingKind::Altered, what, Place::Leaf(one.index));
                }
            }
        }
        let mut has_origin = false;
        for ((leaf, entry), evidence) in (first..).zip(entries.iter().flatten()).zip(by_leaf) {
            if distrusted.contains(&((leaf - first) as usize)) {
                self.unchecked += 1;
                self.accounts.distrust();
                continue;
            }
            has_origin |= self.entry(leaf, entry, evidence);
        }
        let is_kept = self
            .kept
            .as_ref()
            .is_some_and(|kept| kept.size / TILE_WIDTH == index);
        self.tree
            .push(index, bundle, has_origin || is_kept, &mut self.findings);
    }

    /// Checks the entry of a leaf; returns whether it is an origin entry.
    fn entry(&mut self, leaf: u64, entry: &[u8], evidence: Option<&Evidence>) -> bool {
        let Some(entry) = read_entry(entry) else {
            let what = "the entry is none of this version of the log";
            self.findings
                .add(FindingKind::LeafUnreadable, what, Place::Leaf(leaf));
            self.accounts.distrust();
            return false;
        };
        match entry {
            Entry::Stored(entry) => {
                self.clock.stored(leaf, &entry, &mut self.findings);
                self.accounts.leaf(leaf, &entry, evidence.is_none());
                if let Some(evidence) = evidence {
                    self.stored(&entry, evidence);
                }
                false
            }
            Entry::Retention(entry) => {
                self.foreign(leaf, evidence);
                self.clock.retention(leaf, &entry, &mut self.findings);
                let removal = self.accounts.retention(leaf, &entry, &mut self.findings);
                self.removals.push(removal);
                false
            }
            Entry::Origin(entry) => {
                self.foreign(leaf, evidence);
                self.clock.origin();
                self.history.origin(leaf, entry);
                true
            }
        }
    }

    fn stored(&mut self, entry: &StoredEntry, evidence: &Evidence) {
        match check_evidence(entry, evidence) {
            Ok(()) if KIND_NAMES.contains(&entry.kind.as_str()) => self.records += 1,
            Ok(()) => self.holds += 1,
            Err(what) => {
                let what = format!("{what} of {} {}", entry.kind, entry.id);
                self.findings
                    .add(FindingKind::Altered, what, Place::Leaf(evidence.index));
            }
        }
    }

    /// Reports something that claims a leaf which stores nothing.
    fn foreign(&mut self, leaf: u64, evidence: Option<&Evidence>) {
        if let Some(evidence) = evidence {
            let what = format!(
                "{} {} claims a leaf that stores nothing",
                evidence.kind, evidence.id
            );
            self.findings
                .add(FindingKind::Altered, what, Place::Leaf(leaf));
        }
    }

    fn read_tile(&mut self, path: TilePath, bytes: Option<&[u8]>) -> Option<Vec<Hash>> {
        let hashes = bytes
            .and_then(split_hashes)
            .filter(|hashes| hashes.len() as u64 == path.width);
        if hashes.is_none() {
            let what = "the tile is missing or too short";
            self.findings
                .add(FindingKind::LeafMissing, what, Place::Tile(path));
        }
        hashes
    }

    /// Ends the check.
    pub fn finish(mut self, pending: Option<u64>) -> Report {
        let settled = self.tree.settle(&mut self.findings);
        self.history.check(
            &self.checkpoint,
            &self.key,
            self.kept.as_ref(),
            |size| settled.root_at(size),
            &mut self.findings,
        );
        let missing = self.accounts.report_missing(&mut self.findings);
        Report {
            leaves: self.checkpoint.size,
            checkpoint: self.checkpoint,
            records: self.records,
            holds: self.holds,
            removed: self.removals.iter().map(|removal| removal.absent).sum(),
            removals: self.removals,
            missing,
            unchecked: self.unchecked,
            pending,
            findings: self.findings,
        }
    }
}

/// The tiles above level 0 of a tree, from the highest level.
fn upper_tiles(size: u64) -> impl Iterator<Item = TilePath> {
    (1..8u8).rev().flat_map(move |level| {
        let hashes = size >> (8 * u32::from(level));
        (0..hashes.div_ceil(TILE_WIDTH)).map(move |index| TilePath {
            level: Some(level),
            index,
            width: tile_width(size, level, index),
        })
    })
}

/// Reads an entry of a kind and version that this crate knows, in canonical form.
pub(crate) fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(bytes).ok()?;
    let entry = Entry::parse(text)?;
    let (version, recorded_at) = match &entry {
        Entry::Origin(entry) => (entry.version, &entry.recorded_at),
        Entry::Retention(entry) => (entry.version, &entry.recorded_at),
        Entry::Stored(entry) => (entry.version, &entry.recorded_at),
    };
    let is_known = match &entry {
        Entry::Origin(_) | Entry::Retention(_) => true,
        Entry::Stored(entry) => {
            let is_record = KIND_NAMES.contains(&entry.kind.as_str());
            let is_hold = matches!(entry.kind.as_str(), "hold" | "hold_release");
            (is_record || is_hold)
                && is_record == entry.month.is_some()
                && entry.commitment().is_some()
        }
    };
    let is_known = is_known && version == ENTRY_VERSION && parse_time(recorded_at).is_some();
    (is_known && entry.to_text().is_ok_and(|canonical| canonical == text)).then_some(entry)
}
