//! What the four routes that store records do.

use embedding::{EmbeddedText, EmbeddingRequest, log_line};
use records::{Kind, Record};

use crate::answer::Answer;
use crate::problem::Problem;
use crate::request::Request;
use crate::settings;

/// Who stores a record whose id is a multiple of this brings the index of the incidents up to
/// date afterwards. Fewer changes make it a greater part of the work, more of them make every
/// list count longer.
const INDEXED_EVERY: i64 = 256;

/// Stores the record of a kind that a request brings.
///
/// # Errors
///
/// All that is wrong with the record; or it could not be stored, and may be sent again.
pub fn store_record<K: Kind + EmbeddedText>(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let record = Record::<K>::parse(request.body(), &settings::cluster_name()?)?;
    let correlation_id = &record.common.correlation_id;
    let embedding = EmbeddingRequest::new(settings::embedding_model(), record.kind.embedded_text());
    let stored = settings::writer_database()?
        .write_record(&record, &embedding, settings::embedding_cache)
        .map_err(|error| Problem::from(error).about(correlation_id))?;
    let message = format!("{} audit record created", K::TITLE);
    let answer = Answer::recorded(&message, &stored, correlation_id)?;
    let is_to_index = stored.id % INDEXED_EVERY == 0 && !stored.is_replayed;
    Ok(if is_to_index {
        answer.then(index_incident_changes)
    } else {
        answer
    })
}

fn index_incident_changes() {
    let indexed = settings::writer_database().map(|database| database.index_incident_changes());
    if let Ok(Err(error)) = indexed {
        log_line(&format!(
            r#"{{"level":"warn","message":"the incidents' latest changes are not indexed yet: {error}"}}"#
        ));
    }
}
