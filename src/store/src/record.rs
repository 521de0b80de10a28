//! Writes audit records.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use embedding::{
    AheadVector, Embedding, EmbeddingCache, EmbeddingKey, EmbeddingRequest, embed_all,
};
use records::AnyRecord;
use serde::Deserialize;
use tlog::{Envelope, Hash, Nonce, entry_hash, entry_time, to_base64};

use crate::audit_write::{AuditWrite, stored_instant};
use crate::connection::{Database, Session};
use crate::error::{Cause, StoreError};
use crate::incident::read_json;
use crate::log::new_nonce;
use crate::parameter::{optional_text, text};

const WRITE_AUDIT_RECORDS: &str = "SELECT write_audit_records($1::text::json, $2, $3)::text";

const UNEXPECTED: Cause = Cause::Answer("write_audit_records returned unexpected values");

const OPERATION: &str = "store the audit records";

/// Attempts to write what lacked vectors: retention may remove others meanwhile.
const ROUNDS_MAX: usize = 3;

/// A record to store, and the text to embed.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The record.
    pub record: AnyRecord,
    /// Its embedded text.
    pub text: EmbeddingRequest,
}

/// The result of writing a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Record id, also the row's id in `incident_embeddings`.
    pub id: i64,
    /// When the service stored the record.
    pub recorded_at: DateTime<Utc>,
    /// Incident of the record.
    pub incident_id: i64,
    /// Whether the record was stored before.
    pub is_replayed: bool,
    /// What the record's leaf in the log commits to.
    pub commitment: Hash,
    /// Index of the leaf, if the record was stored before and is in the log.
    pub leaf_index: Option<i64>,
    /// Origin of the log; `None` before its first checkpoint.
    pub log_origin: Option<String>,
    /// Whether this request must run a round of the log.
    pub is_elected: bool,
}

/// What a write sends of a record beside the record.
struct Sending<'a> {
    new: &'a NewRecord,
    nonce: Nonce,
    commitment: Hash,
    /// Made for this request, perhaps by the local model instead of the one asked for.
    embedding: Option<Embedding>,
}

/// The result of `write_audit_records`: the records, or the numbers of those that lack a vector.
#[derive(Debug, Deserialize)]
struct Written {
    #[serde(default)]
    lacking: Vec<usize>,
    #[serde(default)]
    records: Vec<WrittenRecord>,
    log_origin: Option<String>,
    #[serde(default)]
    is_elected: bool,
}

#[derive(Debug, Deserialize)]
struct WrittenRecord {
    id: i64,
    /// Unix time in microseconds.
    recorded_at: i64,
    incident_id: i64,
    is_text_new: bool,
    replayed: Option<Replayed>,
}

/// What the commitment of a record that was stored before consists of, and its leaf.
#[derive(Debug, Deserialize)]
struct Replayed {
    cluster: String,
    recorded_by: Option<String>,
    /// In base64.
    log_nonce: String,
    leaf_index: Option<i64>,
}

impl Database {
    /// Stores records with their embeddings, projections, first sender and log entries, all or
    /// none, or finds them stored; returns them in order. Sends only the keys of embeddings first,
    /// unless the one vector is cheap, since most texts repeat. `signs_log` says whether the caller
    /// can run a round of the log.
    ///
    /// # Errors
    ///
    /// The records may not be stored. Repeating the write is safe.
    pub fn write_records(
        &self,
        records: &[NewRecord],
        recorded_by: Option<&str>,
        signs_log: bool,
        cache: impl Fn() -> EmbeddingCache,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let ahead = match records {
            [only] => only.text.embed_ahead(),
            _ => None,
        };
        let mut sendings = records
            .iter()
            .map(|new| Sending::new(new, recorded_by, ahead.as_ref()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| StoreError::new(OPERATION, cause))?;
        for round in 1.. {
            // Holds no connection while a provider embeds, which may take seconds.
            let written = self.run(OPERATION, |session| {
                write(session, &sendings, recorded_by, signs_log)
            })?;
            if written.lacking.is_empty() {
                return stored(written, &sendings, ahead.as_ref())
                    .map_err(|cause| StoreError::new(OPERATION, cause));
            }
            if round == ROUNDS_MAX {
                break;
            }
            embed(&mut sendings, &written.lacking, &cache);
        }
        // Vectors left as fast as they were made.
        Err(StoreError::new(OPERATION, Cause::Statement(None)))
    }
}

impl<'a> Sending<'a> {
    fn new(
        new: &'a NewRecord,
        recorded_by: Option<&str>,
        ahead: Option<&AheadVector>,
    ) -> Result<Self, Cause> {
        let nonce = new_nonce()?;
        Ok(Self {
            new,
            nonce,
            commitment: commit(&new.record, &new.record.cluster, recorded_by, &nonce)?,
            embedding: ahead.map(|ahead| Embedding {
                key: new.text.key().clone(),
                vector: ahead.vector().clone(),
            }),
        })
    }

