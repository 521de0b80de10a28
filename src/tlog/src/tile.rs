//! Tiles: 256 consecutive hashes of every eighth level (c2sp.org/tlog-tiles).

use std::collections::BTreeMap;
use std::fmt;

use crate::hash::{Hash, hash_complete, hash_node};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Levels of the tree that a tile spans.
pub(crate) const TILE_WIDTH_BITS: u32 = 8;

/// Highest level of a tile in a tree of up to 2^56 leaves, more than the log can have.
pub const TILE_LEVEL_MAX: u8 = 6;

/// A tile, possibly partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Level, from 0 at the leaves.
    pub level: u8,
    /// Index within the level.
    pub index: u64,
    /// 1 to [`TILE_WIDTH`] hashes.
    pub hashes: Vec<Hash>,
}

/// What a path under `tile/` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePath {
    /// Level of a tile; `None` for a bundle of entries.
    pub level: Option<u8>,
    /// Index within the level.
    pub index: u64,
    /// Number of hashes or entries, 1 to [`TILE_WIDTH`].
    pub width: u64,
}

impl TilePath {
    /// Parses what follows `tile/`, such as `0/x001/067.p/3` or `entries/000`.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, path) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            level => Some(parse_decimal(level).filter(|level| *level < 64)? as u8),
        };
        let (path, width) = match path.split_once(".p/") {
            Some((path, width)) => {
                let width = parse_decimal(width).filter(|width| (1..TILE_WIDTH).contains(width));
                (path, width?)
            }
            None => (path, TILE_WIDTH),
        };
        let mut elements = path.split('/').rev();
        let mut index = parse_element(elements.next()?)?;
        let mut unit: u64 = 1;
        for element in elements {
            unit = unit.checked_mul(1000)?;
            let element = parse_element(element.strip_prefix('x')?)?;
            index = element.checked_mul(unit)?.checked_add(index)?;
        }
        let parsed = Self {
            level,
            index,
            width,
        };
        // A tile has one path: no leading elements of zeros.
        (parsed.to_string().split_once('/')?.1.split(".p/").next() == Some(path)).then_some(parsed)
    }
}

impl fmt::Display for TilePath {
    /// Writes what follows `tile/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{level}/")?,
            None => f.write_str("entries/")?,
        }
        let mut elements = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            elements.push(rest % 1000);
            rest /= 1000;
        }
        let (last, leading) = elements.split_first().unwrap_or((&0, &[]));
        for element in leading.iter().rev() {
            write!(f, "x{element:03}/")?;
        }
        write!(f, "{last:03}")?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Reads ASCII digits without leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_digits).then(|| text.parse().ok())?
}

fn parse_element(text: &str) -> Option<u64> {
    (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Number of hashes of a tile in a tree of `size` leaves; 0 if the tree does not have the tile.
pub fn tile_width(size: u64, level: u8, index: u64) -> u64 {
    let hashes = size
        .checked_shr(TILE_WIDTH_BITS * u32::from(level))
        .unwrap_or(0);
    hashes
        .saturating_sub(index.saturating_mul(TILE_WIDTH))
        .min(TILE_WIDTH)
}

/// A tile that a proof needs is missing or too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile {index} of level {level} is missing or too short")]
pub struct MissingTile {
    /// Level of the tile.
    pub level: u8,
    /// Index within the level.
    pub index: u64,
}

/// Some tiles of a tree, from which hashes and proofs are made.
#[derive(Clone, Debug, Default)]
pub struct Tiles(BTreeMap<(u8, u64), Vec<Hash>>);

impl Tiles {
    /// Adds a tile.
    pub fn insert(&mut self, level: u8, index: u64, hashes: Vec<Hash>) {
        self.0.insert((level, index), hashes);
    }

    /// Root of the subtree over the leaves `begin..end`, as RFC 6962 divides them.
    ///
    /// # Errors
    ///
    /// Names a tile that is missing.
    pub fn subtree(&self, begin: u64, end: u64) -> Result<Hash, MissingTile> {
        let leaves = end.saturating_sub(begin);
        if leaves.is_power_of_two() && begin.is_multiple_of(leaves) {
            return self.complete(begin, leaves.trailing_zeros());
        }
        if leaves == 0 {
            return Ok(crate::hash::hash_empty());
        }
        let middle = begin + split(leaves);
        Ok(hash_node(
            &self.subtree(begin, middle)?,
            &self.subtree(middle, end)?,
        ))
    }

    /// Root of the complete subtree of `height` that begins at a leaf.
    fn complete(&self, begin: u64, height: u32) -> Result<Hash, MissingTile> {
        let level = height / TILE_WIDTH_BITS;
        let first = begin >> (level * TILE_WIDTH_BITS);
        let index = first / TILE_WIDTH;
        let offset = (first % TILE_WIDTH) as usize;
        let count = 1 << (height % TILE_WIDTH_BITS);
        let level = level as u8;
        self.0
            .get(&(level, index))
            .and_then(|hashes| hashes.get(offset..offset + count))
            .and_then(hash_complete)
            .ok_or(MissingTile { level, index })
    }
}

/// The largest power of two below `leaves`, which is at least 2: the leaves of the left subtree.
pub(crate) fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}
