//! The rows of the tables, as `write_audit_record_3` in `migrations/` makes them. An incident here
//! has one record of each kind at most, so none of its rules of precedence between versions is
//! needed, only those between the kinds.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use chrono::{DateTime, FixedOffset, Utc};
use embedding::{Embedding, Vector};
use records::{AiAnalysis, Execution, Kind, Phase, Record, Remediation, Workflow};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::stored::{Incident, View};

/// A row: the names of its columns and what they have.
pub(crate) type Row<'a> = Vec<(&'static str, Cell<'a>)>;

/// What a column has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Null,
    Text(&'a str),
    Bytes(&'a [u8]),
    Time(DateTime<Utc>),
    Whole(i64),
    Real(f64),
    Flag(bool),
    Id(Uuid),
    Vector(&'a Vector),
}

impl ToSql for Cell<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
            Self::Time(value) => value.to_sql(ty, out),
            Self::Whole(value) => value.to_sql(ty, out),
            Self::Real(value) => value.to_sql(ty, out),
            Self::Flag(value) => value.to_sql(ty, out),
            Self::Id(value) => value.to_sql(ty, out),
            Self::Vector(vector) => {
                // As pgvector's vector_recv reads it.
                let components = vector.components();
                out.put_u16(u16::try_from(components.len())?);
                out.put_u16(0);
                for component in components {
                    out.put_f32(*component);
                }
                Ok(IsNull::No)
            }
        }
    }

    /// What does not fit its column is refused by the server.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, Cell::Text)
}

fn time(value: Option<DateTime<FixedOffset>>) -> Cell<'static> {
    value.map_or(Cell::Null, |value| Cell::Time(value.with_timezone(&Utc)))
}

fn whole(value: Option<i64>) -> Cell<'static> {
    value.map_or(Cell::Null, Cell::Whole)
}

fn flag(value: Option<bool>) -> Cell<'static> {
    value.map_or(Cell::Null, Cell::Flag)
}

/// Of a vector.
pub(crate) fn embedding(id: i64, embedding: &Embedding, made_at: DateTime<Utc>) -> Row<'_> {
    vec![
        ("id", Cell::Whole(id)),
        ("model", Cell::Text(&embedding.key.model)),
        ("text_hash", Cell::Bytes(&embedding.key.text_hash)),
        ("embedding", Cell::Vector(&embedding.vector)),
        ("made_at", Cell::Time(made_at)),
    ]
}

/// What `action_history_id_of` hashes: the text of a jsonb array.
pub(crate) fn target_hash(target: [&str; 4]) -> [u8; 32] {
    let written = target.map(|part| serde_json::Value::from(part).to_string());
    records::sha256(&format!("[{}]", written.join(", ")))
}

/// Of a target's history.
pub(crate) fn history<'a>(
    id: i64,
    [cluster, namespace, target_type, target_name]: [&'a str; 4],
    hash: &'a [u8; 32],
) -> Row<'a> {
    vec![
        ("id", Cell::Whole(id)),
        ("cluster", Cell::Text(cluster)),
        ("namespace", Cell::Text(namespace)),
        ("target_type", Cell::Text(target_type)),
        ("target_name", Cell::Text(target_name)),
        ("target_hash", Cell::Bytes(hash)),
    ]
}

/// Of a record, which has the same number as its row in `incident_embeddings`.
pub(crate) fn record<'a>(id: i64, view: &View<'a>) -> Row<'a> {
    vec![
        ("kind", Cell::Text(view.kind)),
        ("id", Cell::Whole(id)),
        ("created_at", time(Some(view.common.created_at))),
        ("content_hash", Cell::Bytes(view.content.hash())),
        ("recorded_at", Cell::Time(view.recorded_at())),
        ("correlation_id", Cell::Text(&view.common.correlation_id)),
        ("namespace", Cell::Text(&view.common.namespace)),
        ("name", Cell::Text(&view.common.name)),
        ("phase", Cell::Text(view.common.phase.as_str())),
        ("severity", text(view.severity)),
        ("cluster", Cell::Text(view.cluster)),
        ("content", Cell::Text(view.content.json())),
        ("incident_embedding_id", Cell::Whole(id)),
    ]
}

