//! What the four routes that store records do.

use embedding::{EmbeddedText, EmbeddingRequest};
use records::{Kind, Record};
use serde_json::json;

use crate::answer::Answer;
use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Stores the record of a kind that a request brings.
///
/// # Errors
///
/// All that is wrong with the record; or it could not be stored, and may be sent again.
pub fn store_record<K: Kind + EmbeddedText>(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let record = Record::<K>::parse(request.body(), &settings::cluster_name()?)?;
    let correlation_id = &record.common.correlation_id;
    telemetry::name(correlation_id);
    let embedding = EmbeddingRequest::new(settings::embedding_model(), record.kind.embedded_text());
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
    let answer = Answer::recorded(&message, &stored, correlation_id)?;
    let is_to_index = !stored.is_replayed && brings_index_up_to_date(record.content.hash());
    Ok(if is_to_index {
        answer.then(index_incident_changes)
    } else {
        answer
    })
}

/// Whether the one who stored a record brings the index of the incidents up to date afterwards:
/// one of 256, by the record's hash. (Not by its id: repeated records use ids up, and a caller
/// who sends each record twice may only ever get odd ones.) If fewer changes were indexed at
/// once, that would be a greater part of the work; with more of them every list counts longer.
fn brings_index_up_to_date(content_hash: &[u8; 32]) -> bool {
    content_hash.first() == Some(&0)
}

fn index_incident_changes() {
    let indexed = settings::writer_database().map(|database| database.index_incident_changes());
    if let Ok(Err(error)) = indexed {
        telemetry::warn(
            "the incidents' latest changes are not indexed yet",
            json!({"error": error.to_string()}),
        );
    }
}
