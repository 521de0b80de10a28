//! The tree of the log: what the entries, the tiles and the signed root say about each other.
//!
//! Each hash of the tree may be known from the tile that has it and from the level below, down to
//! the entries. From the signed root down, the value that gives the hash above is the signed one.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::finding::{FINDINGS_MAX, FindingKind, Findings, Place};
use crate::audit::root::{Settled, next_level};
use crate::audit::solve::{Options, solve};
use crate::edge::join;
use crate::hash::{Hash, hash_complete, hash_empty};
use crate::tile::{TILE_WIDTH, TILE_WIDTH_BITS, TilePath, tile_width};

/// Hashes of a bundle's leaves, from the entries and from the tile.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) entries: Option<Vec<Hash>>,
    pub(super) tile: Option<Vec<Hash>>,
}

impl Bundle {
    fn is_doubtful(&self) -> bool {
        self.entries != self.tile
    }

    fn leaves(&self) -> Option<&Vec<Hash>> {
        self.entries.as_ref().or(self.tile.as_ref())
    }
}

#[derive(Debug)]
pub(super) struct Tree {
    size: u64,
    root: Hash,
    /// Stored tiles above level 0.
    upper: BTreeMap<(u8, u64), Vec<Hash>>,
    /// Roots of the full bundles, from the entries where there are any.
    roots: Vec<Hash>,
    /// Leaves of the partial bundle, of bundles whose sources differ, and of those to prove
    /// earlier sizes.
    bundles: BTreeMap<u64, Bundle>,
    doubtful: usize,
}

impl Tree {
    pub(super) fn new(size: u64, root: Hash) -> Self {
        Self {
            size,
            root,
            upper: BTreeMap::new(),
            roots: Vec::new(),
            bundles: BTreeMap::new(),
            doubtful: 0,
        }
    }

    pub(super) fn put_upper(&mut self, level: u8, index: u64, hashes: Vec<Hash>) {
        self.upper.insert((level, index), hashes);
    }

    /// The offsets in a bundle whose entries are not the signed ones, as far as the stored tiles
    /// tell.
    pub(super) fn distrusted(&self, index: u64, bundle: &Bundle) -> BTreeSet<usize> {
        let (Some(entries), Some(tile)) = (&bundle.entries, &bundle.tile) else {
            return BTreeSet::new();
        };
        if entries == tile {
            return BTreeSet::new();
        }
        let is_signed = |leaves: &[Hash]| match leaves.len() as u64 {
            TILE_WIDTH => hash_complete(leaves) == self.stored(1, index),
            _ => {
                let mut partial = vec![leaves.to_vec()];
                for level in 1..self.levels() {
                    let (index, width) = self.edge(level);
                    let tile = self.upper.get(&(level, index));
                    partial.push(tile.filter(|_| width > 0).cloned().unwrap_or_default());
                }
                join(&partial) == self.root
            }
        };
        let options: Vec<Options> = std::iter::zip(entries, tile)
            .map(|(entry, hash)| vec![Some(*entry), Some(*hash)])
            .collect();
        // Where nothing is signed, the entries are checked as they are.
        let signed = solve(&options, is_signed).unwrap_or_else(|| entries.clone());
        let differs = |(offset, (entry, signed)): (usize, (&Hash, &Hash))| {
            (entry != signed).then_some(offset)
        };
        std::iter::zip(entries, &signed)
            .enumerate()
            .filter_map(differs)
            .collect()
    }

    /// Takes the next bundle; `keeps` its leaves to compute roots among them.
    pub(super) fn push(
        &mut self,
        index: u64,
        bundle: Bundle,
        keeps: bool,
        findings: &mut Findings,
    ) {
        let is_full = tile_width(self.size, 0, index) == TILE_WIDTH;
        if is_full {
            let root = bundle.leaves().and_then(|leaves| hash_complete(leaves));
            let root = root.or_else(|| self.stored(1, index));
            self.roots.push(root.unwrap_or_else(hash_empty));
        }
        let is_doubtful = bundle.is_doubtful();
        if is_doubtful && self.doubtful >= FINDINGS_MAX && is_full {
            findings.count(1);
        } else if is_doubtful || keeps || !is_full {
            self.doubtful += usize::from(is_doubtful);
            self.bundles.insert(index, bundle);
        }
    }

