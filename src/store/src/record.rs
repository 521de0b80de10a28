//! Writes audit records.

use chrono::{DateTime, FixedOffset, SubsecRound as _, Utc};
use embedding::{AheadVector, Embedding, EmbeddingCache, EmbeddingKey, EmbeddingRequest, Vector};
use records::{Kind, Record};
use spin_sdk::pg4::ParameterValue;
use tlog::{Envelope, Hash, Nonce, entry_hash, entry_time, to_base64};

use crate::connection::{Database, Row, Session};
use crate::error::{Cause, StoreError};
use crate::log::new_nonce;
use crate::parameter::{bytes, optional_text, optional_time, text};

/// Parameters in the order of the function in `migrations/`.
const WRITE_AUDIT_RECORD: &str = "SELECT * FROM write_audit_record($1, $2, $3, $4, $5, $6, $7, $8, \
    $9, $10, $11, $12, $13, $14::text::jsonb, $15, $16, $17, $18, $19, $20)";

/// The result of writing a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Record id, also the row's id in `incident_embeddings`.
    pub id: i64,
    /// When the service stored the record.
    pub recorded_at: DateTime<Utc>,
    /// Incident of the record.
    pub incident_id: i64,
    /// Whether the request was a replay.
    pub is_replayed: bool,
    /// Whether the write added the vector.
    pub is_embedding_new: bool,
    /// What the record's leaf in the log commits to.
    pub commitment: Hash,
    /// Index of the leaf, if the record was stored before and is in the log.
    pub leaf_index: Option<i64>,
    /// Origin of the log; `None` before its first checkpoint.
    pub log_origin: Option<String>,
    /// Whether this request must run a round of the log.
    pub is_elected: bool,
}

/// What a write sends beside the record.
struct Sending<'a> {
    recorded_by: Option<&'a str>,
    /// Whether the service has a key for the log.
    signs_log: bool,
    nonce: Nonce,
    commitment: Hash,
}

impl Database {
    /// Stores a record with its embedding, projection, first sender and log entry, or finds it
    /// stored. Sends only the embedding's key first unless the vector is cheap, since most texts
    /// repeat. `signs_log` says whether the caller can run a round of the log.
    ///
    /// # Errors
    ///
    /// The record may not be stored. Repeating the write is safe.
    pub fn write_record<K: Kind>(
        &self,
        record: &Record<K>,
        request: &EmbeddingRequest,
        recorded_by: Option<&str>,
        signs_log: bool,
        cache: impl FnOnce() -> EmbeddingCache,
    ) -> Result<StoredRecord, StoreError> {
        const OPERATION: &str = "store the audit record";
        let sending = Sending::new(record, recorded_by, signs_log)
            .map_err(|cause| StoreError::new(OPERATION, cause))?;
        let ahead = request.embed_ahead();
        let stored = self.run(OPERATION, |session| {
            let vector = ahead.as_ref().map(AheadVector::vector);
            write(session, record, &sending, request.key(), vector)
        })?;
        if let Some(stored) = stored {
            // A replay needs no vector.
            if !stored.is_replayed {
                match ahead {
                    Some(ahead) => ahead.count(stored.is_embedding_new),
                    None => telemetry::embedding_found(&request.key().model),
                }
            }
            return Ok(stored);
        }
        // Holds no connection here: a provider may take seconds.
        let Embedding { key, vector } = request.embed(cache);
        self.run(OPERATION, |session| {
            write(session, record, &sending, &key, Some(&vector))?
                .ok_or(Cause::Answer("null, although the request had the vector"))
        })
    }
}

impl<'a> Sending<'a> {
    fn new<K: Kind>(
        record: &Record<K>,
        recorded_by: Option<&'a str>,
        signs_log: bool,
    ) -> Result<Self, Cause> {
        let nonce = new_nonce()?;
        Ok(Self {
            recorded_by,
            signs_log,
            nonce,
            commitment: commit(record, &record.cluster, recorded_by, &nonce)?,
        })
    }
}

/// The commitment to a record that was stored for this cluster and sender.
fn commit<K: Kind>(
    record: &Record<K>,
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

fn write<K: Kind>(
    session: &Session,
    record: &Record<K>,
    sending: &Sending<'_>,
    key: &EmbeddingKey,
    vector: Option<&Vector>,
) -> Result<Option<StoredRecord>, Cause> {
    let common = &record.common;
    let rows = session.query(
        WRITE_AUDIT_RECORD,
        &[
            text(K::NAME),
            optional_time(Some(stored_instant(common.created_at))),
            bytes(record.content.hash()),
            text(record.content.json()),
            text(&common.correlation_id),
            text(&common.namespace),
            text(&common.name),
            text(common.phase.as_str()),
            optional_time(common.started_at.map(stored_instant)),
            optional_time(common.completed_at.map(stored_instant)),
            record.kind.progress().into(),
            text(&record.cluster),
            optional_text(sending.recorded_by.map(str::to_owned)),
            text(&record.projection),
            text(&key.model),
            bytes(&key.text_hash),
            vector.map_or(ParameterValue::DbNull, |vector| text(&vector.to_text())),
            bytes(&sending.nonce),
            text(&entry_hash(&sending.commitment)),
            sending.signs_log.into(),
        ],
    )?;
    read_stored(&mut rows.only()?, record, sending)
}

/// Reads the row of `write_audit_record`; `None` if the vector is missing.
fn read_stored<K: Kind>(
    row: &mut Row<'_>,
    record: &Record<K>,
    sending: &Sending<'_>,
) -> Result<Option<StoredRecord>, Cause> {
    const UNEXPECTED: Cause = Cause::Answer("write_audit_record returned unexpected values");
    let Some(id) = row.next::<Option<i64>>()? else {
        return Ok(None);
    };
    let recorded_at = DateTime::from_timestamp_micros(row.next()?).ok_or(UNEXPECTED)?;
    let incident_id = row.next()?;
    let is_replayed = row.next()?;
    let is_embedding_new = row.next()?;
    let first_cluster: Option<String> = row.next()?;
    let first_recorded_by: Option<String> = row.next()?;
    let first_nonce: Option<Vec<u8>> = row.next()?;
    let commitment = match (first_cluster, first_nonce) {
        (Some(cluster), Some(nonce)) if is_replayed => {
            let nonce = nonce.try_into().map_err(|_| UNEXPECTED)?;
            commit(record, &cluster, first_recorded_by.as_deref(), &nonce)?
        }
        _ => sending.commitment,
    };
    let leaf_index = row.next()?;
    Ok(Some(StoredRecord {
        id,
        recorded_at,
        incident_id,
        is_replayed,
        is_embedding_new,
        commitment,
        leaf_index,
        log_origin: row.next()?,
        is_elected: row.next()?,
    }))
}

/// Truncates to the database's microseconds: rounding could leave the year 9999.
fn stored_instant(instant: DateTime<FixedOffset>) -> DateTime<Utc> {
    instant.to_utc().trunc_subsecs(6)
}
