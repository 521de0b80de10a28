//! Reading incidents.

use std::iter;

use chrono::NaiveDateTime;
use incidents::{Incident, IncidentRecord, IncidentSummary};

use crate::connection::{Database, Row};
use crate::error::{Cause, StoreError};

/// The most records that an incident lists, the latest ones.
const RECORDS_MAX: usize = 1000;

/// One snapshot: an incident and its records as they were at one moment; a row of nulls where
/// there is none (Spin 4.0.2 waits for ever for the columns of a result without rows).
const FIND_INCIDENT: &str = "
    SELECT
        id, action_history_id, action_id, alert_name, alert_severity, action_type,
        action_timestamp AT TIME ZONE 'UTC', model_used, model_confidence, execution_status,
        namespace, cluster, target_type, target_name, correlation_id,
        signal_type, environment, priority, fingerprint, remediation_name,
        remediation_phase, remediation_reason, remediation_message,
        created_at AT TIME ZONE 'UTC', started_at AT TIME ZONE 'UTC',
        completed_at AT TIME ZONE 'UTC',
        analysis_name, analysis_phase, analysis_reason, analysis_message,
        analysis_created_at AT TIME ZONE 'UTC', analysis_started_at AT TIME ZONE 'UTC',
        analysis_completed_at AT TIME ZONE 'UTC', analysis_requires_approval,
        investigation_id, llm_provider, root_cause, recommended_action, workflow_name,
        workflow_phase, workflow_reason, workflow_message,
        workflow_created_at AT TIME ZONE 'UTC', workflow_started_at AT TIME ZONE 'UTC',
        workflow_completed_at AT TIME ZONE 'UTC', workflow_step_count,
        workflow_current_step, workflow_completed_count, workflow_failed_count,
        workflow_skipped_count, workflow_requires_approval, workflow_is_auto_approved,
        execution_name, execution_phase, execution_reason, execution_message,
        execution_created_at AT TIME ZONE 'UTC', execution_started_at AT TIME ZONE 'UTC',
        execution_completed_at AT TIME ZONE 'UTC', execution_step_name, execution_result,
        (SELECT count(*) FROM incident_embeddings WHERE incident_id = incidents.id),
        latest.ids, latest.embedding_ids, latest.kinds, latest.models
    FROM (SELECT) AS always
    LEFT JOIN incidents ON incidents.id = $1
    LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(record_id ORDER BY record_id), '{}') AS ids,
            coalesce(array_agg(id ORDER BY record_id), '{}') AS embedding_ids,
            coalesce(array_agg(record_kind ORDER BY record_id), '{}') AS kinds,
            coalesce(array_agg(model ORDER BY record_id), '{}') AS models
        FROM (
            SELECT record_id, incident_embeddings.id, record_kind, model
            FROM incident_embeddings JOIN embeddings ON embeddings.id = embedding_id
            WHERE incident_id = incidents.id
            ORDER BY record_id DESC
            LIMIT $2
        ) AS record
    ) AS latest ON true";

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
            rows.first().map_or(Ok(None), read_incident)
        })
    }
}

/// Reads the columns that a list shows; `None` where they are null.
pub(crate) fn read_summary(row: &mut Row<'_>) -> Result<Option<IncidentSummary>, Cause> {
    let Some(id) = row.next()? else {
        return Ok(None);
    };
    Ok(Some(IncidentSummary {
        id,
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
    }))
}

fn read_incident(mut row: Row<'_>) -> Result<Option<Incident>, Cause> {
    let Some(summary) = read_summary(&mut row)? else {
        return Ok(None);
    };
    Ok(Some(Incident {
        summary,
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
        analysis_name: row.next()?,
        analysis_phase: row.next()?,
        analysis_reason: row.next()?,
        analysis_message: row.next()?,
        analysis_created_at: optional_instant(&mut row)?,
        analysis_started_at: optional_instant(&mut row)?,
        analysis_completed_at: optional_instant(&mut row)?,
        analysis_requires_approval: row.next()?,
        investigation_id: row.next()?,
        llm_provider: row.next()?,
        root_cause: row.next()?,
        recommended_action: row.next()?,
        workflow_name: row.next()?,
        workflow_phase: row.next()?,
        workflow_reason: row.next()?,
        workflow_message: row.next()?,
        workflow_created_at: optional_instant(&mut row)?,
        workflow_started_at: optional_instant(&mut row)?,
        workflow_completed_at: optional_instant(&mut row)?,
        workflow_step_count: row.next()?,
        workflow_current_step: row.next()?,
        workflow_completed_count: row.next()?,
        workflow_failed_count: row.next()?,
        workflow_skipped_count: row.next()?,
        workflow_requires_approval: row.next()?,
        workflow_is_auto_approved: row.next()?,
        execution_name: row.next()?,
        execution_phase: row.next()?,
        execution_reason: row.next()?,
        execution_message: row.next()?,
        execution_created_at: optional_instant(&mut row)?,
        execution_started_at: optional_instant(&mut row)?,
        execution_completed_at: optional_instant(&mut row)?,
        execution_step_name: row.next()?,
        execution_result: row.next()?,
        record_count: row.next()?,
        records: read_records(&mut row)?,
    }))
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
    let models: Vec<Option<String>> = row.next()?;
    iter::zip(iter::zip(ids, embedding_ids), iter::zip(kinds, models))
        .map(|record| match record {
            ((Some(id), Some(embedding_id)), (Some(kind), Some(embedding_model))) => {
                Ok(IncidentRecord {
                    id,
                    embedding_id,
                    kind,
                    embedding_model,
                })
            }
            _ => Err(Cause::Answer("a record's column is null")),
        })
        .collect()
}
