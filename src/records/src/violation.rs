//! What is wrong with a record.

use serde::Serialize;

/// The most violations that one answer lists; a last one tells how many more there are.
pub const VIOLATIONS_MAX: usize = 100;

/// The longest field name that is repeated in an answer, in characters.
const FIELD_CHARACTERS_MAX: usize = 128;

/// One rule that a record (or a request) breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Violation {
    /// Where: `phase`, `labels["app"]`, or `body` for the document as a whole.
    pub field: String,
    /// Which rule, in one word: `required`, `unknown`, `type`, `enum`, `length`, ...
    pub rule: &'static str,
    /// What is wrong and what would be right, for a person.
    pub message: String,
}

impl Violation {
    /// A violation; a field name of more than 128 characters is cut short.
    pub fn new(field: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        let mut field = field.into();
        if let Some((end, _)) = field.char_indices().nth(FIELD_CHARACTERS_MAX) {
            field.truncate(end);
            field.push('…');
        }
        Self {
            field,
            rule,
            message: message.into(),
        }
    }
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The record's correlation id, where it has a well-formed one.
    pub correlation_id: Option<String>,
    /// Everything that is wrong with it, never empty.
    pub report: Report,
}

/// Collects violations, the first [`VIOLATIONS_MAX`] of them in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    violations: Vec<Violation>,
    omitted: usize,
}

impl From<Violation> for Report {
    fn from(violation: Violation) -> Self {
        Self {
            violations: vec![violation],
            omitted: 0,
        }
    }
}

impl Report {
    /// Adds a violation.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        rule: &'static str,
        message: impl Into<String>,
    ) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation::new(field, rule, message));
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a violation whose field is only written out if it will be listed: a document can
    /// break rules at a great many places with long names.
    pub(crate) fn add_at(
        &mut self,
        field: impl FnOnce() -> String,
        rule: &'static str,
        message: &'static str,
    ) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.add(field(), rule, message);
        } else {
            self.omitted += 1;
        }
    }

    /// Whether no rule is broken.
    pub fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    /// How many rules are broken, listed or not.
    pub fn count(&self) -> usize {
        self.violations.len() + self.omitted
    }

    /// Whether a field is known to break a rule.
    pub fn names(&self, field: &str) -> bool {
        let mut fields = self.violations.iter().map(|violation| &violation.field);
        fields.any(|named| named == field)
    }

    /// The violations as they are listed: in full, and if there are too many, one that says how
    /// many are left out.
    pub fn into_violations(mut self) -> Vec<Violation> {
        match self.omitted {
            0 => {}
            1 => self.omit("1 more violation is not listed".to_owned()),
            omitted => self.omit(format!("{omitted} more violations are not listed")),
        }
        self.violations
    }

    fn omit(&mut self, message: String) {
        self.violations
            .push(Violation::new("errors", "more", message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_listed_up_to_the_limit_and_counted_beyond() {
        for (count, last) in [
            (VIOLATIONS_MAX, None),
            (VIOLATIONS_MAX + 1, Some("1 more violation is not listed")),
            (VIOLATIONS_MAX + 2, Some("2 more violations are not listed")),
        ] {
            let mut report = Report::default();
            for number in 0..count {
                report.add_at(|| number.to_string(), "unknown", "no such field");
            }
            assert_eq!(report.count(), count);
            let listed = report.into_violations();
            let more = listed.get(VIOLATIONS_MAX);
            assert_eq!(more.map(|more| more.message.as_str()), last, "{count}");
        }
    }
}
