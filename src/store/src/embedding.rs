//! Replaces vectors of other models, for the backfill.

use std::time::Instant;

use embedding::Embedding;
use records::RecordKind;
use serde::Deserialize;

use crate::connection::Database;
use crate::error::{Cause, StoreError};
use crate::parameter::{hexadecimal, text};

const FIND_UNKNOWN_TEXTS: &str = "SELECT find_unknown_texts($1, $2, $3)::text";
const RENEW_EMBEDDING: &str = "SELECT renew_embedding($1, $2, $3, $4)";
const REMOVE_UNUSED_EMBEDDING: &str = "SELECT remove_unused_embedding($1)";
const COUNT_UNKNOWN_TEXTS: &str = "SELECT count_unknown_texts($1, $2)";

/// Links moved per statement.
const LINKS_MAX: i64 = 1000;

/// A text that another model embedded.
#[derive(Debug)]
pub struct UnknownText {
    /// Id of its vector.
    pub id: i64,
    /// The text; `None` if no record has it any more.
    pub text: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    id: i64,
    text_hash: String,
    kind: Option<String>,
    content: Option<String>,
}

impl From<Found> for UnknownText {
    fn from(found: Found) -> Self {
        let kind_and_content = found.kind.zip(found.content);
        let text = kind_and_content.and_then(|(kind, content)| text_of_record(&kind, &content));
        Self {
            id: found.id,
            text: text.filter(|text| hexadecimal(&records::sha256(text)) == found.text_hash),
        }
    }
}

/// The embedded text of a stored record; `None` if the kind or the content is invalid.
fn text_of_record(kind: &str, content: &str) -> Option<String> {
    let kind = RecordKind::named(kind)?;
    // The cluster is not part of the text.
    let record = (kind.parse)(content.as_bytes(), "any").ok()?;
    Some(record.embedded_text)
}

impl Database {
    /// Finds texts that a model other than `model` embedded, by vector id, after `after_id`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_unknown_texts(
        &self,
        model: &str,
        after_id: i64,
        found_max: i64,
    ) -> Result<Vec<UnknownText>, StoreError> {
        let parameters = [text(model), after_id.into(), found_max.into()];
        self.run("find the texts of other models", |session| {
            let rows = session.query(FIND_UNKNOWN_TEXTS, &parameters)?;
            let json: String = rows.only()?.next()?;
            let found: Vec<Found> = serde_json::from_str(&json)
                .map_err(|_| Cause::Answer("the JSON has the wrong form"))?;
            Ok(found.into_iter().map(UnknownText::from).collect())
        })
    }

    /// Replaces a vector by `embedding` and moves links until `until`. Returns whether it is done.
    ///
    /// # Errors
    ///
    /// The replacement is incomplete and can be repeated.
    pub fn renew_embedding(
        &self,
        id: i64,
        embedding: &Embedding,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let parameters = [
            id.into(),
            text(&embedding.key.model),
            text(&embedding.vector.to_text()),
            LINKS_MAX.into(),
        ];
        let renew = || {
            self.run("renew the embedding", |session| {
                session.query(RENEW_EMBEDDING, &parameters)?.only()?.next()
            })
        };
        if renew()? {
            return Ok(true);
        }
        while Instant::now() <= until {
            if renew()? {
                // No links remain on the old vector.
                self.remove_unused_embedding(id)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a vector without links and returns whether it existed.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn remove_unused_embedding(&self, id: i64) -> Result<bool, StoreError> {
        self.run("remove the unused embedding", |session| {
            let rows = session.query(REMOVE_UNUSED_EMBEDDING, &[id.into()])?;
            rows.only()?.next()
        })
    }

    /// Counts texts that a model other than `model` embedded, up to `counted_max`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn count_unknown_texts(&self, model: &str, counted_max: i64) -> Result<i64, StoreError> {
        let parameters = [text(model), counted_max.into()];
        self.run("count the texts of other models", |session| {
            session
                .query(COUNT_UNKNOWN_TEXTS, &parameters)?
                .only()?
                .next()
        })
    }
}