    fn key(&self) -> &EmbeddingKey {
        match &self.embedding {
            Some(embedding) => &embedding.key,
            None => self.new.text.key(),
        }
    }
}

/// The commitment to a record that was stored for this cluster and sender.
fn commit(
    record: &AnyRecord,
    cluster: &str,
    recorded_by: Option<&str>,
    nonce: &Nonce,
) -> Result<Hash, Cause> {
    let envelope = Envelope {
        cluster: cluster.to_owned(),
        content_hash: to_base64(record.content.hash()),
        correlation_id: record.common.correlation_id.clone(),
        created_at: entry_time(stored_instant(record.common.created_at)),
        recorded_by: recorded_by.map(str::to_owned),
    };
    envelope
        .commitment(nonce)
        .map_err(|_| Cause::Answer("the envelope has no canonical form"))
}

fn write(
    session: &Session,
    sendings: &[Sending<'_>],
    recorded_by: Option<&str>,
    signs_log: bool,
) -> Result<Written, Cause> {
    let mut sent = HashSet::new();
    let writes: Vec<_> = sendings
        .iter()
        .map(|sending| {
            // A vector is sent once, with the first record of its text.
            let embedding = sending.embedding.as_ref();
            let vector = embedding.filter(|embedding| sent.insert(&embedding.key));
            AuditWrite::new(
                &sending.new.record,
                sending.key(),
                vector.map(|embedding| &embedding.vector),
                &sending.nonce,
                entry_hash(&sending.commitment),
            )
        })
        .collect();
    let writes = serde_json::to_string(&writes)
        .map_err(|_| Cause::Answer("the records cannot be written as JSON"))?;
    let rows = session.query(
        WRITE_AUDIT_RECORDS,
        &[
            text(&writes),
            optional_text(recorded_by.map(str::to_owned)),
            signs_log.into(),
        ],
    )?;
    let written: Written = read_json(&mut rows.only()?)?.ok_or(UNEXPECTED)?;
    if written.lacking.is_empty() && written.records.len() != sendings.len() {
        return Err(UNEXPECTED);
    }
    Ok(written)
}

/// Embeds each text once.
fn embed(sendings: &mut [Sending<'_>], lacking: &[usize], cache: impl Fn() -> EmbeddingCache) {
    let mut texts = HashMap::<&EmbeddingKey, &EmbeddingRequest>::new();
    let lacking = lacking.iter().filter_map(|number| number.checked_sub(1));
    for sending in lacking.filter_map(|position| sendings.get(position)) {
        texts.insert(sending.new.text.key(), &sending.new.text);
    }
    let (keys, texts): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
    let embeddings: HashMap<_, _> = keys.into_iter().zip(embed_all(&texts, cache)).collect();
    for sending in sendings {
        if let Some(embedding) = embeddings.get(sending.new.text.key()) {
            sending.embedding = Some(embedding.clone());
        }
    }
}

/// The stored records. Counts what was embedded ahead, and the vectors that the database had; a
/// replay needs none.
fn stored(
    written: Written,
    sendings: &[Sending<'_>],
    ahead: Option<&AheadVector>,
) -> Result<Vec<StoredRecord>, Cause> {
    let records = written.records.into_iter().zip(sendings);
    records
        .map(|(record, sending)| {
            match ahead {
                _ if record.replayed.is_some() => {}
                Some(ahead) => ahead.count(record.is_text_new),
                None if sending.embedding.is_some() => {}
                None => telemetry::embedding_found(&sending.key().model),
            }
            Ok(StoredRecord {
                id: record.id,
                recorded_at: DateTime::from_timestamp_micros(record.recorded_at)
                    .ok_or(UNEXPECTED)?,
                incident_id: record.incident_id,
                is_replayed: record.replayed.is_some(),
                commitment: match &record.replayed {
                    Some(replayed) => replayed.commitment(&sending.new.record)?,
                    None => sending.commitment,
                },
                leaf_index: record.replayed.and_then(|replayed| replayed.leaf_index),
                log_origin: written.log_origin.clone(),
                is_elected: written.is_elected,
            })
        })
        .collect()
}

impl Replayed {
    fn commitment(&self, record: &AnyRecord) -> Result<Hash, Cause> {
        let nonce = STANDARD.decode(&self.log_nonce).ok();
        let nonce = nonce.and_then(|nonce| nonce.try_into().ok());
        let nonce: Nonce = nonce.ok_or(UNEXPECTED)?;
        commit(record, &self.cluster, self.recorded_by.as_deref(), &nonce)
    }
}
