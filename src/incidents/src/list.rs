//! A page of a list of incidents.

use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::query::{Count, ListQuery};
use crate::view::IncidentSummary;

/// How far a list is counted that is not counted exactly.
pub const TOTAL_BOUND: i64 = 10_000;

/// What the database knows of a page.
#[derive(Clone, Debug)]
pub struct FoundPage {
    /// How many incidents pass the filter, up to [`ListQuery::counted_max`].
    pub counted: i64,
    /// The incidents of the page, in order, and one more where there are more.
    pub incidents: Vec<IncidentSummary>,
}

/// A page of incidents, as it is answered.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentPage {
    /// The incidents, newest `opened_at` first, then greatest id.
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
    /// How many incidents pass the filter; absent where `count` is `none`. Counted for the first
    /// page, and the same on those that its cursors lead to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Whether `total` is exact; absent where that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_relation: Option<TotalRelation>,
    /// Leads to the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// How many incidents pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) total: i64,
    pub(crate) total_relation: TotalRelation,
}

/// What a total says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TotalRelation {
    /// So many.
    Eq,
    /// So many or more.
    Gte,
}

impl ListQuery {
    /// How far the incidents are counted: for the total of a first page, else to tell whether they
    /// are few. One more than the bound tells exactly so many from more.
    pub fn counted_max(&self) -> i64 {
        match (&self.cursor, self.count) {
            (None, Count::Exact) => i64::MAX,
            _ => TOTAL_BOUND + 1,
        }
    }

    /// The page that answers this query.
    pub fn answer(&self, found: FoundPage) -> IncidentPage {
        let counted = found.counted;
        let first_total = match self.count {
            Count::None => None,
            Count::Bounded if counted > TOTAL_BOUND => Some(Total {
                total: TOTAL_BOUND,
                total_relation: TotalRelation::Gte,
            }),
            Count::Bounded | Count::Exact => Some(Total {
                total: counted,
                total_relation: TotalRelation::Eq,
            }),
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
