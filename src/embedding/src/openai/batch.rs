//! Embeds many texts with few requests, within one deadline. Servers bound the texts of a request
//! differently and do not say how, so a refused request is halved.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::ATTEMPTS_PER_DEADLINE_MIN;
use super::failure::Failure;
use super::retry::Retries;
use crate::EmbeddingFailure;
use crate::vector::Vector;

/// Maximum number of texts in a request. A server must embed them in the time of one attempt.
const TEXTS_MAX: usize = 256;

/// Maximum size of several texts in a request. A token has at least one byte, so this is below
/// OpenAI's 300,000 tokens.
const TEXTS_BYTES_MAX: usize = 256 * 1024;

/// A text of at most this many bytes fits any model and is never cut.
const TEXT_BYTES_CUT_MIN: usize = 512;

/// Number of texts refused one by one, and none accepted, after which the provider gets no more.
const REFUSED_MAX: usize = 3;

/// Embeds `texts`, each in its place, by calling `ask` with a request's texts and time limit. Cuts
/// a text that is too long for the model. Logs failures.
pub(super) fn embed_all(
    texts: &[&str],
    deadline: Duration,
    ask: impl FnMut(&[&str], Duration) -> Result<Vec<Vector>, Failure>,
) -> Vec<Result<Vector, EmbeddingFailure>> {
    // Texts that are too long come last, so that the others share requests.
    let mut by_length: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
    by_length.sort_by_key(|(_, text)| text.len());
    let (places, by_length): (Vec<usize>, Vec<&str>) = by_length.into_iter().unzip();
    let results = embed_in_order(by_length, deadline, ask);
    let mut placed: Vec<_> = places.into_iter().zip(results).collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, result)| result).collect()
}

fn embed_in_order(
    mut texts: Vec<&str>,
    deadline: Duration,
    mut ask: impl FnMut(&[&str], Duration) -> Result<Vec<Vector>, Failure>,
) -> Vec<Result<Vector, EmbeddingFailure>> {
    let begun = Instant::now();
    let left = || deadline.saturating_sub(begun.elapsed());
    let mut results = Vec::with_capacity(texts.len());
    let mut refused = RefusedRequests::default();
    let mut retries = Retries::default();
    while let Some(rest @ [first, ..]) = texts.get(results.len()..) {
        let asked = fitting(rest, refused.count_max());
        let limit = left().min(deadline / ATTEMPTS_PER_DEADLINE_MIN);
        let answer = if limit.is_zero() {
            Err(Failure::TimedOut)
        } else {
            ask(asked, limit)
        };
        let failure = match answer {
            Ok(vectors) => {
                results.extend(vectors.into_iter().map(Ok));
                retries = Retries::default();
                continue;
            }
            Err(failure) => failure,
        };
        if failure.may_be_of_too_many() && asked.len() > 1 {
            log_halving(asked.len(), &failure);
            refused.add(results.len(), asked.len());
        } else if failure.is_too_long()
            && let Some(beginning) = half(first)
        {
            log_cut(first.len(), beginning.len(), &failure);
            if let Some(text) = texts.get_mut(results.len()) {
                *text = beginning;
            }
        } else if let Some(delay) = retries.delay_after(&failure, left()) {
            log_retry(retries.attempt(), asked.len(), &failure, delay);
            thread::sleep(delay);
        } else if failure.is_refusal() && !is_refused_throughout(&results) {
            log_surrender(retries.attempt(), 1, &failure);
            refused.explain(results.len());
            results.push(Err(EmbeddingFailure::Refused));
            retries = Retries::default();
        } else {
            log_surrender(retries.attempt(), rest.len(), &failure);
            results.resize(texts.len(), Err(EmbeddingFailure::Unavailable));
        }
    }
    results
}

/// Requests that were refused, as ranges of the texts.
#[derive(Default)]
struct RefusedRequests(Vec<Range<usize>>);

impl RefusedRequests {
    fn add(&mut self, start: usize, count: usize) {
        self.0.push(start..start + count);
    }

    /// Forgets requests with a text that is refused alone: they say nothing of the server's limit.
    fn explain(&mut self, text: usize) {
        self.0.retain(|request| !request.contains(&text));
    }

    /// Maximum number of texts for the next request.
    fn count_max(&self) -> usize {
        let halves = self.0.iter().map(|request| request.len() / 2);
        halves.min().unwrap_or(TEXTS_MAX)
    }
}

/// The first texts that fit a request, at least one.
fn fitting<'a, 'b>(texts: &'a [&'b str], count_max: usize) -> &'a [&'b str] {
    let mut bytes = 0;
    let count = texts
        .iter()
        .take(count_max)
        .take_while(|text| {
            bytes += text.len();
            bytes <= TEXTS_BYTES_MAX
        })
        .count();
    texts.get(..count.max(1)).unwrap_or(texts)
}

/// Whether one more refused text shows that the provider refuses all.
fn is_refused_throughout(results: &[Result<Vector, EmbeddingFailure>]) -> bool {
    results.len() + 1 >= REFUSED_MAX && results.iter().all(Result::is_err)
}

/// First half of a text, up to a character boundary; `None` if the text must not be cut.
fn half(text: &str) -> Option<&str> {
    let end = text.floor_char_boundary(text.len() / 2);
    text.get(..end).filter(|_| text.len() > TEXT_BYTES_CUT_MIN)
}

fn log_halving(texts: usize, failure: &Failure) {
    telemetry::count_retry();
    telemetry::warn(
        "texts refused together, retrying with half of them",
        json!({"texts": texts, "error": failure.to_string()}),
    );
}

fn log_cut(bytes: usize, kept_bytes: usize, failure: &Failure) {
    telemetry::count_retry();
    telemetry::warn(
        "text too long for the model, retrying with its first half",
        json!({"bytes": bytes, "kept_bytes": kept_bytes, "error": failure.to_string()}),
    );
}

fn log_retry(attempt: usize, texts: usize, failure: &Failure, delay: Duration) {
    telemetry::count_retry();
    telemetry::warn(
        "embedding provider failed, retrying",
        json!({
            "attempt": attempt, "texts": texts, "error": failure.to_string(),
            "retry_in_ms": delay.as_millis(),
        }),
    );
}

fn log_surrender(attempt: usize, texts: usize, failure: &Failure) {
    telemetry::error(
        "embedding provider failed, giving up",
        json!({"attempt": attempt, "texts": texts, "error": failure.to_string()}),
    );
}

#[cfg(test)]
mod tests;
