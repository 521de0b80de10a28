//! Embedding texts again: what is asked, and what is answered.

use records::Report;
use serde::Serialize;

use crate::query::Parameters;

/// How many texts are embedded where the request does not say.
pub const BACKFILL_DEFAULT: i64 = 100;
/// The most texts that one request embeds.
pub const BACKFILL_MAX: i64 = 1000;

/// Which texts are embedded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillQuery {
    /// How many at most; 0 only counts what is left.
    pub limit: i64,
    /// Where an earlier request ended: only texts with a greater id.
    pub after: i64,
}

impl BackfillQuery {
    /// Reads the query part of a URL, without its question mark.
    ///
    /// # Errors
    ///
    /// Every parameter that is unknown, repeated, empty or malformed.
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

/// What was embedded again, and what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Backfill {
    /// The model that is configured.
    pub model: String,
    /// How many texts it has embedded now.
    pub embedded: i64,
    /// How many it could not embed: the provider refuses them or fails on them, they are blank, or no
    /// record says them any more.
    pub failed: i64,
    /// How many texts of other models there are still, those that failed included.
    pub left: i64,
    /// The `after` of the next request; null where there is no text after those of this one.
    pub next: Option<i64>,
}
