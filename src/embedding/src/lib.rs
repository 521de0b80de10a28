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
pub use recipe::EmbeddedText;
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

    /// The embedding: from the cache, else made and put there.
    pub fn embed(&self, cache: &EmbeddingCache) -> Embedding {
        let vector = cache.get(&self.key).unwrap_or_else(|| {
            let vector = local::embed(&self.text);
            cache.put(&self.key, &vector);
            vector
        });
        Embedding {
            key: self.key.clone(),
            vector,
        }
    }
}

/// A vector, and what it is stored under.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The model that made it, and the text it is made of.
    pub key: EmbeddingKey,
    /// The vector.
    pub vector: Vector,
}
