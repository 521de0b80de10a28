//! Places, releases and reads holds, for the route of holds.

use chrono::Utc;
use incidents::{FoundHold, HoldView, HoldsQuery, write_time};
use records::{Hold, Release};
use serde::Serialize;

use crate::answer::Answer;
use crate::log::Receipt;
use crate::problem::{Problem, ProblemType};
use crate::request::{Request, parse_id};
use crate::settings;

/// Confirms that a hold is placed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HoldPlaced {
    /// Id of the hold.
    pub id: i64,
    /// When the hold was placed, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Human-readable confirmation.
    pub message: &'static str,
    /// The hold's place in the log.
    pub log: Receipt,
}

impl HoldPlaced {
    pub(crate) fn new(id: i64, recorded_at: i64, log: Receipt) -> Self {
        Self {
            id,
            created_at: write_time(recorded_at),
            message: "Hold placed",
            log,
        }
    }
}

/// Path of the holds.
pub const HOLDS_PATH: &str = "/api/v1/holds";

/// Last segment of the path that releases a hold.
pub const RELEASE_SEGMENT: &str = "release";

/// Places the hold in a request.
///
/// # Errors
///
/// The hold is invalid, or could not be placed; then the caller may retry.
pub fn place_hold(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let hold = Hold::parse(request.body(), Utc::now())?;
    let correlation_id = hold.selection.correlation_id.as_deref();
    let placed = settings::writer_database()?
        .place_hold(&hold, request.user())
        .map_err(|error| match correlation_id {
            Some(correlation_id) => Problem::from(error).about(correlation_id),
            None => error.into(),
        })?;
    let id = placed.hold.id;
    let receipt = Receipt::pending(id, &placed.commitment, placed.log_origin);
    let body = HoldPlaced::new(id, placed.hold.recorded_at, receipt);
    let answer =
        Answer::created(&body, placed.is_replayed)?.with("location", format!("{HOLDS_PATH}/{id}"));
    Ok(match correlation_id {
        Some(correlation_id) => answer.about(correlation_id),
        None => answer,
    })
}

/// Releases the hold that the path of a request names.
///
/// # Errors
///
/// There is no such hold, the release is invalid, or could not be stored; then the caller may retry.
pub fn release_hold(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let id = id_in(request)?;
    let release = Release::parse(request.body()).map_err(Problem::validation)?;
    let (hold, is_replayed) = settings::writer_database()?
        .release_hold(id, &release, request.user())?
        .ok_or_else(|| no_such_hold(id))?;
    Ok(about(
        Answer::created(&HoldView::from(hold.clone()), is_replayed)?,
        &hold,
    ))
}

/// Lists a page of holds.
///
/// # Errors
///
/// A parameter is invalid, or the database failed.
pub fn list_holds(request: &Request) -> Result<Answer, Problem> {
    let query = HoldsQuery::parse(request.query()).map_err(Problem::validation)?;
    let found = settings::reader_database()?.list_holds(query.after, query.read_max())?;
    let page = query.page(found);
    let answer = Answer::page(request, &page, &page.data)?;
    Ok(match page.pagination.next_cursor {
        Some(cursor) => answer.linked_to_next(HOLDS_PATH, &query.parameters_after(cursor)),
        None => answer,
    })
}

/// Returns the hold that the path of a request names.
///
/// # Errors
///
/// There is no such hold, or the database failed.
pub fn find_hold(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let id = id_in(request)?;
    let hold = settings::reader_database()?
        .find_hold(id)?
        .ok_or_else(|| no_such_hold(id))?;
    let answer = Answer::ok(&HoldView::from(hold.clone()))?.tagged();
    Ok(about(answer, &hold))
}

fn id_in(request: &Request) -> Result<i64, Problem> {
    let path = request.path();
    let hold = path
        .strip_suffix(RELEASE_SEGMENT)
        .and_then(|path| path.strip_suffix('/'))
        .unwrap_or(path);
    parse_id(hold.rsplit('/').next().unwrap_or_default())
}

fn no_such_hold(id: i64) -> Problem {
    Problem::new(ProblemType::NotFound, format!("there is no hold {id}"))
}

/// Sets the correlation id that the hold names, if any.
fn about(answer: Answer, hold: &FoundHold) -> Answer {
    let correlation_id = hold.content.get("correlationId");
    match correlation_id.and_then(serde_json::Value::as_str) {
        Some(correlation_id) if !correlation_id.is_empty() => answer.about(correlation_id),
        _ => answer,
    }
}
