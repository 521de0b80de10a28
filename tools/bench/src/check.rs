//! Compares the records that the service acknowledged with those that are stored.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio_postgres::Client;

use crate::client::Answer;
use crate::record::{Generator, parse};

/// The service's answer to a record that it stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    id: i64,
    embedding_id: i64,
    location: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    id: i64,
    embedding_id: i64,
}

/// The service's answer to a batch that it stored.
#[derive(Deserialize)]
struct RecordedBatch {
    replayed: usize,
    items: Vec<RecordedItem>,
}

#[derive(Deserialize)]
struct RecordedItem {
    location: String,
    #[serde(flatten)]
    recorded: Recorded,
}

impl Acknowledgement {
    /// Parses the 201 to a batch, and whether a part of it only was stored before.
    pub(crate) fn read_batch(answer: &Answer) -> Result<(Vec<Self>, bool)> {
        let batch: RecordedBatch = serde_json::from_slice(&answer.body)
            .context("read the 201 to a batch, whose items should have id and embeddingId")?;
        let was_half_stored = batch.replayed > 0 && batch.replayed < batch.items.len();
        let items = batch.items.into_iter().map(|item| Self {
            id: item.recorded.id,
            embedding_id: item.recorded.embedding_id,
            location: item.location,
        });
        Ok((items.collect(), was_half_stored))
    }

    /// Parses a 201.
    pub(crate) fn read(answer: &Answer) -> Result<Self> {
        let recorded: Recorded = serde_json::from_slice(&answer.body)
            .context("read a 201, whose body should have id and embeddingId")?;
        Ok(Self {
            id: recorded.id,
            embedding_id: recorded.embedding_id,
            location: answer
                .location
                .clone()
                .context("a 201 came without a Location")?,
        })
    }
}

/// What was found.
#[derive(Default)]
pub(crate) struct Findings {
    acknowledged: u64,
    pub(crate) unacknowledged: u64,
    stored: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
    other_ids: u64,
    half_written: u64,
    orphaned: u64,
    incidents_doubled: u64,
    incidents_stale: u64,
    log_gaps: u64,
    log_entries_wrong: u64,
}

impl Findings {
    /// The counts with their meaning.
    pub(crate) fn rows(&self) -> Vec<(&'static str, u64)> {
        let mut rows = vec![
            ("acknowledged records", self.acknowledged),
            ("stored rows", self.stored),
        ];
        rows.extend(self.faults());
        rows
    }

