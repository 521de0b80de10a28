//! What the API says of the log.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use incidents::proof_path;
use records::Violation;
use serde::Serialize;
use serde_json::json;
use store::{Database, FoundProof, LogError, LogStatus, StoredRecord};
use telemetry::LogGauges;
use tlog::{Checkpoint, LogKeys, entry_hash, entry_time};

use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Longest wait for a round, whatever a request prefers.
const WAIT_MAX: Duration = Duration::from_secs(10);

const MICROSECONDS_PER_SECOND: f64 = 1e6;
const MILLISECONDS_PER_SECOND: f64 = 1e3;

/// A record's place in the log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Origin of the log; null before its first checkpoint.
    pub origin: Option<String>,
    /// What the record's leaf commits to, in base64.
    pub commitment: String,
    /// Whether the record has a leaf.
    pub status: ReceiptStatus,
    /// Path of the proof.
    pub proof: String,
    /// Index of the leaf, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The proof (c2sp.org/tlog-proof), if the request waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inclusion: Option<String>,
}

/// Whether a record has a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    /// The record waits for the next round of the log.
    Pending,
    /// The record has a leaf.
    Included,
}

/// State of the log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogView {
    /// Identity of the log; null before its first checkpoint.
    pub origin: Option<String>,
    /// Number of leaves that the last checkpoint covers.
    pub size: u64,
    /// Root of the tree of this size, in base64; null before the first checkpoint.
    pub root: Option<String>,
    /// When the last checkpoint was signed, in UTC; null before the first.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub checkpoint_at: Option<String>,
    /// Entries that wait for the next round, counted up to 100,000.
    pub pending: i64,
}

impl From<LogStatus> for LogView {
    fn from(status: LogStatus) -> Self {
        let (note, signed_at) = status.checkpoint.unzip();
        let checkpoint = note.and_then(|note| Checkpoint::read_unverified(&note).ok());
        let size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let (origin, root) = checkpoint
            .map(|checkpoint| (checkpoint.origin, entry_hash(&checkpoint.root)))
            .unzip();
        Self {
            origin,
            size,
            root,
            checkpoint_at: signed_at.map(entry_time),
            pending: status.pending,
        }
    }
}

/// Proof that a log begins with an earlier one.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    /// Size of the earlier tree.
    pub from: u64,
    /// Size of the checkpoint's tree.
    pub to: u64,
    /// Hashes of the proof (RFC 9162, section 2.1.4), in base64.
    pub proof: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// The proof does not exist yet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingProof {
    /// `pending`.
    pub status: ReceiptStatus,
}

impl Default for PendingProof {
    fn default() -> Self {
        Self {
            status: ReceiptStatus::Pending,
        }
    }
}

/// The keys of the log.
///
/// # Errors
///
/// There is no key, or a setting is invalid.
pub fn require_log_keys() -> Result<LogKeys, Problem> {
    match settings::log_keys() {
        Ok(Some(keys)) => Ok(keys),
        Ok(None) => {
            let message = "there is no key: records wait to be added to the log until there is";
            let violation = Violation::new("log_signing_key", "readiness", message);
            Err(Problem::unavailable(
                "the log cannot be signed, see errors",
                vec![violation],
            ))
        }
        Err(_) => {
            let (errors, _) = settings::check_log_key();
            let detail = "the log cannot be signed, see errors";
            Err(Problem::unavailable(detail, errors))
        }
    }
}

/// Adds pending entries to the log, unless it is damaged, which is logged.
///
/// # Errors
///
/// The database failed.
pub fn sign_if_intact(database: &Database, keys: &LogKeys) -> Result<(), Problem> {
    match database.sign_log(keys) {
        Ok(()) => Ok(()),
        Err(LogError::Store(error)) => Err(error.into()),
        Err(damage) => {
            warn_of(&damage);
            Ok(())
        }
    }
}

/// State of the log for the metrics; `None` if the database cannot be read, which is logged.
pub fn log_gauges() -> Option<LogGauges> {
    let database = settings::reader_database().ok()?;
    let status = database
        .read_log_status_once()
        .inspect_err(|error| {
            telemetry::warn(
                "the metrics are without the log",
                json!({"error": error.to_string()}),
            );
        })
        .ok()?;
    let age = status
        .pending_since
        .and_then(|since| DateTime::parse_from_rfc3339(&since).ok())
        .map(|since| Utc::now().signed_duration_since(since));
    let checkpoint = status.checkpoint.as_ref();
    Some(LogGauges {
        size: checkpoint
            .and_then(|(note, _)| Checkpoint::read_unverified(note).ok())
            .map_or(0, |checkpoint| checkpoint.size),
        checkpoint_at: checkpoint
            .map(|(_, signed_at)| signed_at.timestamp_micros() as f64 / MICROSECONDS_PER_SECOND),
        pending: status.pending.unsigned_abs(),
        pending_age: age.map_or(0.0, |age| {
            (age.num_milliseconds() as f64 / MILLISECONDS_PER_SECOND).max(0.0)
        }),
    })
}

/// The log has no checkpoint yet.
pub fn no_checkpoint() -> Problem {
    Problem::unavailable(
        "the log has no checkpoint yet; retry the same request",
        Vec::new(),
    )
}

impl Receipt {
    /// The receipt of a stored record: included if it was stored before and has a leaf.
    pub(crate) fn of(stored: &StoredRecord) -> Self {
        let pending = Self::pending(stored.id, &stored.commitment, stored.log_origin.clone());
        match stored.leaf_index {
            Some(index) => Self {
                status: ReceiptStatus::Included,
                index: Some(index.unsigned_abs()),
                ..pending
            },
            None => pending,
        }
    }

    /// The receipt of a record, hold or release whose entry may be pending.
    pub fn pending(id: i64, commitment: &tlog::Hash, origin: Option<String>) -> Self {
        Self {
            origin,
            commitment: entry_hash(commitment),
            status: ReceiptStatus::Pending,
            proof: proof_path(id),
            index: None,
            inclusion: None,
        }
    }

    /// Waits for the leaf of a stored record. Whatever fails, the record is stored, so the receipt
    /// stays pending.
    pub(crate) fn wait(&mut self, database: &Database, stored: &StoredRecord, wait: Duration) {
        let Ok(Some(keys)) = settings::log_keys() else {
            return;
        };
        let deadline = Instant::now() + wait;
        match database.wait_for_log_proof(stored.id, stored.is_elected, &keys, deadline) {
            Ok(FoundProof::Included(proof)) => {
                self.status = ReceiptStatus::Included;
                self.index = Some(proof.index);
                self.inclusion = Some(proof.to_string());
            }
            Ok(FoundProof::Pending | FoundProof::Unknown) => {}
            Err(error) => warn_of(&error),
        }
    }
}

/// How long a request prefers to wait for a round (RFC 7240, section 4.3).
pub(crate) fn preferred_wait(request: &Request) -> Option<Duration> {
    let seconds = request.preference("wait")?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

/// Runs rounds of the log, for a request whose response has been sent.
pub(crate) fn sign_after_response(database: &Database) {
    let keys: LogKeys = match settings::log_keys() {
        Ok(Some(keys)) => keys,
        Ok(None) => return,
        Err(unusable) => {
            for unusable in unusable {
                telemetry::error(
                    "invalid setting, not signing the log",
                    json!({"variable": unusable.variable, "error": unusable.to_string()}),
                );
            }
            return;
        }
    };
    if let Err(error) = database.sign_log(&keys) {
        warn_of(&error);
    }
}

fn warn_of(error: &LogError) {
    telemetry::error("no round of the log", json!({"error": error.to_string()}));
}
