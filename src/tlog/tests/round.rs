//! Rounds: how the log grows.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tlog::{
    Checkpoint, Edge, EdgeError, Entry, Extension, Head, HeadError, LogKeys, NoteError, SignerKey,
    Tile, hash_empty, hash_leaf,
};

const NAME: &str = "example.com/log";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_762_077_600, 123_456_789).unwrap()
}

fn keys(seed: u8, previous: Option<u8>) -> LogKeys {
    let signer = |seed| SignerKey::from_seed(NAME, &[seed; 32]);
    LogKeys {
        signer: signer(seed),
        previous: previous.map(|seed| signer(seed).verifier()),
    }
}

/// What a database keeps of the end of the log.
#[derive(Default)]
struct Stored {
    checkpoint: Option<String>,
    edge: Vec<Vec<u8>>,
    /// All entries, and all tiles that were stored.
    entries: Vec<String>,
    tiles: Vec<Tile>,
}

impl Stored {
    fn extend(
        &self,
        keys: &LogKeys,
        incarnation: &str,
        entries: &[String],
    ) -> Result<Option<Extension>, HeadError> {
        let head = Head {
            checkpoint: self.checkpoint.as_deref(),
            edge: self.edge.clone(),
            incarnation,
            draw: 0xd1,
        };
        head.extend(keys, entries.iter().map(String::as_str), now())
    }

    fn grow(&mut self, keys: &LogKeys, incarnation: &str, entries: &[String]) -> Extension {
        let extension = self.extend(keys, incarnation, entries).unwrap().unwrap();
        self.entries.extend(extension.origin_entry.clone());
        self.entries.extend_from_slice(entries);
        for tile in &extension.tiles {
            let level = usize::from(tile.level);
            self.edge.resize(self.edge.len().max(level + 1), Vec::new());
            self.edge[level] = match tile.hashes.len() {
                256 => Vec::new(),
                _ => tile.hashes.concat(),
            };
        }
        self.tiles.extend(extension.tiles.clone());
        self.checkpoint = Some(extension.checkpoint.clone());
        extension
    }

    fn opened(&self, keys: &LogKeys) -> Checkpoint {
        Checkpoint::open(self.checkpoint.as_ref().unwrap(), &keys.signer.verifier()).unwrap()
    }

    fn assert_equals_a_tree_built_at_once(&self, keys: &LogKeys) {
        let mut edge = Edge::empty();
        for entry in &self.entries {
            edge.push(hash_leaf(entry.as_bytes()));
        }
        let checkpoint = self.opened(keys);
        assert_eq!(
            (checkpoint.size, checkpoint.root),
            (edge.size(), edge.root())
        );
        for tile in edge.take_tiles() {
            assert!(self.tiles.contains(&tile), "{} {}", tile.level, tile.index);
        }
    }
}

fn entries(count: usize) -> Vec<String> {
    (0..count).map(|entry| format!("entry {entry}")).collect()
}

#[test]
fn the_first_round_signs_even_an_empty_log() {
    let keys = keys(1, None);
    let mut stored = Stored::default();
    let extension = stored.grow(&keys, "7-1-5", &[]);
    assert_eq!((extension.size, extension.tiles.len()), (0, 0));
    assert_eq!(extension.origin_entry, None);
    let checkpoint = stored.opened(&keys);
    assert_eq!((checkpoint.size, checkpoint.root), (0, hash_empty()));
    assert_eq!(checkpoint.origin, "example.com/log/7-1-5-000000d1");
}

#[test]
fn a_round_without_entries_changes_nothing() {
    let keys = keys(1, None);
    for count in [0, 3] {
        let mut stored = Stored::default();
        stored.grow(&keys, "7-1-5", &entries(count));
        assert_eq!(stored.extend(&keys, "7-1-5", &[]), Ok(None));
    }
}

