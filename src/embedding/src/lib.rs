//! Text to vector: which text stands for a record, the model built into the service, and
//! the cache of vectors.
//!
//! A vector is only ever asked for by its [`EmbeddingKey`]: the model that makes it and
//! the hash of its text. The database keeps each vector once under that key; this crate is
//! asked for the vector itself only when the database does not have it.

mod cache;
mod local;
mod recipe;
mod vector;

pub use cache::EmbeddingCache;
pub use recipe::remediation_text;
pub use vector::{DIMENSIONS, Vector};

/// Names one embedding: the model that makes the vector, and the text it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingKey {
    /// The model's name as it is stored; vectors of different models are never compared.
    pub model: String,
    /// SHA-256 of the text.
    pub text_hash: [u8; 32],
}

/// A text that is to be embedded, with the key its vector has.
#[derive(Clone, Debug)]
pub struct EmbeddingRequest {
    key: EmbeddingKey,
    text: String,
}

impl EmbeddingRequest {
    /// Names the embedding of a text by the local model.
    pub fn local(text: String) -> Self {
        let key = EmbeddingKey {
            model: local::MODEL.to_owned(),
            text_hash: records::sha256(&text),
        };
        Self { key, text }
    }

    /// What the vector is stored under.
    pub fn key(&self) -> &EmbeddingKey {
        &self.key
    }

    /// The vector: from the cache, else made and put there.
    pub fn vector(&self, cache: &EmbeddingCache) -> Vector {
        if let Some(vector) = cache.get(&self.key) {
            return vector;
        }
        let vector = local::embed(&self.text);
        cache.put(&self.key, &vector);
        vector
    }
}
