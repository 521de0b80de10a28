//! A record's content in canonical form, and its identity.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Everything that was sent, in the one form that equal records share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    json: String,
    hash: [u8; 32],
}

impl Content {
    /// The canonical form of a JSON object.
    ///
    /// # Errors
    ///
    /// A number that canonical JSON has no form for; strict reading lets none through.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let json = serde_json_canonicalizer::to_string(object)?;
        let hash = sha256(&json);
        Ok(Self { json, hash })
    }

    /// The record as canonical JSON (RFC 8785).
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of [`Self::json`]: two requests of one kind with the same hash are the same
    /// record.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// SHA-256 of a text's UTF-8.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