#[test]
fn a_new_incarnation_or_key_begins_with_an_origin_entry() {
    for (key, incarnation) in [(keys(1, None), "7-2-5"), (keys(2, Some(1)), "7-1-5")] {
        for new in [0, 4] {
            let mut stored = Stored::default();
            stored.grow(&keys(1, None), "7-1-5", &entries(300));
            let before = stored.opened(&keys(1, None));
            let extension = stored.grow(&key, incarnation, &entries(new));
            let Some(Entry::Origin(entry)) =
                extension.origin_entry.as_deref().and_then(Entry::parse)
            else {
                panic!("no origin entry")
            };
            let origin = format!("{NAME}/{incarnation}-000000d1");
            assert_eq!(entry.key, key.signer.verifier().named(&origin).to_string());
            assert_eq!(entry.origin, origin);
            assert_eq!(entry.previous.origin, before.origin);
            assert_eq!(entry.previous.size, 300);
            assert_eq!(entry.previous.root, tlog::entry_hash(&before.root));
            assert_eq!(entry.recorded_at, "2025-11-02T10:00:00.123456Z");
            assert_eq!(
                (extension.old_size, extension.size),
                (300, 301 + new as u64)
            );
            stored.assert_equals_a_tree_built_at_once(&key);
            assert_eq!(stored.extend(&key, incarnation, &[]), Ok(None));
        }
    }
}

#[test]
fn another_key_is_refused_unless_it_is_the_previous_one() {
    let mut stored = Stored::default();
    stored.grow(&keys(1, None), "7-1-5", &entries(3));
    for other in [keys(2, None), keys(2, Some(3))] {
        let error = stored.extend(&other, "7-1-5", &entries(1)).unwrap_err();
        assert_eq!(error, HeadError::Checkpoint(NoteError::OtherKey));
    }
}

#[test]
fn a_damaged_end_of_the_log_is_refused() {
    let keys = keys(1, None);
    let stored = || {
        let mut stored = Stored::default();
        stored.grow(&keys, "7-1-5", &entries(300));
        stored
    };
    let refused = |stored: Stored| stored.extend(&keys, "7-1-5", &entries(1)).unwrap_err();

    let mut damaged = stored();
    damaged.edge[0][40] ^= 1;
    assert_eq!(refused(damaged), HeadError::Root);
    let mut damaged = stored();
    damaged.edge[1][0] ^= 1;
    assert_eq!(refused(damaged), HeadError::Root);

    let width = HeadError::Edge(EdgeError {
        level: 0,
        expected: 44,
    });
    let mut short = stored();
    short.edge[0].truncate(43 * 32);
    assert_eq!(refused(short), width);
    let mut wide = stored();
    wide.edge[0].extend([0; 32]);
    assert_eq!(refused(wide), width);
    let mut cut = stored();
    cut.edge[0].pop();
    assert_eq!(refused(cut), width);
    let mut missing = stored();
    missing.edge.pop();
    assert_eq!(
        refused(missing),
        HeadError::Edge(EdgeError {
            level: 1,
            expected: 1
        })
    );
}

#[test]
fn another_checkpoint_is_refused() {
    let keys = keys(1, None);
    let mut stored = Stored::default();
    stored.grow(&keys, "7-1-5", &entries(3));
    let signed = stored.checkpoint.clone().unwrap();
    let refused = |stored: &Stored| stored.extend(&keys, "7-1-5", &entries(1)).unwrap_err();

    // An older one, and one of another log with the same key.
    let mut older = Stored::default();
    older.grow(&keys, "7-1-5", &entries(2));
    stored.checkpoint = older.checkpoint;
    assert_eq!(
        refused(&stored),
        HeadError::Edge(EdgeError {
            level: 0,
            expected: 2
        })
    );
    let mut other = Stored::default();
    other.grow(
        &keys,
        "7-1-5",
        &["a".to_owned(), "b".to_owned(), "c".to_owned()],
    );
    stored.checkpoint = other.checkpoint;
    assert_eq!(refused(&stored), HeadError::Root);

    stored.checkpoint = Some(signed.replace("\n3\n", "\n4\n"));
    assert_eq!(
        refused(&stored),
        HeadError::Checkpoint(NoteError::Signature)
    );
    stored.checkpoint = Some("x".to_owned());
    assert_eq!(refused(&stored), HeadError::Checkpoint(NoteError::Form));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_log_that_grew_in_rounds_equals_one_built_at_once(
        rounds in prop::collection::vec((1usize..300, any::<prop::sample::Index>()), 1..8),
    ) {
        let keys = keys(1, None);
        let mut stored = Stored::default();
        for (count, incarnation) in rounds {
            let incarnation = ["7-1-5", "7-2-5"][incarnation.index(2)];
            stored.grow(&keys, incarnation, &entries(count));
            stored.assert_equals_a_tree_built_at_once(&keys);
        }
    }
}
