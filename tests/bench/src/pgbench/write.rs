//! The scripts that write records with the service's statement.

use anyhow::{Context as _, Result};
use chrono::Utc;
use serde_json::Value;

use super::Script;
use crate::record::{
    ALERTS, Generator, Parsed, RecordKind, TARGET_PREFIX, TARGETS, known_alert, parse,
};

/// The service's statement (`store::record::WRITE_AUDIT_RECORD`; keep the two the same), with
/// what changes from one record to the next made of the transaction's number `n`.
const STATEMENT: &str = "\
SELECT stored_record_id, stored_embedding_id, stored_at, stored_incident_id, is_replayed \
FROM write_audit_record_2(:kind, {created_at}, sha256(convert_to({identity}, 'UTF8')), :content, \
:version, {identity}, :namespace, {identity}, :phase, :cluster, \
replace(:facts::text, :sample_target::text, :target_prefix::text || :target)::jsonb, \
:model, sha256(convert_to({text}, 'UTF8')), {vector}, NULL);\n";

/// A vector that nobody has seen: 60 of 1,536 components, one in each run of 25.
const RANDOM_VECTOR: &str = "(SELECT '{' || string_agg(\
(place * 25 + 1 + floor(random() * 25)::int)::text || ':' || (random() - 0.5)::real::text, ',') \
|| '}/1536' FROM generate_series(0, 59) AS place)";

/// More than any run has transactions; pgbench's integers end at 2^63.
const NUMBER_MAX: i64 = 1_000_000_000_000_000_000;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// New records of texts that were seen before.
    KnownText,
    /// New records of new texts.
    FreshText,
    /// The same records again.
    Replay,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::KnownText => "pgbench-known",
            Self::FreshText => "pgbench-fresh",
            Self::Replay => "pgbench-replay",
        }
    }

    fn statement(self) -> String {
        let alert = "(:alerts::text[])[:alert]";
        let identity = ":prefix::text || :n";
        let (text, vector) = match self {
            Self::FreshText => (identity, RANDOM_VECTOR),
            Self::KnownText | Self::Replay => (alert, "NULL"),
        };
        let created_at = match self {
            Self::Replay => ":created_at",
            Self::KnownText | Self::FreshText => "now() AT TIME ZONE 'UTC'",
        };
        STATEMENT
            .replace("{identity}", identity)
            .replace("{created_at}", created_at)
            .replace("{text}", text)
            .replace("{vector}", vector)
    }

    /// `number` is how pgbench gets the transaction's number.
    fn text(self, number: &str) -> String {
        let alerts = ALERTS.len();
        let (alert, target) = match self {
            // Equal numbers must give equal records.
            Self::Replay => (format!("1 + :n % {alerts}"), format!("1 + :n % {TARGETS}")),
            Self::KnownText | Self::FreshText => (
                format!("random(1, {alerts})"),
                format!("random(1, {TARGETS})"),
            ),
        };
        format!(
            "\\set n {number}\n\\set alert {alert}\n\\set target {target}\n{}",
            self.statement()
        )
    }
}

/// Makes the scripts of one run.
pub(crate) struct WriteScripts {
    variables: Vec<(&'static str, String)>,
    prefix: String,
}

impl WriteScripts {
    /// `model` is the name that the service's vectors are stored under.
    pub(crate) fn new(generator: &Generator, kind: RecordKind, model: &str) -> Result<Self> {
        let sample = generator.record(kind, "pgbench-sample", 0, known_alert(0))?;
        let record = parse(kind, &sample)?;
        Ok(Self {
            variables: variables(&record, model)?,
            prefix: generator.prefix(""),
        })
    }

    /// Writes, or writes again one of `replayed` records.
    pub(crate) fn of(&self, sort: Sort, replayed: u64) -> Script {
        let number = match sort {
            Sort::Replay => format!("random(1, {replayed})"),
            Sort::KnownText | Sort::FreshText => format!("random(1, {NUMBER_MAX})"),
        };
        self.script(sort, &number)
    }

    /// Writes the records that [`Sort::Replay`] writes again, from number 1 on, each time the
    /// next one.
    pub(crate) fn of_replayed(&self) -> Script {
        let mut script = self.script(Sort::Replay, ":n + 1");
        script.variables.push(("n", "0".to_owned()));
        script
    }

    fn script(&self, sort: Sort, number: &str) -> Script {
        let mut variables = self.variables.clone();
        variables.push(("prefix", format!("{}{}-", self.prefix, sort.name())));
        Script {
            text: sort.text(number),
            variables,
        }
    }
}

/// The parameters that stay the same, as the service would send them.
fn variables(record: &Parsed, model: &str) -> Result<Vec<(&'static str, String)>> {
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
        ("created_at", Utc::now().naive_utc().to_string()),
        ("content", record.content.clone()),
        ("version", format!("\\x{hex}")),
        ("namespace", record.namespace.clone()),
        ("phase", record.phase.to_owned()),
        ("cluster", record.cluster.clone()),
        ("facts", record.facts.clone()),
        // Kinds without a target have nothing to replace.
        ("sample_target", target.unwrap_or(TARGET_PREFIX).to_owned()),
        ("target_prefix", TARGET_PREFIX.to_owned()),
        ("model", model.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_calls_the_function_that_the_service_calls() {
        let service = include_str!("../../../../src/store/src/record.rs");
        let columns = "SELECT stored_record_id, stored_embedding_id, stored_at,";
        assert!(service.contains(columns) && STATEMENT.starts_with(columns));
        assert!(service.contains("write_audit_record_2($1,"));
        assert!(service.contains("$11::text::jsonb, $12, $13, \\\n    $14, $15) ON true"));
    }
}
