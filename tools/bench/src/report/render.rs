//! Tables as Markdown and HTML.

use std::fmt::Write as _;

use super::Report;
use super::tables::{facts, tables};

/// A table with its explanation.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// How to read it.
    pub(crate) note: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Errors, one per line.
    pub(crate) errors: Vec<String>,
}

/// Makes the text of a cell from what a row shows.
pub(super) type Cell<'a, T> = &'a dyn Fn(&T) -> String;

impl Table {
    /// A table with a row for each of `things`. Each column has a name and makes its cells.
    pub(super) fn new<T>(
        title: impl Into<String>,
        note: &'static str,
        things: &[T],
        columns: &[(&'static str, Cell<'_, T>)],
    ) -> Self {
        let row = |thing: &T| columns.iter().map(|(_, cell)| cell(thing)).collect();
        Self {
            title: title.into(),
            note,
            columns: columns.iter().map(|(name, _)| *name).collect(),
            rows: things.iter().map(row).collect(),
            errors: Vec::new(),
        }
    }
}

/// A report as Markdown.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = format!("# Benchmark of {}\n\n", markdown_escaped(&report.commit));
    for (name, value) in facts(report) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {name}: {}", markdown_escaped(&value));
    }
    for table in tables(report) {
        text.push_str(&markdown_table(&table));
    }
    text
}

/// A table as Markdown, with its title.
pub(crate) fn markdown_table(table: &Table) -> String {
    let title = markdown_escaped(&table.title);
    let mut text = format!("\n## {title}\n\n{}\n\n", table.note);
    let _ = writeln!(text, "| {} |", table.columns.join(" | "));
    let numbers = "---:|".repeat(table.columns.len().saturating_sub(1));
    let _ = writeln!(text, "|---|{numbers}");
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| markdown_escaped(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    if !table.errors.is_empty() {
        text.push_str("\nErrors:\n\n");
    }
    for error in &table.errors {
        let _ = writeln!(text, "- {}", markdown_escaped(error));
    }
    text
}

// No browser loads anything for this page, whatever it contains.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
    'unsafe-inline'\">\n<style>\n\
    body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; }\n\
    p { max-width: 60rem; }\n\
    div { overflow-x: auto; }\n\
    table { border-collapse: collapse; font-size: 0.85rem; }\n\
    th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; }\n\
    th:first-child, td:first-child { text-align: left; }\n\
    .errors { color: #b3261e; }\n\
    </style>\n";

/// A report as a self-contained page, with more HTML at its end.
pub(crate) fn html(report: &Report, more: &str) -> String {
    let title = format!("Benchmark of {}", html_escaped(&report.commit));
    let mut text =
        format!("{HEAD}<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<ul>\n");
    for (name, value) in facts(report) {
        let _ = writeln!(text, "<li>{name}: {}</li>", html_escaped(&value));
    }
    text.push_str("</ul>\n");
    for table in tables(report) {
        text.push_str(&html_table(&table));
    }
    text + more + "</body>\n</html>\n"
}

/// A table as HTML, with its title.
fn html_table(table: &Table) -> String {
    let row = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", html_escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let mut text = format!(
        "<h2>{}</h2>\n<p>{}</p>\n<div><table>\n",
        html_escaped(&table.title),
        html_escaped(table.note)
    );
    text.push_str(&row("th", &mut table.columns.iter().copied()));
    for cells in &table.rows {
        text.push_str(&row("td", &mut cells.iter().map(String::as_str)));
    }
    text.push_str("</table></div>\n");
    for error in &table.errors {
        let _ = writeln!(text, "<p class=\"errors\">{}</p>", html_escaped(error));
    }
    text
}

/// Escapes text for Markdown.
fn markdown_escaped(text: &str) -> String {
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

/// Escapes text for HTML.
fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
