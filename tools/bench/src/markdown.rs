//! A report as Markdown.

use std::fmt::Write as _;

use crate::report_file::Report;
use crate::tables::{Table, facts, tables};

/// The report as Markdown: where and with what it was made, and its tables.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = format!("# Benchmark of {}\n\n", escaped(&report.commit));
    for (name, value) in facts(report) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {name}: {}", escaped(&value));
    }
    for table in tables(report) {
        append(&mut text, &table);
    }
    text
}

fn append(text: &mut String, table: &Table) {
    let _ = write!(text, "\n## {}\n\n{}\n\n", escaped(&table.title), table.note);
    let _ = writeln!(text, "| {} |", table.columns.join(" | "));
    let numbers = "---:|".repeat(table.columns.len().saturating_sub(1));
    let _ = writeln!(text, "|---|{numbers}");
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    if !table.errors.is_empty() {
        text.push_str("\nErrors:\n\n");
        for error in &table.errors {
            let _ = writeln!(text, "- {}", escaped(error));
        }
    }
}

/// The text so that Markdown takes it as nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '<' | '>' | '[' | ']' | '|' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report_file::{self, Mode};

    #[test]
    fn the_sample_reads_as_expected() {
        let text = markdown(&report_file::tests::sample());
        assert_eq!(text, include_str!("../fixtures/report.md"));
    }

    #[test]
    fn a_report_without_measures_has_no_tables() {
        let mut report = report_file::tests::sample();
        report.mode = Mode::Smoke;
        report.measures.clear();
        report.at_rate.clear();
        report.start_up.clear();
        report.host_memory.clear();
        report.mixed = None;
        let text = markdown(&report);
        assert!(text.contains("- mode: smoke\n"), "{text}");
        assert!(!text.contains("##"), "{text}");
    }

    #[test]
    fn text_from_elsewhere_stays_in_its_cell() {
        let mut report = report_file::tests::sample();
        report.measures[0].name = "a | b\n*c*".to_owned();
        let text = markdown(&report);
        assert!(text.contains("| a \\| b \\*c\\* |"), "{text}");
    }
}
