//! Search for incidents by meaning.

use records::Report;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::parameters::{Broken, Parameters, broken, short};
use crate::view::IncidentSummary;

/// Longest search text, in characters.
pub const QUERY_CHARACTERS_MAX: usize = 8192;
/// Default number of incidents.
pub const FOUND_DEFAULT: i64 = 10;
/// Maximum number of incidents.
pub const FOUND_MAX: i64 = 100;
/// Largest count of texts that the search could not compare.
pub const UNKNOWN_TEXTS_MAX: i64 = 10_000;

/// A search for incidents.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// Text to search for.
    pub text: String,
    /// Which of the nearest incidents to return.
    pub nearest: NearestQuery,
}

impl SearchQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is missing, unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        const REQUIRED: &str = "the parameter is required: the text to search for";
        let mut parameters = Parameters::split(query);
        let text = parameters.take_any("q", |text| {
            if text.is_empty() {
                return Err(broken("required", REQUIRED));
            }
            if text.trim().is_empty() {
                return Err(broken("format", "must not be blank"));
            }
            short(text, 1, QUERY_CHARACTERS_MAX)
        });
        if text.is_none() && !parameters.is_refused("q") {
            parameters.refuse("q", "required", REQUIRED);
        }
        let nearest = NearestQuery::take(&mut parameters);
        parameters.finish()?;
        Ok(Self {
            text: text.unwrap_or_default(),
            nearest,
        })
    }
}

/// Which of the incidents nearest to a text to return.
#[derive(Clone, Debug, PartialEq)]
pub struct NearestQuery {
    /// Conditions that the incidents must meet.
    pub filter: Filter,
    /// Maximum number of incidents.
    pub limit: i64,
    /// Minimum similarity, 0 to 1.
    pub min_similarity: f64,
}

impl NearestQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let nearest = Self::take(&mut parameters);
        parameters.finish()?;
        Ok(nearest)
    }

    fn take(parameters: &mut Parameters) -> Self {
        let filter = parameters.take_filter();
        let limit = parameters.take_number("limit", 1, FOUND_MAX);
        let min_similarity = parameters.take("min_similarity", similarity);
        Self {
            filter,
            limit: limit.unwrap_or(FOUND_DEFAULT),
            min_similarity: min_similarity.unwrap_or(0.0),
        }
    }
}

fn similarity(text: &str) -> Result<f64, Broken> {
    let number: f64 = text
        .parse()
        .map_err(|_| broken("type", "must be a number"))?;
    // Rust also parses "inf" and "NaN", which are out of range.
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(broken("range", "must be 0 to 1"))
    }
}

/// An incident that a search found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimilarIncident {
    /// Summary of the incident.
    #[serde(flatten)]
    pub incident: IncidentSummary,
    /// Similarity of the query and the incident's nearest text: above 0, at most 1, 4 decimals.
    pub similarity: f64,
}

/// Result of a search.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResult {
    /// Incidents, most similar first.
    pub data: Vec<SimilarIncident>,
    /// Model that embedded the query. The search compares only texts of this model.
    pub embedding_model: String,
    /// Number of texts of other models, which the search skipped; the count stops at 10,000.
    pub unknown_texts: i64,
}
