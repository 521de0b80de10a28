//! Searching incidents by meaning.

use embedding::Embedding;
use incidents::{SearchQuery, SimilarIncident};

use crate::connection::{Database, Row};
use crate::error::{Cause, StoreError};
use crate::incident::read_summary;
use crate::list::filter_parameters;
use crate::parameter::text;

/// The function is described in `migrations/`. Where it answers no row, the statement answers
/// one of nulls: Spin 4.0.2 waits for ever for the columns of a result without rows.
const SEARCH_INCIDENTS: &str = "
    SELECT
        id, action_history_id, action_id, alert_name, alert_severity, action_type,
        action_timestamp AT TIME ZONE 'UTC', model_used, model_confidence, execution_status,
        namespace, cluster, target_type, target_name, correlation_id, similarity
    FROM (SELECT) AS always LEFT JOIN search_incidents(
        ROW($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text,
            $8::timestamp AT TIME ZONE 'UTC', $9::timestamp AT TIME ZONE 'UTC')::incident_filter,
        $10, $11, $12, $13) ON true";

impl Database {
    /// The incidents nearest to the embedding of a query's text, best first.
    ///
    /// # Errors
    ///
    /// The database could not be asked.
    pub fn search_incidents(
        &self,
        query: &SearchQuery,
        embedding: &Embedding,
    ) -> Result<Vec<SimilarIncident>, StoreError> {
        self.run("search the incidents", |session| {
            let mut parameters = filter_parameters(&query.filter);
            parameters.extend([
                text(&embedding.key.model),
                text(&embedding.vector.to_text()),
                query.limit.into(),
                query.min_similarity.into(),
            ]);
            let rows = session.query(SEARCH_INCIDENTS, &parameters)?;
            rows.iter()
                .filter_map(|row| read_similar(row).transpose())
                .collect()
        })
    }
}

fn read_similar(mut row: Row<'_>) -> Result<Option<SimilarIncident>, Cause> {
    let Some(incident) = read_summary(&mut row)? else {
        return Ok(None);
    };
    Ok(Some(SimilarIncident {
        incident,
        similarity: row.next()?,
    }))
}
