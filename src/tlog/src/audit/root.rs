//! What the tree turned out to be.

use std::collections::BTreeMap;

use crate::edge::join;
use crate::hash::Hash;
use crate::hash::hash_complete;
use crate::tile::{TILE_WIDTH, TILE_WIDTH_BITS};

/// The hashes of the tree after all sources were compared.
#[derive(Debug)]
pub(super) struct Settled {
    /// Roots of the full bundles.
    pub(super) roots: Vec<Hash>,
    /// Leaves of some bundles, among them the partial one.
    pub(super) leaves: BTreeMap<u64, Vec<Hash>>,
}

impl Settled {
    /// Root of the first `size` leaves; `None` if their bundle's leaves were not kept.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        let bundle = size / TILE_WIDTH;
        let rest = (size % TILE_WIDTH) as usize;
        let roots = self.roots.get(..bundle as usize)?;
        let tail = match rest {
            0 => &[][..],
            rest => self.leaves.get(&bundle)?.get(..rest)?,
        };
        Some(root_of(roots, tail))
    }
}

/// Root of the tree with full bundles of these roots, and more leaves.
pub(super) fn root_of(roots: &[Hash], tail: &[Hash]) -> Hash {
    join(&partial_tiles(roots, tail))
}

/// The partial tiles of the tree with full bundles of these roots, and more leaves.
pub(super) fn partial_tiles(roots: &[Hash], tail: &[Hash]) -> Vec<Vec<Hash>> {
    let mut partial = vec![tail.to_vec()];
    let mut hashes = roots.to_vec();
    while !hashes.is_empty() {
        let full = hashes.len() >> TILE_WIDTH_BITS << TILE_WIDTH_BITS;
        partial.push(hashes.split_off(full));
        hashes = next_level(&hashes);
    }
    partial
}

/// The hashes over each full tile of these.
pub(super) fn next_level(hashes: &[Hash]) -> Vec<Hash> {
    hashes
        .chunks_exact(TILE_WIDTH as usize)
        .filter_map(hash_complete)
        .collect()
}
