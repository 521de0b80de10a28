//! A round: extends the log by pending entries and signs a checkpoint.

use chrono::{DateTime, Utc};

use crate::audit::read_entry;
use crate::checkpoint::{Checkpoint, is_origin_in, origin_of};
use crate::edge::{Edge, EdgeError};
use crate::entry::{
    ENTRY_VERSION, Entry, OriginEntry, OriginKind, PreviousCheckpoint, entry_hash, entry_time,
};
use crate::hash::hash_leaf;
use crate::note::{NoteError, SignerKey, VerifierKey};
use crate::tile::Tile;

/// The keys of a log.
#[derive(Debug)]
pub struct LogKeys {
    /// Signs the checkpoints.
    pub signer: SignerKey,
    /// The public key before the last rotation, accepted on the stored checkpoint.
    pub previous: Option<VerifierKey>,
}

/// The stored end of the log.
#[derive(Debug)]
pub struct Head<'a> {
    /// The last signed checkpoint; `None` before the first.
    pub checkpoint: Option<&'a str>,
    /// Bytes of the partial tile of each level, from level 0; empty where there is none.
    pub edge: Vec<Vec<u8>>,
    /// Names the database's incarnation, which changes with a restore or failover.
    pub incarnation: &'a str,
    /// Random, for a new origin: two databases may take the same incarnation for theirs.
    pub draw: u32,
}

/// Whether an entry may be added to the log: one that verifiers can read, and no `origin` entry,
/// which only a round writes.
pub fn is_loggable(entry: &str) -> bool {
    matches!(
        read_entry(entry.as_bytes()),
        Some(Entry::Stored(_) | Entry::Retention(_))
    )
}

/// What a round adds.
#[derive(Debug, PartialEq, Eq)]
pub struct Extension {
    /// Number of leaves before.
    pub old_size: u64,
    /// An entry that precedes the pending ones, if the log's origin or key changes.
    pub origin_entry: Option<String>,
    /// Tiles that are new or wider.
    pub tiles: Vec<Tile>,
    /// Number of leaves after.
    pub size: u64,
    /// The new checkpoint.
    pub checkpoint: String,
}

/// Why the log cannot be extended: its stored end is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The checkpoint is not accepted.
    #[error("the stored checkpoint: {0}")]
    Checkpoint(NoteError),
    /// A tile is damaged.
    #[error("the stored tiles: {0}")]
    Edge(EdgeError),
    /// The tiles are not those of the checkpoint.
    #[error("the stored tiles do not give the root of the stored checkpoint")]
    Root,
    /// An entry cannot be written.
    #[error("an entry cannot be written")]
    Entry,
}

impl Head<'_> {
    /// Checks the stored end of the log and appends [loggable](is_loggable) entries. Returns `None` if there is
    /// nothing to append and a valid checkpoint of this origin and key.
    ///
    /// # Errors
    ///
    /// The stored end of the log is damaged.
    pub fn extend<'e>(
        &self,
        keys: &LogKeys,
        entries: impl IntoIterator<Item = &'e str>,
        now: DateTime<Utc>,
    ) -> Result<Option<Extension>, HeadError> {
        let name = keys.signer.name();
        let mut origin = origin_of(name, self.incarnation, self.draw);
        let key = keys.signer.verifier();
        let (mut edge, previous) = match self.checkpoint {
            None => (Edge::empty(), None),
            Some(note) => {
                let (checkpoint, is_own_key) = open(note, keys)?;
                let tile = |level| {
                    self.edge
                        .get(usize::from(level))
                        .map_or(&[][..], Vec::as_slice)
                };
                let edge = Edge::read(checkpoint.size, tile).map_err(HeadError::Edge)?;
                if edge.root() != checkpoint.root {
                    return Err(HeadError::Root);
                }
                let is_same_origin = is_origin_in(&checkpoint.origin, name, self.incarnation);
                if is_same_origin {
                    origin.clone_from(&checkpoint.origin);
                }
                let is_same = is_own_key && is_same_origin;
                (edge, Some((checkpoint, is_same)))
            }
        };
        let old_size = edge.size();
        let mut origin_entry = None;
        let mut is_current = false;
        match previous {
            None => {}
            Some((_, true)) => is_current = true,
            Some((checkpoint, false)) => {
                let entry = Entry::Origin(OriginEntry {
                    key: key.named(&origin).to_string(),
                    kind: OriginKind::Origin,
                    origin: origin.clone(),
                    previous: PreviousCheckpoint {
                        origin: checkpoint.origin,
                        root: entry_hash(&checkpoint.root),
                        size: checkpoint.size,
                    },
                    recorded_at: entry_time(now),
                    version: ENTRY_VERSION,
                });
                let entry = entry.to_text().map_err(|_| HeadError::Entry)?;
                edge.push(hash_leaf(entry.as_bytes()));
                origin_entry = Some(entry);
            }
        }
        for entry in entries {
            edge.push(hash_leaf(entry.as_bytes()));
        }
        if is_current && edge.size() == old_size {
            return Ok(None);
        }
        let tiles = edge.take_tiles();
        let checkpoint = Checkpoint {
            origin,
            size: edge.size(),
            root: edge.root(),
        };
        Ok(Some(Extension {
            old_size,
            origin_entry,
            tiles,
            size: checkpoint.size,
            checkpoint: checkpoint.sign(&keys.signer),
        }))
    }
}

/// Opens the stored checkpoint with the signing key or the previous one, and says whether it was
/// the signing key.
fn open(note: &str, keys: &LogKeys) -> Result<(Checkpoint, bool), HeadError> {
    let error = match Checkpoint::open(note, &keys.signer.verifier()) {
        Ok(checkpoint) => return Ok((checkpoint, true)),
        Err(error) => error,
    };
    match (&keys.previous, error) {
        (Some(previous), NoteError::OtherKey) => Checkpoint::open(note, previous)
            .map(|checkpoint| (checkpoint, false))
            .map_err(HeadError::Checkpoint),
        (_, error) => Err(HeadError::Checkpoint(error)),
    }
}
