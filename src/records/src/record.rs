//! Records of any kind.

use serde_json::{Map, Value};

use crate::common_fields::{CommonFields, TEXT_CHARACTERS_MAX};
use crate::content::Content;
use crate::field_reader::FieldReader;
use crate::json;
use crate::violation::{Rejection, Report};

/// A kind of record, with its fields beyond the common ones.
pub trait Kind: Sized {
    /// Name in paths, tables and responses, for example `aianalysis`.
    const NAME: &'static str;
    /// Name for people, for example `AI analysis`.
    const TITLE: &'static str;
    /// Whether the embedded text consists of names and fixed words, and so is shared by many records.
    const TEXT_IS_NAME: bool;

    /// Takes and checks the kind's fields; returns `None` only if the report says why.
    fn read(fields: &mut FieldReader<'_>, common: Option<&CommonFields>) -> Option<Self>;

    /// Returns the projection as an object whose keys are columns of `incidents` and
    /// `incident_records`. `cluster` is the cluster in force.
    fn projection(&self, common: &CommonFields, cluster: &str) -> Value;

    /// Returns the text that stands for the record in a search, never empty. What is stored
    /// keeps the text of its time: after a change, an embedding cannot be made again from its record.
    fn embedded_text(&self, common: &CommonFields) -> String;

    /// Progress within a phase; orders versions of equal attempt, phase and `completedAt`.
    fn progress(&self) -> i64 {
        0
    }

    /// Cluster that the record's own field names.
    fn cluster(&self) -> Option<&str> {
        None
    }
}

/// Whether a text can name a cluster or a signal: 1 to 255 characters.
pub fn is_name(text: &str) -> bool {
    (1..=TEXT_CHARACTERS_MAX).contains(&text.chars().count())
}

/// A valid audit record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<K> {
    /// Fields that all kinds share.
    pub common: CommonFields,
    /// Fields of this kind.
    pub kind: K,
    /// Cluster in force: the record's own, otherwise its label `cluster`, otherwise the service's.
    /// An empty or too long label is ignored.
    pub cluster: String,
    /// [`Kind::projection`].
    pub projection: Value,
    /// The whole record in canonical form.
    pub content: Content,
}

impl<K: Kind> Record<K> {
    /// Parses a request body. `cluster_name` is the cluster of a record that names none.
    ///
    /// # Errors
    ///
    /// Reports everything that is wrong with the record at once.
    pub fn parse(body: &[u8], cluster_name: &str) -> Result<Self, Rejection> {
        let mut report = Report::default();
        let mut correlation_id = None;
        let record = json::read_object(body, &mut report).and_then(|object| {
            correlation_id = json::correlation_id_in(&object);
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
            .or(label.filter(|label| is_name(label)))
            .unwrap_or(cluster_name)
            .to_owned();
        Some(Self {
            projection: kind.projection(&common, &cluster),
            content: content?,
            common,
            kind,
            cluster,
        })
    }
}
