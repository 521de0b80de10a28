//! Parses a record with the service's code into the arguments of `write_audit_record`.

use anyhow::{Result, anyhow, bail};
use embedding::EmbeddedText;
use records::{AiAnalysis, CommonFields, Content, Execution, Kind, Record, Remediation, Workflow};

/// A parsed record.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// Its kind.
    pub kind: &'static str,
    /// Fields that all kinds have.
    pub common: CommonFields,
    /// The whole record.
    pub content: Content,
    /// Progress of its object within the phase.
    pub progress: i64,
    /// Its cluster, or else the default.
    pub cluster: String,
    /// Its projection as JSON.
    pub projection: String,
    /// Its embedded text.
    pub text: String,
}

/// Parses a record of a kind. `cluster` applies to records that name none.
///
/// # Errors
///
/// The kind does not exist, or the record is invalid.
pub fn parse(kind: &str, body: &[u8], cluster: &str) -> Result<Parsed> {
    match kind {
        Remediation::NAME => parse_as::<Remediation>(body, cluster),
        AiAnalysis::NAME => parse_as::<AiAnalysis>(body, cluster),
        Workflow::NAME => parse_as::<Workflow>(body, cluster),
        Execution::NAME => parse_as::<Execution>(body, cluster),
        _ => bail!("there are no records of the kind {kind:?}"),
    }
}

fn parse_as<K: Kind + EmbeddedText>(body: &[u8], cluster: &str) -> Result<Parsed> {
    let record = Record::<K>::parse(body, cluster).map_err(|rejection| {
        let violations = rejection.report.into_violations();
        anyhow!(
            "a made-up record of the kind {} is not valid: {violations:?}",
            K::NAME
        )
    })?;
    Ok(Parsed {
        kind: K::NAME,
        progress: record.kind.progress(),
        text: record.kind.embedded_text(),
        common: record.common,
        content: record.content,
        cluster: record.cluster,
        projection: record.projection,
    })
}
