//! Scripts that write records with the service's statement, or with a bare INSERT.

use anyhow::Result;

use super::Script;
use super::sample::{Sample, SampleVector};
use super::service::{RECORD_SOURCE, statement};
use super::vectors::new_vector;
use crate::record::{CLUSTER, Generator, TARGET_PREFIX, TARGETS, alerts};

/// The ordinary table that a bare INSERT writes to.
pub(crate) const BARE_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS bench_bare (\
kind text NOT NULL, created_at timestamptz NOT NULL, content text NOT NULL)";

/// Names the only record of a transaction and its incident, or one of several.
const ONLY: &str = ":prefix::text || :n";
const NUMBERED: &str = ":prefix::text || :n || '-' || item";

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
    let (repeat, fresh) = (SampleVector::Known, SampleVector::Argument);
    let statement = match writes {
        Writes::Repeat => write(ONLY, None, repeat)?,
        Writes::Fresh => write(ONLY, None, fresh)?,
        Writes::Reports | Writes::Incidents => return Ok(None),
        Writes::Mixed => format!(
            "\\set chance random(1, 100)\n\\if :chance <= {MIXED_REPEATS_PERCENT}\n{}\\else\n\
             {}\\endif\n",
            write(ONLY, None, repeat)?,
            write(ONLY, None, fresh)?
        ),
    };
    whole(&statement, generator).map(Some)
}

/// The same for a batch of `count` records. The service asks which vectors are missing first; the
/// script knows.
pub(crate) fn batch_script(
    writes: Writes,
    count: u64,
    generator: &Generator,
) -> Result<Option<Script>> {
    if count == 1 {
        return script(writes, generator);
    }
    let vector = match writes {
        Writes::Repeat => SampleVector::Absent,
        Writes::Fresh => SampleVector::Argument,
        _ => return Ok(None),
    };
    let statement = write(NUMBERED, Some(count), vector)?;
    whole(&statement, generator).map(Some)
}

/// The script that writes the contents of `count` records to the table [`BARE_TABLE`].
pub(crate) fn bare_script(count: u64, generator: &Generator) -> Result<Script> {
    let record = record("sample_content", NUMBERED, None);
    let statement = format!(
        "INSERT INTO bench_bare (kind, created_at, content) SELECT 'remediation', now(), {record} \
         FROM generate_series(1, {count}) AS item;\n"
    );
    whole(&statement, generator)
}

/// The script that inserts the rows of a write with a known text (record, incident, its versions,
/// link and entry of the log) into the service's tables, in a statement that is planned once: what
/// PostgreSQL must do for a write. It parses no record and looks up only the vector.
pub(crate) fn rows_script(generator: &Generator) -> Result<Script> {
    let (model, hash) = (
        Sample::known(generator)?.model()?,
        format!("sha256(convert_to({ONLY}, 'UTF8'))"),
    );
    let content = record("sample_content", ONLY, None);
    let alerts = alerts().len();
    let statement = format!(
        "WITH one AS MATERIALIZED (\
             SELECT {ONLY} AS name, {hash} AS hash, nextval('audit_record_ids') AS id, \
                 nextval('incident_ids') AS incident_id, \
                 '{TARGET_PREFIX}' || floor(random() * {TARGETS}) AS target, \
                 (:alerts::text[])[1 + floor(random() * {alerts})::int] AS alert), \
         stored AS (INSERT INTO audit_records \
             (kind, id, created_at, content_hash, content, correlation_id, namespace, name, phase, \
                 cluster, log_nonce) \
             SELECT 'remediation', id, now(), hash, {content}, name, 'kubernaut-system', name, \
                 'Completed', '{CLUSTER}', substr(hash, 1, 16) FROM one), \
         opened AS (INSERT INTO incidents \
             (id, correlation_id, opened_at, remediation_name, alert_name, alert_severity, signal_type, \
                 environment, fingerprint, completed_at, action_history_id, cluster, namespace, \
                 target_type, target_name, execution_status) \
             SELECT incident_id, name, now(), name, alert, 'critical', 'prometheus-alert', 'production', \
                 encode(hash, 'hex'), now(), 1, '{CLUSTER}', 'production', 'deployment', target, \
                 'completed' FROM one), \
         shown AS (INSERT INTO incident_versions (incident_id, remediation) \
             SELECT incident_id, ROW (id, 'kubernaut-system/' || name, now(), now(), 'Completed', now(), 0) \
                 ::record_version FROM one), \
         linked AS (INSERT INTO incident_records \
             (id, incident_id, embedding_id, kind, created_at, content_hash, remediation_request_id, \
                 namespace, target_type, target_name, signal_type) \
             SELECT one.id, incident_id, text.id, 'remediation', now(), hash, name, 'production', \
                 'deployment', target, 'prometheus-alert' \
             FROM one JOIN embeddings AS text \
                 ON model = '{model}' AND text_hash = sha256(convert_to(alert, 'UTF8'))) \
         INSERT INTO log_pending (record_id, entry) SELECT id, format(\
             '{{\"commitment\":\"%s\",\"id\":%s,\"kind\":\"remediation\",\"month\":\"2026-01\",\
             \"recorded_at\":\"2026-01-01T00:00:00.000000Z\",\"version\":1}}', \
             encode(hash, 'base64'), id) FROM one;\n"
    );
    let script = whole(&statement, generator)?;
    Ok(Script {
        is_prepared: true,
        ..script
    })
}

