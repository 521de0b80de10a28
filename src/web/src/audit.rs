//! Stores records for the four audit routes.

use embedding::EmbeddedText;
use records::{Kind, Record};

use crate::answer::Answer;
use crate::log::{Receipt, preferred_wait, sign_after_response};
use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Parses and stores the record in a request.
///
/// # Errors
///
/// The record is invalid, or could not be stored; then the caller may retry.
pub fn store_record<K: Kind + EmbeddedText>(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let record = Record::<K>::parse(request.body(), &settings::cluster_name()?)?;
    let correlation_id = &record.common.correlation_id;
    telemetry::name(correlation_id);
    let embedding = settings::embedding_request(record.kind.embedded_text());
    let database = settings::writer_database()?;
    let stored = database
        .write_record(
            &record,
            &embedding,
            request.user(),
            settings::has_log_key(),
            settings::embedding_cache,
        )
        .map_err(|error| Problem::from(error).about(correlation_id))?;
    telemetry::record_stored(stored.is_replayed);
    let message = format!("{} audit record created", K::TITLE);
    let mut receipt = Receipt::of(&stored);
    let wait = preferred_wait(request);
    if let Some(wait) = wait {
        receipt.wait(&database, &stored, wait);
    }
    let answer = Answer::recorded(&message, &stored, &receipt, correlation_id)?;
    Ok(match wait {
        Some(wait) => answer.with("preference-applied", format!("wait={}", wait.as_secs())),
        None if stored.is_elected => answer.then(move || sign_after_response(&database)),
        None => answer,
    })
}
