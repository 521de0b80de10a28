//! The requests that are sent.

use anyhow::Result;

use crate::alerts::known_alert;
use crate::pgbench::{MIXED_REPEATS_PERCENT, Sort};
use crate::record::{Generator, RecordKind};

/// How many bodies are made, to be sent in turn with another number each time.
const TEMPLATES: u64 = 400;

/// What stands for a request's number in a body, and for a word that is in no other.
const NUMBER: &str = "@NUMBER@";
const WORD: &str = "@WORD@";

/// Requests to be sent in turn.
#[derive(Clone)]
pub(super) enum Requests {
    /// Bodies, to a path.
    Post {
        /// Where to.
        path: &'static str,
        /// The bodies, one a line.
        bodies: Vec<String>,
    },
    /// Reads of paths.
    Get {
        /// The paths.
        paths: Vec<String>,
    },
}

impl Requests {
    /// The bodies or paths.
    pub(super) fn lines(&self) -> &[String] {
        match self {
            Self::Post { bodies, .. } => bodies,
            Self::Get { paths } => paths,
        }
    }
}

/// Whether the record of a number has a text that was seen before.
fn is_repeat(sort: Sort, number: u64) -> bool {
    match sort {
        Sort::Repeat => true,
        Sort::Fresh => false,
        // Spread over any hundred in a row.
        Sort::Mixed => number * 37 % 100 < MIXED_REPEATS_PERCENT,
    }
}

/// Bodies of records of a sort in which a number, and in new texts a word, is still to be filled
/// in: whose correlation ids begin with the generator's prefix of `name`.
pub(super) fn templates(generator: &Generator, sort: Sort, name: &str) -> Result<Requests> {
    let bodies = (0..TEMPLATES).map(|number| {
        let text = if is_repeat(sort, number) {
            known_alert(number).to_owned()
        } else {
            format!("{WORD}{}", generator.fresh_text(name, number))
        };
        let record = generator.record(RecordKind::Remediation, name, number, &text)?;
        let prefix = generator.prefix(name);
        Ok(String::from_utf8(record)?.replace(
            &format!("\"{prefix}{number}\""),
            &format!("\"{prefix}{NUMBER}\""),
        ))
    });
    Ok(Requests::Post {
        path: RecordKind::Remediation.path(),
        bodies: bodies.collect::<Result<_>>()?,
    })
}

/// Bodies of so many records of a sort, no two the same.
pub(super) fn records(
    generator: &Generator,
    sort: Sort,
    name: &str,
    count: u64,
) -> Result<Requests> {
    let bodies = (0..count).map(|number| {
        let text = if is_repeat(sort, number) {
            known_alert(number).to_owned()
        } else {
            generator.fresh_text(name, number)
        };
        let record = generator.record(RecordKind::Remediation, name, number, &text)?;
        Ok(String::from_utf8(record)?)
    });
    Ok(Requests::Post {
        path: RecordKind::Remediation.path(),
        bodies: bodies.collect::<Result<_>>()?,
    })
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
        for (sort, repeats) in [(Sort::Repeat, 400), (Sort::Fresh, 0), (Sort::Mixed, 160)] {
            let requests = templates(&generator, sort, "s").unwrap();
            let mut without_word = 0;
            for template in requests.lines() {
                // The name and the correlation id.
                assert_eq!(template.matches(NUMBER).count(), 2, "{template}");
                without_word += u64::from(!template.contains(WORD));
                let body = template.replace(NUMBER, "17").replace(WORD, "bade");
                parse(RecordKind::Remediation, body.as_bytes()).unwrap();
            }
            assert_eq!(without_word, repeats, "{sort:?}");
        }
    }

    #[test]
    fn records_are_all_different() {
        let generator = Generator::new(1, "r", DateTime::UNIX_EPOCH, 200);
        let requests = records(&generator, Sort::Mixed, "s", 1_000).unwrap();
        let different: HashSet<_> = requests.lines().iter().collect();
        assert_eq!(different.len(), 1_000);
    }
}