/// Of a record's embedding.
pub(crate) fn incident_embedding<'a>(
    id: i64,
    incident_id: i64,
    embedding_id: i64,
    view: &View<'a>,
) -> Row<'a> {
    let target = |part: usize| text(view.target.and_then(|target| target.get(part).copied()));
    vec![
        ("id", Cell::Whole(id)),
        ("incident_id", Cell::Whole(incident_id)),
        ("embedding_id", Cell::Whole(embedding_id)),
        ("record_kind", Cell::Text(view.kind)),
        ("record_id", Cell::Whole(id)),
        ("remediation_request_id", text(view.request)),
        ("namespace", target(0)),
        ("target_type", target(1)),
        ("target_name", target(2)),
        ("signal_type", text(view.signal_type)),
        ("root_cause", text(view.root_cause)),
    ]
}

/// Of an incident: what its records say.
pub(crate) fn incident(id: i64, history_id: i64, incident: &Incident) -> Row<'_> {
    let remediation = incident.remediation.as_ref().map(|stored| &stored.record);
    let analysis = incident.analysis.as_ref().map(|stored| &stored.record);
    let workflow = incident.workflow.as_ref().map(|stored| &stored.record);
    let execution = incident.execution.as_ref().map(|stored| &stored.record);

    let requested = remediation.map(|record| &record.common);
    let acted = execution.map(|record| &record.common);
    let reported = acted
        .or(workflow.map(|record| &record.common))
        .or(requested);
    let is_rolled_back = execution.and_then(|record| record.kind.is_rolled_back);
    let status = match reported {
        _ if is_rolled_back == Some(true) => "rolled-back",
        Some(common) => execution_status(common.phase),
        None => "pending",
    };
    let correlation_id = requested.map(|common| common.correlation_id.as_str());
    let mut row = vec![
        ("id", Cell::Whole(id)),
        ("correlation_id", text(correlation_id)),
        ("action_history_id", Cell::Whole(history_id)),
        (
            "action_timestamp",
            time(acted.or(requested).map(|common| common.created_at)),
        ),
        ("execution_status", Cell::Text(status)),
        (
            "alert_severity",
            text(incident.views().find_map(|view| view.severity)),
        ),
    ];
    row.extend(of_remediation(remediation));
    row.extend(of_analysis(analysis));
    row.extend(of_workflow(workflow));
    row.extend(of_execution(execution));
    row
}

fn of_remediation(record: Option<&Record<Remediation>>) -> Row<'_> {
    const PROGRESS: [&str; 7] = [
        "remediation_version",
        "remediation_phase",
        "remediation_reason",
        "remediation_message",
        "created_at",
        "started_at",
        "completed_at",
    ];
    let kind = record.map(|record| &record.kind);
    let says = |field: fn(&Remediation) -> &str| text(kind.map(field));
    let name = record.map(|record| record.common.name.as_str());
    let fingerprint = kind.and_then(|kind| kind.fingerprint.as_deref());
    let mut row = vec![
        ("remediation_name", text(name)),
        ("alert_name", says(|kind| &kind.signal_name)),
        ("signal_type", says(|kind| &kind.signal_type)),
        (
            "cluster",
            text(record.map(|record| record.cluster.as_str())),
        ),
        ("namespace", says(|kind| &kind.target_namespace)),
        ("target_type", says(|kind| &kind.target_type)),
        ("target_name", says(|kind| &kind.target_name)),
        ("environment", text(kind.and_then(|kind| kind.environment))),
        ("priority", text(kind.and_then(|kind| kind.priority))),
        ("fingerprint", text(fingerprint)),
    ];
    row.extend(progress(PROGRESS, record));
    row
}

