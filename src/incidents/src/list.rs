//! A page of a list of incidents.

use serde::Serialize;

use crate::cursor::{Position, Walk, write_cursor};
use crate::query::ListQuery;
use crate::snapshot::Snapshot;
use crate::view::IncidentSummary;

/// What the database knows of a page.
#[derive(Clone, Debug)]
pub struct FoundPage {
    /// How many incidents pass the filter.
    pub total: i64,
    /// What the reader saw.
    pub snapshot: Snapshot,
    /// The latest transaction of which a change was forgotten.
    pub forgotten_xid: u64,
    /// What cursors are signed with.
    pub cursor_key: Vec<u8>,
    /// The incidents of the page, in order.
    pub incidents: Vec<IncidentSummary>,
}

/// A page of incidents, as it is answered.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentPage {
    /// The incidents, newest `action_timestamp` first, ties by id.
    pub data: Vec<IncidentSummary>,
    /// Where the page stands in the list.
    pub pagination: Pagination,
}

/// Where a page stands in its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// How many incidents the page has at most.
    pub limit: i64,
    /// How many incidents come before the page.
    pub offset: i64,
    /// How many incidents pass the filter. On a page that a cursor led to: how many did when
    /// the walk began.
    pub total: i64,
    /// Leads to the next page, of the list as it was on the first; null on the last page.
    pub next_cursor: Option<String>,
}

/// Why a cursor is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorRefused {
    /// It was not given out by this service, or before its database was restored.
    #[error("must be the next_cursor of an earlier page")]
    Forged,
    /// What the incidents were when its walk began is no longer known.
    #[error("is of a walk that began too long ago: begin again without a cursor")]
    Expired,
}

impl ListQuery {
    /// The page that answers this query.
    ///
    /// # Errors
    ///
    /// The query's cursor is not to be trusted, and so is not what was found with it.
    pub fn answer(&self, found: FoundPage) -> Result<IncidentPage, CursorRefused> {
        if let Some(cursor) = &self.cursor {
            if !cursor.is_signed_with(&found.cursor_key) {
                return Err(CursorRefused::Forged);
            }
            if cursor.walk().snapshot.xmin() <= found.forgotten_xid {
                return Err(CursorRefused::Expired);
            }
        }
        let offset = match &self.cursor {
            Some(cursor) => cursor.walk().seen,
            None => self.offset,
        };
        let seen = offset.saturating_add(i64::try_from(found.incidents.len()).unwrap_or(i64::MAX));
        let last = found.incidents.last().filter(|_| seen < found.total);
        let next_cursor = last.and_then(|last| {
            let walk = Walk {
                snapshot: found.snapshot,
                total: found.total,
                seen,
                last: Position {
                    action_timestamp: last.action_timestamp,
                    id: last.id,
                },
            };
            write_cursor(&self.filter, &walk, &found.cursor_key)
        });
        Ok(IncidentPage {
            data: found.incidents,
            pagination: Pagination {
                limit: self.limit,
                offset,
                total: found.total,
                next_cursor,
            },
        })
    }
}
