//! Proofs of inclusion and consistency (RFC 9162, section 2.1).

use crate::hash::{Hash, hash_empty, hash_node};
use crate::tile::{MissingTile, Tiles, split};

impl Tiles {
    /// Proof that the leaf `index` is in the tree of `size` leaves: the sibling hashes from the leaf
    /// up. The index must be below the size.
    ///
    /// # Errors
    ///
    /// Names a tile that is missing.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, MissingTile> {
        let (mut begin, mut end) = (0, size);
        let mut proof = Vec::new();
        while end.saturating_sub(begin) > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                proof.push(self.subtree(middle, end)?);
                end = middle;
            } else {
                proof.push(self.subtree(begin, middle)?);
                begin = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// Proof that the tree of `size` leaves begins with the tree of `old_size` leaves, which is at
    /// most `size`. Empty if `old_size` is 0 or `size`.
    ///
    /// # Errors
    ///
    /// Names a tile that is missing.
    pub fn consistency(&self, old_size: u64, size: u64) -> Result<Vec<Hash>, MissingTile> {
        let mut proof = Vec::new();
        if old_size == 0 || old_size >= size {
            return Ok(proof);
        }
        let (mut begin, mut end) = (0, size);
        while end != old_size {
            let middle = begin + split(end - begin);
            if old_size <= middle {
                proof.push(self.subtree(middle, end)?);
                end = middle;
            } else {
                proof.push(self.subtree(begin, middle)?);
                begin = middle;
            }
        }
        // A verifier knows the old root itself.
        if begin > 0 {
            proof.push(self.subtree(begin, end)?);
        }
        proof.reverse();
        Ok(proof)
    }
}

/// Whether a proof leads from the leaf `index` to the root of a tree of `size` leaves (RFC 9162,
/// section 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = hash_node(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash_node(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether a proof leads from the root of a tree of `old_size` leaves to that of `size` leaves (RFC
/// 9162, section 2.1.4.2). The empty tree is the beginning of every tree.
pub fn verify_consistency(
    old_size: u64,
    size: u64,
    proof: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> bool {
    if old_size == 0 {
        return proof.is_empty() && *old_root == hash_empty();
    }
    if old_size >= size {
        return old_size == size && proof.is_empty() && old_root == root;
    }
    let mut proof = proof.iter();
    let first = if old_size.is_power_of_two() {
        old_root
    } else {
        match proof.next() {
            Some(first) => first,
            None => return false,
        }
    };
    let (mut node, mut last) = (old_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = hash_node(sibling, &old_hash);
            hash = hash_node(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash_node(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}
