//! Client of the OpenAI embeddings API.

mod batch;
mod failure;
mod http;
mod retry;
mod settings;
mod wire;

use std::fmt;
use std::time::Duration;

pub use settings::{ApiKey, Deadline, Endpoint, ModelName};

use failure::Failure;

use crate::EmbeddingFailure;
use crate::trial::Fault;
use crate::vector::Vector;

/// Divides the deadline, so that a silent server leaves time to try another one.
const ATTEMPTS_PER_DEADLINE_MIN: u32 = 2;

const TRIAL_TEXT: &str = "is this model of use";

/// Time limit of a trial, shorter than that of readiness probes.
const TRIAL_DEADLINE: Duration = Duration::from_secs(2);

/// A model behind the OpenAI embeddings API.
#[derive(Clone)]
pub struct OpenAi {
    /// Base URL of the API.
    pub endpoint: Endpoint,
    /// Name of the model.
    pub model: ModelName,
    /// API key of the provider.
    pub key: ApiKey,
    /// Time limit for all attempts of a call together.
    pub deadline: Deadline,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAi").field(&self.model).finish()
    }
}

impl OpenAi {
    /// Embeds texts, each in its place, or the beginning of a text that is too long for the model.
    /// Asks as seldom as the server allows, and not after the deadline. Logs failures.
    pub(crate) fn embed_all(&self, texts: &[&str]) -> Vec<Result<Vector, EmbeddingFailure>> {
        batch::embed_all(texts, self.deadline.duration(), |texts, limit| {
            self.ask(texts, limit)
        })
    }

    /// Tries once to embed a short text. Fails with the fault, or `None` for a transient failure.
    pub(crate) fn try_out(&self) -> Result<(), Option<Fault>> {
        // Not longer than an attempt, or a trial could succeed where every attempt times out.
        let limit = self.deadline.duration() / ATTEMPTS_PER_DEADLINE_MIN;
        let limit = limit.min(TRIAL_DEADLINE);
        let tried = self.ask(&[TRIAL_TEXT], limit);
        tried.map(|_| ()).map_err(|failure| failure.fault())
    }

    fn ask(&self, texts: &[&str], limit: Duration) -> Result<Vec<Vector>, Failure> {
        let body = wire::request_body(&self.model, texts);
        let answer_bytes_max = wire::answer_bytes_max(texts.len());
        let answer = http::post(&self.endpoint, &self.key, &body, answer_bytes_max, limit)?;
        wire::read_answer(&answer, texts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_key_nor_the_address_is_printed() {
        let provider = OpenAi {
            endpoint: Endpoint::parse("https://embedder.internal/v1").unwrap(),
            model: ModelName::parse("some-model").unwrap(),
            key: ApiKey::parse("sk-secret").unwrap(),
            deadline: Deadline::parse("2000").unwrap(),
        };
        assert_eq!(
            format!("{provider:?}"),
            r#"OpenAi(ModelName("some-model"))"#
        );
        assert!(!format!("{:?}", provider.key).contains("secret"));
    }
}
