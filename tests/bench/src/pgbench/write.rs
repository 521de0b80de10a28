//! The scripts that write records with the service's statement.

use anyhow::{Context as _, Result};
use embedding::{EmbeddingRequest, Model};
use serde_json::Value;

use super::Script;
use crate::alerts::{ALERTS, known_alert};
use crate::record::{Generator, Parsed, RecordKind, TARGET_PREFIX, TARGETS, parse};

/// The service's statement (`store::record::WRITE_AUDIT_RECORD`; keep the two the same), with
/// what changes from one record to the next made of the transaction's number `n`.
const STATEMENT: &str = "\
SELECT write_audit_record_3(:kind, now() AT TIME ZONE 'UTC', \
sha256(convert_to({identity}, 'UTF8')), :content, \
:version, {identity}, :namespace, {identity}, :phase, :cluster, \
replace(:facts::text, :sample_target::text, :target_prefix::text || :target)::jsonb, \
:model, sha256(convert_to({text}, 'UTF8')), {vector}, NULL);\n";

/// A vector that nobody has seen: 60 of 1,536 components, one in each run of 25.
const RANDOM_VECTOR: &str = "(SELECT '{' || string_agg(\
(place * 25 + 1 + floor(random() * 25)::int)::text || ':' || (random() - 0.5)::real::text, ',') \
|| '}/1536' FROM generate_series(0, 59) AS place)";

/// More than any run has transactions; pgbench's integers end at 2^63.
const NUMBER_MAX: i64 = 1_000_000_000_000_000_000;

/// How many of a hundred records of [`Sort::Mixed`] have a text that was seen before.
pub(crate) const MIXED_REPEATS_PERCENT: u64 = 40;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// New records of texts that were seen before.
    Repeat,
    /// New records of new texts.
    Fresh,
    /// Some of these and some of those.
    Mixed,
}

impl Sort {
    fn statement(self) -> String {
        let identity = ":prefix::text || :n";
        let statement = |text, vector| {
            STATEMENT
                .replace("{identity}", identity)
                .replace("{text}", text)
                .replace("{vector}", vector)
        };
        // The service sends the vector of a known text, too.
        let repeat = statement("(:alerts::text[])[:alert]", ":vector");
        let fresh = statement(identity, RANDOM_VECTOR);
        match self {
            Self::Repeat => repeat,
            Self::Fresh => fresh,
            Self::Mixed => format!(
                "\\set chance random(1, 100)\n\\if :chance <= {MIXED_REPEATS_PERCENT}\n{repeat}\\else\n\
                 {fresh}\\endif\n"
            ),
        }
    }
}

/// Makes the scripts of one run.
pub(crate) struct WriteScripts {
    variables: Vec<(String, String)>,
}

impl WriteScripts {
    /// What `generator` would have the service write.
    pub(crate) fn new(generator: &Generator, kind: RecordKind) -> Result<Self> {
        let text = known_alert(0);
        let sample = generator.record(kind, "pgbench-sample", 0, text)?;
        let record = parse(kind, &sample)?;
        let request = EmbeddingRequest::new(Model::Local, text.to_owned());
        let vector = request.embed_ahead().context("embed a text")?;
        let mut variables = variables(&record)?;
        variables.extend([
            ("model", request.key().model.clone()),
            ("vector", vector.vector().to_text()),
        ]);
        let named = variables.into_iter();
        Ok(Self {
            variables: named
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        })
    }

    /// Writes records of a sort. Runs that give the variable `prefix` another value write other
    /// records, whatever numbers they draw.
    pub(crate) fn of(&self, sort: Sort) -> Script {
        let alerts = ALERTS.len();
        Script {
            text: format!(
                "\\set n random(1, {NUMBER_MAX})\n\\set alert random(1, {alerts})\n\
                 \\set target random(1, {TARGETS})\n{}",
                sort.statement()
            ),
            variables: self.variables.clone(),
        }
    }
}

/// The parameters that stay the same, as the service would send them.
fn variables(record: &Parsed) -> Result<Vec<(&'static str, String)>> {
    let hex: String = record
        .version
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let facts: Value = serde_json::from_str(&record.facts).context("read a record's facts")?;
    let target = facts.get("target_name").and_then(Value::as_str);
    Ok(vec![
        ("alerts", format!("{{{}}}", ALERTS.join(","))),
        ("kind", record.kind.to_owned()),
        ("content", record.content.clone()),
        ("version", format!("\\x{hex}")),
        ("namespace", record.namespace.clone()),
        ("phase", record.phase.to_owned()),
        ("cluster", record.cluster.clone()),
        ("facts", record.facts.clone()),
        // Kinds without a target have nothing to replace.
        ("sample_target", target.unwrap_or(TARGET_PREFIX).to_owned()),
        ("target_prefix", TARGET_PREFIX.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_calls_the_function_that_the_service_calls() {
        let service = include_str!("../../../../src/store/src/record.rs");
        let call = "SELECT write_audit_record_3(";
        assert!(STATEMENT.starts_with(call));
        assert!(service.contains(&format!("{call}$1, $2,")));
        assert!(service.contains("$11::text::jsonb, $12, $13, $14, $15)\";"));
    }
}
