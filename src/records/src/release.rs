//! Releases of holds.

use crate::field::Field;
use crate::field_reader::FieldReader;
use crate::hold::REASON;
use crate::json;
use crate::schema::list;
use crate::violation::Report;

/// The release of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Why the hold is released.
    pub reason: String,
}

impl Release {
    /// Parses a request body.
    ///
    /// # Errors
    ///
    /// Reports everything that is wrong with the release at once.
    pub fn parse(body: &[u8]) -> Result<Self, Report> {
        let mut report = Report::default();
        let release = json::read_object(body, &mut report).map(|object| {
            let mut fields = FieldReader::new(object, &mut report);
            let release = Self::take(&mut fields);
            fields.refuse_unknown();
            release
        });
        match release {
            Some(release) if report.is_empty() => Ok(release),
            _ => Err(report),
        }
    }

    fn take(fields: &mut FieldReader<'_>) -> Self {
        Self {
            reason: fields.required_text("reason", &REASON),
        }
    }

    /// Returns every field of a release.
    pub fn schema() -> Vec<Field> {
        list(|fields| {
            Self::take(fields);
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_release_says_why_and_nothing_else() {
        let parse = |release: Value| Release::parse(release.to_string().as_bytes());
        let longest = "ü".repeat(1024);
        let release = parse(json!({ "reason": longest })).unwrap();
        assert_eq!(release.reason, longest);
        for (release, field, rule) in [
            (json!({}), "reason", "required"),
            (json!({"reason": null}), "reason", "required"),
            (json!({"reason": "ü".repeat(1025)}), "reason", "length"),
            (json!({"reason": "done", "id": 1}), "id", "unknown"),
            (json!([]), "body", "type"),
        ] {
            let refused = parse(release).unwrap_err();
            let violations = refused.into_violations();
            let found: Vec<_> = violations
                .iter()
                .map(|one| (one.field.as_str(), one.rule))
                .collect();
            assert_eq!(found, [(field, rule)]);
        }
    }

    #[test]
    fn the_fields_of_releases_are_told() {
        assert_eq!(Release::schema().len(), 1);
    }
}