    /// Root of the leaves so far and their partial tiles, as the entries give them.
    pub(super) fn computed(&self) -> Option<(&[Hash], &[Hash])> {
        let rest = self.size % TILE_WIDTH;
        let tail = match rest {
            0 => &[][..],
            _ => self.bundles.get(&(self.size / TILE_WIDTH))?.leaves()?,
        };
        Some((&self.roots, tail))
    }

    /// Number of levels of tiles.
    fn levels(&self) -> u8 {
        let bits = u64::BITS - self.size.leading_zeros();
        bits.div_ceil(TILE_WIDTH_BITS) as u8
    }

    /// Index and width of the partial tile of a level; its width may be 0.
    fn edge(&self, level: u8) -> (u64, u64) {
        let hashes = self.size >> (TILE_WIDTH_BITS * u32::from(level));
        (hashes / TILE_WIDTH, hashes % TILE_WIDTH)
    }

    /// A hash of a level as a tile above level 0 has it.
    fn stored(&self, level: u8, position: u64) -> Option<Hash> {
        let tile = self.upper.get(&(level, position / TILE_WIDTH))?;
        tile.get((position % TILE_WIDTH) as usize).copied()
    }

    /// Compares all sources from the signed root down, and reports where they differ.
    pub(super) fn settle(self, findings: &mut Findings) -> Settled {
        let mut levels = vec![Vec::new(), self.roots.clone()];
        while let Some(hashes) = levels.last().filter(|hashes| hashes.len() >= 256) {
            levels.push(next_level(hashes));
        }
        let mut settling = Settling {
            settled: Settled {
                roots: self.roots.clone(),
                leaves: BTreeMap::new(),
            },
            tree: &self,
            levels,
            altered: Vec::new(),
            findings,
        };
        settling.edge();
        settling.report_leaves();
        let mut settled = settling.settled;
        for (index, bundle) in &self.bundles {
            if let Some(leaves) = bundle.leaves() {
                settled
                    .leaves
                    .entry(*index)
                    .or_insert_with(|| leaves.clone());
            }
        }
        settled
    }
}

struct Settling<'a> {
    tree: &'a Tree,
    /// By level, the hashes that the level below gives.
    levels: Vec<Vec<Hash>>,
    /// Leaves whose entry is not the signed one: index, hash of the entry, signed hash.
    altered: Vec<(u64, Hash, Hash)>,
    settled: Settled,
    findings: &'a mut Findings,
}

