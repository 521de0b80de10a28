//! Parses a record with the service's code into what `write_audit_records` takes.

use anyhow::{Context as _, Result, anyhow};
use records::{AnyRecord, RecordKind};

/// Parses a record of a kind. `cluster` applies to records that name none.
///
/// # Errors
///
/// The kind does not exist, or the record is invalid.
pub fn parse(kind: &str, body: &[u8], cluster: &str) -> Result<AnyRecord> {
    let of_kind = RecordKind::named(kind)
        .with_context(|| format!("there are no records of the kind {kind:?}"))?;
    (of_kind.parse)(body, cluster).map_err(|rejection| {
        let violations = rejection.report.into_violations();
        anyhow!("a made-up record of the kind {kind} is not valid: {violations:?}")
    })
}
