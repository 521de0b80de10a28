//! The answers of which incidents are a part.

use incidents::IncidentSummary;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list of incidents.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described here")]
pub(crate) struct IncidentPage {
    /// The incidents, the newest `action_timestamp` first.
    data: Vec<IncidentSummary>,
    /// Which part of the list they are.
    pagination: Pagination,
}

/// Which part of a list is answered.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described here")]
pub(crate) struct Pagination {
    /// The most incidents of a page.
    #[schema(minimum = 1)]
    limit: i64,
    /// How many of the first incidents were left out.
    #[schema(minimum = 0)]
    offset: i64,
    /// How many incidents the filters let through.
    #[schema(minimum = 0)]
    total: i64,
    /// Where the page ends, for the next request's `cursor`; null at the end of the list.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What a search found.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described here")]
pub(crate) struct SearchResult {
    /// The incidents, the most similar first.
    data: Vec<SimilarIncident>,
    /// The model that the text was embedded with: only vectors of that model were compared.
    embedding_model: String,
}

/// An incident that a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarIncident {
    /// The incident.
    #[serde(flatten)]
    incident: IncidentSummary,
    /// How similar it is to what was searched for: the cosine, to four digits.
    #[schema(minimum = 0, maximum = 1)]
    similarity: f64,
}
