//! Canonical form and content hash of a record.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A record in canonical form, with its content hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    json: String,
    hash: [u8; 32],
}

impl Content {
    /// Converts a JSON object to canonical form.
    ///
    /// # Errors
    ///
    /// Fails for a number without a canonical form; strict reading admits none.
    pub(crate) fn of(object: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let json = serde_json_canonicalizer::to_string(object)?;
        let hash = sha256(&json);
        Ok(Self { json, hash })
    }

    /// Returns the canonical form (RFC 8785).
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of [`Self::json`]. Records of one kind with equal hashes are the same record.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// Returns the SHA-256 of a text in UTF-8.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