fn of_analysis(record: Option<&Record<AiAnalysis>>) -> Row<'_> {
    const PROGRESS: [&str; 7] = [
        "analysis_version",
        "analysis_phase",
        "analysis_reason",
        "analysis_message",
        "analysis_created_at",
        "analysis_started_at",
        "analysis_completed_at",
    ];
    let kind = record.map(|record| &record.kind);
    let says = |field: fn(&AiAnalysis) -> Option<&str>| text(kind.and_then(field));
    let name = record.map(|record| record.common.name.as_str());
    let confidence = kind.and_then(|kind| kind.confidence);
    let requires_approval = kind.and_then(|kind| kind.requires_approval);
    let mut row = vec![
        ("analysis_name", text(name)),
        ("llm_provider", says(|kind| Some(&kind.llm_provider))),
        ("model_used", says(|kind| Some(&kind.llm_model))),
        (
            "model_confidence",
            confidence.map_or(Cell::Null, Cell::Real),
        ),
        ("root_cause", says(|kind| kind.root_cause.as_deref())),
        (
            "recommended_action",
            says(|kind| kind.recommended_action.as_deref()),
        ),
        (
            "investigation_id",
            says(|kind| kind.investigation_id.as_deref()),
        ),
        ("analysis_requires_approval", flag(requires_approval)),
    ];
    row.extend(progress(PROGRESS, record));
    row
}

fn of_workflow(record: Option<&Record<Workflow>>) -> Row<'_> {
    const PROGRESS: [&str; 7] = [
        "workflow_version",
        "workflow_phase",
        "workflow_reason",
        "workflow_message",
        "workflow_created_at",
        "workflow_started_at",
        "workflow_completed_at",
    ];
    let kind = record.map(|record| &record.kind);
    let counts = |field: fn(&Workflow) -> Option<i64>| whole(kind.and_then(field));
    let name = kind.map(|kind| kind.workflow_name.as_str());
    let requires_approval = kind.and_then(|kind| kind.requires_approval);
    let is_auto_approved = kind.and_then(|kind| kind.is_auto_approved);
    let mut row = vec![
        ("workflow_name", text(name)),
        ("workflow_step_count", counts(|kind| Some(kind.step_count))),
        ("workflow_current_step", counts(|kind| kind.current_step)),
        (
            "workflow_completed_count",
            counts(|kind| kind.completed_count),
        ),
        ("workflow_failed_count", counts(|kind| kind.failed_count)),
        ("workflow_skipped_count", counts(|kind| kind.skipped_count)),
        ("workflow_requires_approval", flag(requires_approval)),
        ("workflow_is_auto_approved", flag(is_auto_approved)),
    ];
    row.extend(progress(PROGRESS, record));
    row
}

fn of_execution(record: Option<&Record<Execution>>) -> Row<'_> {
    const PROGRESS: [&str; 7] = [
        "execution_version",
        "execution_phase",
        "execution_reason",
        "execution_message",
        "execution_created_at",
        "execution_started_at",
        "execution_completed_at",
    ];
    let kind = record.map(|record| &record.kind);
    let says = |field: fn(&Execution) -> Option<&str>| text(kind.and_then(field));
    let name = record.map(|record| record.common.name.as_str());
    let mut row = vec![
        ("execution_name", text(name)),
        (
            "action_id",
            kind.map_or(Cell::Null, |kind| Cell::Id(kind.action_id)),
        ),
        ("action_type", says(|kind| Some(&kind.action_type))),
        ("execution_step_name", says(|kind| Some(&kind.step_name))),
        (
            "execution_result",
            says(|kind| kind.action_result.as_deref()),
        ),
    ];
    row.extend(progress(PROGRESS, record));
    row
}

/// What an incident takes from a record of every kind, under the kind's names of it.
fn progress<'a, K: Kind>(
    names: [&'static str; 7],
    record: Option<&'a Record<K>>,
) -> impl Iterator<Item = (&'static str, Cell<'a>)> + use<'a, K> {
    let cells = record.map_or([Cell::Null; 7], |record| {
        let common = &record.common;
        [
            Cell::Bytes(&record.version),
            Cell::Text(common.phase.as_str()),
            text(common.reason.as_deref()),
            text(common.message.as_deref()),
            time(Some(common.created_at)),
            time(common.started_at),
            time(common.completed_at),
        ]
    });
    names.into_iter().zip(cells)
}

/// As the function of this name in `migrations/`.
fn execution_status(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Processing => "executing",
        Phase::Completed => "completed",
        Phase::Failed => "failed",
    }
}
