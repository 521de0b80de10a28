//! The tamper-evident log: rounds, checkpoints, proofs, tiles.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use spin_sdk::pg4::ParameterValue;
use tlog::{
    Checkpoint, Extension, Hash, Head, HeadError, LogKeys, NONCE_BYTES, Nonce, ProofFile, TilePath,
    Tiles, from_base64, is_loggable, split_hashes, to_base64,
};

use crate::connection::{Database, Row, Session};
use crate::error::{Cause, StoreError};
use crate::parameter::{optional_text, text};

/// Entries that a round adds at most: 32 full tiles.
const ROUND_ENTRIES_MAX: i64 = 8192;

/// Rounds that one request runs at most while entries are pending.
const ROUNDS_MAX: u32 = 16;

/// How often a waiting write looks for its leaf.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// Pending entries are counted up to this number.
pub(crate) const LOG_PENDING_MAX: i64 = 100_000;

const BEGIN_LOG_ROUND: &str = "SELECT * FROM begin_log_round($1)";

const FINISH_LOG_ROUND: &str = "SELECT finish_log_round($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const CLAIM_LOG_ROUND: &str = "SELECT claim_log_round()";

const FIND_LOG_PROOF: &str = "SELECT * FROM find_log_proof($1)";

const FIND_LOG_CONSISTENCY: &str = "SELECT * FROM find_log_consistency($1)";

const FIND_LOG_TILE: &str = "SELECT find_log_tile($1, $2, $3)";

const FIND_LOG_ENTRIES: &str = "SELECT find_log_entries($1, $2)";

const READ_LOG_STATUS: &str = "SELECT * FROM log_status($1)";

const ROUND: &str = "run a round of the log";

const STATUS: &str = "read the state of the log";

/// Why the log cannot be extended or proven.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored end of the log is not what was signed.
    #[error("the log is damaged: {0}")]
    Head(#[from] HeadError),
    /// What is stored does not give the proof.
    #[error("the log is damaged: {0}")]
    Damaged(&'static str),
}

/// Where a record is in the log.
#[derive(Debug, PartialEq, Eq)]
pub enum FoundProof {
    /// There is no such record.
    Unknown,
    /// The record waits for the next round.
    Pending,
    /// The record has a leaf.
    Included(Box<ProofFile>),
}

/// State of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// The last signed checkpoint, and when it was signed.
    pub checkpoint: Option<(String, DateTime<Utc>)>,
    /// Number of pending entries, counted up to [`LOG_PENDING_MAX`].
    pub pending: i64,
    /// When the oldest pending entry was recorded (RFC 3339).
    pub pending_since: Option<String>,
}

/// What a round begins with.
struct Begun {
    incarnation: String,
    checkpoint: Option<String>,
    edge: Vec<Vec<u8>>,
    /// Ids of the entries.
    pending_ids: Vec<i64>,
    entries: Vec<String>,
    /// Whether more entries may be pending.
    is_full: bool,
    draw: u32,
}

/// How a round ended.
enum Round {
    /// There was nothing to add.
    Idle,
    /// It signed a checkpoint.
    Signed,
    /// Another round was faster.
    Lost,
}

#[derive(Deserialize)]
struct StoredTile {
    level: u8,
    index: u64,
    hashes: String,
}

/// Draws the random bytes of a commitment.
pub(crate) fn new_nonce() -> Result<Nonce, Cause> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| Cause::Answer("the host has no random bytes"))?;
    Ok(nonce)
}

/// Draws the random digits of an origin.
fn new_draw() -> Result<u32, Cause> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| Cause::Answer("the host has no random bytes"))?;
    Ok(u32::from_le_bytes(bytes))
}

impl Database {
    /// Adds all pending entries to the log, in rounds, and signs a checkpoint. Does nothing if none
    /// is pending.
    ///
    /// # Errors
    ///
    /// The database failed, or the stored end of the log is damaged.
    pub fn sign_log(&self, keys: &LogKeys) -> Result<(), LogError> {
        for _ in 0..ROUNDS_MAX {
            let begun = self.begin_round(ROUND_ENTRIES_MAX)?;
            match self.finish_round(&begun, keys)? {
                Round::Idle => break,
                Round::Signed if !begun.is_full => break,
                // What the other round did not add is still to be added.
                Round::Signed | Round::Lost => {}
            }
        }
        Ok(())
    }

