//! Client of the OpenAI embeddings API: one text per call, retried within one deadline.

mod failure;
mod http;
mod retry;
mod settings;
mod wire;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

pub use settings::{ApiKey, Deadline, Endpoint, ModelName};

use failure::Failure;
use retry::Retries;

use crate::EmbeddingFailure;
use crate::trial::Fault;
use crate::vector::Vector;

/// Divides the deadline, so that a silent server leaves time to try another one.
const ATTEMPTS_PER_DEADLINE_MIN: u32 = 2;

/// A text of at most this many bytes fits any model and is never cut.
const TEXT_BYTES_CUT_MIN: usize = 512;

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
    /// Embeds a text, or its beginning if the text is too long for the model. Logs failures.
    pub(crate) fn embed(&self, text: &str) -> Result<Vector, EmbeddingFailure> {
        let begun = Instant::now();
        let deadline = self.deadline.duration();
        let left = || deadline.saturating_sub(begun.elapsed());
        let mut text = text;
        let mut retries = Retries::default();
        loop {
            let limit = left().min(deadline / ATTEMPTS_PER_DEADLINE_MIN);
            let failure = match self.ask(text, limit) {
                Ok(vector) => return Ok(vector),
                Err(failure) => failure,
            };
            if failure.is_too_long()
                && let Some(beginning) = half(text)
            {
                if left().is_zero() {
                    log_surrender(retries.attempt(), &Failure::TimedOut);
                    return Err(EmbeddingFailure::Unavailable);
                }
                log_cut(text.len(), beginning.len(), &failure);
                text = beginning;
                continue;
            }
            let Some(delay) = retries.delay_after(&failure, left()) else {
                log_surrender(retries.attempt(), &failure);
                return Err(match failure.is_refusal() {
                    true => EmbeddingFailure::Refused,
                    false => EmbeddingFailure::Unavailable,
                });
            };
            log_retry(retries.attempt(), &failure, delay.as_millis());
            thread::sleep(delay);
        }
    }

    /// Tries once to embed a short text. Fails with the fault, or `None` for a transient failure.
    pub(crate) fn try_out(&self) -> Result<(), Option<Fault>> {
        // Not longer than an attempt, or a trial could succeed where every attempt times out.
        let limit = self.deadline.duration() / ATTEMPTS_PER_DEADLINE_MIN;
        let limit = limit.min(TRIAL_DEADLINE);
        let tried = self.ask(TRIAL_TEXT, limit);
        tried.map(|_| ()).map_err(|failure| failure.fault())
    }

    fn ask(&self, text: &str, limit: Duration) -> Result<Vector, Failure> {
        let body = wire::request_body(&self.model, text);
        let answer = http::post(&self.endpoint, &self.key, &body, limit)?;
        wire::read_answer(&answer)
    }
}

/// First half of a text, up to a character boundary; `None` if the text must not be cut.
fn half(text: &str) -> Option<&str> {
    let end = text.floor_char_boundary(text.len() / 2);
    text.get(..end).filter(|_| text.len() > TEXT_BYTES_CUT_MIN)
}

fn log_cut(bytes: usize, kept_bytes: usize, failure: &Failure) {
    telemetry::count_retry();
    telemetry::warn(
        "text too long for the model, retrying with its first half",
        json!({"bytes": bytes, "kept_bytes": kept_bytes, "error": failure.to_string()}),
    );
}

fn log_retry(attempt: usize, failure: &Failure, delay_ms: u128) {
    telemetry::count_retry();
    telemetry::warn(
        "embedding provider failed, retrying",
        json!({"attempt": attempt, "error": failure.to_string(), "retry_in_ms": delay_ms}),
    );
}

fn log_surrender(attempt: usize, failure: &Failure) {
    telemetry::error(
        "embedding provider failed, giving up",
        json!({"attempt": attempt, "error": failure.to_string()}),
    );
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
