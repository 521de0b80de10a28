//! The list of kinds. Other lists of them derive from it.

use serde_json::Value;

use crate::common_fields::CommonFields;
use crate::content::Content;
use crate::field::Field;
use crate::record::{Kind, Record};
use crate::schema::schema;
use crate::violation::Rejection;
use crate::{AiAnalysis, Event, Execution, Remediation, Workflow};

/// Every kind of record.
pub const KINDS: [RecordKind; 5] = [
    RecordKind::of::<Remediation>(),
    RecordKind::of::<AiAnalysis>(),
    RecordKind::of::<Workflow>(),
    RecordKind::of::<Execution>(),
    RecordKind::of::<Event>(),
];

/// The names of [`KINDS`], without a reference to their code: for components that need no other.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
pub const KIND_NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut index = 0;
    while index < KINDS.len() {
        names[index] = KINDS[index].name;
        index += 1;
    }
    names
};

/// A [`Kind`] as a value.
#[derive(Clone, Copy, Debug)]
pub struct RecordKind {
    /// [`Kind::NAME`].
    pub name: &'static str,
    /// [`Kind::TITLE`].
    pub title: &'static str,
    /// [`schema`] of the kind.
    pub schema: fn() -> Vec<Field>,
    /// [`Record::parse`] of the kind.
    pub parse: fn(&[u8], &str) -> Result<AnyRecord, Rejection>,
}

impl RecordKind {
    const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            title: K::TITLE,
            schema: schema::<K>,
            parse: |body, cluster_name| Record::<K>::parse(body, cluster_name).map(AnyRecord::from),
        }
    }

    /// Returns the kind with a name.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }
}

/// A valid record, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyRecord {
    /// [`Kind::NAME`].
    pub kind: &'static str,
    /// [`Kind::TITLE`].
    pub title: &'static str,
    /// Fields that all kinds share.
    pub common: CommonFields,
    /// [`Kind::progress`].
    pub progress: i64,
    /// Cluster in force, as in [`Record`].
    pub cluster: String,
    /// [`Kind::projection`].
    pub projection: Value,
    /// [`Kind::embedded_text`].
    pub embedded_text: String,
    /// [`Kind::TEXT_IS_NAME`].
    pub text_is_name: bool,
    /// The whole record in canonical form.
    pub content: Content,
}

impl<K: Kind> From<Record<K>> for AnyRecord {
    fn from(record: Record<K>) -> Self {
        Self {
            kind: K::NAME,
            title: K::TITLE,
            text_is_name: K::TEXT_IS_NAME,
            progress: record.kind.progress(),
            embedded_text: record.kind.embedded_text(&record.common),
            common: record.common,
            cluster: record.cluster,
            projection: record.projection,
            content: record.content,
        }
    }
}
