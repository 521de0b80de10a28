//! Tables as Markdown and HTML.

use std::fmt::Write as _;

use super::Report;
use super::tables::{facts, tables};

/// A table with its explanation.
pub(crate) struct Table {
    title: String,
    /// How to read it.
    note: &'static str,
    columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of rows whose cells have the names of their columns.
    pub(crate) fn new<N: ToString>(
        title: impl Into<String>,
        note: &'static str,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = (N, String)>>,
    ) -> Self {
        let (mut columns, mut cells) = (Vec::new(), Vec::new());
        for row in rows {
            let row = row.into_iter().map(|(name, cell)| (name.to_string(), cell));
            let (names, row) = row.unzip();
            columns = names;
            cells.push(row);
        }
        Self {
            title: title.into(),
            note,
            columns,
            rows: cells,
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
    text.extend(tables(report).iter().map(markdown_table));
    text
}

/// A table as Markdown, with its title.
fn markdown_table(table: &Table) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n", table.title, table.note);
    let numbers = "---:|".repeat(table.columns.len().saturating_sub(1));
    let _ = writeln!(text, "| {} |\n|---|{numbers}", table.columns.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| markdown_escaped(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
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
    </style>\n";

/// A report as a self-contained page that ends with another table.
pub(crate) fn html(report: &Report, last: Table) -> String {
    let title = format!("Benchmark of {}", html_escaped(&report.commit));
    let mut text =
        format!("{HEAD}<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<ul>\n");
    for (name, value) in facts(report) {
        let _ = writeln!(text, "<li>{name}: {}</li>", html_escaped(&value));
    }
    text.push_str("</ul>\n");
    for table in tables(report).iter().chain([&last]) {
        let (title, note) = (html_escaped(&table.title), html_escaped(table.note));
        let _ = writeln!(text, "<h2>{title}</h2>\n<p>{note}</p>\n<div><table>");
        text.push_str(&html_row("th", &table.columns));
        text.extend(table.rows.iter().map(|row| html_row("td", row)));
        text.push_str("</table></div>\n");
    }
    text + "</body>\n</html>\n"
}

fn html_row(tag: &str, cells: &[String]) -> String {
    let cells = cells.iter();
    let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", html_escaped(cell)));
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

fn markdown_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '<' | '>' | '[' | ']' | '|' => escaped.extend(['\\', character]),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
