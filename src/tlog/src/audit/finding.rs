//! What an audit finds.

use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::tile::TilePath;

/// Findings that are kept; more are counted.
pub const FINDINGS_MAX: usize = 1000;

/// What a finding is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// What is stored is not what the leaf commits to.
    Altered,
    /// What a leaf stores is gone, and no retention accounts for it.
    Missing,
    /// A retention entry does not match the leaves that it accounts for, or is before its month had
    /// to leave.
    Miscounted,
    /// An entry states a time long before that of an earlier leaf.
    BackDated,
    /// An entry is not the one that was signed.
    LeafAltered,
    /// An entry stands at the index of another.
    LeafMoved,
    /// Entries or tiles are missing or too short.
    LeafMissing,
    /// An entry cannot be read.
    LeafUnreadable,
    /// A tile is not the one that was signed.
    TileAltered,
    /// Neither the entries nor the tiles give what was signed.
    RootMismatch,
    /// The log is smaller than the kept checkpoint.
    RolledBack,
    /// The log does not continue the one of the kept checkpoint, or of its own origin entries.
    Forked,
    /// The log was restored to a state before the kept checkpoint.
    Lost,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Miscounted => "miscounted",
            Self::BackDated => "back-dated",
            Self::LeafAltered => "leaf altered",
            Self::LeafMoved => "leaf moved",
            Self::LeafMissing => "leaf missing",
            Self::LeafUnreadable => "leaf unreadable",
            Self::TileAltered => "tile altered",
            Self::RootMismatch => "root mismatch",
            Self::RolledBack => "rolled back",
            Self::Forked => "forked",
            Self::Lost => "lost",
        })
    }
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A leaf.
    Leaf(u64),
    /// The leaves `0..1`, the second excluded.
    Leaves(u64, u64),
    /// A tile or a bundle of entries.
    Tile(TilePath),
    /// The whole log.
    Log,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(leaf) => write!(f, "leaf {leaf}"),
            Self::Leaves(begin, end) => {
                write!(f, "leaves {begin} to {}", end.saturating_sub(1))
            }
            Self::Tile(path) => write!(f, "tile/{path}"),
            Self::Log => f.write_str("the log"),
        }
    }
}

/// A finding: `NAME: what, where`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub kind: FindingKind,
    /// What is wrong.
    pub what: String,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.kind, self.what, self.place)
    }
}

/// The first [`FINDINGS_MAX`] findings and the number of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    total: u64,
}

impl Findings {
    pub(super) fn add(&mut self, kind: FindingKind, what: impl Into<String>, place: Place) {
        self.total += 1;
        if self.kept.len() < FINDINGS_MAX {
            self.kept.push(Finding {
                kind,
                what: what.into(),
                place,
            });
        }
    }

    /// Counts findings that are not described.
    pub(super) fn count(&mut self, findings: u64) {
        self.total += findings;
    }

    /// The findings that were kept.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// Number of all findings.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// What retention removed, as one of its entries says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Index of the retention entry.
    pub leaf: u64,
    /// Kind of the records.
    pub record_kind: String,
    /// The month that left.
    pub month: String,
    /// Records that the entry accounts for.
    pub records: u64,
    /// How many of them are gone.
    pub absent: u64,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "removed: {} of {} {} records of {}, by the retention at leaf {}",
            self.absent, self.records, self.record_kind, self.month, self.leaf
        )
    }
}

/// Whether the log is what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Intact,
    /// Something was found.
    Tampered,
}

/// The result of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint that was checked.
    pub checkpoint: Checkpoint,
    /// Leaves of the log.
    pub leaves: u64,
    /// Records that are as they were stored.
    pub records: u64,
    /// Holds and releases of holds that are as they were stored.
    pub holds: u64,
    /// Records that retention removed.
    pub removed: u64,
    /// What retention removed, by entry.
    pub removals: Vec<Removal>,
    /// What is gone without a retention.
    pub missing: u64,
    /// Leaves whose record was not checked, because the leaf itself is altered or missing.
    pub unchecked: u64,
    /// Records that are stored but not yet in the log.
    pub pending: Option<u64>,
    /// What is wrong.
    pub findings: Findings,
}

impl Report {
    /// Whether the log is intact.
    pub fn verdict(&self) -> Verdict {
        match self.findings.total() {
            0 => Verdict::Intact,
            _ => Verdict::Tampered,
        }
    }
}
