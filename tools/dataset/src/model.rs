//! Models that embed the texts of a data set.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use embedder::{DENSE_DIMENSIONS, DENSE_MODEL, vector_of};
use embedding::{Embedding, EmbeddingKey, EmbeddingRequest, Vector};

/// A model that a program can run by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// The local model.
    #[default]
    Local,
    /// The model of the stand-in provider (tests/fakes/embedder), of 384 dimensions.
    Dense,
}

impl Model {
    /// Returns the name that its vectors are stored under.
    pub fn name(self) -> String {
        match self {
            Self::Local => EmbeddingRequest::new(embedding::Model::Local, String::new())
                .key()
                .model
                .clone(),
            Self::Dense => DENSE_MODEL.to_owned(),
        }
    }

    /// Returns the model with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut models = Self::value_variants().iter().copied();
        models.find(|model| model.name() == name)
    }

    /// Returns the vector that the service stores for a text that is not blank.
    ///
    /// # Errors
    ///
    /// The vector has no direction.
    pub fn embed(self, text: &str) -> Result<Embedding> {
        match self {
            Self::Local => {
                let request = EmbeddingRequest::new(embedding::Model::Local, text.to_owned());
                let vector = request.embed_ahead().context("embed a text")?;
                Ok(Embedding {
                    key: request.key().clone(),
                    vector: vector.vector().clone(),
                })
            }
            Self::Dense => {
                let components = vector_of(text, DENSE_DIMENSIONS);
                Ok(Embedding {
                    key: EmbeddingKey {
                        model: self.name(),
                        text_hash: records::sha256(text),
                    },
                    vector: Vector::normalized(components).context("embed a text")?,
                })
            }
        }
    }
}
