//! Roots and proofs against an independent implementation.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use tlog::{
    Edge, EdgeError, Hash, Tile, Tiles, hash_leaf, tile_width, verify_consistency, verify_inclusion,
};

type Reference = MemoryBackedTree<Sha256, [u8; 8]>;

fn leaf(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn insert(tiles: &mut Tiles, new: Vec<Tile>) {
    for tile in new {
        tiles.insert(tile.level, tile.index, tile.hashes);
    }
}

/// Tiles of a log that grew in batches, with its edge read back between them.
fn grown(batches: &[u64]) -> (Tiles, Edge) {
    let mut tiles = Tiles::default();
    let mut stored: Vec<Vec<u8>> = Vec::new();
    let mut size = 0;
    let mut edge = Edge::empty();
    for batch in batches {
        edge = Edge::read(size, |level| {
            stored
                .get(usize::from(level))
                .map_or(&[][..], Vec::as_slice)
        })
        .unwrap();
        for index in size..size + batch {
            edge.push(hash_leaf(&leaf(index)));
        }
        size += batch;
        let new = edge.take_tiles();
        for tile in &new {
            let level = usize::from(tile.level);
            stored.resize(stored.len().max(level + 1), Vec::new());
            stored[level] = match tile.hashes.len() {
                256 => Vec::new(),
                _ => tile.hashes.concat(),
            };
        }
        insert(&mut tiles, new);
    }
    (tiles, edge)
}

fn reference(size: u64) -> Reference {
    let mut tree = Reference::new();
    for index in 0..size {
        tree.push(leaf(index));
    }
    tree
}

fn root(tree: &Reference) -> Hash {
    (*tree.root().as_bytes()).into()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    tlog::split_hashes(bytes).unwrap()
}

/// Checks root, inclusion and consistency of one log.
fn check(batches: &[u64], indices: &[u64]) {
    let (tiles, edge) = grown(batches);
    let size = edge.size();
    let tree = reference(size);
    let expected = root(&tree);
    assert_eq!(edge.root(), expected);
    assert_eq!(tiles.subtree(0, size).unwrap(), expected);
    for index in indices {
        let index = index % size;
        let proof = tiles.inclusion(index, size).unwrap();
        assert_eq!(
            proof,
            hashes(tree.prove_inclusion(index as usize).as_bytes())
        );
        assert!(verify_inclusion(
            &hash_leaf(&leaf(index)),
            index,
            size,
            &proof,
            &expected
        ));
        let reference_proof = InclusionProof::<Sha256>::from_bytes(proof.concat());
        tree.root()
            .verify_inclusion(&leaf(index), index, &reference_proof)
            .unwrap();

        let old = index + 1;
        let old_root = tiles.subtree(0, old).unwrap();
        let proof = tiles.consistency(old, size).unwrap();
        assert_eq!(
            proof,
            hashes(tree.prove_consistency((size - old) as usize).as_bytes())
        );
        assert!(verify_consistency(old, size, &proof, &old_root, &expected));
        let reference_proof = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
        let old_root = RootHash::new(old_root.into(), old);
        tree.root()
            .verify_consistency(&old_root, &reference_proof)
            .unwrap();
    }
}

#[test]
fn logs_around_a_full_tile_are_those_of_the_reference() {
    for size in [1, 2, 3, 254, 255, 256, 257, 511, 512, 513] {
        check(&[size], &[0, 1, 2, 127, 128, 254, 255, 256, 510, 511, 512]);
        check(&[1, size], &[0, 255, 256, 511]);
        check(&vec![1; size as usize], &[0, 128, 255, 256]);
    }
}

#[test]
fn logs_around_a_full_tile_of_the_second_level_are_those_of_the_reference() {
    for batches in [&[65_536][..], &[65_537], &[65_535, 1, 1], &[60_000, 6_000]] {
        check(
            batches,
            &[0, 255, 256, 65_279, 65_280, 65_534, 65_535, 65_536],
        );
    }
}

#[test]
fn every_small_log_has_the_proofs_of_the_reference() {
    for size in 1..=33 {
        check(&[size], &(0..size).collect::<Vec<_>>());
    }
}

#[test]
fn an_empty_log_has_the_root_of_nothing() {
    assert_eq!(Edge::empty().root(), root(&reference(0)));
    assert_eq!(Tiles::default().subtree(0, 0).unwrap(), tlog::hash_empty());
    assert_eq!(
        Tiles::default().consistency(0, 0).unwrap(),
        Vec::<Hash>::new()
    );
}

#[test]
fn the_empty_log_is_the_beginning_of_every_log() {
    let (_, edge) = grown(&[5]);
    let empty = tlog::hash_empty();
    assert!(verify_consistency(0, 5, &[], &empty, &edge.root()));
    assert!(verify_consistency(0, 0, &[], &empty, &empty));
    assert!(!verify_consistency(0, 5, &[empty], &empty, &edge.root()));
    assert!(!verify_consistency(0, 5, &[], &edge.root(), &edge.root()));
}

#[test]
fn a_missing_tile_is_named() {
    let missing = Tiles::default().inclusion(3, 600).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the tile 2 of level 0 is missing or too short"
    );
}