impl Settling<'_> {
    /// What the sources give for a hash: the tile that has it, the tile below, the entries.
    fn options(&self, level: u8, position: u64) -> Options {
        let at = position as usize;
        if level == 0 {
            let bundle = self.tree.bundles.get(&(position / TILE_WIDTH));
            let offset = (position % TILE_WIDTH) as usize;
            let of = |hashes: Option<&Vec<Hash>>| hashes?.get(offset).copied();
            return vec![
                of(bundle.and_then(|bundle| bundle.tile.as_ref())),
                of(bundle.and_then(|bundle| bundle.entries.as_ref())),
            ];
        }
        let below = if level == 1 {
            let bundle = self.tree.bundles.get(&position);
            bundle.and_then(|bundle| bundle.tile.as_ref())
        } else {
            self.tree.upper.get(&(level - 1, position))
        };
        let computed = self.levels.get(usize::from(level));
        vec![
            self.tree.stored(level, position),
            below.and_then(|hashes| hash_complete(hashes)),
            computed.and_then(|hashes| hashes.get(at).copied()),
        ]
    }

    /// Settles the partial tiles, which give the signed root.
    fn edge(&mut self) {
        let mut options = Vec::new();
        let mut widths = Vec::new();
        for level in 0..self.tree.levels() {
            let (index, width) = self.tree.edge(level);
            let first = index * TILE_WIDTH;
            options.extend((first..first + width).map(|position| self.options(level, position)));
            widths.push(width as usize);
        }
        let split = |hashes: &[Hash]| {
            let mut rest = hashes;
            let mut partial = Vec::new();
            for width in &widths {
                let (tile, after) = rest.split_at_checked(*width).unwrap_or((rest, &[]));
                partial.push(tile.to_vec());
                rest = after;
            }
            partial
        };
        let signed = solve(&options, |hashes| join(&split(hashes)) == self.tree.root);
        let Some(signed) = signed else {
            // Without one of the hashes nothing can be said.
            if options
                .iter()
                .all(|options| options.iter().any(Option::is_some))
            {
                let what = "neither the entries nor the tiles give the signed root";
                self.findings
                    .add(FindingKind::RootMismatch, what, Place::Log);
            }
            return;
        };
        for (level, hashes) in (0..).zip(split(&signed)) {
            let (index, _) = self.tree.edge(level);
            if !hashes.is_empty() {
                self.tile(level, index, &hashes);
            }
        }
    }

    /// Compares a tile with its signed hashes, then what is below it.
    fn tile(&mut self, level: u8, index: u64, signed: &[Hash]) {
        let stored = if level == 0 {
            let bundle = self.tree.bundles.get(&index);
            bundle.and_then(|bundle| bundle.tile.as_ref())
        } else {
            self.tree.upper.get(&(level, index))
        };
        if stored.is_some_and(|stored| stored != signed) {
            let what = "the tile has other hashes than were signed";
            let path = TilePath {
                level: Some(level),
                index,
                width: signed.len() as u64,
            };
            self.findings
                .add(FindingKind::TileAltered, what, Place::Tile(path));
        }
        let first = index * TILE_WIDTH;
        if level > 0 {
            for (position, hash) in (first..).zip(signed) {
                self.below(level - 1, position, hash);
            }
            return;
        }
        let entries = self.tree.bundles.get(&index);
        let entries = entries.and_then(|bundle| bundle.entries.as_ref());
        for (leaf, (entry, signed)) in (first..).zip(entries.into_iter().flatten().zip(signed)) {
            if entry != signed {
                self.altered.push((leaf, *entry, *signed));
            }
        }
        self.settled.leaves.insert(index, signed.to_vec());
    }

    /// Settles a full tile whose signed hash is known.
    fn below(&mut self, level: u8, index: u64, hash: &Hash) {
        let first = index * TILE_WIDTH;
        if level == 0 {
            if let Some(root) = self.settled.roots.get_mut(index as usize) {
                *root = *hash;
            }
            let Some(bundle) = self.tree.bundles.get(&index) else {
                let root = self.tree.roots.get(index as usize);
                if root != Some(hash) {
                    self.mismatch(level, index);
                }
                return;
            };
            if bundle.leaves().is_none() {
                return;
            }
        }
        let options: Vec<Options> = (first..first + TILE_WIDTH)
            .map(|position| self.options(level, position))
            .collect();
        match solve(&options, |hashes| hash_complete(hashes) == Some(*hash)) {
            Some(signed) => self.tile(level, index, &signed),
            None => self.mismatch(level, index),
        }
    }

    fn mismatch(&mut self, level: u8, index: u64) {
        let leaves = TILE_WIDTH << (TILE_WIDTH_BITS * u32::from(level));
        let what = "neither the entries nor the tiles give the hash that was signed for them";
        let place = Place::Leaves(index * leaves, (index + 1) * leaves);
        self.findings.add(FindingKind::RootMismatch, what, place);
    }

    /// Reports the altered leaves, and which of them stand at the index of another.
    fn report_leaves(&mut self) {
        self.altered.sort_unstable_by_key(|(leaf, _, _)| *leaf);
        let signed: BTreeMap<Hash, u64> = self
            .altered
            .iter()
            .map(|(leaf, _, signed)| (*signed, *leaf))
            .collect();
        for (leaf, entry, _) in &self.altered {
            match signed.get(entry) {
                Some(other) => {
                    let what = format!("the entry of leaf {other} stands here");
                    self.findings
                        .add(FindingKind::LeafMoved, what, Place::Leaf(*leaf));
                }
                None => {
                    let what = "the entry is not the one that was signed";
                    self.findings
                        .add(FindingKind::LeafAltered, what, Place::Leaf(*leaf));
                }
            }
        }
    }
}
