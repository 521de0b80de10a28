//! The tamper-evident log: an append-only Merkle tree (RFC 6962, RFC 9162) over an entry for each
//! stored record, in the formats of the C2SP (signed-note, tlog-checkpoint, tlog-tiles,
//! tlog-proof), so that other tools verify it. The service and its verifier share this crate. It
//! does no I/O.

pub mod audit;

mod checkpoint;
mod edge;
mod entry;
mod hash;
mod note;
mod proof;
mod proof_file;
mod round;
mod tile;

pub use checkpoint::{Checkpoint, is_origin_of, origin_of};
pub use edge::{Edge, EdgeError};
pub use entry::{
    ENTRY_VERSION, Entry, Envelope, NONCE_BYTES, Nonce, OriginEntry, OriginKind,
    PreviousCheckpoint, RetentionEntry, RetentionKind, StoredEntry, commitment, digest_ids,
    entry_hash, entry_time,
};
pub use hash::{
    HASH_BYTES, Hash, from_base64, hash_empty, hash_from_base64, hash_leaf, hash_node,
    split_hashes, to_base64,
};
pub use note::{KeyError, NOTE_BYTES_MAX, NoteError, SignerKey, VerifierKey, is_key_name};
pub use proof::{verify_consistency, verify_inclusion};
pub use proof_file::{ProofError, ProofFile};
pub use round::{Extension, Head, HeadError, LogKeys, is_loggable};
pub use tile::{MissingTile, TILE_LEVEL_MAX, TILE_WIDTH, Tile, TilePath, Tiles, tile_width};
