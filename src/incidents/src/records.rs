//! Stored records, as they were sent.

use chrono::{DateTime, SecondsFormat};
use records::Report;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::parameters::Parameters;

/// A record as the database returns it.
#[derive(Debug, Deserialize)]
pub struct FoundRecord {
    id: i64,
    kind: String,
    incident_id: i64,
    /// Unix time in microseconds.
    recorded_at: i64,
    recorded_by: Option<String>,
    embedding_model: Option<String>,
    content: Box<RawValue>,
    correlation_id: String,
    content_hash: String,
    /// Unix time in microseconds.
    created_at: i64,
    cluster: String,
    log_nonce: String,
    leaf_index: Option<i64>,
}

/// A stored record.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredRecordView {
    /// Id of the record.
    pub id: i64,
    /// Kind of the record, for example `aianalysis`.
    pub kind: String,
    /// Incident of the record.
    pub incident_id: i64,
    /// When the service stored the record, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub recorded_at: String,
    /// The user who first sent it; null if access control was disabled.
    pub recorded_by: Option<String>,
    /// The record's embedding.
    pub embedding: RecordEmbedding,
    /// The record as it was sent, in canonical form (RFC 8785).
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub record: Box<RawValue>,
    /// The record's place in the log and what its leaf commits to.
    pub log: RecordLog,
}

/// The embedding of a record.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordEmbedding {
    /// Id of the embedding; equal to the record's.
    pub id: i64,
    /// Model of the vector.
    pub model: Option<String>,
}

/// A record's place in the log and what its leaf commits to.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordLog {
    /// Index of the leaf; null until the next round.
    pub index: Option<i64>,
    /// Random bytes of the commitment, in base64.
    pub nonce: String,
    /// What the commitment covers.
    pub envelope: RecordEnvelope,
    /// Path of the proof.
    pub proof: String,
}

/// What a record's commitment covers.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordEnvelope {
    /// Cluster in force when the record was stored.
    pub cluster: String,
    /// SHA-256 of the record in canonical form, in base64.
    pub content_hash: String,
    /// The record's `correlationId`.
    pub correlation_id: String,
    /// The record's `createdAt`, in UTC with microseconds.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// The user who first sent it; null if access control was disabled.
    pub recorded_by: Option<String>,
}

/// A request for a proof of consistency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsistencyQuery {
    /// Size of the earlier tree.
    pub from: u64,
}

impl ConsistencyQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is missing, unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let from = parameters.take_number("from", 0, i64::MAX);
        if from.is_none() && !parameters.is_refused("from") {
            parameters.refuse("from", "required", "the parameter is required");
        }
        parameters.finish()?;
        Ok(Self {
            from: from.unwrap_or_default().unsigned_abs(),
        })
    }
}

/// Writes Unix time in microseconds as RFC 3339 in UTC.
pub fn write_time(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
        .unwrap_or_default()
}

impl FoundRecord {
    /// The record's correlation id.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }
}

impl From<FoundRecord> for StoredRecordView {
    fn from(found: FoundRecord) -> Self {
        Self {
            id: found.id,
            kind: found.kind,
            incident_id: found.incident_id,
            recorded_at: write_time(found.recorded_at),
            recorded_by: found.recorded_by.clone(),
            embedding: RecordEmbedding {
                id: found.id,
                model: found.embedding_model,
            },
            record: found.content,
            log: RecordLog {
                index: found.leaf_index,
                nonce: found.log_nonce,
                envelope: RecordEnvelope {
                    cluster: found.cluster,
                    content_hash: found.content_hash,
                    correlation_id: found.correlation_id,
                    created_at: write_time(found.created_at),
                    recorded_by: found.recorded_by,
                },
                proof: proof_path(found.id),
            },
        }
    }
}

/// Path of the proof of a record or hold.
pub fn proof_path(id: i64) -> String {
    format!("/api/v1/audit/records/{id}/proof")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_the_text_of_its_content() {
        let found = r#"{"id":7,"kind":"workflow","incident_id":3,"recorded_at":1793000000123456,
            "recorded_by":null,"embedding_model":"m","content":{"b":1.0,"a":"\u00e9"},
            "correlation_id":"req-1","content_hash":"aGFzaA==","created_at":1,"cluster":"eu-1",
            "log_nonce":"bm9uY2U=","leaf_index":null}"#;
        let found: FoundRecord = serde_json::from_str(found).unwrap();
        let view = serde_json::to_string(&StoredRecordView::from(found)).unwrap();
        assert_eq!(
            view,
            r#"{"id":7,"kind":"workflow","incident_id":3,"recorded_at":"2026-10-26T07:33:20.123456Z","#
                .to_owned()
                + r#""recorded_by":null,"embedding":{"id":7,"model":"m"},"record":{"b":1.0,"a":"\u00e9"},"#
                + r#""log":{"index":null,"nonce":"bm9uY2U=","envelope":{"cluster":"eu-1","#
                + r#""content_hash":"aGFzaA==","correlation_id":"req-1","#
                + r#""created_at":"1970-01-01T00:00:00.000001Z","recorded_by":null},"#
                + r#""proof":"/api/v1/audit/records/7/proof"}}"#
        );
    }

    #[test]
    fn a_size_to_prove_consistency_from_is_required() {
        assert_eq!(ConsistencyQuery::parse("from=0").unwrap().from, 0);
        for query in ["", "from=", "from=-1", "from=1&from=2", "from=1&to=2"] {
            assert!(ConsistencyQuery::parse(query).is_err(), "{query}");
        }
    }
}
