//! Holds as clients read them.

use chrono::{DateTime, SecondsFormat};
use incidents::proof_path;
use serde::Serialize;
use serde_json::Value;
use store::{StoredHold, StoredRelease};

use crate::log::Receipt;

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

/// A hold, and its release if it was released.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Id of the hold.
    pub id: i64,
    /// The hold as it was sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub hold: Value,
    /// When the hold was placed, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub recorded_at: String,
    /// The user who placed it; null if access control was disabled.
    pub recorded_by: Option<String>,
    /// The hold's place in the log.
    pub log: HoldLog,
    /// Its release; null while it is not released.
    pub release: Option<HoldReleaseView>,
}

/// A hold's place in the log.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldLog {
    /// Index of the leaf; null until the next round.
    pub index: Option<i64>,
    /// Random bytes of the commitment, in base64.
    pub nonce: String,
    /// Path of the proof.
    pub proof: String,
}

/// The release of a hold.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldReleaseView {
    /// Why the hold was released.
    pub reason: String,
    /// When the hold was released, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub recorded_at: String,
    /// The user who released it; null if access control was disabled.
    pub recorded_by: Option<String>,
    /// The release's place in the log.
    pub log: HoldLog,
}

/// One page of holds, by id.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldPage {
    /// Holds.
    pub data: Vec<HoldView>,
    /// Position of the page.
    pub pagination: HoldPagination,
}

/// Position of a page of holds.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldPagination {
    /// Maximum number of holds on the page.
    pub limit: i64,
    /// Cursor of the next page; null at the end of the list.
    pub next_cursor: Option<String>,
}

impl From<StoredHold> for HoldView {
    fn from(hold: StoredHold) -> Self {
        Self {
            id: hold.id,
            hold: hold.content,
            recorded_at: write_time(hold.recorded_at),
            recorded_by: hold.recorded_by,
            log: HoldLog {
                index: hold.leaf_index,
                nonce: hold.log_nonce,
                proof: proof_path(hold.id),
            },
            release: hold.release.map(Into::into),
        }
    }
}

impl From<StoredRelease> for HoldReleaseView {
    fn from(release: StoredRelease) -> Self {
        Self {
            reason: release.reason,
            recorded_at: write_time(release.recorded_at),
            recorded_by: release.recorded_by,
            log: HoldLog {
                index: release.leaf_index,
                nonce: release.log_nonce,
                proof: proof_path(release.id),
            },
        }
    }
}

/// Writes Unix time in microseconds as RFC 3339 in UTC.
fn write_time(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hold_is_shown_as_it_was_sent_with_its_release() {
        let stored = json!({
            "id": 7, "content": {"namespace": "production", "name": null, "reason": "an inquiry"},
            "recorded_at": 1_793_000_000_123_456_i64, "recorded_by": "anna", "log_nonce": "bm9uY2U=",
            "leaf_index": 3, "release": null,
        });
        let mut stored: StoredHold = serde_json::from_value(stored).unwrap();
        let mut expected = json!({
            "id": 7, "hold": {"namespace": "production", "name": null, "reason": "an inquiry"},
            "recorded_at": "2026-10-26T07:33:20.123456Z", "recorded_by": "anna",
            "log": {"index": 3, "nonce": "bm9uY2U=", "proof": "/api/v1/audit/records/7/proof"},
            "release": null,
        });
        let shown = |stored: &StoredHold| serde_json::to_value(HoldView::from(stored.clone()));
        assert_eq!(shown(&stored).unwrap(), expected);

        stored.release = Some(StoredRelease {
            id: 9,
            reason: "done".to_owned(),
            recorded_at: 0,
            recorded_by: None,
            log_nonce: "bm9uY2U=".to_owned(),
            leaf_index: None,
        });
        expected["release"] = json!({
            "reason": "done", "recorded_at": "1970-01-01T00:00:00.000000Z", "recorded_by": null,
            "log": {"index": null, "nonce": "bm9uY2U=", "proof": "/api/v1/audit/records/9/proof"},
        });
        assert_eq!(shown(&stored).unwrap(), expected);
    }
}
