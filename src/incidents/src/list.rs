//! Pages of incident lists.

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::query::{Count, ListQuery};
use crate::view::IncidentSummary;

/// Largest total that a bounded count reports.
pub const TOTAL_BOUND: i64 = 10_000;

/// A page as the database returns it.
#[derive(Clone, Debug)]
pub struct FoundPage {
    /// Number of incidents that pass the filter, at most [`ListQuery::counted_max`].
    pub counted: i64,
    /// Incidents of the page, in order, with one more if another page follows.
    pub incidents: Vec<IncidentSummary>,
}

/// One page of a list of incidents.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentPage {
    /// Incidents, newest `opened_at` first, then greatest id.
    pub data: Vec<IncidentSummary>,
    /// Position of the page in the list.
    pub pagination: Pagination,
}

/// Position of a page in its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// Maximum number of incidents on the page.
    pub limit: i64,
    /// Number of incidents before the page.
    pub offset: i64,
    /// Incidents that pass the filter, counted for the first page; absent if `count` is `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Whether `total` is exact; absent if `total` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_relation: Option<TotalRelation>,
    /// Cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// Number of incidents that pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Total {
    /// The number, or its bound.
    pub total: i64,
    /// Whether `total` is exact.
    pub total_relation: TotalRelation,
}

impl Total {
    pub(crate) fn exact(total: i64) -> Self {
        Self {
            total,
            total_relation: TotalRelation::Eq,
        }
    }

    pub(crate) fn bounded(counted: i64) -> Self {
        if counted <= TOTAL_BOUND {
            return Self::exact(counted);
        }
        Self {
            total: TOTAL_BOUND,
            total_relation: TotalRelation::Gte,
        }
    }
}

/// Whether a total is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TotalRelation {
    /// The total is exact.
    Eq,
    /// The total is a lower bound.
    Gte,
}

impl ListQuery {
    /// Where the database stops counting: one above the bound, to show that there are more.
    pub fn counted_max(&self) -> i64 {
        match (&self.cursor, self.count) {
            (None, Count::Exact) => i64::MAX,
            _ => TOTAL_BOUND + 1,
        }
    }

    /// Builds the page from what the database found.
    pub fn answer(&self, found: FoundPage) -> IncidentPage {
        let first_total = match self.count {
            Count::None => None,
            Count::Bounded => Some(Total::bounded(found.counted)),
            Count::Exact => Some(Total::exact(found.counted)),
        };
        let (offset, total) = match &self.cursor {
            Some(cursor) => (cursor.shown(), cursor.total()),
            None => (self.offset, first_total),
        };
        let mut data = found.incidents;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = data.len() > limit;
        data.truncate(limit);
        let last = data.last().filter(|_| has_more);
        let next_cursor = last.and_then(|last| {
            let position = (last.opened_at, last.id);
            let shown = offset.saturating_add(self.limit);
            Cursor::new(&self.filter, position, shown, total).write()
        });
        IncidentPage {
            data,
            pagination: Pagination {
                limit: self.limit,
                offset,
                total: total.map(|total| total.total),
                total_relation: total.map(|total| total.total_relation),
                next_cursor,
            },
        }
    }
}
