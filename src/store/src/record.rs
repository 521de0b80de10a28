//! Writes audit records.

use chrono::{DateTime, FixedOffset, SubsecRound as _, Utc};
use embedding::{AheadVector, Embedding, EmbeddingCache, EmbeddingKey, EmbeddingRequest, Vector};
use records::{Kind, Record};
use spin_sdk::pg4::ParameterValue;

use crate::connection::{Database, Session};
use crate::error::{Cause, StoreError};
use crate::parameter::{bytes, optional_text, optional_time, text};

/// Parameters in the order of the function in `migrations/`.
const WRITE_AUDIT_RECORD: &str = "SELECT write_audit_record($1, $2, $3, $4, $5, $6, $7, $8, $9, \
    $10, $11, $12, $13, $14::text::jsonb, $15, $16, $17)";

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
}

impl Database {
    /// Stores a record with its embedding, projection and first sender, or finds it stored. Sends
    /// only the embedding's key first unless the vector is cheap, since most texts repeat.
    ///
    /// # Errors
    ///
    /// The record may not be stored. Repeating the write is safe.
    pub fn write_record<K: Kind>(
        &self,
        record: &Record<K>,
        request: &EmbeddingRequest,
        recorded_by: Option<&str>,
        cache: impl FnOnce() -> EmbeddingCache,
    ) -> Result<StoredRecord, StoreError> {
        const OPERATION: &str = "store the audit record";
        let ahead = request.embed_ahead();
        let stored = self.run(OPERATION, |session| {
            let vector = ahead.as_ref().map(AheadVector::vector);
            write(session, record, recorded_by, request.key(), vector)
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
            write(session, record, recorded_by, &key, Some(&vector))?
                .ok_or(Cause::Answer("null, although the request had the vector"))
        })
    }
}

fn write<K: Kind>(
    session: &Session,
    record: &Record<K>,
    recorded_by: Option<&str>,
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
            optional_text(recorded_by.map(str::to_owned)),
            text(&record.projection),
            text(&key.model),
            bytes(&key.text_hash),
            vector.map_or(ParameterValue::DbNull, |vector| text(&vector.to_text())),
        ],
    )?;
    let answer = rows.only()?.next::<Option<Vec<Option<i64>>>>()?;
    answer.map(read_stored).transpose()
}

/// Truncates to the database's microseconds: rounding could leave the year 9999.
fn stored_instant(instant: DateTime<FixedOffset>) -> DateTime<Utc> {
    instant.to_utc().trunc_subsecs(6)
}

fn read_stored(answer: Vec<Option<i64>>) -> Result<StoredRecord, Cause> {
    const UNEXPECTED: Cause = Cause::Answer("write_audit_record returned unexpected values");
    let [
        Some(id),
        Some(recorded_at),
        Some(incident_id),
        Some(is_replayed),
        Some(is_embedding_new),
    ] = answer[..]
    else {
        return Err(UNEXPECTED);
    };
    Ok(StoredRecord {
        id,
        recorded_at: DateTime::from_timestamp_micros(recorded_at).ok_or(UNEXPECTED)?,
        incident_id,
        is_replayed: is_replayed == 1,
        is_embedding_new: is_embedding_new == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_functions_answer_is_read_in_its_order_and_nothing_else_is() {
        let answer = [1, 1_793_000_000_123_456, 4, 1, 0].map(Some);
        let stored = read_stored(answer.to_vec()).unwrap();
        assert_eq!(
            stored,
            StoredRecord {
                id: 1,
                recorded_at: "2026-10-26T07:33:20.123456Z".parse().unwrap(),
                incident_id: 4,
                is_replayed: true,
                is_embedding_new: false,
            }
        );
        assert!(read_stored(answer[..4].to_vec()).is_err());
        let mut unknown = answer;
        unknown[1] = None;
        assert!(read_stored(unknown.to_vec()).is_err());
        unknown[1] = Some(i64::MAX);
        assert!(read_stored(unknown.to_vec()).is_err());
    }
}