    /// Reads the last checkpoint; `None` before the first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn read_checkpoint(&self) -> Result<Option<String>, StoreError> {
        let status = self.read_log_status()?;
        Ok(status.checkpoint.map(|(checkpoint, _)| checkpoint))
    }

    /// Reads the state of the log.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn read_log_status(&self) -> Result<LogStatus, StoreError> {
        self.run(STATUS, read_status)
    }

    /// Reads the state of the log without backoff, for callers that poll.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn read_log_status_once(&self) -> Result<LogStatus, StoreError> {
        self.run_once(STATUS, read_status)
    }

    /// Finds the proof that a record or hold is in the log.
    ///
    /// # Errors
    ///
    /// The database failed, or the stored tiles do not have the proof.
    pub fn find_log_proof(&self, id: i64) -> Result<FoundProof, LogError> {
        let found = self.run("read a proof of the log", |session| {
            let rows = session.query(FIND_LOG_PROOF, &[id.into()])?;
            let mut row = rows.only()?;
            let is_known: bool = row.next()?;
            let index: Option<i64> = row.next()?;
            let entry: Option<String> = row.next()?;
            let path = read_path(&mut row)?;
            Ok((is_known, index.zip(entry).zip(path)))
        })?;
        let ((index, entry), (checkpoint, tiles)) = match found {
            (_, Some(found)) => found,
            (true, None) => return Ok(FoundProof::Pending),
            (false, None) => return Ok(FoundProof::Unknown),
        };
        let size = read_size(&checkpoint)?;
        let index = u64::try_from(index)
            .ok()
            .filter(|index| *index < size)
            .ok_or(LogError::Damaged("the leaf is beyond the checkpoint"))?;
        let hashes = tiles.inclusion(index, size).map_err(|_| MISSING_TILE)?;
        Ok(FoundProof::Included(Box::new(ProofFile {
            entry: entry.into_bytes(),
            index,
            hashes,
            checkpoint,
        })))
    }

    /// Waits for a record's leaf until `deadline`, and runs a round when it is this request's turn.
    /// Returns [`FoundProof::Pending`] if there is none by then.
    ///
    /// # Errors
    ///
    /// The database failed, or the log is damaged.
    pub fn wait_for_log_proof(
        &self,
        id: i64,
        is_elected: bool,
        keys: &LogKeys,
        deadline: Instant,
    ) -> Result<FoundProof, LogError> {
        let mut is_elected = is_elected;
        loop {
            if is_elected {
                self.sign_log(keys)?;
            }
            let found = self.find_log_proof(id)?;
            if found != FoundProof::Pending || Instant::now() + WAIT_INTERVAL > deadline {
                return Ok(found);
            }
            thread::sleep(WAIT_INTERVAL);
            is_elected = self.run("claim a round of the log", |session| {
                session.query(CLAIM_LOG_ROUND, &[])?.only()?.next()
            })?;
        }
    }

    /// Proves that the log begins with the tree of `from` leaves. Returns the last checkpoint, its
    /// size and the proof; `None` before the first checkpoint, no proof if the log is smaller.
    ///
    /// # Errors
    ///
    /// The database failed, or the stored tiles do not have the proof.
    #[allow(clippy::type_complexity, reason = "a tuple for one caller")]
    pub fn find_log_consistency(
        &self,
        from: u64,
    ) -> Result<Option<(String, u64, Option<Vec<Hash>>)>, LogError> {
        let parameter = i64::try_from(from).unwrap_or(i64::MAX);
        let found = self.run("read a proof of the log", |session| {
            let rows = session.query(FIND_LOG_CONSISTENCY, &[parameter.into()])?;
            read_path(&mut rows.only()?)
        })?;
        let Some((checkpoint, tiles)) = found else {
            return Ok(None);
        };
        let size = read_size(&checkpoint)?;
        let proof = (from <= size)
            .then(|| tiles.consistency(from, size))
            .transpose()
            .map_err(|_| MISSING_TILE)?;
        Ok(Some((checkpoint, size, proof)))
    }

    /// Reads a tile or bundle of entries; `None` if the log does not have it at this width.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_log_tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, StoreError> {
        let Ok(index) = i64::try_from(path.index) else {
            return Ok(None);
        };
        // No index is so large that a bundle's first leaf overflows.
        if index > i64::MAX >> 8 {
            return Ok(None);
        }
        let width = i32::try_from(path.width).unwrap_or(i32::MAX);
        self.run("read a tile of the log", |session| {
            let rows = match path.level {
                Some(level) => session.query(
                    FIND_LOG_TILE,
                    &[i32::from(level).into(), index.into(), width.into()],
                )?,
                None => session.query(FIND_LOG_ENTRIES, &[index.into(), width.into()])?,
            };
            rows.only()?.next()
        })
    }

    fn begin_round(&self, entries_max: i64) -> Result<Begun, StoreError> {
        self.run(ROUND, |session| {
            let rows = session.query(BEGIN_LOG_ROUND, &[entries_max.into()])?;
            let mut row = rows.only()?;
            let incarnation = row.next()?;
            let checkpoint = row.next()?;
            let edge: Vec<Option<String>> = row.next()?;
            let pending_ids: Vec<Option<i64>> = row.next()?;
            let entries: Vec<Option<String>> = row.next()?;
            let edge = edge.iter().flatten().map(|tile| from_base64(tile));
            let is_full = entries.len() as i64 == entries_max;
            let pending = pending_ids
                .into_iter()
                .flatten()
                .zip(entries.into_iter().flatten());
            let (accepted, refused): (Vec<_>, Vec<_>) =
                pending.partition(|(_, entry)| is_loggable(entry));
            if !refused.is_empty() {
                telemetry::error(
                    "entries that nobody could verify are not added to the log",
                    json!({"entries": refused.len()}),
                );
            }
            let (pending_ids, entries) = accepted.into_iter().unzip();
            Ok(Begun {
                incarnation,
                checkpoint,
                edge: edge.collect::<Option<_>>().ok_or(UNREADABLE_TILE)?,
                pending_ids,
                entries,
                is_full,
                draw: new_draw()?,
            })
        })
    }

    /// Extends the log by what a round began with.
    fn finish_round(&self, begun: &Begun, keys: &LogKeys) -> Result<Round, LogError> {
        let head = Head {
            checkpoint: begun.checkpoint.as_deref(),
            edge: begun.edge.clone(),
            incarnation: &begun.incarnation,
            draw: begun.draw,
        };
        let extension = head.extend(keys, begun.entries.iter().map(String::as_str), Utc::now());
        let finished = match extension {
            Ok(None) => return Ok(Round::Idle),
            Ok(Some(extension)) => self
                .store_extension(begun, &extension)
                .map_err(LogError::from),
            Err(error) => Err(error.into()),
        };
        telemetry::log_round_ended(match finished {
            Ok(true) => "signed",
            Ok(false) => "lost",
            Err(_) => "failed",
        });
        Ok(if finished? {
            Round::Signed
        } else {
            Round::Lost
        })
    }

    fn store_extension(&self, begun: &Begun, extension: &Extension) -> Result<bool, StoreError> {
        let tiles = &extension.tiles;
        let levels: Vec<i32> = tiles.iter().map(|tile| i32::from(tile.level)).collect();
        let indexes: Vec<i64> = tiles.iter().map(|tile| tile.index as i64).collect();
        let written: Vec<String> = tiles
            .iter()
            .map(|tile| to_base64(&tile.hashes.concat()))
            .collect();
        let parameters: [ParameterValue; 10] = [
            text(&begun.incarnation),
            (extension.old_size as i64).into(),
            optional_text(begun.checkpoint.clone()),
            optional_text(extension.origin_entry.clone()),
            begun.pending_ids.clone().into(),
            levels.into(),
            indexes.into(),
            written.into(),
            (extension.size as i64).into(),
            text(&extension.checkpoint),
        ];
        self.run(ROUND, |session| {
            session.query(FINISH_LOG_ROUND, &parameters)?.only()?.next()
        })
    }
}

