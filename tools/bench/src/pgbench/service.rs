//! The service's statements, taken from its source.

use anyhow::{Context as _, Result};

/// The source with the statements that write.
pub(crate) const RECORD_SOURCE: &str = include_str!("../../../../src/store/src/record.rs");

/// The source with the statements that read.
pub(crate) const INCIDENT_SOURCE: &str = include_str!("../../../../src/store/src/incident.rs");

/// A statement of a source, with expressions instead of its parameters: the first for `$1`.
pub(crate) fn statement(source: &str, name: &str, expressions: &[String]) -> Result<String> {
    let mut text = constant(source, name)
        .with_context(|| format!("find the statement {name} in the service's source"))?;
    // The last one first: $1 is also the beginning of $10.
    for (index, expression) in expressions.iter().enumerate().rev() {
        text = text.replace(&format!("${}", index + 1), expression);
    }
    text.push_str(";\n");
    Ok(text)
}

/// The value of a string constant whose only escapes are line continuations.
fn constant(source: &str, name: &str) -> Option<String> {
    let (_, value) = source.split_once(&format!("const {name}: &str ="))?;
    let (value, _) = value.trim_start().strip_prefix('"')?.split_once("\";")?;
    let lines = value.split("\\\n").enumerate();
    let value: String = lines
        .map(|(number, line)| if number == 0 { line } else { line.trim_start() })
        .collect();
    (!value.contains(['\\', '"'])).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_found_by_its_name_and_only_where_it_is_plain() {
        let source = "const A: &str = \"one $1\";\nconst B: &str = \"t\\\n    wo\";\n\
            const C: &str = \"\\u{20}\";\nconst E: &str =\n    \"next line\";";
        assert_eq!(constant(source, "A").as_deref(), Some("one $1"));
        assert_eq!(constant(source, "B").as_deref(), Some("two"));
        assert_eq!(constant(source, "E").as_deref(), Some("next line"));
        assert_eq!(constant(source, "C"), None);
        assert_eq!(constant(source, "D"), None);
        assert_eq!(
            statement(source, "A", &["x".to_owned()]).unwrap(),
            "one x;\n"
        );
    }
}