/// A script with a number of its own for each transaction, and the samples that it uses.
fn whole(statement: &str, generator: &Generator) -> Result<Script> {
    let (known, fresh) = (Sample::known(generator)?, Sample::fresh(generator)?);
    let mut variables = vec![
        ("alerts", format!("{{{}}}", alerts().join(","))),
        ("sample_content", known.content()?),
    ];
    for (vector, sample) in [
        (SampleVector::Absent, &known),
        (SampleVector::Known, &known),
        (SampleVector::Argument, &fresh),
    ] {
        variables.push((variable(vector), sample.item(vector)?));
    }
    let is_used = |name: &str| statement.contains(&format!(":{name}::"));
    Ok(Script {
        text: format!("\\set n random(1, {NUMBER_MAX})\n{statement}"),
        variables: variables
            .into_iter()
            .filter(|(name, _)| is_used(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        is_prepared: false,
    })
}

/// The variable of a sample.
fn variable(vector: SampleVector) -> &'static str {
    match vector {
        SampleVector::Absent => "sample_without_vector",
        SampleVector::Known => "sample_known",
        SampleVector::Argument => "sample_new",
    }
}

/// The service's statement, with an argument made in SQL: of one record, or of `count` in a row.
fn write(identity: &str, count: Option<u64>, vector: SampleVector) -> Result<String> {
    let is_fresh = vector == SampleVector::Argument;
    let each = if count.is_some() { "0 * item" } else { "0" };
    let fresh = is_fresh.then(|| new_vector(each));
    let record = record(variable(vector), identity, fresh.as_deref());
    let records = match count {
        None => format!("('[' || {record} || ']')"),
        Some(count) => format!(
            "(SELECT '[' || string_agg({record}, ',') || ']' FROM generate_series(1, {count}) AS item)"
        ),
    };
    let expressions = [&records, "NULL", "true"].map(str::to_owned);
    statement(RECORD_SOURCE, "WRITE_AUDIT_RECORDS", &expressions)
}

/// A record made from a sample. Nonce and commitment are as long and random as the service's. A new
/// text has a `vector`, a known one is that of a random alert.
///
/// Making one with a known text costs PostgreSQL 0.1 ms as a statement of its own and 0.025 ms within a
/// batch, on a machine where `SELECT 1` takes 0.02 ms and a bare INSERT's record 0.01 ms. One pass of
/// `format` is cheaper than a `replace` for each place.
fn record(sample: &str, identity: &str, vector: Option<&str>) -> String {
    let hash = |text: &str| format!("sha256(convert_to({text}, 'UTF8'))");
    let (of_identity, alerts) = (hash(identity), alerts().len());
    let text = match vector {
        Some(_) => of_identity.clone(),
        None => hash(&format!(
            "(:alerts::text[])[1 + floor(random() * {alerts})::int]"
        )),
    };
    format!(
        "format(:{sample}::text, {identity}, now(), encode({of_identity}, 'hex'), md5({identity}), \
         encode({of_identity}, 'base64'), floor(random() * {TARGETS}), encode({text}, 'hex'), {})",
        vector.unwrap_or("NULL")
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn generator() -> Generator {
        Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn every_parameter_of_the_services_statement_is_given() {
        let statement = write(ONLY, None, SampleVector::Known).unwrap();
        assert!(!statement.contains('$'), "{statement}");
        assert!(
            statement.contains("write_audit_records(('[' || format(:sample_known::text, "),
            "{statement}"
        );
        assert!(
            statement.contains("::text::json, NULL, true)"),
            "{statement}"
        );
    }

    #[test]
    fn a_batch_of_known_texts_sends_no_vectors_and_one_of_new_texts_one_each() {
        let script = |writes, count| batch_script(writes, count, &generator()).unwrap().unwrap();
        for (writes, count, variables) in [
            (Writes::Repeat, 1, "alerts sample_known"),
            (Writes::Repeat, 10, "alerts sample_without_vector"),
            (Writes::Fresh, 10, "sample_new"),
        ] {
            let script = script(writes, count);
            let names = script.variables.iter().map(|(name, _)| name.as_str());
            assert_eq!(names.collect::<Vec<_>>().join(" "), variables);
        }
        let fresh = script(Writes::Fresh, 10).text;
        assert!(
            fresh.contains("nextval('bench_vector_numbers') + 0 * item"),
            "{fresh}"
        );
        assert!(fresh.contains("generate_series(1, 10) AS item"), "{fresh}");
        let reports = batch_script(Writes::Reports, 10, &generator());
        assert!(reports.unwrap().is_none());
    }

    #[test]
    fn the_rows_of_a_write_are_inserted_by_one_statement_that_is_planned_once() {
        let script = rows_script(&generator()).unwrap();
        assert!(script.is_prepared);
        for table in [
            "audit_records",
            "incidents",
            "incident_versions",
            "incident_records",
            "log_pending",
        ] {
            assert!(
                script.text.contains(&format!("INSERT INTO {table} (")),
                "{table}"
            );
        }
        assert_eq!(script.text.matches(';').count(), 1);
    }

    #[test]
    fn a_bare_insert_writes_as_many_contents() {
        let script = bare_script(100, &generator()).unwrap();
        assert!(script.text.contains("INSERT INTO bench_bare"));
        assert!(script.text.contains("generate_series(1, 100)"));
        let columns = "kind text NOT NULL, created_at timestamptz NOT NULL, content text NOT NULL";
        assert!(BARE_TABLE.contains(columns));
    }
}
