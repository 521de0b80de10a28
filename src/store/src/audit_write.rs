//! The argument of `write_audit_records`.

use chrono::{DateTime, FixedOffset, SubsecRound as _, Utc};
use embedding::{EmbeddingKey, Vector};
use records::AnyRecord;
use serde::Serialize;
use serde_json::Value;

use crate::parameter::hexadecimal;

/// A record to be stored, as `audit_write` of `migrations/`.
#[derive(Debug, Serialize)]
pub struct AuditWrite<'a> {
    kind: &'static str,
    created_at: DateTime<Utc>,
    content_hash: String,
    content: &'a str,
    correlation_id: &'a str,
    namespace: &'a str,
    name: &'a str,
    phase: &'static str,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    progress: i64,
    cluster: &'a str,
    projection: &'a Value,
    model: &'a str,
    text_hash: String,
    is_name: bool,
    embedding: Option<String>,
    log_nonce: String,
    commitment: String,
}

impl<'a> AuditWrite<'a> {
    /// Describes a record. `vector` is that of its text; `None` if it is expected to be stored, or
    /// another record of the write has it. `commitment` is in base64.
    pub fn new(
        record: &'a AnyRecord,
        key: &'a EmbeddingKey,
        vector: Option<&Vector>,
        nonce: &[u8],
        commitment: String,
    ) -> Self {
        let common = &record.common;
        Self {
            kind: record.kind,
            created_at: stored_instant(common.created_at),
            content_hash: bytea(record.content.hash()),
            content: record.content.json(),
            correlation_id: &common.correlation_id,
            namespace: &common.namespace,
            name: &common.name,
            phase: common.phase.as_str(),
            started_at: common.started_at.map(stored_instant),
            completed_at: common.completed_at.map(stored_instant),
            progress: record.progress,
            cluster: &record.cluster,
            projection: &record.projection,
            model: &key.model,
            text_hash: bytea(&key.text_hash),
            is_name: record.text_is_name,
            embedding: vector.map(Vector::to_text),
            log_nonce: bytea(nonce),
            commitment,
        }
    }
}

/// Truncates to the database's microseconds: rounding could leave the year 9999.
pub(crate) fn stored_instant(instant: DateTime<FixedOffset>) -> DateTime<Utc> {
    instant.to_utc().trunc_subsecs(6)
}

/// PostgreSQL's hexadecimal form of binary data.
fn bytea(bytes: &[u8]) -> String {
    format!("\\x{}", hexadecimal(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_postgresql_reads_them() {
        assert_eq!(bytea(&[0x00, 0x0f, 0xa5, 0xff]), r"\x000fa5ff");
    }
}
