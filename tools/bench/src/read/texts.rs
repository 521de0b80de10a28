//! Texts to search for: those of incidents, and altered ones.

use anyhow::{Context as _, Result};
use incidents::QUERY_CHARACTERS_MAX;
use tokio_postgres::{Client, Row};

use super::loaded_ids;
use super::values::LOADED;
use crate::rng::Rng;

/// One in so many texts is a name; the others are of analyses, which a search by meaning is for.
const ONE_NAME_IN: u64 = 4;

/// A text to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) text: String,
    /// Whether an incident has exactly this text.
    pub(crate) is_verbatim: bool,
}

/// Draws texts at random from the incidents and alters every second one.
pub(crate) async fn draw(client: &Client, count: u64, seed: u64) -> Result<Vec<Query>> {
    let ids = loaded_ids(client).await?;
    let (first, last) = ids.context("there are no incidents to search for")?;
    let mut queries = Vec::new();
    for number in 0..count {
        let mut rng = Rng::new(&format!("{seed}/query/{number}"));
        let mut texts = Vec::new();
        for _ in 0..2 {
            let ids = last.abs_diff(first).saturating_add(1);
            let id = first.saturating_add_unsigned(rng.below(ids));
            let row = client
                .query_one(
                    &format!(
                        "SELECT alert_name, workflow_name, action_type, \
                         nullif(concat_ws(E'\\n', nullif(content ->> 'rootCause', ''), \
                             nullif(content ->> 'recommendedAction', '')), '') \
                         FROM ( \
                             SELECT * FROM incidents WHERE {LOADED} AND id >= $1 \
                             ORDER BY id LIMIT 1) AS incident \
                         LEFT JOIN incident_versions AS shown ON shown.incident_id = incident.id \
                         LEFT JOIN incident_records AS link \
                             ON link.id = (shown.aianalysis).record_id \
                         LEFT JOIN LATERAL ( \
                             SELECT content::jsonb FROM audit_records AS audit \
                             WHERE audit.kind = link.kind AND audit.created_at = link.created_at \
                                 AND audit.content_hash = link.content_hash) AS analysis ON true"
                    ),
                    &[&id],
                )
                .await
                .context("read the texts of an incident")?;
            texts.extend(text_of(&row, &mut rng)?);
        }
        let mut texts = texts.into_iter();
        let Some(text) = texts.next() else { continue };
        let is_verbatim = number % 2 == 0;
        let text = if is_verbatim {
            text
        } else {
            alter(
                &text,
                &texts.next().unwrap_or_default(),
                number / 2,
                &mut rng,
            )
        };
        queries.push(Query {
            text: text.chars().take(QUERY_CHARACTERS_MAX).collect(),
            is_verbatim,
        });
    }
    Ok(queries)
}

/// One of an incident's embedded texts (`embedding::EmbeddedText`).
fn text_of(row: &Row, rng: &mut Rng) -> Result<Option<String>> {
    const ANALYSIS: usize = 3;
    let name = usize::try_from(rng.below(3))?;
    let choice = if rng.below(ONE_NAME_IN) == 0 {
        name
    } else {
        ANALYSIS
    };
    for column in [choice, ANALYSIS, name, 0] {
        if let Some(text) = row.try_get(column)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
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

    const TEXT: &str = "the cache of checkout is full\nrestart its pods";
    const OTHER: &str = "a node lost its disk";

    #[test]
    fn an_altered_text_is_another_one_of_the_same_words() {
        for manner in 0..3 {
            for start in 0..100 {
                let mut rng = Rng::new(&format!("{start}"));
                let altered = alter(TEXT, OTHER, manner, &mut rng);
                assert_ne!(altered, TEXT);
                assert!(!altered.is_empty());
                for word in altered.split(' ') {
                    let is_known = TEXT.split_whitespace().any(|known| known == word)
                        || OTHER.split(' ').any(|known| known == word);
                    assert!(is_known, "{manner}: {altered}");
                }
            }
        }
    }

    #[test]
    fn a_text_of_one_word_is_altered_too() {
        for manner in 0..3 {
            let altered = alter("HighMemoryUsage", "scale", manner, &mut Rng::new("a"));
            assert_ne!(altered, "HighMemoryUsage");
        }
    }
}
