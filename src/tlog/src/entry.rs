//! What the leaves of the log say. An entry is canonical JSON (RFC 8785) of at most 65,535 bytes.
//! PostgreSQL writes most of them (`migrations/functions_1_write.sql`).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hash::{Hash, hash_from_base64, to_base64};

/// Version of the entries. It stands for SHA-256 and for the fields of [`Entry`] and [`Envelope`].
pub const ENTRY_VERSION: u8 = 1;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// Random bytes that keep an envelope from being guessed from its commitment. They are stored with
/// the record and leave with it.
pub type Nonce = [u8; NONCE_BYTES];

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Entry {
    /// The log has a new origin or key.
    Origin(OriginEntry),
    /// A month left by retention.
    Retention(RetentionEntry),
    /// Something was stored.
    Stored(StoredEntry),
}

/// Something was stored: a record of one of the kinds, a `hold` or a `hold_release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredEntry {
    /// [`commitment`] to the envelope, in base64.
    pub commitment: String,
    /// Id of the record, or of the hold.
    pub id: i64,
    /// Kind of the record, `hold` or `hold_release`.
    pub kind: String,
    /// Month (UTC) of a record's `createdAt`, such as `2025-11`, by which retention removes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub month: Option<String>,
    /// When it was stored, in UTC with microseconds.
    pub recorded_at: String,
    /// [`ENTRY_VERSION`].
    pub version: u8,
}

/// A month of one kind was detached. It accounts for the records of that kind and month whose
/// leaves precede it and follow the previous entry of this kind and month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionEntry {
    /// [`digest_ids`] of the removed records, in base64.
    pub digest: String,
    /// `retention`.
    pub kind: RetentionKind,
    /// The month that left.
    pub month: String,
    /// The policy, such as `retention_months=12`.
    pub policy: String,
    /// Kind of the records.
    pub record_kind: String,
    /// When the month was detached, in UTC with microseconds.
    pub recorded_at: String,
    /// The database user who detached it.
    pub recorded_by: String,
    /// Number of removed records.
    pub records: u64,
    /// [`ENTRY_VERSION`].
    pub version: u8,
}

/// The log goes on under another origin or key: after the restore of a backup, a failover or a key
/// rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginEntry {
    /// The public key from here on.
    pub key: String,
    /// `origin`.
    pub kind: OriginKind,
    /// The origin from here on.
    pub origin: String,
    /// The last checkpoint before.
    pub previous: PreviousCheckpoint,
    /// When the log changed, in UTC with microseconds.
    pub recorded_at: String,
    /// [`ENTRY_VERSION`].
    pub version: u8,
}

/// The value of [`RetentionEntry::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionKind {
    /// `retention`.
    Retention,
}

/// The value of [`OriginEntry::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// `origin`.
    Origin,
}

/// A checkpoint as [`OriginEntry`] names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousCheckpoint {
    /// Its origin.
    pub origin: String,
    /// Its root, in base64.
    pub root: String,
    /// Its number of leaves.
    pub size: u64,
}

impl Entry {
    /// Parses an entry. It may have a kind or version that this crate does not know.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the canonical form.
    ///
    /// # Errors
    ///
    /// None for an entry as described here.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json_canonicalizer::to_string(self)
    }
}

impl StoredEntry {
    /// The commitment as a hash; `None` if it is none.
    pub fn commitment(&self) -> Option<Hash> {
        hash_from_base64(&self.commitment)
    }
}

/// What a record's leaf commits to beyond what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Cluster in force.
    pub cluster: String,
    /// SHA-256 of the record's canonical form, in base64.
    pub content_hash: String,
    /// The record's `correlationId`.
    pub correlation_id: String,
    /// The record's `createdAt` in UTC with microseconds.
    pub created_at: String,
    /// Who sent it; null if access control was disabled.
    pub recorded_by: Option<String>,
}

impl Envelope {
    /// Commits to this envelope.
    ///
    /// # Errors
    ///
    /// None: strings always have a canonical form.
    pub fn commitment(&self, nonce: &Nonce) -> serde_json::Result<Hash> {
        Ok(commitment(nonce, &serde_json_canonicalizer::to_vec(self)?))
    }
}

/// SHA-256 of a nonce followed by an envelope in canonical form.
pub fn commitment(nonce: &Nonce, envelope: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(nonce)
        .chain_update(envelope)
        .finalize()
        .into()
}

/// Digest of ids in ascending order: SHA-256 of the digests of blocks. A block has the ids that
/// agree in all but the last 16 bits, each as 8 bytes, the most significant first.
pub fn digest_ids(ids: impl IntoIterator<Item = i64>) -> Hash {
    const BLOCK_BITS: u32 = 16;
    let mut digest = Sha256::new();
    let mut block: Option<(i64, Sha256)> = None;
    for id in ids {
        let number = id >> BLOCK_BITS;
        let of_block = match block.take() {
            Some((last, of_block)) if last == number => of_block,
            ended => {
                if let Some((_, ended)) = ended {
                    digest.update(ended.finalize());
                }
                Sha256::new()
            }
        };
        block = Some((number, of_block.chain_update(id.to_be_bytes())));
    }
    if let Some((_, last)) = block {
        digest.update(last.finalize());
    }
    digest.finalize().into()
}

/// Writes a time as entries and envelopes have it.
pub fn entry_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Writes a hash as entries have it.
pub fn entry_hash(hash: &Hash) -> String {
    to_base64(hash)
}
