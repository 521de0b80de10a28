//! The right edge of a tree: what appending leaves needs of it.

use crate::hash::{Hash, hash_complete, hash_empty, hash_node, split_hashes};
use crate::tile::{TILE_WIDTH, TILE_WIDTH_BITS, Tile};

/// The partial tile of each level, from level 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// By level, each shorter than [`TILE_WIDTH`].
    partial: Vec<Vec<Hash>>,
    /// By level, whether hashes were added.
    changed: Vec<bool>,
    filled: Vec<Tile>,
}

/// The stored tiles are not those of a tree of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile at the edge of level {level} does not have {expected} hashes")]
pub struct EdgeError {
    /// Level of the tile.
    pub level: u8,
    /// Hashes of the partial tile in a tree of this size.
    pub expected: u64,
}

impl Edge {
    /// The edge of a tree without leaves.
    pub fn empty() -> Self {
        Self {
            size: 0,
            partial: Vec::new(),
            changed: Vec::new(),
            filled: Vec::new(),
        }
    }

    /// Reads the edge of a tree of `size` leaves; `tile` returns the bytes of a level's partial
    /// tile, which are empty if there is none.
    ///
    /// # Errors
    ///
    /// Names the first level whose tile does not have the width that the size requires.
    pub fn read<'a>(size: u64, tile: impl Fn(u8) -> &'a [u8]) -> Result<Self, EdgeError> {
        let mut edge = Self::empty();
        edge.size = size;
        let mut rest = size;
        let mut level = 0;
        while rest > 0 {
            let expected = rest % TILE_WIDTH;
            let hashes = split_hashes(tile(level))
                .filter(|hashes| hashes.len() as u64 == expected)
                .ok_or(EdgeError { level, expected })?;
            edge.partial.push(hashes);
            edge.changed.push(false);
            rest >>= TILE_WIDTH_BITS;
            level += 1;
        }
        Ok(edge)
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        join(&self.partial)
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        let mut level: u8 = 0;
        let mut end = self.size;
        loop {
            let at = usize::from(level);
            if self.partial.len() <= at {
                self.partial.push(Vec::new());
                self.changed.push(false);
            }
            let (Some(hashes), Some(changed)) =
                (self.partial.get_mut(at), self.changed.get_mut(at))
            else {
                return;
            };
            hashes.push(hash);
            *changed = true;
            end >>= TILE_WIDTH_BITS;
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let full = std::mem::take(hashes);
            *changed = false;
            let Some(root) = hash_complete(&full) else {
                return;
            };
            hash = root;
            self.filled.push(Tile {
                level,
                index: end - 1,
                hashes: full,
            });
            level += 1;
        }
    }

    /// Takes the tiles that the appended leaves filled or changed.
    pub fn take_tiles(&mut self) -> Vec<Tile> {
        let mut tiles = std::mem::take(&mut self.filled);
        let mut index = self.size;
        for ((level, hashes), changed) in (0..).zip(&self.partial).zip(&mut self.changed) {
            index >>= TILE_WIDTH_BITS;
            if std::mem::take(changed) {
                tiles.push(Tile {
                    level,
                    index,
                    hashes: hashes.clone(),
                });
            }
        }
        tiles
    }
}

/// Root of the tree with these partial tiles, from level 0.
pub(crate) fn join(partial: &[Vec<Hash>]) -> Hash {
    // From the right: each part is a complete subtree to the left of what is joined already.
    let mut root = None;
    for hashes in partial {
        let mut end = hashes.len();
        while end > 0 {
            // The rightmost complete subtree has as many hashes as the lowest bit says.
            let begin = end & (end - 1);
            let part = hashes.get(begin..end).and_then(hash_complete);
            root = match (part, root) {
                (Some(left), Some(right)) => Some(hash_node(&left, &right)),
                (part, root) => part.or(root),
            };
            end = begin;
        }
    }
    root.unwrap_or_else(hash_empty)
}
