//! A record for scripts to make others from, as a format of PostgreSQL's function `format`.

use anyhow::{Context as _, Result, ensure};
use dataset::Model;
use embedding::Embedding;
use records::AnyRecord;
use serde_json::{Map, Value};
use store::AuditWrite;

use crate::record::{Generator, RecordKind, TARGET_PREFIX, known_alert, parse};

/// The series of the samples.
const SERIES: &str = "pgbench-sample";

// The places of a format, in the order of the arguments.
pub(super) const IDENTITY: &str = "%1$s";
const CREATED_AT: &str = "%2$s";
const HASH: &str = "%3$s";
const NONCE: &str = "%4$s";
const COMMITMENT: &str = "%5$s";
const TARGET: &str = "%6$s";
const TEXT_HASH: &str = "%7$s";
const VECTOR: &str = "%8$s";

/// What a sample sends as the vector of its text.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SampleVector {
    /// None, since the database has it.
    Absent,
    /// That of a known text.
    Known,
    /// The last argument of the format.
    Argument,
}

/// A record with what is replaced in it.
pub(super) struct Sample {
    record: AnyRecord,
    replaced: Vec<(String, String)>,
}

impl Sample {
    /// A remediation with a known text.
    pub(super) fn known(generator: &Generator) -> Result<Self> {
        Self::new(generator, RecordKind::Remediation, known_alert(0))
    }

    /// An analysis with a new text.
    pub(super) fn fresh(generator: &Generator) -> Result<Self> {
        let text = generator.fresh_text(SERIES, 0)?;
        Self::new(generator, RecordKind::Aianalysis, &text)
    }

    fn new(generator: &Generator, kind: RecordKind, text: &str) -> Result<Self> {
        let record = parse(kind, &generator.record(kind, SERIES, 0, text)?)?;
        let mut replaced = vec![(record.common.name.clone(), IDENTITY.to_owned())];
        for (column, place) in [
            ("target_name", format!("{TARGET_PREFIX}{TARGET}")),
            ("fingerprint", HASH.to_owned()),
        ] {
            let value = record.projection.get(column).and_then(Value::as_str);
            replaced.extend(value.map(|value| (value.to_owned(), place)));
        }
        Ok(Self { record, replaced })
    }

    /// An item of the argument of `write_audit_records`.
    pub(super) fn item(&self, vector: SampleVector) -> Result<String> {
        let embedding = self.embedding()?;
        let known = (vector == SampleVector::Known).then_some(&embedding.vector);
        let write = AuditWrite::new(&self.record, &embedding.key, known, &[], String::new());
        let item = serde_json::to_string(&write).context("write a record as JSON")?;
        let mut item: Map<String, Value> =
            serde_json::from_str(&self.format(&item)?).context("read a record as JSON")?;
        let mut places = vec![
            ("created_at", CREATED_AT.to_owned()),
            ("content_hash", bytea(HASH)),
            ("text_hash", bytea(TEXT_HASH)),
            ("log_nonce", bytea(NONCE)),
            ("commitment", COMMITMENT.to_owned()),
        ];
        if vector == SampleVector::Argument {
            places.push(("embedding", VECTOR.to_owned()));
        }
        for (name, place) in places {
            let known = item.insert(name.to_owned(), place.into());
            ensure!(known.is_some(), "an audit_write has no {name}");
        }
        serde_json::to_string(&item).context("write a sample as JSON")
    }

    /// The model of the vectors.
    pub(super) fn model(&self) -> Result<String> {
        Ok(self.embedding()?.key.model)
    }

    /// The content alone.
    pub(super) fn content(&self) -> Result<String> {
        self.format(self.record.content.json())
    }

    fn embedding(&self) -> Result<Embedding> {
        Model::Local.embed(&self.record.embedded_text)
    }

    fn format(&self, text: &str) -> Result<String> {
        let mut format = text.replace('%', "%%");
        for (value, place) in &self.replaced {
            ensure!(format.contains(value), "a sample has no {value}");
            format = format.replace(value, place);
        }
        Ok(format)
    }
}

/// PostgreSQL's hexadecimal form of binary data.
fn bytea(digits: &str) -> String {
    format!("\\x{digits}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_sample_keeps_nothing_that_must_differ_between_records() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap();
        let sample = Sample::known(&generator).unwrap();
        let item = sample.item(SampleVector::Argument).unwrap();
        for place in [
            r#""created_at":"%2$s""#,
            r#""content_hash":"\\x%3$s""#,
            r#""log_nonce":"\\x%4$s""#,
            r#""commitment":"%5$s""#,
            r#""text_hash":"\\x%7$s""#,
            r#""embedding":"%8$s""#,
            r#""name":"%1$s""#,
            r#""correlation_id":"%1$s""#,
            r#""target_name":"checkout-api-%6$s""#,
            r#""fingerprint":"%3$s""#,
        ] {
            assert!(item.contains(place), "{place}\n{item}");
        }
        assert!(!item.contains("pgbench-sample"), "{item}");
        let absent = sample.item(SampleVector::Absent).unwrap();
        assert!(absent.contains(r#""embedding":null"#), "{absent}");
        let known = sample.item(SampleVector::Known).unwrap();
        assert!(known.contains(r#""embedding":"["#), "{known}");
        let fresh = Sample::fresh(&generator).unwrap();
        let fresh = fresh.item(SampleVector::Argument).unwrap();
        for place in [
            r#""kind":"aianalysis""#,
            r#""name":"%1$s""#,
            r#""text_hash":"\\x%7$s""#,
            r#""embedding":"%8$s""#,
        ] {
            assert!(fresh.contains(place), "{place}\n{fresh}");
        }
        assert!(!fresh.contains("pgbench-sample"), "{fresh}");
        let content = sample.content().unwrap();
        assert!(content.contains(r#""correlationId":"%1$s""#), "{content}");
    }
}
