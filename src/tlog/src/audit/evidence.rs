//! What is stored for a leaf, checked against the leaf's entry.

use chrono::{DateTime, Timelike as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::entry::{Envelope, NONCE_BYTES, Nonce, StoredEntry, commitment, entry_hash, entry_time};
use crate::hash::{Hash, from_base64};

const NANOSECONDS: u32 = 1_000_000_000;

/// What is stored for a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Index of the leaf.
    pub index: u64,
    /// Id of the record or hold.
    pub id: i64,
    /// Kind, as entries have it.
    pub kind: String,
    /// When it was stored, as entries have it.
    pub recorded_at: String,
    /// The nonce in base64.
    pub nonce: String,
    /// What the leaf commits to.
    pub body: Body,
}

/// What a leaf commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A record.
    Record {
        /// Its JSON.
        content: String,
        /// Who sent it.
        recorded_by: Option<String>,
        /// The envelope that the service made of its columns.
        envelope: Envelope,
    },
    /// A hold.
    Hold {
        /// Its JSON as it was sent.
        hold: String,
        /// Who placed it.
        recorded_by: Option<String>,
    },
    /// The release of a hold.
    HoldRelease {
        /// Why.
        reason: String,
        /// Who released it.
        recorded_by: Option<String>,
    },
}

#[derive(Serialize)]
struct HoldEnvelope<'a> {
    hold: Value,
    recorded_by: Option<&'a str>,
}

#[derive(Serialize)]
struct ReleaseEnvelope<'a> {
    reason: &'a str,
    recorded_by: Option<&'a str>,
}

/// The fields of a record that its columns repeat.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordKeys {
    correlation_id: String,
    created_at: String,
}

/// Checks what is stored for a leaf against the leaf's entry.
///
/// # Errors
///
/// Names what was altered.
pub fn check_evidence(entry: &StoredEntry, evidence: &Evidence) -> Result<(), String> {
    let fields = [
        ("id", entry.id == evidence.id),
        ("kind", entry.kind == evidence.kind),
        ("recorded_at", entry.recorded_at == evidence.recorded_at),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, is_equal)| !is_equal) {
        return Err(format!("the {field}"));
    }
    let nonce: Option<Nonce> = from_base64(&evidence.nonce).and_then(|nonce| nonce.try_into().ok());
    let nonce = nonce.ok_or_else(|| format!("the nonce, which must have {NONCE_BYTES} bytes,"))?;
    let expected = entry.commitment().ok_or("the commitment")?;
    match &evidence.body {
        Body::Record {
            content,
            recorded_by,
            envelope,
        } => check_record(entry, &expected, &nonce, content, recorded_by, envelope),
        Body::Hold { hold, recorded_by } => {
            let envelope = serde_json::from_str(hold).and_then(|hold| {
                serde_json_canonicalizer::to_vec(&HoldEnvelope {
                    hold,
                    recorded_by: recorded_by.as_deref(),
                })
            });
            is_committed(&expected, &nonce, envelope)
                .then_some(())
                .ok_or_else(|| "the content, recorded_by or nonce".to_owned())
        }
        Body::HoldRelease {
            reason,
            recorded_by,
        } => {
            let envelope = serde_json_canonicalizer::to_vec(&ReleaseEnvelope {
                reason,
                recorded_by: recorded_by.as_deref(),
            });
            is_committed(&expected, &nonce, envelope)
                .then_some(())
                .ok_or_else(|| "the reason, recorded_by or nonce".to_owned())
        }
    }
}

fn is_committed(expected: &Hash, nonce: &Nonce, envelope: serde_json::Result<Vec<u8>>) -> bool {
    envelope.is_ok_and(|envelope| commitment(nonce, &envelope) == *expected)
}

/// The fields of an envelope that are stated beside what they repeat.
const FIELDS: [&str; 4] = ["content", "correlation_id", "created_at", "recorded_by"];

fn check_record(
    entry: &StoredEntry,
    expected: &Hash,
    nonce: &Nonce,
    content: &str,
    recorded_by: &Option<String>,
    stated: &Envelope,
) -> Result<(), String> {
    let keys = serde_json::from_str::<RecordKeys>(content)
        .map_err(|_| "the content, which is no record,".to_owned())?;
    let derived = Envelope {
        cluster: stated.cluster.clone(),
        content_hash: entry_hash(&Sha256::digest(content).into()),
        correlation_id: keys.correlation_id,
        created_at: utc(&keys.created_at).unwrap_or_default(),
        recorded_by: recorded_by.clone(),
    };
    let commits = |envelope: &Envelope| {
        is_committed(expected, nonce, serde_json_canonicalizer::to_vec(envelope))
    };
    if commits(&derived) && derived == *stated {
        let is_in_month = entry.month.as_deref() == derived.created_at.get(..7);
        return is_in_month
            .then_some(())
            .ok_or_else(|| "the month".to_owned());
    }
    // Which of the two values of each field is the one that was committed to?
    let differs = differing(stated, &derived);
    for choice in 0..1u8 << FIELDS.len() {
        let mixed = mix(stated, &derived, choice);
        if commits(&mixed) {
            return Err(name(differs));
        }
    }
    match name(differs) {
        fields if fields.is_empty() => Err("the content, cluster or nonce".to_owned()),
        fields => Err(format!("{fields}, and the content, cluster or nonce,")),
    }
}

/// Whether each of [`FIELDS`] differs.
fn differing(stated: &Envelope, derived: &Envelope) -> [bool; FIELDS.len()] {
    [
        stated.content_hash != derived.content_hash,
        stated.correlation_id != derived.correlation_id,
        stated.created_at != derived.created_at,
        stated.recorded_by != derived.recorded_by,
    ]
}

/// An envelope with the derived fields where the bits of `choice` are set, else the stated ones.
fn mix(stated: &Envelope, derived: &Envelope, choice: u8) -> Envelope {
    let from = |bit: u8| {
        if choice >> bit & 1 == 1 {
            derived
        } else {
            stated
        }
    };
    Envelope {
        cluster: stated.cluster.clone(),
        content_hash: from(0).content_hash.clone(),
        correlation_id: from(1).correlation_id.clone(),
        created_at: from(2).created_at.clone(),
        recorded_by: from(3).recorded_by.clone(),
    }
}

fn name(differs: [bool; FIELDS.len()]) -> String {
    let fields: Vec<&str> = FIELDS
        .into_iter()
        .zip(differs)
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
    match fields.as_slice() {
        [] => String::new(),
        fields => format!("the {}", fields.join(", ")),
    }
}

/// A record's time in UTC with microseconds; a leap second is the first of the next minute.
fn utc(time: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    let nanoseconds = time.nanosecond();
    let leap = i64::from(nanoseconds / NANOSECONDS);
    DateTime::from_timestamp(time.timestamp() + leap, nanoseconds % NANOSECONDS).map(entry_time)
}
