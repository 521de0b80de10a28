//! The page: one file that needs nothing else.

use std::fmt::Write as _;

use anyhow::Result;

use super::charts::{Figure, sections};
use super::colour;
use crate::report_file::Report;
use crate::tables::{Table, facts, tables};

// Not even a mistake in this page can make a browser load anything.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
    'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

/// The page about a report and all of them; `history` is the oldest first.
pub(crate) fn html(report: &Report, history: &[Report]) -> Result<String> {
    let title = format!("Benchmark of {}", escaped(&report.commit));
    let style = include_str!("page.css");
    let mut page = format!(
        "{HEAD}<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
    );
    // Writing to a String cannot fail.
    for (name, value) in facts(report) {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    page.push_str("</dl>\n");
    for section in sections(report, history)? {
        let _ = writeln!(page, "<h2>{}</h2>\n<p>{}</p>", section.title, section.note);
        page.push_str("<div class=\"figures\">\n");
        for figure in &section.figures {
            add_figure(&mut page, figure);
        }
        page.push_str("</div>\n");
    }
    page.push_str("<h2>Tables</h2>\n");
    for table in tables(report) {
        add_table(&mut page, &table);
    }
    add_history(&mut page, report, history);
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

fn add_figure(page: &mut String, figure: &Figure) {
    let title = escaped(&figure.title);
    let _ = writeln!(
        page,
        "<figure>\n<figcaption>{title}</figcaption>\n<ul class=\"legend\">"
    );
    for (colour, meaning) in &figure.legend {
        let _ = writeln!(
            page,
            "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" \
             fill=\"{}\"/></svg>{}</li>",
            colour::name(*colour),
            escaped(meaning)
        );
    }
    let _ = writeln!(
        page,
        "</ul>\n{}<div class=\"along\">{}</div>\n</figure>",
        figure.svg, figure.along
    );
}

fn add_table(page: &mut String, table: &Table) {
    let _ = writeln!(
        page,
        "<h3>{}</h3>\n<p>{}</p>",
        escaped(&table.title),
        table.note
    );
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for column in &table.columns {
        let _ = write!(page, "<th>{}</th>", escaped(column));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if !table.errors.is_empty() {
        page.push_str("<ul class=\"errors\">\n");
        for error in &table.errors {
            let _ = writeln!(page, "<li>{}</li>", escaped(error));
        }
        page.push_str("</ul>\n");
    }
}

/// Which reports there are, the newest first.
fn add_history(page: &mut String, shown: &Report, history: &[Report]) {
    page.push_str(
        "<h3>Reports</h3>\n<p>All that the plots over commits are made of, the newest first. There \
         <b>+</b> is of files that differed from the commit, and <b>q</b> of a quick run.</p>\n\
         <div class=\"scroll\"><table class=\"texts\">\n<thead><tr><th>commit</th><th>message</th>\
         <th>committed</th><th>measured</th><th>mode</th><th>machine</th></tr></thead>\n<tbody>\n",
    );
    for report in history.iter().rev() {
        let class = if report == shown {
            " class=\"shown\""
        } else {
            ""
        };
        let _ = write!(page, "<tr{class}>");
        for cell in [
            &report.commit,
            &report.commit_subject,
            &report.commit_date,
            &report.date,
            report.mode.name(),
            &report.surroundings.cpu,
        ] {
            let _ = write!(page, "<td>{}</td>", escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

/// The text so that HTML takes it as nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::colour::{AXIS, GRID, SERIES, SHADES, TEXT};
    use super::*;
    use crate::report_file;

    #[test]
    fn the_page_has_plots_and_tables_and_needs_nothing_else() {
        let report = report_file::tests::sample();
        let page = html(&report, std::slice::from_ref(&report)).unwrap();
        // Two of throughput, one of rates, one of the mixed load, one of efficiency.
        assert_eq!(page.matches("<figure>").count(), 5);
        assert_eq!(page.matches("<table").count(), 7);
        assert!(page.contains("<tr class=\"shown\"><td>0123456789ab</td>"));
        for absent in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(absent), "{absent}");
        }
    }

    #[test]
    fn a_service_that_was_up_already_is_shown_and_not_among_the_commits() {
        let mut report = report_file::tests::sample();
        report.is_running_service = true;
        let page = html(&report, std::slice::from_ref(&report)).unwrap();
        assert!(page.contains("<h2>Throughput</h2>"));
        assert!(!page.contains("<h2>Efficiency over commits</h2>"));
    }

    #[test]
    fn a_report_with_nothing_measured_is_a_page_too() {
        let mut report = report_file::tests::sample();
        report.measures.clear();
        report.at_rate.clear();
        report.start_up.clear();
        report.host_memory.clear();
        report.mixed = None;
        let page = html(&report, std::slice::from_ref(&report)).unwrap();
        assert_eq!(page.matches("<figure>").count(), 0);
        assert!(page.ends_with("</html>\n"));
    }

    #[test]
    fn text_from_elsewhere_is_no_markup() {
        let mut report = report_file::tests::sample();
        let evil = "<b title='x' lang=\"y\">&";
        report.measures[0].name = evil.to_owned();
        report.at_rate[0].name = evil.to_owned();
        report.commit_subject = evil.to_owned();
        let errors = [(evil.to_owned(), 1)].into();
        report.measures[0].errors = errors;
        if let Some(mixed) = &mut report.mixed {
            mixed.loads[0].name = evil.to_owned();
        }
        let page = html(&report, std::slice::from_ref(&report)).unwrap();
        assert!(!page.contains("<b title"));
        assert!(page.contains("&lt;b title=&#39;x&#39; lang=&quot;y&quot;&gt;&amp;"));
    }

    #[test]
    fn every_colour_has_another_where_the_page_is_dark() {
        let style = include_str!("page.css");
        let colours = [TEXT, AXIS, GRID].into_iter().chain(SERIES).chain(SHADES);
        for colour in colours.map(colour::name) {
            assert!(style.contains(&format!("=\"{colour}\"]")), "{colour}");
        }
    }
}
