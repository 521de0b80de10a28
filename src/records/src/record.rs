//! A record of any kind: how it is read, and what there is to know of it.

use chrono::{DateTime, FixedOffset, SecondsFormat, SubsecRound as _, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::common::{Common, TEXT_CHARACTERS_MAX};
use crate::content::Content;
use crate::fields::Fields;
use crate::format;
use crate::json;
use crate::violation::{Rejection, Report};

/// A kind of record: the fields that it adds to the common ones. Serialized, they are what an
/// incident takes from a record of the kind, under the names that the kind's projection in
/// `migrations/` reads.
pub trait Kind: Serialize + Sized {
    /// As it stands in paths, tables and answers: `aianalysis`.
    const NAME: &'static str;
    /// For people: `AI analysis`.
    const TITLE: &'static str;

    /// Takes the kind's fields and checks their rules. `common` is what the record says beside
    /// them, as far as that could be read. `None` only where the report says why.
    fn read(fields: &mut Fields<'_>, common: Option<&Common>) -> Option<Self>;

    /// How far the object has come, beside its phase and its times: of two records that are
    /// equal in those, the one with the greater progress is the newer.
    fn progress(&self) -> [u64; 2] {
        [0, 0]
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
    pub common: Common,
    /// What only this kind says.
    pub kind: K,
    /// The cluster in force: the record's own, else its label `cluster`, else the service's.
    /// A label that is empty or too long says nothing.
    pub cluster: String,
    /// The record's place among the versions of what it reports: of two records the one with
    /// the greater is the newer, compared as bytes.
    pub version: Vec<u8>,
    /// What its incident takes from the record, beside what every record's row has: a JSON
    /// object. Times are in UTC, to the microsecond.
    pub facts: String,
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
                violations: report.into_violations(),
            }),
        }
    }

    fn read(object: Map<String, Value>, cluster_name: &str, report: &mut Report) -> Option<Self> {
        let content = written(Content::of(&object), report);
        let fields_said = object.values().filter(|value| !value.is_null()).count();
        let mut fields = Fields::new(object, report);
        let common = Common::read(&mut fields);
        let kind = K::read(&mut fields, common.as_ref());
        fields.refuse_unknown();
        let (common, kind) = (common?, kind?);
        let label = common.label("cluster");
        let cluster = kind
            .cluster()
            .or(label.filter(|label| is_cluster_name(label)))
            .unwrap_or(cluster_name)
            .to_owned();
        let facts = Facts {
            reason: common.reason.as_deref(),
            message: common.message.as_deref(),
            started_at: common.started_at,
            completed_at: common.completed_at,
            kind: &kind,
        };
        let facts = written(serde_json::to_string(&facts), report)?;
        let content = content?;
        let fields_said = u64::try_from(fields_said).unwrap_or(u64::MAX);
        Some(Self {
            version: common.version(kind.progress(), fields_said, content.hash()),
            facts,
            content,
            common,
            kind,
            cluster,
        })
    }
}

/// What could be written as JSON. A number that has no form there is the only obstacle, and
/// strict reading lets none through.
fn written<T>(result: Result<T, serde_json::Error>, report: &mut Report) -> Option<T> {
    result
        .map_err(|error| report.add("body", "json", error.to_string()))
        .ok()
}

#[derive(Serialize)]
struct Facts<'a, K> {
    reason: Option<&'a str>,
    message: Option<&'a str>,
    #[serde(serialize_with = "to_the_microsecond")]
    started_at: Option<DateTime<FixedOffset>>,
    #[serde(serialize_with = "to_the_microsecond")]
    completed_at: Option<DateTime<FixedOffset>>,
    #[serde(flatten)]
    kind: &'a K,
}

/// Cut, not rounded: the last moment of the year 9999 stays in it.
fn to_the_microsecond<S: Serializer>(
    instant: &Option<DateTime<FixedOffset>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let utc = instant.map(|instant| instant.with_timezone(&Utc).trunc_subsecs(6));
    utc.map(|instant| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        .serialize(serializer)
}
