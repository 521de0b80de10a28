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
    pub violations: Vec<Violation>,
}

/// Collects violations, the first [`VIOLATIONS_MAX`] of them in full.
#[derive(Debug, Default)]
pub(crate) struct Report {
    violations: Vec<Violation>,
    omitted: usize,
}

impl Report {
    pub(crate) fn add(
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

    pub(crate) fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn into_violations(mut self) -> Vec<Violation> {
        if self.omitted > 0 {
            let omitted = self.omitted;
            self.violations.push(Violation::new(
                "body",
                "more",
                format!("{omitted} more violations are not listed"),
            ));
        }
        self.violations
    }
}