fn read_status(session: &Session) -> Result<LogStatus, Cause> {
    let rows = session.query(READ_LOG_STATUS, &[LOG_PENDING_MAX.into()])?;
    let mut row = rows.only()?;
    let checkpoint: Option<String> = row.next()?;
    let signed_at: Option<i64> = row.next()?;
    let signed_at = signed_at.and_then(DateTime::from_timestamp_micros);
    Ok(LogStatus {
        checkpoint: checkpoint.zip(signed_at),
        pending: row.next()?,
        pending_since: row.next()?,
    })
}

const UNREADABLE_TILE: Cause = Cause::Answer("a tile of the log cannot be read");

const MISSING_TILE: LogError = LogError::Damaged("a tile is missing or too short");

/// Reads a checkpoint and the tiles of a proof; `None` before the first checkpoint.
fn read_path(row: &mut Row<'_>) -> Result<Option<(String, Tiles)>, Cause> {
    let checkpoint: Option<String> = row.next()?;
    let written: Option<String> = row.next()?;
    let Some((checkpoint, written)) = checkpoint.zip(written) else {
        return Ok(None);
    };
    let stored: Vec<StoredTile> = serde_json::from_str(&written).map_err(|_| UNREADABLE_TILE)?;
    let mut tiles = Tiles::default();
    for tile in stored {
        let hashes = from_base64(&tile.hashes).and_then(|hashes| split_hashes(&hashes));
        tiles.insert(tile.level, tile.index, hashes.ok_or(UNREADABLE_TILE)?);
    }
    Ok(Some((checkpoint, tiles)))
}

fn read_size(checkpoint: &str) -> Result<u64, LogError> {
    Checkpoint::read_unverified(checkpoint)
        .map(|checkpoint| checkpoint.size)
        .map_err(|_| LogError::Damaged("the stored checkpoint cannot be read"))
}
