//! What the service makes of a record and hands to `write_audit_record`: read by its own code.

use anyhow::{Result, anyhow, bail};
use embedding::EmbeddedText;
use records::{AiAnalysis, CommonFields, Content, Execution, Kind, Record, Remediation, Workflow};

/// A record as the service has read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// Its kind.
    pub kind: &'static str,
    /// What all kinds say.
    pub common: CommonFields,
    /// The whole record.
    pub content: Content,
    /// How far its object is within its phase.
    pub progress: i64,
    /// The cluster in force.
    pub cluster: String,
    /// What the incident takes from it.
    pub projection: String,
    /// The text that is embedded.
    pub text: String,
}

/// Reads a record of a kind. `cluster` is that of a record which names none.
///
/// # Errors
///
/// There is no such kind, or the record breaks a rule.
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
