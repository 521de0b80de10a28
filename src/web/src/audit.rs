//! Stores records for the four audit routes.

use embedding::EmbeddedText;
use records::{Kind, Record};

use crate::answer::Answer;
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
    let stored = settings::writer_database()?
        .write_record(
            &record,
            &embedding,
            request.user(),
            settings::embedding_cache,
        )
        .map_err(|error| Problem::from(error).about(correlation_id))?;
    telemetry::record_stored(stored.is_replayed);
    let message = format!("{} audit record created", K::TITLE);
    Ok(Answer::recorded(&message, &stored, correlation_id)?)
}
