//! Searching incidents by meaning.

use records::Report;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::query::{Broken, Parameters, broken, short};
use crate::view::IncidentSummary;

/// The longest text that is searched for, in characters.
pub const QUERY_CHARACTERS_MAX: usize = 8192;
/// How many incidents are found where the request does not say.
pub const FOUND_DEFAULT: i64 = 10;
/// The most incidents that are found.
pub const FOUND_MAX: i64 = 100;
/// So far are texts counted that the search does not compare.
pub const UNKNOWN_TEXTS_MAX: i64 = 10_000;

/// Which incidents are searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// What they are to be like.
    pub text: String,
    /// What they have in common.
    pub filter: Filter,
    /// How many there are at most.
    pub limit: i64,
    /// How similar they are at least, 0 to 1.
    pub min_similarity: f64,
}

impl SearchQuery {
    /// Reads the query part of a URL, without its question mark.
    ///
    /// # Errors
    ///
    /// Every parameter that is missing, unknown, repeated, empty or malformed.
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
        let filter = parameters.take_filter();
        let limit = parameters.take_number("limit", 1, FOUND_MAX);
        let min_similarity = parameters.take("min_similarity", similarity);
        parameters.finish()?;
        Ok(Self {
            text: text.unwrap_or_default(),
            filter,
            limit: limit.unwrap_or(FOUND_DEFAULT),
            min_similarity: min_similarity.unwrap_or(0.0),
        })
    }
}

/// A number from 0 to 1 in digits, as `0.75` or `1e-3`.
fn similarity(text: &str) -> Result<f64, Broken> {
    let number: f64 = text
        .parse()
        .map_err(|_| broken("type", "must be a number"))?;
    // Whatever Rust reads beside digits, as "inf" and "NaN", is out of range.
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(broken("range", "must be 0 to 1"))
    }
}

/// An incident that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimilarIncident {
    /// The incident.
    #[serde(flatten)]
    pub incident: IncidentSummary,
    /// How near the nearest of its records' texts is to the query: the cosine of their
    /// vectors, above 0 and up to 1, with 4 decimals.
    pub similarity: f64,
}

/// What a search found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResult {
    /// The incidents, best first.
    pub data: Vec<SimilarIncident>,
    /// The model that embedded the query: only texts that it embedded, too, were compared.
    pub embedding_model: String,
    /// How many texts another model embedded, which were not compared; 10,000 says so many or more.
    pub unknown_texts: i64,
}
