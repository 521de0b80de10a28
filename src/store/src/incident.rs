//! Reading incidents.

use std::iter;

use chrono::NaiveDateTime;
use incidents::{Incident, IncidentRecord, IncidentSummary};

use crate::connection::{Database, Row};
use crate::error::{Cause, StoreError};

/// The most records that an incident lists, the latest ones.
const RECORDS_MAX: usize = 1000;

/// One snapshot: an incident and its records as they were at one moment.
const FIND_INCIDENT: &str = "
    SELECT
        id, action_history_id, action_id, alert_name, alert_severity, action_type,
        action_timestamp AT TIME ZONE 'UTC', model_used, model_confidence, execution_status,
        namespace, cluster, target_type, target_name, correlation_id,
        signal_type, environment, priority, fingerprint, remediation_name,
        remediation_phase, remediation_reason, remediation_message,
        created_at AT TIME ZONE 'UTC', started_at AT TIME ZONE 'UTC',
        completed_at AT TIME ZONE 'UTC',
        (SELECT count(*) FROM incident_embeddings WHERE incident_id = incidents.id),
        latest.ids, latest.embedding_ids, latest.kinds
    FROM incidents, LATERAL (
        SELECT coalesce(array_agg(record_id ORDER BY record_id), '{}') AS ids,
            coalesce(array_agg(id ORDER BY record_id), '{}') AS embedding_ids,
            coalesce(array_agg(record_kind ORDER BY record_id), '{}') AS kinds
        FROM (
            SELECT record_id, id, record_kind FROM incident_embeddings
            WHERE incident_id = incidents.id
            ORDER BY record_id DESC
            LIMIT $2
        ) AS record
    ) AS latest
    WHERE id = $1";

impl Database {
    /// The incident that an id names, if there is one.
    ///
    /// # Errors
    ///
    /// The database could not be asked.
    pub fn find_incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.run("read the incident", |session| {
            let limit = i64::try_from(RECORDS_MAX).unwrap_or(i64::MAX);
            let rows = session.query(FIND_INCIDENT, &[id.into(), limit.into()])?;
            rows.first().map(read_incident).transpose()
        })
    }
}

fn read_incident(mut row: Row<'_>) -> Result<Incident, Cause> {
    Ok(Incident {
        summary: IncidentSummary {
            id: row.next()?,
            action_history_id: row.next()?,
            action_id: row.next()?,
            alert_name: row.next()?,
            alert_severity: row.next()?,
            action_type: row.next()?,
            action_timestamp: row.next::<NaiveDateTime>()?.and_utc(),
            model_used: row.next()?,
            model_confidence: row.next()?,
            execution_status: row.next()?,
            namespace: row.next()?,
            cluster: row.next()?,
            target_type: row.next()?,
            target_name: row.next()?,
            correlation_id: row.next()?,
        },
        signal_type: row.next()?,
        environment: row.next()?,
        priority: row.next()?,
        fingerprint: row.next()?,
        remediation_name: row.next()?,
        remediation_phase: row.next()?,
        remediation_reason: row.next()?,
        remediation_message: row.next()?,
        created_at: optional_instant(&mut row)?,
        started_at: optional_instant(&mut row)?,
        completed_at: optional_instant(&mut row)?,
        record_count: row.next()?,
        records: read_records(&mut row)?,
    })
}

fn optional_instant(row: &mut Row<'_>) -> Result<Option<chrono::DateTime<chrono::Utc>>, Cause> {
    Ok(row
        .next::<Option<NaiveDateTime>>()?
        .map(|instant| instant.and_utc()))
}

fn read_records(row: &mut Row<'_>) -> Result<Vec<IncidentRecord>, Cause> {
    let ids: Vec<Option<i64>> = row.next()?;
    let embedding_ids: Vec<Option<i64>> = row.next()?;
    let kinds: Vec<Option<String>> = row.next()?;
    iter::zip(iter::zip(ids, embedding_ids), kinds)
        .map(|record| match record {
            ((Some(id), Some(embedding_id)), Some(kind)) => Ok(IncidentRecord {
                id,
                embedding_id,
                kind,
            }),
            _ => Err(Cause::Answer("a record's column is null")),
        })
        .collect()
}
