//! Request and response of a backfill.

use records::Report;
use serde::Serialize;

use crate::parameters::Parameters;

/// Default number of texts per request.
pub const BACKFILL_DEFAULT: i64 = 100;
/// Maximum number of texts per request.
pub const BACKFILL_MAX: i64 = 1000;

/// Selects the texts to embed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillQuery {
    /// Maximum number of texts; 0 only counts the texts left.
    pub limit: i64,
    /// Id after which the backfill continues.
    pub after: i64,
}

impl BackfillQuery {
    /// Parses a query string without its question mark.
    ///
    /// # Errors
    ///
    /// Reports every parameter that is unknown, repeated, empty or malformed.
    pub fn parse(query: &str) -> Result<Self, Report> {
        let mut parameters = Parameters::split(query);
        let limit = parameters.take_number("limit", 0, BACKFILL_MAX);
        let after = parameters.take_number("after", 0, i64::MAX);
        parameters.finish()?;
        Ok(Self {
            limit: limit.unwrap_or(BACKFILL_DEFAULT),
            after: after.unwrap_or(0),
        })
    }
}

/// Result of a backfill request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Backfill {
    /// The configured model.
    pub model: String,
    /// Number of texts that this request embedded again.
    pub embedded: i64,
    /// Number of texts that could not be embedded: provider failure, blank text, or no record.
    pub failed: i64,
    /// Number of texts of other models that remain, including those that failed.
    pub left: i64,
    /// Value of `after` for the next request; null if no texts remain after this one.
    pub next: Option<i64>,
}
