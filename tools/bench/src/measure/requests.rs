//! The requests that are sent.

use anyhow::Result;

use crate::alerts::known_alert;
use crate::pgbench::{MIXED_REPEATS_PERCENT, Sort};
use crate::record::{Generator, REPORTS_OF_INCIDENT, RecordKind};

/// How many bodies are made, to be sent in turn with another number each time.
const TEMPLATES: u64 = 400;

/// What stands in a body for a request's number, for that of every [`REPORTS_OF_INCIDENT`] in a
/// row, and for a word that is in no other.
const NUMBER: &str = "@NUMBER@";
const INCIDENT: &str = "@INCIDENT@";
const WORD: &str = "@WORD@";

/// Requests to be sent in turn.
#[derive(Clone)]
pub(super) enum Requests {
    /// Records as JSON.
    Post(Vec<(RecordKind, String)>),
    /// Reads of paths.
    Get(Vec<String>),
}

/// Whether the record of a number has a text that was seen before.
fn is_repeat(sort: Sort, number: u64) -> bool {
    match sort {
        Sort::Repeat | Sort::Reports => true,
        Sort::Fresh => false,
        // Spread over any hundred in a row.
        Sort::Mixed => number * 37 % 100 < MIXED_REPEATS_PERCENT,
    }
}

/// Bodies of records of a sort in which a number, and in new texts a word, is still to be filled
/// in: whose correlation ids begin with the generator's prefix of `name`.
pub(super) fn templates(generator: &Generator, sort: Sort, name: &str) -> Result<Requests> {
    let prefix = generator.prefix(name);
    let bodies = (0..TEMPLATES).map(|number| {
        let (identity, mark) = match sort {
            Sort::Reports => (number / REPORTS_OF_INCIDENT, INCIDENT),
            Sort::Repeat | Sort::Fresh | Sort::Mixed => (number, NUMBER),
        };
        let text = if is_repeat(sort, number) {
            known_alert(identity).to_owned()
        } else {
            format!("{WORD}{}", generator.fresh_text(name, number))
        };
        let (kind, record) = match sort {
            Sort::Reports => generator.report_with(name, number, &text)?,
            Sort::Repeat | Sort::Fresh | Sort::Mixed => completed(generator, name, number, &text)?,
        };
        let body = String::from_utf8(record)?.replace(
            &format!("\"{prefix}{identity}\""),
            &format!("\"{prefix}{mark}\""),
        );
        Ok((kind, body))
    });
    Ok(Requests::Post(bodies.collect::<Result<_>>()?))
}

/// Bodies of so many records of a sort, no two the same.
pub(super) fn records(
    generator: &Generator,
    sort: Sort,
    name: &str,
    count: u64,
) -> Result<Requests> {
    let bodies = (0..count).map(|number| {
        let (kind, record) = if sort == Sort::Reports {
            generator.report(name, number)?
        } else if is_repeat(sort, number) {
            completed(generator, name, number, known_alert(number))?
        } else {
            completed(generator, name, number, &generator.fresh_text(name, number))?
        };
        Ok((kind, String::from_utf8(record)?))
    });
    Ok(Requests::Post(bodies.collect::<Result<_>>()?))
}

fn completed(
    generator: &Generator,
    name: &str,
    number: u64,
    text: &str,
) -> Result<(RecordKind, Vec<u8>)> {
    let kind = RecordKind::Remediation;
    Ok((kind, generator.record(kind, name, number, text)?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;

    use super::*;
    use crate::record::parse;

    #[test]
    fn templates_become_valid_records_and_new_texts_have_a_word_of_their_own() {
        let generator = Generator::new(1, "r", DateTime::UNIX_EPOCH, 200);
        for (sort, mark, repeats) in [
            (Sort::Repeat, NUMBER, 400),
            (Sort::Fresh, NUMBER, 0),
            (Sort::Mixed, NUMBER, 160),
            (Sort::Reports, INCIDENT, 400),
        ] {
            let Requests::Post(templates) = templates(&generator, sort, "s").unwrap() else {
                panic!("records are posted")
            };
            let mut without_word = 0;
            for (kind, template) in templates {
                // The name and the correlation id, and perhaps what it refers to.
                assert!(template.matches(mark).count() >= 2, "{template}");
                without_word += u64::from(!template.contains(WORD));
                let body = template.replace(mark, "17").replace(WORD, "bade");
                assert!(!body.contains('@'), "{body}");
                parse(kind, body.as_bytes()).unwrap();
            }
            assert_eq!(without_word, repeats, "{sort:?}");
        }
    }

    #[test]
    fn records_are_all_different() {
        let generator = Generator::new(1, "r", DateTime::UNIX_EPOCH, 200);
        for sort in [Sort::Mixed, Sort::Reports] {
            let Requests::Post(records) = records(&generator, sort, "s", 1_000).unwrap() else {
                panic!("records are posted")
            };
            let different: HashSet<_> = records.iter().map(|(_, body)| body).collect();
            assert_eq!(different.len(), 1_000);
        }
    }
}
