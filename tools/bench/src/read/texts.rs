//! Texts to search for: those of incidents, and altered ones.

use anyhow::{Context as _, Result, bail};
use incidents::QUERY_CHARACTERS_MAX;
use records::RecordKind;
use tokio_postgres::{Client, Row};

use super::loaded_ids;
use super::values::LOADED;
use crate::rng::Rng;

/// One in so many texts is a name; the others are of analyses, which a search by meaning is for.
const ONE_NAME_IN: u64 = 4;

/// A text to search for.
pub(crate) struct Query {
    pub(crate) text: String,
    /// Whether an incident has exactly this text.
    pub(crate) is_verbatim: bool,
}

/// Reads the records of the incident at or after an id.
fn records_statement() -> String {
    format!(
        "SELECT audit.kind, audit.content::text \
         FROM (SELECT id FROM incidents WHERE {LOADED} AND id >= $1 ORDER BY id LIMIT 1) \
             AS incident \
         JOIN incident_records AS link ON link.incident_id = incident.id \
         JOIN audit_records AS audit ON audit.kind = link.kind \
             AND audit.created_at = link.created_at AND audit.content_hash = link.content_hash \
         ORDER BY link.id"
    )
}

/// Draws texts from the incidents, always the same ones, and alters every second one.
pub(crate) async fn draw(client: &Client, count: u64) -> Result<Vec<Query>> {
    let ids = loaded_ids(client).await?;
    let (first, last) = ids.context("there are no incidents to search for")?;
    let statement = records_statement();
    let mut queries = Vec::new();
    for number in 0..count {
        let mut rng = Rng::new(&format!("query/{number}"));
        let mut texts = [String::new(), String::new()];
        for text in &mut texts {
            let id = first.saturating_add_unsigned(rng.below(last.abs_diff(first) + 1));
            let records = client.query(&statement, &[&id]).await;
            *text = text_of(
                &records.context("read the records of an incident")?,
                &mut rng,
            )?;
        }
        let [text, other] = texts;
        let is_verbatim = number % 2 == 0;
        let text = match is_verbatim {
            true => text,
            false => alter(&text, &other, number / 2, &mut rng),
        };
        queries.push(Query {
            text: text.chars().take(QUERY_CHARACTERS_MAX).collect(),
            is_verbatim,
        });
    }
    Ok(queries)
}

/// One of the embedded texts of an incident's records.
fn text_of(records: &[Row], rng: &mut Rng) -> Result<String> {
    let mut names = Vec::new();
    let mut others = Vec::new();
    for record in records {
        let (kind, content): (&str, &str) = (record.try_get(0)?, record.try_get(1)?);
        let kind = RecordKind::named(kind).context("know the kind of a record")?;
        let record = (kind.parse)(content.as_bytes(), "any");
        let Ok(record) = record else {
            bail!("a stored record is invalid");
        };
        let texts = if record.text_is_name {
            &mut names
        } else {
            &mut others
        };
        texts.push(record.embedded_text);
    }
    let is_name = rng.below(ONE_NAME_IN) == 0;
    let chosen = if others.is_empty() || (is_name && !names.is_empty()) {
        names
    } else {
        others
    };
    let place = usize::try_from(rng.below(chosen.len().max(1) as u64))?;
    let text = chosen.into_iter().nth(place);
    text.context("an incident has no text to search for")
}

/// Leaves out a third of a text's words, shuffles them, or replaces the second half by another text's.
fn alter(text: &str, other: &str, manner: u64, rng: &mut Rng) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    match manner % 3 {
        0 => words.retain(|_| rng.below(3) > 0),
        1 => {
            for place in (1..words.len()).rev() {
                let with = usize::try_from(rng.below(place as u64 + 1)).unwrap_or(0);
                words.swap(place, with);
            }
        }
        _ => {
            words.truncate(words.len().div_ceil(2));
            let others: Vec<&str> = other.split_whitespace().collect();
            words.extend(others.iter().skip(others.len() / 2));
        }
    }
    let altered = words.join(" ");
    // A text of one word may be unchanged or empty.
    if altered.is_empty() || altered == text {
        format!("{text} {other}")
    } else {
        altered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_text_is_another_one_of_the_same_words() {
        let other = "a node lost its disk";
        for text in [
            "the cache of checkout is full\nrestart its pods",
            "HighMemoryUsage",
        ] {
            let words: Vec<_> = text.split_whitespace().chain(other.split(' ')).collect();
            for number in 0..300 {
                let mut rng = Rng::new(&number.to_string());
                let altered = alter(text, other, number, &mut rng);
                assert_ne!(altered, text);
                assert!(
                    altered.split(' ').all(|word| words.contains(&word)),
                    "{altered}"
                );
            }
        }
    }
}
