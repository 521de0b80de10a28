//! Violations: what is wrong with a request.

use serde::Serialize;

/// Maximum number of violations of a record that are listed; one more entry counts the omitted ones.
pub const VIOLATIONS_MAX: usize = 100;

/// Maximum number of violations of a batch that are listed, ten for each of its items.
pub const BATCH_VIOLATIONS_MAX: usize = 5_000;

const FIELD_CHARACTERS_MAX: usize = 128;

/// A rule that a request or a setting breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Violation {
    /// Position of the item in its batch, from 0; absent outside of batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// Field, parameter or variable, for example `labels["app"]`; `body` for the whole document.
    pub field: String,
    /// Name of the rule: `required`, `unknown`, `type`, `enum`, `length` and others.
    pub rule: &'static str,
    /// Human-readable explanation of what is wrong and what is expected.
    pub message: String,
}

impl Violation {
    /// Creates a violation and cuts a field name longer than 128 characters.
    pub fn new(field: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        let mut field = field.into();
        if let Some((end, _)) = field.char_indices().nth(FIELD_CHARACTERS_MAX) {
            field.truncate(end);
            field.push('…');
        }
        Self {
            item: None,
            field,
            rule,
            message: message.into(),
        }
    }
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Correlation id of the record, if it has a valid one.
    pub correlation_id: Option<String>,
    /// Violations, at least one.
    pub report: Report,
}

/// Collects violations: the first [`VIOLATIONS_MAX`] in full, and the number of the others.
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
    /// Joins the reports of a batch's items, each with its position.
    pub fn of_items(reports: impl IntoIterator<Item = (usize, Self)>) -> Self {
        let mut joined = Self::default();
        for (item, report) in reports {
            joined.omitted += report.omitted;
            for mut violation in report.violations {
                if joined.violations.len() < BATCH_VIOLATIONS_MAX {
                    violation.item = Some(item);
                    joined.violations.push(violation);
                } else {
                    joined.omitted += 1;
                }
            }
        }
        joined
    }

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

    /// Adds a violation and builds its field name, which may be long, only if it is listed.
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

    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    /// Number of violations, including omitted ones.
    pub fn count(&self) -> usize {
        self.violations.len() + self.omitted
    }

    /// Whether a listed violation names the field.
    pub fn names(&self, field: &str) -> bool {
        let mut fields = self.violations.iter().map(|violation| &violation.field);
        fields.any(|named| named == field)
    }

    /// Returns the listed violations, and one more that counts the omitted ones.
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
