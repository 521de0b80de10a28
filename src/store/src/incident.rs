//! Reads, lists and searches incidents, as JSON: the host converts rows value by value.

use embedding::{Embedding, EmbeddingCache, EmbeddingKey, EmbeddingRequest, Vector};
use incidents::{
    FoundIncident, FoundOutcomes, FoundPage, Incident, ListQuery, NearestQuery, OutcomesQuery,
    SearchQuery, SimilarIncident, SimilarIncidents, UNKNOWN_TEXTS_MAX,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::pg4::ParameterValue;

use crate::connection::{Database, Row};
use crate::error::{Cause, StoreError};
use crate::parameter::{bytes, optional_number, optional_text, optional_time, text};

/// Actions and records that an incident lists at most, latest first.
const LISTED_MAX: i64 = 1000;

const FIND_INCIDENT: &str = "SELECT find_incident($1, $2)::text";

const LIST_INCIDENTS: &str = "SELECT counted, incidents::text FROM list_incidents(\
    $1::text::jsonb, $2, $3, $4, $5::timestamp AT TIME ZONE 'UTC', $6)";

const SEARCH_INCIDENTS: &str = "SELECT search_incidents($1::text::jsonb, $2, $3, $4, $5, $6)::text, \
    count_unknown_texts($2, $7)";

const FIND_OUTCOMES: &str =
    "SELECT counted, outcomes::text FROM find_outcomes($1::text::jsonb, $2)";

const FIND_SIMILAR_INCIDENTS: &str =
    "SELECT find_similar_incidents($1, $2::text::jsonb, $3, $4, $5)::text";

const SEARCH: &str = "search the incidents";

/// The result of a search.
#[derive(Debug)]
pub struct FoundIncidents {
    /// Incidents, best first.
    pub incidents: Vec<SimilarIncident>,
    /// Model of the query's vector.
    pub model: String,
    /// Texts that another model embedded, counted up to [`UNKNOWN_TEXTS_MAX`].
    pub unknown_texts: i64,
}

impl Database {
    /// Reads the incident with this id.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.run("read the incident", |session| {
            let rows = session.query(FIND_INCIDENT, &[id.into(), LISTED_MAX.into()])?;
            let found: Option<FoundIncident> = read_json(&mut rows.only()?)?;
            Ok(found.map(Incident::from))
        })
    }

    /// Lists a page of matching incidents and counts all matches, in one snapshot.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn list_incidents(&self, query: &ListQuery) -> Result<FoundPage, StoreError> {
        let filter = written(&query.filter)?;
        let after = query.cursor.as_ref().map(incidents::Cursor::position);
        let parameters = [
            filter,
            // One extra row reveals whether there is a next page.
            (query.limit + 1).into(),
            query.offset.into(),
            query.counted_max().into(),
            optional_time(after.map(|(opened_at, _)| opened_at)),
            optional_number(after.map(|(_, id)| id)),
        ];
        self.run("list the incidents", |session| {
            let rows = session.query(LIST_INCIDENTS, &parameters)?;
            let mut row = rows.only()?;
            Ok(FoundPage {
                counted: row.next()?,
                incidents: read_json(&mut row)?.unwrap_or_default(),
            })
        })
    }

    /// Finds how the executions of matching incidents ended, and counts the incidents, in one
    /// snapshot.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_outcomes(&self, query: &OutcomesQuery) -> Result<FoundOutcomes, StoreError> {
        let parameters = [written(&query.filter)?, query.counted_max().into()];
        self.run("find the outcomes", |session| {
            let rows = session.query(FIND_OUTCOMES, &parameters)?;
            let mut row = rows.only()?;
            Ok(FoundOutcomes {
                counted: row.next()?,
                outcomes: read_json(&mut row)?.ok_or(Cause::Answer("no outcomes"))?,
            })
        })
    }

    /// Finds the incidents nearest in meaning to the one with this id, and how they ended.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn find_similar_incidents(
        &self,
        id: i64,
        nearest: &NearestQuery,
    ) -> Result<Option<SimilarIncidents>, StoreError> {
        let parameters = [
            id.into(),
            written(&nearest.filter)?,
            nearest.limit.into(),
            nearest.min_similarity.into(),
            UNKNOWN_TEXTS_MAX.into(),
        ];
        self.run("find similar incidents", |session| {
            let rows = session.query(FIND_SIMILAR_INCIDENTS, &parameters)?;
            read_json(&mut rows.only()?)
        })
    }

    /// Finds the incidents nearest in meaning to the query, best first. Sends only the embedding's
    /// key first unless the vector is cheap, so that a stored text needs no provider.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn search_incidents(
        &self,
        query: &SearchQuery,
        request: &EmbeddingRequest,
        cache: impl FnOnce() -> EmbeddingCache,
    ) -> Result<FoundIncidents, StoreError> {
        if let Some(ahead) = request.embed_ahead() {
            ahead.count(true);
            return self.search_near(&query.nearest, request.key(), ahead.vector());
        }
        if let Some(found) = self.search_by_key(&query.nearest, request.key(), None)? {
            telemetry::embedding_found(&request.key().model);
            return Ok(found);
        }
        let Embedding { key, vector } = request.embed(cache);
        self.search_near(&query.nearest, &key, &vector)
    }

    fn search_near(
        &self,
        nearest: &NearestQuery,
        key: &EmbeddingKey,
        vector: &Vector,
    ) -> Result<FoundIncidents, StoreError> {
        const UNEXPECTED: Cause = Cause::Answer("null, although the request had the vector");
        self.search_by_key(nearest, key, Some(vector))?
            .ok_or_else(|| StoreError::new(SEARCH, UNEXPECTED))
    }

    /// `None` if the vector is neither stored nor given.
    fn search_by_key(
        &self,
        nearest: &NearestQuery,
        key: &EmbeddingKey,
        vector: Option<&Vector>,
    ) -> Result<Option<FoundIncidents>, StoreError> {
        let parameters = [
            written(&nearest.filter)?,
            text(&key.model),
            bytes(&key.text_hash),
            optional_text(vector.map(Vector::to_text)),
            nearest.limit.into(),
            nearest.min_similarity.into(),
            UNKNOWN_TEXTS_MAX.into(),
        ];
        self.run(SEARCH, |session| {
            let rows = session.query(SEARCH_INCIDENTS, &parameters)?;
            let mut row = rows.only()?;
            let incidents: Option<Vec<SimilarIncident>> = read_json(&mut row)?;
            let unknown_texts = row.next()?;
            Ok(incidents.map(|incidents| FoundIncidents {
                incidents,
                model: key.model.clone(),
                unknown_texts,
            }))
        })
    }
}

pub(crate) fn written(filter: &impl Serialize) -> Result<ParameterValue, StoreError> {
    serde_json::to_string(filter)
        .map(ParameterValue::Str)
        .map_err(|_| StoreError::new("write the filter", Cause::Answer("it is not valid JSON")))
}

pub(crate) fn read_json<T: DeserializeOwned>(row: &mut Row<'_>) -> Result<Option<T>, Cause> {
    let json: Option<String> = row.next()?;
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| Cause::Answer("the JSON has the wrong form"))
}
