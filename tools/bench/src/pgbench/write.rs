//! Scripts that write records with the service's statement.

use anyhow::{Context as _, Result};
use chrono::{DateTime, FixedOffset};
use dataset::{Model, Parsed};
use serde_json::Value;

use super::Script;
use super::service::{RECORD_SOURCE, statement};
use crate::record::{Generator, RecordKind, TARGET_PREFIX, TARGETS, alerts, known_alert, parse};

/// Names a record and its incident.
const IDENTITY: &str = ":prefix::text || :n";

/// The projection of another record, incident, target and alert than the sample's.
const PROJECTION: &str = "\
replace(replace(replace(:projection::text, :sample_identity::text, :prefix::text || :n), \
:sample_target::text, :target_prefix::text || :target), \
:sample_fingerprint::text, encode(sha256(convert_to(:prefix::text || :n, 'UTF8')), 'hex'))";

/// A new vector: 60 of 1,536 components, one in each run of 25.
const RANDOM_VECTOR: &str = "(SELECT '{' || string_agg(\
(place * 25 + 1 + floor(random() * 25)::int)::text || ':' || (random() - 0.5)::real::text, ',') \
|| '}/1536' FROM generate_series(0, 59) AS place)";

/// More than any run has transactions; pgbench's integers end at 2^63.
const NUMBER_MAX: i64 = 1_000_000_000_000_000_000;

/// How many percent of [`Writes::Mixed`] have a text that was stored before.
pub(crate) const MIXED_REPEATS_PERCENT: u64 = 40;

/// What records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// New records with texts that were stored before.
    Repeat,
    /// New records with new texts.
    Fresh,
    /// [`MIXED_REPEATS_PERCENT`] as `Repeat`, the others as `Fresh`.
    Mixed,
    /// All records of an incident, one after the other, with a text that was stored before.
    Reports,
    /// The same, but half of the incidents have a new text.
    Incidents,
}

/// The script that writes what the service would write for `generator`. Its variable `prefix` is
/// missing: another value means other records. `None` for reports, which are not one statement.
pub(crate) fn script(writes: Writes, generator: &Generator) -> Result<Option<Script>> {
    // The service sends the vector of a known text too.
    let repeat = write("(:alerts::text[])[:alert]", ":vector")?;
    let fresh = write(IDENTITY, RANDOM_VECTOR)?;
    let statement = match writes {
        Writes::Repeat => repeat,
        Writes::Fresh => fresh,
        Writes::Reports | Writes::Incidents => return Ok(None),
        Writes::Mixed => format!(
            "\\set chance random(1, 100)\n\\if :chance <= {MIXED_REPEATS_PERCENT}\n{repeat}\\else\n\
             {fresh}\\endif\n"
        ),
    };
    let alerts = alerts().len();
    let text = known_alert(0);
    let kind = RecordKind::Remediation;
    let record = parse(kind, &generator.record("pgbench-sample", 0, text)?)?;
    let embedding = Model::Local.embed(text)?;
    let mut variables = variables(&record)?;
    variables.extend([
        ("model", embedding.key.model),
        ("vector", embedding.vector.to_text()),
    ]);
    Ok(Some(Script {
        text: format!(
            "\\set n random(1, {NUMBER_MAX})\n\\set alert random(1, {alerts})\n\
             \\set target random(1, {TARGETS})\n{statement}"
        ),
        variables: variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }))
}

/// The service's statement; what differs between records is made of the transaction's number `n`.
fn write(text: &str, vector: &str) -> Result<String> {
    let hash = |text: &str| format!("sha256(convert_to({text}, 'UTF8'))");
    let expressions = [
        ":kind",
        "now() AT TIME ZONE 'UTC'",
        &hash(IDENTITY),
        ":content",
        IDENTITY,
        ":namespace",
        IDENTITY,
        ":phase",
        ":started_at",
        ":completed_at",
        ":progress",
        ":cluster",
        "NULL",
        PROJECTION,
        ":model",
        &hash(text),
        vector,
        // Sixteen bytes and a hash, as random as the service's.
        &format!("substr({}, 1, 16)", hash(IDENTITY)),
        &format!("encode({}, 'base64')", hash(IDENTITY)),
        "true",
    ];
    statement(
        RECORD_SOURCE,
        "WRITE_AUDIT_RECORD",
        &expressions.map(str::to_owned),
    )
}

/// The parameters that stay the same, and what is replaced in them.
fn variables(record: &Parsed) -> Result<Vec<(&'static str, String)>> {
    let common = &record.common;
    let projection: Value = serde_json::from_str(&record.projection)?;
    let says = |column: &str| -> Result<String> {
        let value = projection.get(column).and_then(Value::as_str);
        Ok(value
            .with_context(|| format!("find the {column} of a record"))?
            .to_owned())
    };
    let time = |time: Option<DateTime<FixedOffset>>| -> Result<String> {
        Ok(time
            .context("find the times of a record")?
            .naive_utc()
            .to_string())
    };
    Ok(vec![
        ("alerts", format!("{{{}}}", alerts().join(","))),
        ("kind", record.kind.to_owned()),
        ("content", record.content.json().to_owned()),
        ("namespace", common.namespace.clone()),
        ("phase", common.phase.as_str().to_owned()),
        ("started_at", time(common.started_at)?),
        ("completed_at", time(common.completed_at)?),
        ("progress", record.progress.to_string()),
        ("cluster", record.cluster.clone()),
        ("projection", record.projection.clone()),
        ("sample_identity", common.name.clone()),
        ("sample_target", says("target_name")?),
        ("sample_fingerprint", says("fingerprint")?),
        ("target_prefix", TARGET_PREFIX.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_the_services_statement_is_given() {
        let statement = write("'text'", ":vector").unwrap();
        assert!(!statement.contains('$'), "{statement}");
        assert!(statement.contains(", sha256(convert_to('text', 'UTF8')), :vector, "));
        assert!(statement.ends_with(", true);\n"));
    }
}
