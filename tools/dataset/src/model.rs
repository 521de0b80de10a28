//! What makes the vectors.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use embedder::{DENSE_DIMENSIONS, DENSE_MODEL, vector_of};
use embedding::{DIMENSIONS, Embedding, EmbeddingKey, EmbeddingRequest, Vector};

/// A model whose vectors a program can make by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// The one that is built into the service.
    #[default]
    Local,
    /// That of the stand-in provider (tests/fakes/embedder), as dense as a trained model's.
    Dense,
}

impl Model {
    /// The name that its vectors are stored under.
    pub fn name(self) -> String {
        match self {
            Self::Local => EmbeddingRequest::new(embedding::Model::Local, String::new())
                .key()
                .model
                .clone(),
            Self::Dense => DENSE_MODEL.to_owned(),
        }
    }

    /// The model of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut models = Self::value_variants().iter().copied();
        models.find(|model| model.name() == name)
    }

    /// What the service stores of a text that is not blank, where it has this model.
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
                let mut components = vector_of(text, DENSE_DIMENSIONS);
                components.resize(DIMENSIONS, 0.0);
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
