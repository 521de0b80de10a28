//! Text to vector: which text stands for a record, the models that embed it, and the cache
//! of vectors.
//!
//! A vector is only ever asked for by its [`EmbeddingKey`]: the model that makes it and
//! the hash of its text. The database keeps each vector once under that key; this crate is
//! asked for the vector itself only when the database does not have it.

mod cache;
mod embedded_text;
mod local;
mod openai;
mod trial;
mod vector;

use std::time::{Duration, Instant};

use trial::{Fault, Trials};

pub use cache::EmbeddingCache;
pub use embedded_text::{EmbeddedText, text_of_record};
pub use openai::{ApiKey, Deadline, Endpoint, ModelName, OpenAi};
pub use vector::{DIMENSIONS, Vector};

/// What makes the vectors.
#[derive(Clone, Debug)]
pub enum Model {
    /// The model that is built in.
    Local,
    /// A model behind the OpenAI embeddings API.
    OpenAi(OpenAi),
}

impl Model {
    /// The name that its vectors are stored under.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => local::MODEL,
            Self::OpenAi(provider) => provider.model.as_str(),
        }
    }

    /// The variable because of which the model can never be of use, and what is wrong with it. That a
    /// provider is down now is no such reason, and is waited for half of its deadline, at most two
    /// seconds. What was found
    /// is remembered for a while, so that probes cost next to nothing.
    pub fn find_fault(&self) -> Option<(&'static str, String)> {
        let Self::OpenAi(provider) = self else {
            return None;
        };
        let trials = Trials::open();
        let fault = trials.known(provider).unwrap_or_else(|| {
            let tried = provider.try_out();
            let fault = tried.err().flatten();
            trials.remember(provider, fault, tried.is_ok());
            fault
        })?;
        Some((fault.setting(), fault.to_string()))
    }

    /// Whether the model embeds a short text now.
    ///
    /// # Errors
    ///
    /// The fault, as of [`Self::find_fault`]; `None` where it only does not do so now.
    pub fn try_out(&self) -> Result<(), Option<(&'static str, String)>> {
        let Self::OpenAi(provider) = self else {
            return Ok(());
        };
        let named = |fault: Fault| (fault.setting(), fault.to_string());
        provider.try_out().map_err(|fault| fault.map(named))
    }
}

/// Names one embedding: the model that makes the vector, and the text it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingKey {
    /// The model's name as it is stored; vectors of different models are never compared.
    pub model: String,
    /// SHA-256 of the text.
    pub text_hash: [u8; 32],
}

/// A vector, and what it is stored under.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Names the model that did make the vector.
    pub key: EmbeddingKey,
    /// The vector.
    pub vector: Vector,
}

/// Why a model made no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingFailure {
    /// It does not take this text, or takes none.
    Refused,
    /// It could not be asked, or did not answer as it should.
    Unavailable,
}

/// A vector that was made before it is known whether it is needed.
#[derive(Debug)]
pub struct AheadVector {
    vector: Vector,
    made_in: Duration,
}

impl AheadVector {
    /// The vector.
    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    /// Says whether it was needed. If not, the text counts as one whose vector was there.
    pub fn count(&self, is_needed: bool) {
        if is_needed {
            telemetry::embedding_missing();
            telemetry::embedding_made(local::MODEL, self.made_in);
        } else {
            telemetry::embedding_found(local::MODEL);
        }
    }
}

/// A text that is to be embedded by a model, with the key its vector has.
#[derive(Clone, Debug)]
pub struct EmbeddingRequest {
    model: Model,
    key: EmbeddingKey,
    text: String,
}

impl EmbeddingRequest {
    /// Names the embedding of a text. A blank one is the local model's: it means nothing to
    /// any other, and providers refuse it.
    pub fn new(model: Model, text: String) -> Self {
        let model = if text.trim().is_empty() {
            Model::Local
        } else {
            model
        };
        let key = EmbeddingKey {
            model: model.name().to_owned(),
            text_hash: records::sha256(&text),
        };
        Self { model, key, text }
    }

    /// What the vector is stored under, unless its model fails.
    pub fn key(&self) -> &EmbeddingKey {
        &self.key
    }

    /// The local model's vector: it is sooner made and sent than the database is asked whether
    /// it has it. Another model's is worth the question.
    pub fn embed_ahead(&self) -> Option<AheadVector> {
        match self.model {
            Model::Local => {
                let begun = Instant::now();
                Some(AheadVector {
                    vector: local::embed(&self.text),
                    made_in: begun.elapsed(),
                })
            }
            Model::OpenAi(_) => None,
        }
    }

    /// The vector, as [`Self::embed_as_asked`] has it. Where the model fails, the local one makes it,
    /// and the key says so.
    pub fn embed(&self, cache: impl FnOnce() -> EmbeddingCache) -> Embedding {
        self.embed_as_asked(cache)
            .unwrap_or_else(|_| self.embed_locally())
    }

    /// The vector: made by the local model, or for another model taken from the cache, else
    /// made and put there.
    ///
    /// # Errors
    ///
    /// The model would not make it.
    pub fn embed_as_asked(
        &self,
        cache: impl FnOnce() -> EmbeddingCache,
    ) -> Result<Embedding, EmbeddingFailure> {
        let Model::OpenAi(provider) = &self.model else {
            // Sooner made than asked for.
            telemetry::embedding_missing();
            return Ok(self.embed_locally());
        };
        let cache = cache();
        if let Some(vector) = cache.get(&self.key) {
            telemetry::embedding_found(&self.key.model);
            return Ok(self.embedding_of(&self.model, vector));
        }
        telemetry::embedding_missing();
        let begun = Instant::now();
        let vector = provider.embed(&self.text)?;
        telemetry::embedding_made(&self.key.model, begun.elapsed());
        cache.put(&self.key, &vector);
        Ok(self.embedding_of(&self.model, vector))
    }

    fn embed_locally(&self) -> Embedding {
        let begun = Instant::now();
        let vector = local::embed(&self.text);
        telemetry::embedding_made(local::MODEL, begun.elapsed());
        self.embedding_of(&Model::Local, vector)
    }

    fn embedding_of(&self, model: &Model, vector: Vector) -> Embedding {
        Embedding {
            key: EmbeddingKey {
                model: model.name().to_owned(),
                text_hash: self.key.text_hash,
            },
            vector,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Model {
        Model::OpenAi(OpenAi {
            endpoint: Endpoint::parse("http://127.0.0.1:1/v1").unwrap(),
            model: ModelName::parse("some-model").unwrap(),
            key: ApiKey::parse("").unwrap(),
            deadline: Deadline::parse("1").unwrap(),
        })
    }

    #[test]
    fn a_key_names_the_model_and_the_text() {
        let key = |model, text: &str| EmbeddingRequest::new(model, text.to_owned()).key;
        assert_eq!(key(Model::Local, "a").model, "local-hash-v1");
        assert_eq!(key(provider(), "a").model, "some-model");
        assert_eq!(key(provider(), "a").text_hash, records::sha256("a"));
    }

    #[test]
    fn a_blank_text_is_the_local_models() {
        for text in ["", " ", "\n\t"] {
            let request = EmbeddingRequest::new(provider(), text.to_owned());
            assert_eq!(request.key().model, local::MODEL, "{text:?}");
        }
    }
}
