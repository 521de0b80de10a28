//! What a kind of record may hold, told by the code that reads it.
//!
//! The parser is asked for a record while it looks at an empty object, and each field that it
//! asks for is written down with its rule. So what is told here and what is refused there
//! cannot differ.

use std::ops::RangeInclusive;

use crate::common_fields::CommonFields;
use crate::field_reader::{FieldReader, Text};
use crate::record::Kind;
use crate::violation::Report;

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: String,
    /// Whether it must be there and be set. Null, an empty text and Go's zero time are the same
    /// as absent.
    pub is_required: bool,
    /// What it may hold.
    pub field_type: FieldType,
}

/// What a field may hold.
#[derive(Clone, Debug)]
pub enum FieldType {
    /// A text.
    Text(Text),
    /// One of these texts.
    Choice(Vec<&'static str>),
    /// An RFC 3339 timestamp with an offset, in the years 0001 to 9999 of UTC.
    Timestamp,
    /// Standard base64, with padding, of at most so many bytes.
    Base64(usize),
    /// An object of texts.
    TextMap {
        /// The most entries.
        entries_max: usize,
        /// What a key must look like.
        key: Text,
        /// What a value must look like.
        value: Text,
    },
    /// An array of texts.
    Texts,
    /// An array of objects with these fields.
    Objects(Vec<Field>),
    /// True or false.
    Boolean,
    /// A number. A whole one is at most 2^53 - 1, which a double holds exactly.
    Number(RangeInclusive<f64>),
    /// A whole number.
    Integer(RangeInclusive<i64>),
}

/// Every field of a kind's records, in the order in which they are read.
pub fn schema<K: Kind>() -> Vec<Field> {
    let mut schema = Vec::new();
    // Of all that an empty object lacks.
    let mut report = Report::default();
    let mut fields = FieldReader::listing(&mut schema, &mut report);
    CommonFields::read(&mut fields);
    K::read(&mut fields, None);
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::field_reader::Form;
    use crate::{AiAnalysis, Execution, Remediation, Workflow};

    fn all() -> Vec<Field> {
        [
            schema::<Remediation>(),
            schema::<AiAnalysis>(),
            schema::<Workflow>(),
            schema::<Execution>(),
        ]
        .concat()
    }

    fn forms() -> Vec<Form> {
        let forms = all()
            .into_iter()
            .filter_map(|field| match field.field_type {
                FieldType::Text(Text::Form(form)) => Some(form),
                _ => None,
            });
        forms.collect()
    }

    #[test]
    fn a_kinds_fields_are_told_once_each_the_common_ones_first() {
        let fields = schema::<Workflow>();
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names.first(), Some(&"name"));
        assert_eq!(names.last(), Some(&"stepStatuses"));
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn the_fields_of_a_list_are_told_with_it() {
        let fields = schema::<Workflow>();
        let steps = fields
            .into_iter()
            .find(|field| field.name == "stepStatuses");
        let Some(FieldType::Objects(step)) = steps.map(|field| field.field_type) else {
            panic!("stepStatuses is a list of objects");
        };
        let required = |name| {
            step.iter()
                .any(|field| field.name == name && field.is_required)
        };
        assert!(required("name") && required("phase") && !required("retryCount"));
    }

    proptest! {
        #[test]
        fn a_form_is_the_same_in_code_and_as_a_pattern(
            text in "[a-z0-9A-Zä._:\\-\n ]{0,12}|(sha256:)?[0-9A-Fa-f]{63,65}|[a-z.-]{1,9}",
        ) {
            for form in forms() {
                let pattern = Regex::new(form.pattern).unwrap();
                prop_assert_eq!((form.is_valid)(&text), pattern.is_match(&text), "{:?}", form);
            }
        }
    }
}
