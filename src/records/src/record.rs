//! A record of any kind: how it is read, and what there is to know of it.

use serde_json::{Map, Value};

use crate::common_fields::{CommonFields, TEXT_CHARACTERS_MAX};
use crate::content::Content;
use crate::field_reader::FieldReader;
use crate::format;
use crate::json;
use crate::violation::{Rejection, Report};

/// A kind of record: the fields that it adds to the common ones.
pub trait Kind: Sized {
    /// As it stands in paths, tables and answers: `aianalysis`.
    const NAME: &'static str;
    /// For people: `AI analysis`.
    const TITLE: &'static str;

    /// Takes the kind's fields and checks their rules. `common` is what the record says beside
    /// them, as far as that could be read. `None` only where the report says why.
    fn read(fields: &mut FieldReader<'_>, common: Option<&CommonFields>) -> Option<Self>;

    /// What an incident takes from a record of the kind, and what a search by SQL finds the record
    /// by: an object whose keys are columns of `incidents` and of `incident_records`. `cluster` is
    /// the one in force.
    fn projection(&self, common: &CommonFields, cluster: &str) -> Value;

    /// How far the object is within its phase: of two records that are equal in attempt, phase and
    /// `completedAt`, the one with the greater progress is the newer.
    fn progress(&self) -> i64 {
        0
    }

    /// The cluster that the record's own field names.
    fn cluster(&self) -> Option<&str> {
        None
    }
}

/// Whether a text can name a cluster: 1-255 characters.
pub fn is_cluster_name(text: &str) -> bool {
    (1..=TEXT_CHARACTERS_MAX).contains(&text.chars().count())
}

/// An audit record that breaks no rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<K> {
    /// What all kinds of record say.
    pub common: CommonFields,
    /// What only this kind says.
    pub kind: K,
    /// The cluster in force: the record's own, else its label `cluster`, else the service's.
    /// A label that is empty or too long says nothing.
    pub cluster: String,
    /// [`Kind::projection`] as JSON.
    pub projection: String,
    /// The whole record.
    pub content: Content,
}

impl<K: Kind> Record<K> {
    /// Reads a record from a request's body. `cluster_name` is the cluster of a record that
    /// names none.
    ///
    /// # Errors
    ///
    /// All that is wrong with the record, at once.
    pub fn parse(body: &[u8], cluster_name: &str) -> Result<Self, Rejection> {
        let mut report = Report::default();
        let mut correlation_id = None;
        let record = json::read_object(body, &mut report).and_then(|object| {
            correlation_id = object
                .get("correlationId")
                .and_then(Value::as_str)
                .filter(|text| format::is_correlation_id(text))
                .map(str::to_owned);
            Self::read(object, cluster_name, &mut report)
        });
        match record {
            Some(record) if report.is_empty() => Ok(record),
            _ => Err(Rejection {
                correlation_id,
                report,
            }),
        }
    }

    fn read(object: Map<String, Value>, cluster_name: &str, report: &mut Report) -> Option<Self> {
        let content = Content::of(&object)
            .map_err(|error| report.add("body", "json", error.to_string()))
            .ok();
        let mut fields = FieldReader::new(object, report);
        let common = CommonFields::read(&mut fields);
        let kind = K::read(&mut fields, common.as_ref());
        fields.refuse_unknown();
        let (common, kind) = (common?, kind?);
        let label = common.label("cluster");
        let cluster = kind
            .cluster()
            .or(label.filter(|label| is_cluster_name(label)))
            .unwrap_or(cluster_name)
            .to_owned();
        Some(Self {
            projection: kind.projection(&common, &cluster).to_string(),
            content: content?,
            common,
            kind,
            cluster,
        })
    }
}
