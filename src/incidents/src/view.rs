//! Responses for incidents. Existing clients parse these field names.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Summary of an incident. Values that are not known yet are null.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentSummary {
    /// Id of the incident.
    pub id: i64,
    /// Earliest `createdAt` of the incident's records.
    pub opened_at: DateTime<Utc>,
    /// Id of the target's action history (cluster, namespace, case-insensitive type, name).
    pub action_history_id: Option<i64>,
    /// Id of the latest action.
    pub action_id: Option<Uuid>,
    /// Name of the alert.
    pub alert_name: Option<String>,
    /// Severity of the alert, for example `critical`.
    pub alert_severity: Option<String>,
    /// Type of the latest action, for example `scale`.
    pub action_type: Option<String>,
    /// When the latest action was created.
    pub action_timestamp: Option<DateTime<Utc>>,
    /// Model that analysed the incident.
    pub model_used: Option<String>,
    /// Confidence of the analysis, 0 to 1.
    pub model_confidence: Option<f64>,
    /// Status of the latest action, otherwise of the workflow, otherwise of the remediation:
    /// `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub execution_status: String,
    /// Namespace of the target; empty for cluster-scoped objects such as nodes.
    pub namespace: Option<String>,
    /// Cluster of the target.
    pub cluster: Option<String>,
    /// Environment of the target, for example `production`.
    pub environment: Option<String>,
    /// Type of the target, for example `deployment`.
    pub target_type: Option<String>,
    /// Name of the target.
    pub target_name: Option<String>,
    /// Fingerprint that equal alerts share.
    pub fingerprint: Option<String>,
    /// Name of the remediation request.
    pub remediation_name: Option<String>,
    /// Name of the workflow that the latest workflow execution runs.
    pub workflow_name: Option<String>,
    /// When the remediation request ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Correlation id of the incident's records.
    pub correlation_id: String,
}

/// An incident with its records. Values known only from records past retention are null.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// The summary that lists show.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// Type of the signal's source, for example `prometheus-alert`.
    pub signal_type: Option<String>,
    /// Priority of the incident, for example `P0`.
    pub priority: Option<String>,
    /// Root cause that the latest AI analysis found.
    pub root_cause: Option<String>,
    /// Action that the latest AI analysis recommends.
    pub recommended_action: Option<String>,
    /// The remediation request.
    pub remediation: Option<ReportedObject>,
    /// The latest AI analysis.
    pub analysis: Option<Analysis>,
    /// The latest workflow execution.
    pub workflow: Option<Workflow>,
    /// The latest 1,000 actions, oldest first.
    pub actions: Vec<Action>,
    /// Number of records of the incident.
    pub record_count: i64,
    /// The latest 1,000 records, in the order in which they were stored.
    pub records: Vec<IncidentRecord>,
}

/// An object as its controller reports it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedObject {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Phase: `Pending`, `Processing`, `Completed` or `Failed`.
    pub phase: String,
    /// Machine-readable reason for the phase.
    pub reason: Option<String>,
    /// Human-readable explanation of the phase.
    pub message: Option<String>,
    /// When the object was created.
    pub created_at: DateTime<Utc>,
    /// When the latest attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When the latest attempt ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// An AI analysis.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Analysis {
    /// Fields that all reported objects have.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// Provider of the LLM, for example `openai`.
    pub llm_provider: Option<String>,
    /// Id of the investigation in the system that made it.
    pub investigation_id: Option<String>,
    /// Whether a person must approve the recommended action.
    pub requires_approval: Option<bool>,
}

/// A workflow execution.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Fields that all reported objects have.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// Number of steps.
    pub step_count: Option<i64>,
    /// Number of the current step; 0 before the first.
    pub current_step: Option<i64>,
    /// Number of completed steps.
    pub completed_count: Option<i64>,
    /// Number of failed steps.
    pub failed_count: Option<i64>,
    /// Number of skipped steps.
    pub skipped_count: Option<i64>,
    /// Whether a person must approve the workflow.
    pub requires_approval: Option<bool>,
    /// Whether the workflow was approved automatically.
    pub is_auto_approved: Option<bool>,
    /// Status of each step.
    pub steps: Vec<Step>,
}

/// A step of a workflow.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Name of the step.
    pub name: String,
    /// Phase: `Pending`, `Processing`, `Completed`, `Failed` or `Skipped`.
    pub phase: String,
    /// When the step started.
    pub started_at: Option<DateTime<Utc>>,
    /// When the step ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Number of retries of the step.
    pub retry_count: Option<i64>,
    /// Human-readable status of the step.
    pub message: Option<String>,
}

/// An action: the newest version of one execution.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Action {
    /// Id of the action, the same in every version of the execution.
    pub action_id: Uuid,
    /// Fields that all reported objects have.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// Type of the action, for example `scale`.
    pub action_type: String,
    /// Status: `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub status: String,
    /// Name of the workflow step that the action runs.
    pub step_name: Option<String>,
    /// Type of the target, for example `deployment`.
    pub target_type: Option<String>,
    /// Name of the target.
    pub target_name: Option<String>,
    /// Namespace of the target; null for cluster-scoped objects.
    pub target_namespace: Option<String>,
    /// Result of the action.
    pub result: Option<String>,
}

/// One record of an incident.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentRecord {
    /// Id of the record, as the service returned it to the writer.
    pub id: i64,
    /// Kind: `remediation`, `aianalysis`, `workflow`, `execution` or `event`.
    pub kind: String,
    /// Namespace of the reported object.
    pub namespace: String,
    /// Name of the reported object.
    pub name: String,
    /// Phase: `Pending`, `Processing`, `Completed` or `Failed`.
    pub phase: String,
    /// When the object was created.
    pub created_at: DateTime<Utc>,
    /// When the attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When the attempt ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// When the service stored the record.
    pub recorded_at: DateTime<Utc>,
    /// Model that embedded the record's text.
    pub embedding_model: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_is_written_as_its_readers_parse_it() {
        let stored = json!({
            "id": 12345, "opened_at": "2025-11-01T09:58:00+00:00", "action_history_id": 1,
            "action_id": null, "alert_name": "HighMemoryUsage", "alert_severity": "critical",
            "action_type": null, "action_timestamp": "2025-11-01T10:00:00.5+00:00",
            "model_used": null, "model_confidence": 0.95, "execution_status": "completed",
            "namespace": "production", "cluster": "eu-1", "environment": "production",
            "target_type": "deployment", "target_name": "api-server", "fingerprint": null,
            "remediation_name": "rr-1", "workflow_name": "scale-up", "completed_at": null,
            "correlation_id": "req-2025-10-06-abc123",
        });
        let summary: IncidentSummary = serde_json::from_value(stored.clone()).unwrap();
        let mut expected = stored;
        expected["opened_at"] = json!("2025-11-01T09:58:00Z");
        expected["action_timestamp"] = json!("2025-11-01T10:00:00.500Z");
        assert_eq!(serde_json::to_value(&summary).unwrap(), expected);
    }
}
