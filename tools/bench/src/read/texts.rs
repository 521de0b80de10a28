//! Texts to search for: those of incidents, and altered ones.

use anyhow::{Context as _, Result, bail};
use incidents::QUERY_CHARACTERS_MAX;
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

/// Reads the alert, the workflow, the action and the analysis of the incident at or after an id.
fn texts_statement() -> String {
    format!(
        "SELECT alert_name, workflow_name, action_type, \
             nullif(concat_ws(E'\\n', nullif(content ->> 'rootCause', ''), \
                 nullif(content ->> 'recommendedAction', '')), '') \
         FROM (SELECT * FROM incidents WHERE {LOADED} AND id >= $1 ORDER BY id LIMIT 1) \
             AS incident \
         LEFT JOIN incident_versions AS shown ON shown.incident_id = incident.id \
         LEFT JOIN incident_records AS link ON link.id = (shown.aianalysis).record_id \
         LEFT JOIN LATERAL (SELECT content::jsonb FROM audit_records AS audit \
             WHERE audit.kind = link.kind AND audit.created_at = link.created_at \
                 AND audit.content_hash = link.content_hash) AS analysis ON true"
    )
}

/// Draws texts from the incidents, always the same ones, and alters every second one.
pub(crate) async fn draw(client: &Client, count: u64) -> Result<Vec<Query>> {
    let ids = loaded_ids(client).await?;
    let (first, last) = ids.context("there are no incidents to search for")?;
    let statement = texts_statement();
    let mut queries = Vec::new();
    for number in 0..count {
        let mut rng = Rng::new(&format!("query/{number}"));
        let mut texts = [String::new(), String::new()];
        for text in &mut texts {
            let id = first.saturating_add_unsigned(rng.below(last.abs_diff(first) + 1));
            let row = client.query_one(&statement, &[&id]).await;
            *text = text_of(&row.context("read the texts of an incident")?, &mut rng)?;
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

/// One of an incident's embedded texts (`records::Kind::embedded_text`).
fn text_of(row: &Row, rng: &mut Rng) -> Result<String> {
    const ANALYSIS: usize = 3;
    let name = usize::try_from(rng.below(3))?;
    let first = match rng.below(ONE_NAME_IN) {
        0 => name,
        _ => ANALYSIS,
    };
    for column in [first, ANALYSIS, name, 0] {
        if let Some(text) = row.try_get(column)? {
            return Ok(text);
        }
    }
    bail!("an incident has no text to search for")
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