    /// What should be 0, with its meaning.
    pub(crate) fn faults(&self) -> [(&'static str, u64); 11] {
        [
            ("never acknowledged", self.unacknowledged),
            ("lost: acknowledged, not stored", self.lost),
            ("doubled: more than one row", self.doubled),
            ("altered: stored, but not as sent", self.altered),
            ("stored under other ids than answered", self.other_ids),
            ("half written: no embedding or incident", self.half_written),
            ("links without record", self.orphaned),
            (
                "correlation ids with several incidents",
                self.incidents_doubled,
            ),
            ("incidents that are not up to date", self.incidents_stale),
            ("leaves that the log lacks", self.log_gaps),
            (
                "records without an entry in the log, or with several",
                self.log_entries_wrong,
            ),
        ]
    }
}

struct Row {
    id: i64,
    content: String,
    incident_id: Option<i64>,
}

/// The stored records of the run, each with its incident if that, its link and its embedding exist.
const STORED: &str = "\
    SELECT audit.content_hash, audit.id, audit.content, incident.id \
    FROM audit_records AS audit \
    LEFT JOIN incident_records AS link \
      ON link.id = audit.id AND link.kind = audit.kind \
      AND link.created_at = audit.created_at AND link.content_hash = audit.content_hash \
      AND EXISTS (SELECT FROM embeddings WHERE embeddings.id = link.embedding_id) \
    LEFT JOIN incidents AS incident \
      ON incident.id = link.incident_id AND incident.correlation_id = audit.correlation_id \
    WHERE audit.correlation_id LIKE $1";

const ORPHANED: &str = "\
    SELECT count(*) FROM incident_records AS link \
    LEFT JOIN incidents ON incidents.id = link.incident_id \
    WHERE coalesce(incidents.correlation_id LIKE $1, true) \
      AND NOT EXISTS (SELECT FROM audit_records AS audit WHERE audit.id = link.id)";

const INCIDENTS_DOUBLED: &str = "\
    SELECT count(*) FROM (SELECT FROM incidents WHERE correlation_id LIKE $1 \
      GROUP BY correlation_id HAVING count(*) > 1) AS doubled";

/// Incidents that do not show their newest records, which are those in phase `Completed`.
const INCIDENTS_STALE: &str = "\
    SELECT count(*) FROM audit_records AS audit \
    LEFT JOIN incidents AS incident ON incident.correlation_id = audit.correlation_id \
    LEFT JOIN incident_versions AS shown ON shown.incident_id = incident.id \
    LEFT JOIN incident_actions AS action ON action.incident_id = incident.id \
    WHERE audit.correlation_id LIKE $1 AND audit.phase = 'Completed' \
      AND (CASE audit.kind \
          WHEN 'remediation' THEN (shown.remediation).record_id \
          WHEN 'aianalysis' THEN (shown.aianalysis).record_id \
          WHEN 'workflow' THEN (shown.workflow).record_id \
          WHEN 'execution' THEN (shown.execution).record_id \
          END IS DISTINCT FROM audit.id \
        OR audit.kind = 'execution' \
          AND (incident.execution_status IS DISTINCT FROM 'completed' \
            OR action.status IS DISTINCT FROM 'completed'))";

/// The log has leaves 0 to its size. `$1` is not used.
const LOG_GAPS: &str = "\
    SELECT greatest(abs(size - leaves), abs(size - behind_last)) \
    FROM log_head, (SELECT count(*) AS leaves, coalesce(max(leaf_index) + 1, 0) AS behind_last \
      FROM log_entries) AS log WHERE $1 <> ''";

const LOG_ENTRIES_WRONG: &str = "\
    SELECT count(*) FROM audit_records AS audit LEFT JOIN ( \
      SELECT record_id, count(*) AS entries FROM ( \
        SELECT record_id FROM log_entries UNION ALL SELECT record_id FROM log_pending) AS entry \
      GROUP BY record_id) AS log ON log.record_id = audit.id \
    WHERE audit.correlation_id LIKE $1 AND log.entries IS DISTINCT FROM 1";

/// Compares the stored records of a series with those that were sent. `acknowledged` has the answer to
/// each of them by its number.
pub(crate) async fn compare(
    client: &Client,
    generator: &Generator,
    series: &str,
    acknowledged: &[Option<Acknowledgement>],
) -> Result<Findings> {
    // A run's name holds nothing that LIKE reads as a wildcard.
    let pattern = format!("{}%", generator.prefix(series));
    let mut findings = Findings::default();
    let mut stored: HashMap<Vec<u8>, Vec<Row>> = HashMap::new();
    let rows = client
        .query(STORED, &[&pattern])
        .await
        .context("read the stored records")?;
    for row in rows {
        findings.stored += 1;
        stored.entry(row.try_get(0)?).or_default().push(Row {
            id: row.try_get(1)?,
            content: row.try_get(2)?,
            incident_id: row.try_get(3)?,
        });
    }
    for (number, acknowledgement) in (0..).zip(acknowledged) {
        let (kind, body) = generator.report(series, number)?;
        let sent = parse(kind, &body)?;
        let rows = stored
            .remove(sent.content.hash().as_slice())
            .unwrap_or_default();
        match acknowledgement {
            Some(_) => findings.acknowledged += 1,
            None => findings.unacknowledged += 1,
        }
        findings.doubled += u64::from(rows.len() > 1);
        let Some(row) = rows.first() else {
            findings.lost += u64::from(acknowledgement.is_some());
            continue;
        };
        findings.altered += u64::from(row.content != sent.content.json());
        findings.half_written += u64::from(row.incident_id.is_none());
        if let (Some(answered), Some(incident_id)) = (acknowledgement, row.incident_id) {
            let as_stored = Acknowledgement {
                id: row.id,
                // One number names the record and its row in incident_embeddings.
                embedding_id: row.id,
                location: format!("/api/v1/incidents/{incident_id}"),
            };
            findings.other_ids += u64::from(*answered != as_stored);
        }
    }
    findings.altered += stored.values().map(|rows| rows.len() as u64).sum::<u64>();
    for (statement, count) in [
        (ORPHANED, &mut findings.orphaned),
        (INCIDENTS_DOUBLED, &mut findings.incidents_doubled),
        (INCIDENTS_STALE, &mut findings.incidents_stale),
        (LOG_GAPS, &mut findings.log_gaps),
        (LOG_ENTRIES_WRONG, &mut findings.log_entries_wrong),
    ] {
        let found: i64 = client
            .query_one(statement, &[&pattern])
            .await
            .and_then(|row| row.try_get(0))
            .context("look for what does not belong together")?;
        *count = u64::try_from(found).unwrap_or(0);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_which_only_a_part_is_a_replay_was_half_stored() {
        let item = |id: i64| {
            format!(
                r#"{{"status":201,"location":"/i/{id}","replayed":false,"id":{id},"embeddingId":{id}}}"#
            )
        };
        for (replayed, is_half) in [(0, false), (1, true), (2, false)] {
            let body = format!(
                r#"{{"stored":2,"replayed":{replayed},"refused":0,"items":[{},{}]}}"#,
                item(7),
                item(8)
            );
            let (items, was_half_stored) = Acknowledgement::read_batch(&Answer::of(&body)).unwrap();
            assert_eq!(was_half_stored, is_half, "{replayed}");
            let ids: Vec<_> = items.iter().map(|item| item.id).collect();
            assert_eq!(ids, [7, 8]);
        }
    }
}