#[test]
fn an_edge_refuses_tiles_of_another_width() {
    let read = |size, widths: &[usize]| {
        let tiles: Vec<Vec<u8>> = widths.iter().map(|width| vec![0; width * 32]).collect();
        Edge::read(size, |level| {
            tiles.get(usize::from(level)).map_or(&[][..], Vec::as_slice)
        })
        .map(|edge| edge.size())
    };
    assert_eq!(read(300, &[44, 1]), Ok(300));
    assert_eq!(
        read(300, &[43, 1]),
        Err(EdgeError {
            level: 0,
            expected: 44
        })
    );
    assert_eq!(
        read(300, &[45, 1]),
        Err(EdgeError {
            level: 0,
            expected: 44
        })
    );
    assert_eq!(
        read(300, &[44]),
        Err(EdgeError {
            level: 1,
            expected: 1
        })
    );
    assert_eq!(read(256, &[0, 1]), Ok(256));
    assert_eq!(
        Edge::read(1, |_| &[0; 31]),
        Err(EdgeError {
            level: 0,
            expected: 1
        })
    );
}

#[test]
fn tiles_are_as_wide_as_the_size_says() {
    for (size, level, index, width) in [
        (0, 0, 0, 0),
        (1, 0, 0, 1),
        (255, 0, 0, 255),
        (256, 0, 0, 256),
        (256, 0, 1, 0),
        (256, 1, 0, 1),
        (65_536, 1, 0, 256),
        (65_535, 1, 0, 255),
        (65_536, 2, 0, 1),
        (u64::MAX, 63, 0, 0),
    ] {
        assert_eq!(
            tile_width(size, level, index),
            width,
            "{size} {level} {index}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn logs_of_random_batches_are_those_of_the_reference(
        batches in prop::collection::vec(1u64..400, 1..8), indices in prop::array::uniform4(any::<u64>()),
    ) {
        check(&batches, &indices);
    }

    #[test]
    fn a_proof_of_inclusion_of_anything_else_is_refused(
        size in 2u64..600, index in any::<u64>(), other in any::<u64>(), bit in any::<prop::sample::Index>(),
    ) {
        let (tiles, edge) = grown(&[size]);
        let (index, root) = (index % size, edge.root());
        let hash = hash_leaf(&leaf(index));
        let proof = tiles.inclusion(index, size).unwrap();
        prop_assert!(verify_inclusion(&hash, index, size, &proof, &root));
        let flip = |hash: &Hash, bit: usize| { let mut hash = *hash; hash[bit / 8 % 32] ^= 1 << (bit % 8); hash };
        let bit = bit.index(proof.len() * 256);
        let mut altered = proof.clone();
        altered[bit / 256] = flip(&altered[bit / 256], bit % 256);
        prop_assert!(!verify_inclusion(&hash, index, size, &altered, &root));
        prop_assert!(!verify_inclusion(&flip(&hash, bit % 256), index, size, &proof, &root));
        prop_assert!(!verify_inclusion(&hash, index, size, &proof, &flip(&root, bit % 256)));
        prop_assert!(!verify_inclusion(&hash, index, size, &proof[1..], &root));
        prop_assert!(!verify_inclusion(&hash, index, size, &proof[..proof.len() - 1], &root));
        prop_assert!(!verify_inclusion(&hash, index, size, &[&proof[..], &[root]].concat(), &root));
        let other = other % (size + 2);
        prop_assert_eq!(verify_inclusion(&hash, other, size, &proof, &root), other == index);
        prop_assert!(!verify_inclusion(&hash, index, 0, &proof, &root));
    }

    #[test]
    fn a_proof_of_consistency_of_anything_else_is_refused(
        size in 2u64..600, old in any::<u64>(), bit in any::<prop::sample::Index>(),
    ) {
        let (tiles, edge) = grown(&[size]);
        let (old, root) = (1 + old % (size - 1), edge.root());
        let old_root = tiles.subtree(0, old).unwrap();
        let proof = tiles.consistency(old, size).unwrap();
        prop_assert!(verify_consistency(old, size, &proof, &old_root, &root));
        let bit = bit.index(proof.len() * 256);
        let flip = |hash: &Hash| { let mut hash = *hash; hash[bit % 256 / 8] ^= 1 << (bit % 8); hash };
        let mut altered = proof.clone();
        altered[bit / 256] = flip(&altered[bit / 256]);
        prop_assert!(!verify_consistency(old, size, &altered, &old_root, &root));
        prop_assert!(!verify_consistency(old, size, &proof, &flip(&old_root), &root));
        prop_assert!(!verify_consistency(old, size, &proof, &old_root, &flip(&root)));
        prop_assert!(!verify_consistency(old, size, &proof[1..], &old_root, &root));
        prop_assert!(!verify_consistency(old, size, &proof[..proof.len() - 1], &old_root, &root));
        prop_assert!(!verify_consistency(old, size, &[&proof[..], &[root]].concat(), &old_root, &root));
        prop_assert!(!verify_consistency(size, old, &proof, &root, &old_root));
        prop_assert!(!verify_consistency(size, size, &proof, &root, &root));
        prop_assert!(verify_consistency(size, size, &[], &root, &root));
    }
}
