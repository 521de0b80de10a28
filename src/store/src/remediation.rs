//! Writing remediation records.

use chrono::{DateTime, FixedOffset, NaiveDateTime, SubsecRound as _, Utc};
use embedding::{Embedding, EmbeddingCache, EmbeddingKey, EmbeddingRequest, Vector};
use records::{Phase, Remediation, Severity};
use spin_sdk::pg4::ParameterValue;

use crate::connection::{Database, Session};
use crate::error::{Cause, StoreError};

/// The function is described in `migrations/`; its parameters stand in its order.
const WRITE_REMEDIATION: &str = "SELECT stored_record_id, stored_embedding_id, stored_at, \
    stored_incident_id, is_replayed \
    FROM write_remediation($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
    $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26::text::sparsevec)";

/// A record that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Names the record among all kinds.
    pub id: i64,
    /// Names the record's row in `incident_embeddings`.
    pub embedding_id: i64,
    /// When the service stored it.
    pub recorded_at: DateTime<Utc>,
    /// The incident it belongs to.
    pub incident_id: i64,
    /// Whether an earlier request stored it.
    pub is_replayed: bool,
}

impl Database {
    /// Stores a record, its embedding and what its incident now says, or finds that they
    /// are stored.
    ///
    /// The first statement names the embedding only by its key: most texts come again and
    /// again, and their vector is there. Only when it is not is it made and sent.
    ///
    /// # Errors
    ///
    /// The record is not stored, or it is not known whether it is; writing it again is safe.
    pub fn write_remediation(
        &self,
        record: &Remediation,
        embedding: &EmbeddingRequest,
        cache: impl FnOnce() -> EmbeddingCache,
    ) -> Result<StoredRecord, StoreError> {
        let mut cache = Some(cache);
        let mut made: Option<Embedding> = None;
        self.run("store the remediation record", |session| {
            if let Some(stored) = write_with(session, record, embedding, made.as_ref())? {
                return Ok(stored);
            }
            if let Some(cache) = cache.take() {
                made = Some(embedding.embed(&cache()));
            }
            write_with(session, record, embedding, made.as_ref())?.ok_or(Cause::Answer(
                "nothing was stored, though the vector was given",
            ))
        })
    }
}

/// Writes with the embedding, or only with its key while it is not made.
fn write_with(
    session: &Session,
    record: &Remediation,
    requested: &EmbeddingRequest,
    made: Option<&Embedding>,
) -> Result<Option<StoredRecord>, Cause> {
    match made {
        Some(Embedding { key, vector }) => write(session, record, key, Some(vector)),
        None => write(session, record, requested.key(), None),
    }
}

fn write(
    session: &Session,
    record: &Remediation,
    key: &EmbeddingKey,
    vector: Option<&Vector>,
) -> Result<Option<StoredRecord>, Cause> {
    let common = &record.common;
    let rows = session.query(
        WRITE_REMEDIATION,
        &[
            bytes(record.content.hash()),
            text(record.content.json()),
            bytes(&record.version()),
            text(&common.correlation_id),
            text(&common.namespace),
            text(&common.name),
            text(common.phase.as_str()),
            optional_text(common.reason.as_deref()),
            optional_text(common.message.as_deref()),
            timestamp(Some(common.created_at)),
            timestamp(common.started_at),
            timestamp(common.completed_at),
            text(&record.signal_name),
            text(&record.signal_type),
            optional_text(record.severity.map(Severity::as_str)),
            text(&record.cluster),
            text(&record.target_namespace),
            text(&record.target_type),
            text(&record.target_name),
            optional_text(record.environment),
            optional_text(record.priority),
            optional_text(record.fingerprint.as_deref()),
            text(execution_status(common.phase)),
            text(&key.model),
            bytes(&key.text_hash),
            optional_text(vector.map(Vector::to_sparse_text).as_deref()),
        ],
    )?;
    let Some(mut row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(StoredRecord {
        id: row.next()?,
        embedding_id: row.next()?,
        recorded_at: row.next::<NaiveDateTime>()?.and_utc(),
        incident_id: row.next()?,
        is_replayed: row.next()?,
    }))
}

/// What a remediation's phase says about the execution, until an execution says itself.
fn execution_status(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Processing => "executing",
        Phase::Completed => "completed",
        Phase::Failed => "failed",
    }
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Str(value.to_owned())
}

fn optional_text(value: Option<&str>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, text)
}

fn bytes(value: &[u8]) -> ParameterValue {
    ParameterValue::Binary(value.to_owned())
}

/// The host has no timestamp with a zone: the statements take UTC, to the microsecond.
fn timestamp(value: Option<DateTime<FixedOffset>>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, |value| {
        value.naive_utc().trunc_subsecs(6).into()
    })
}
