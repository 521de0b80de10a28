//! Hashes of a Merkle tree (RFC 6962, section 2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256.
pub type Hash = [u8; HASH_BYTES];

/// Keeps leaves and nodes apart, so that neither passes for the other.
const LEAF_PREFIX: [u8; 1] = [0];
const NODE_PREFIX: [u8; 1] = [1];

/// Hash of a leaf with this entry.
pub fn hash_leaf(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(LEAF_PREFIX)
        .chain_update(entry)
        .finalize()
        .into()
}

/// Hash of a node with these children.
pub fn hash_node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update(NODE_PREFIX)
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// Root of a tree without leaves.
pub fn hash_empty() -> Hash {
    Sha256::digest([]).into()
}

/// Root of the complete tree over these hashes, whose number is a power of two.
pub(crate) fn hash_complete(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(hash_node(left, right)),
                _ => None,
            })
            .collect();
    }
    level.first().copied()
}

/// Splits bytes into hashes; `None` if a hash is incomplete.
pub fn split_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let chunks = bytes.chunks_exact(HASH_BYTES);
    if !chunks.remainder().is_empty() {
        return None;
    }
    Some(chunks.filter_map(|chunk| chunk.try_into().ok()).collect())
}

/// Writes bytes in base64 (RFC 4648, section 4).
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 with padding.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Reads a hash in base64.
pub fn hash_from_base64(text: &str) -> Option<Hash> {
    from_base64(text)?.try_into().ok()
}
