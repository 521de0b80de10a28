//! Places, releases and reads holds.

use incidents::FoundHold;
use records::{Hold, Release};
use serde_json::{Value, json};
use tlog::{Hash, Nonce, commitment, entry_hash, from_base64};

use crate::connection::Database;
use crate::error::{Cause, StoreError};
use crate::incident::read_json;
use crate::log::new_nonce;
use crate::parameter::{bytes, optional_text, text};

/// Parameters in the order of the function in `migrations/`.
const PLACE_HOLD: &str = "SELECT hold::text, is_replayed, log_origin \
    FROM place_hold($1, $2, $3, $4, $5)";

const RELEASE_HOLD: &str = "SELECT hold::text, is_replayed FROM release_hold($1, $2, $3, $4, $5)";

const LIST_HOLDS: &str = "SELECT list_holds($1, $2)::text";

const FIND_HOLD: &str = "SELECT find_hold($1)::text";

/// The result of placing a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedHold {
    /// The hold that is in force: this one or an equal one.
    pub hold: FoundHold,
    /// What its leaf in the log commits to.
    pub commitment: Hash,
    /// Whether an equal hold was found.
    pub is_replayed: bool,
    /// Origin of the log; `None` before its first checkpoint.
    pub log_origin: Option<String>,
}

impl Database {
    /// Places a hold, or finds an equal one that was not released.
    ///
    /// # Errors
    ///
    /// The hold may not be placed. Repeating this is safe.
    pub fn place_hold(
        &self,
        hold: &Hold,
        recorded_by: Option<&str>,
    ) -> Result<PlacedHold, StoreError> {
        self.run("place the hold", |session| {
            let nonce = new_nonce()?;
            let committed = commit_hold(hold.content.json(), recorded_by, &nonce)?;
            let rows = session.query(
                PLACE_HOLD,
                &[
                    text(hold.content.json()),
                    bytes(hold.content.hash()),
                    optional_text(recorded_by.map(str::to_owned)),
                    bytes(&nonce),
                    text(&entry_hash(&committed)),
                ],
            )?;
            let mut row = rows.only()?;
            let stored: FoundHold = read_json(&mut row)?.ok_or(Cause::Answer("no hold"))?;
            let is_replayed = row.next()?;
            Ok(PlacedHold {
                commitment: match is_replayed {
                    true => first_commitment(&stored, hold)?,
                    false => committed,
                },
                hold: stored,
                is_replayed,
                log_origin: row.next()?,
            })
        })
    }

    /// Releases a hold, or finds it released. Returns the hold and whether it had been released
    /// before; `None` if there is no such hold.
    ///
    /// # Errors
    ///
    /// The hold may not be released. Repeating this is safe.
    pub fn release_hold(
        &self,
        id: i64,
        release: &Release,
        recorded_by: Option<&str>,
    ) -> Result<Option<(FoundHold, bool)>, StoreError> {
        self.run("release the hold", |session| {
            let nonce = new_nonce()?;
            let envelope = json!({"reason": release.reason, "recorded_by": recorded_by});
            let rows = session.query(
                RELEASE_HOLD,
                &[
                    id.into(),
                    text(&release.reason),
                    optional_text(recorded_by.map(str::to_owned)),
                    bytes(&nonce),
                    text(&entry_hash(&commit(&envelope, &nonce)?)),
                ],
            )?;
            let mut row = rows.only()?;
            let stored: Option<FoundHold> = read_json(&mut row)?;
            let is_replayed: Option<bool> = row.next()?;
            Ok(stored.zip(is_replayed))
        })
    }

    /// Lists holds with an id greater than `after`, in ascending order.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn list_holds(&self, after: i64, limit: i64) -> Result<Vec<FoundHold>, StoreError> {
        self.run("list the holds", |session| {
            let rows = session.query(LIST_HOLDS, &[after.into(), limit.into()])?;
            read_json(&mut rows.only()?)?.ok_or(Cause::Answer("no holds"))
        })
    }

    /// Reads the hold with this id.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_hold(&self, id: i64) -> Result<Option<FoundHold>, StoreError> {
        self.run("read the hold", |session| {
            let rows = session.query(FIND_HOLD, &[id.into()])?;
            read_json(&mut rows.only()?)
        })
    }
}

/// The commitment to a hold that was found, whose content equals that of `hold`.
fn first_commitment(found: &FoundHold, hold: &Hold) -> Result<Hash, Cause> {
    let nonce: Nonce = from_base64(&found.log_nonce)
        .and_then(|nonce| nonce.try_into().ok())
        .ok_or(Cause::Answer("the hold's nonce cannot be read"))?;
    commit_hold(hold.content.json(), found.recorded_by.as_deref(), &nonce)
}

fn commit_hold(content: &str, recorded_by: Option<&str>, nonce: &Nonce) -> Result<Hash, Cause> {
    let hold: Value = serde_json::from_str(content)
        .map_err(|_| Cause::Answer("the hold's content cannot be read"))?;
    commit(&json!({"hold": hold, "recorded_by": recorded_by}), nonce)
}

fn commit(envelope: &Value, nonce: &Nonce) -> Result<Hash, Cause> {
    let envelope = serde_json_canonicalizer::to_vec(envelope)
        .map_err(|_| Cause::Answer("the envelope has no canonical form"))?;
    Ok(commitment(nonce, &envelope))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const NONCE: Nonce = *b"0123456789abcdef";

    fn hold() -> Hold {
        let body = r#"{"reason": "an inquiry", "correlationId": "req-1"}"#;
        Hold::parse(body.as_bytes(), DateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_hold_is_committed_to_with_its_sender() {
        let envelope = |sender: &str| {
            format!(
                r#"{{"hold":{{"correlationId":"req-1","reason":"an inquiry"}},"recorded_by":{sender}}}"#
            )
        };
        let content = hold().content;
        for (recorded_by, sender) in [(Some("anna"), "\"anna\""), (None, "null")] {
            let committed = commit_hold(content.json(), recorded_by, &NONCE).unwrap();
            assert_eq!(committed, commitment(&NONCE, envelope(sender).as_bytes()));
        }
    }

    #[test]
    fn a_hold_that_is_found_gives_the_commitment_of_its_first_sender() {
        let found = json!({
            "id": 7, "content": {"correlationId": "req-1", "reason": "an inquiry"},
            "recorded_at": 1, "recorded_by": "anna",
            "log_nonce": tlog::to_base64(&NONCE), "leaf_index": null, "release": null,
        });
        let found: FoundHold = serde_json::from_value(found).unwrap();
        let first = commit_hold(hold().content.json(), Some("anna"), &NONCE).unwrap();
        assert_eq!(first_commitment(&found, &hold()), Ok(first));
        let damaged = FoundHold {
            log_nonce: "AAAA".to_owned(),
            ..found
        };
        assert!(first_commitment(&damaged, &hold()).is_err());
    }
}
