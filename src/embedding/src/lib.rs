//! Turns texts into vectors: models and the cache. The database stores each vector
//! once per [`EmbeddingKey`]; callers ask this crate only for missing vectors.

mod cache;
mod openai;
mod trial;
mod vector;

use std::time::{Duration, Instant};

use trial::{Fault, Trials};

pub use cache::EmbeddingCache;
pub use openai::{ApiKey, Deadline, Endpoint, ModelName, OpenAi};
pub use vector::{DIMENSIONS, Vector};

/// A model that makes vectors.
#[derive(Clone, Debug)]
pub enum Model {
    /// The local model.
    Local,
    /// A model behind the OpenAI embeddings API.
    OpenAi(OpenAi),
}

impl Model {
    /// Name under which the database stores the model's vectors.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => static_embedding::MODEL,
            Self::OpenAi(provider) => provider.model.as_str(),
        }
    }

    /// Returns the variable that makes the model unusable, and why; an outage is no fault. A trial
    /// waits half the deadline, at most two seconds; its result is remembered for a while.
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

    /// Checks whether the model embeds a short text now.
    ///
    /// # Errors
    ///
    /// Returns the fault, as [`Self::find_fault`] does, or `None` for a transient failure.
    pub fn try_out(&self) -> Result<(), Option<(&'static str, String)>> {
        let Self::OpenAi(provider) = self else {
            return Ok(());
        };
        let named = |fault: Fault| (fault.setting(), fault.to_string());
        provider.try_out().map_err(|fault| fault.map(named))
    }
}

/// Identifies an embedding by its model and text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmbeddingKey {
    /// Name of the model. Only vectors of one model are compared.
    pub model: String,
    /// SHA-256 of the text.
    pub text_hash: [u8; 32],
}

/// A vector with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Key of the vector; names the model that made it.
    pub key: EmbeddingKey,
    /// The vector.
    pub vector: Vector,
}

/// Why a model made no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingFailure {
    /// The model refuses this text, or every text.
    Refused,
    /// The provider cannot be reached, or its response is malformed.
    Unavailable,
}

/// A vector made before the service knows whether it needs it.
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

    /// Counts the vector as made if it was needed, otherwise as found.
    pub fn count(&self, is_needed: bool) {
        if is_needed {
            telemetry::embeddings_made(static_embedding::MODEL, 1, self.made_in);
        } else {
            telemetry::embedding_found(static_embedding::MODEL);
        }
    }
}

/// A text to embed, with its model and key.
#[derive(Clone, Debug)]
pub struct EmbeddingRequest {
    model: Model,
    key: EmbeddingKey,
    text: String,
}

impl EmbeddingRequest {
    /// Creates a request. The local model embeds blank texts, which providers refuse.
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

    /// Key of the vector, unless the model fails.
    pub fn key(&self) -> &EmbeddingKey {
        &self.key
    }

    /// The local model's vector, cheaper than a lookup round trip; `None` for other models.
    pub fn embed_ahead(&self) -> Option<AheadVector> {
        match self.model {
            Model::Local => {
                let begun = Instant::now();
                Some(AheadVector {
                    vector: Vector::of_text(&self.text),
                    made_in: begun.elapsed(),
                })
            }
            Model::OpenAi(_) => None,
        }
    }

    /// Embeds one text as [`embed_all`] does.
    pub fn embed(&self, cache: impl FnOnce() -> EmbeddingCache) -> Embedding {
        let embedded = embed_all(&[self], cache).pop();
        embedded.unwrap_or_else(|| self.embed_locally())
    }

    fn find(&self, cache: &mut EmbeddingCache) -> Option<Embedding> {
        let vector = cache.get(&self.key);
        telemetry::embedding_looked_up(&self.key.model, vector.is_some());
        Some(self.embedding_of(&self.model, vector?))
    }

    fn embed_locally(&self) -> Embedding {
        let begun = Instant::now();
        let vector = Vector::of_text(&self.text);
        telemetry::embeddings_made(static_embedding::MODEL, 1, begun.elapsed());
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

/// Embeds texts as [`embed_all_as_asked`] does, or with the local model where that fails.
pub fn embed_all(
    requests: &[&EmbeddingRequest],
    cache: impl FnOnce() -> EmbeddingCache,
) -> Vec<Embedding> {
    let as_asked = embed_all_as_asked(requests, cache);
    let embedded = requests.iter().zip(as_asked);
    embedded
        .map(|(request, embedding)| embedding.unwrap_or_else(|_| request.embed_locally()))
        .collect()
}

/// Embeds texts with their model, in the order of `requests`, which share one configured model.
/// The provider gets the texts that the cache lacks, in few calls within one deadline. An item
/// fails if the model makes no vector.
pub fn embed_all_as_asked(
    requests: &[&EmbeddingRequest],
    cache: impl FnOnce() -> EmbeddingCache,
) -> Vec<Result<Embedding, EmbeddingFailure>> {
    let provider = requests.iter().find_map(|request| match &request.model {
        Model::OpenAi(provider) => Some(provider),
        Model::Local => None,
    });
    let Some(provider) = provider else {
        // Cheaper to compute than a lookup in the cache.
        return requests.iter().map(|r| Ok(r.embed_locally())).collect();
    };
    let mut cache = cache();
    let found: Vec<Option<Embedding>> = requests
        .iter()
        .map(|request| match request.model {
            Model::Local => Some(request.embed_locally()),
            Model::OpenAi(_) => request.find(&mut cache),
        })
        .collect();
    let missing: Vec<&str> = requests
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|(request, _)| request.text.as_str())
        .collect();
    let mut made = make(provider, &missing).into_iter();
    requests
        .iter()
        .zip(found)
        .map(|(request, found)| {
            if let Some(embedding) = found {
                return Ok(embedding);
            }
            let vector = made.next().unwrap_or(Err(EmbeddingFailure::Unavailable))?;
            cache.put(&request.key, &vector);
            Ok(request.embedding_of(&request.model, vector))
        })
        .collect()
}

fn make(provider: &OpenAi, texts: &[&str]) -> Vec<Result<Vector, EmbeddingFailure>> {
    let begun = Instant::now();
    let vectors = provider.embed_all(texts);
    let made = vectors.iter().filter(|vector| vector.is_ok()).count();
    telemetry::embeddings_made(provider.model.as_str(), made, begun.elapsed());
    vectors
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
        assert_eq!(key(Model::Local, "a").model, "static-v1");
        assert_eq!(key(provider(), "a").model, "some-model");
        assert_eq!(key(provider(), "a").text_hash, records::sha256("a"));
    }

    #[test]
    fn a_blank_text_is_the_local_models() {
        for text in ["", " ", "\n\t"] {
            let request = EmbeddingRequest::new(provider(), text.to_owned());
            assert_eq!(request.key().model, static_embedding::MODEL, "{text:?}");
        }
    }
}
