//! A server that speaks the OpenAI embeddings API.
//!
//! One text a call, tried again while that may help, all of it within one deadline. What
//! goes over the wire is in [`wire`], when it is sent again in [`retry`], how in [`http`].

mod failure;
mod http;
mod retry;
mod settings;
mod wire;

use std::fmt;
use std::thread;
use std::time::Instant;

use serde_json::json;

pub use settings::{ApiKey, Deadline, Endpoint, ModelName};

use failure::Failure;
use retry::Retries;

use crate::vector::Vector;

/// An attempt gets at most the deadline divided by this: where a server is silent, another
/// attempt may find one behind the same address that is not.
const ATTEMPTS_PER_DEADLINE_MIN: u32 = 2;

/// A model behind the OpenAI embeddings API.
#[derive(Clone)]
pub struct OpenAi {
    /// Where the API is.
    pub endpoint: Endpoint,
    /// The model, as the server and the database know it.
    pub model: ModelName,
    /// What the server knows the service by.
    pub key: ApiKey,
    /// How long all attempts may take together.
    pub deadline: Deadline,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenAi").field(&self.model).finish()
    }
}

impl OpenAi {
    /// The vector of a text; `None`, and lines in the log, when the server would not make it.
    pub(crate) fn embed(&self, text: &str) -> Option<Vector> {
        let begun = Instant::now();
        let deadline = self.deadline.duration();
        let left = || deadline.saturating_sub(begun.elapsed());
        let body = wire::request_body(&self.model, text);
        let mut retries = Retries::default();
        loop {
            let limit = left().min(deadline / ATTEMPTS_PER_DEADLINE_MIN);
            let failure = match http::post(&self.endpoint, &self.key, &body, limit)
                .and_then(|answer| wire::read_answer(&answer))
            {
                Ok(vector) => return Some(vector),
                Err(failure) => failure,
            };
            let Some(delay) = retries.delay_after(&failure, left()) else {
                log_surrender(retries.attempt(), &failure);
                return None;
            };
            log_retry(retries.attempt(), &failure, delay.as_millis());
            thread::sleep(delay);
        }
    }
}

fn log_retry(attempt: usize, failure: &Failure, delay_ms: u128) {
    telemetry::count_retry();
    telemetry::warn(
        "embedding provider failed, will be asked again",
        json!({"attempt": attempt, "error": failure.to_string(), "retry_in_ms": delay_ms}),
    );
}

fn log_surrender(attempt: usize, failure: &Failure) {
    telemetry::error(
        "embedding provider failed, the local model embeds",
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
