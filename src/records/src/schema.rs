//! Schema of a kind of record. The parser reads an empty object, and each field that it asks for is
//! collected with its rule, so schema and parser cannot differ.

use crate::common_fields::CommonFields;
use crate::field::Field;
use crate::field_reader::FieldReader;
use crate::record::Kind;
use crate::violation::Report;

/// Returns every field of a kind's records, in the order in which the parser reads them.
pub fn schema<K: Kind>() -> Vec<Field> {
    list(|fields| {
        CommonFields::read(fields);
        K::read(fields, None);
    })
}

/// Collects the fields that `take` asks an empty object for.
pub(crate) fn list(take: impl FnOnce(&mut FieldReader<'_>)) -> Vec<Field> {
    let mut schema = Vec::new();
    // Discarded: an empty object lacks the required fields.
    let mut report = Report::default();
    take(&mut FieldReader::listing(&mut schema, &mut report));
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::field::{FieldType, Form, Text};
    use crate::{KINDS, Workflow};

    fn all() -> Vec<Field> {
        KINDS.map(|kind| (kind.schema)()).concat()
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
