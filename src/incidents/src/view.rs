//! What is answered of an incident. The names are what its readers already parse.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An incident as a list shows it. What is not known yet is null.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentSummary {
    /// Names the incident.
    pub id: i64,
    /// The earliest `createdAt` of its records.
    pub opened_at: DateTime<Utc>,
    /// Names the target's history: equal for all incidents of one cluster, namespace, type (without
    /// regard to case) and name.
    pub action_history_id: Option<i64>,
    /// Names the latest execution.
    pub action_id: Option<Uuid>,
    /// The alert's name.
    pub alert_name: Option<String>,
    /// How severe the alert is, for example `critical`.
    pub alert_severity: Option<String>,
    /// What the latest execution does, for example `scale`.
    pub action_type: Option<String>,
    /// When the latest execution was made.
    pub action_timestamp: Option<DateTime<Utc>>,
    /// The model that analysed the incident.
    pub model_used: Option<String>,
    /// How sure it was, 0 to 1.
    pub model_confidence: Option<f64>,
    /// `pending`, `executing`, `completed`, `failed` or `rolled-back`: of the latest execution;
    /// until there is one, of the workflow, else of the remediation.
    pub execution_status: String,
    /// The target's namespace; empty for what has none, as a node.
    pub namespace: Option<String>,
    /// The target's cluster.
    pub cluster: Option<String>,
    /// What the target is used for, for example `production`.
    pub environment: Option<String>,
    /// What the target is, for example `deployment`.
    pub target_type: Option<String>,
    /// The target's name.
    pub target_name: Option<String>,
    /// Which alerts are the same.
    pub fingerprint: Option<String>,
    /// The remediation request's name.
    pub remediation_name: Option<String>,
    /// Which workflow the latest workflow execution is of.
    pub workflow_name: Option<String>,
    /// When the remediation request ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Names the incident in the records.
    pub correlation_id: String,
}

/// Everything that is known of an incident. What only a record says that has left by retention is
/// null.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// What raised the signal, for example `prometheus-alert`.
    pub signal_type: Option<String>,
    /// How urgent it is, for example `P0`.
    pub priority: Option<String>,
    /// What the latest AI analysis found.
    pub root_cause: Option<String>,
    /// What it would do.
    pub recommended_action: Option<String>,
    /// The remediation request.
    pub remediation: Option<ReportedObject>,
    /// The latest AI analysis.
    pub analysis: Option<Analysis>,
    /// The latest workflow execution.
    pub workflow: Option<Workflow>,
    /// Every execution, oldest first, the latest 1,000 of them.
    pub actions: Vec<Action>,
    /// How many records the incident has.
    pub record_count: i64,
    /// Its records in the order in which they were stored, the latest 1,000 of them.
    pub records: Vec<IncidentRecord>,
}

/// What an object's controller reports of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedObject {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `Pending`, `Processing`, `Completed` or `Failed`.
    pub phase: String,
    /// Why it is there, in a word.
    pub reason: Option<String>,
    /// Why it is there, for a person.
    pub message: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it, or its latest attempt, began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// An AI analysis.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Analysis {
    /// What its controller reports.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// Who serves the model.
    pub llm_provider: Option<String>,
    /// Names the analysis where it was made.
    pub investigation_id: Option<String>,
    /// Whether a person has to agree to what it recommends.
    pub requires_approval: Option<bool>,
}

/// A workflow execution.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// What its controller reports.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// How many steps it has.
    pub step_count: Option<i64>,
    /// The step that it is at, 0 before the first.
    pub current_step: Option<i64>,
    /// How many steps ended well.
    pub completed_count: Option<i64>,
    /// How many ended badly.
    pub failed_count: Option<i64>,
    /// How many were left out.
    pub skipped_count: Option<i64>,
    /// Whether a person has to agree to it.
    pub requires_approval: Option<bool>,
    /// Whether nobody had to.
    pub is_auto_approved: Option<bool>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// A step of a workflow.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its name.
    pub name: String,
    /// `Pending`, `Processing`, `Completed`, `Failed` or `Skipped`.
    pub phase: String,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// How often it was tried again.
    pub retry_count: Option<i64>,
    /// How it stands, for a person.
    pub message: Option<String>,
}

/// An execution: a Kubernetes action.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Action {
    /// Names the action: the same for every version of one execution.
    pub action_id: Uuid,
    /// What its controller reports.
    #[serde(flatten)]
    pub object: ReportedObject,
    /// What is done, for example `scale`.
    pub action_type: String,
    /// `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub status: String,
    /// The step of the workflow that it is.
    pub step_name: Option<String>,
    /// What its target is, for example `deployment`.
    pub target_type: Option<String>,
    /// The target's name.
    pub target_name: Option<String>,
    /// The target's namespace; null for what has none.
    pub target_namespace: Option<String>,
    /// What came of it.
    pub result: Option<String>,
}

/// One record of an incident.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentRecord {
    /// The id that its writer was answered.
    pub id: i64,
    /// `remediation`, `aianalysis`, `workflow` or `execution`.
    pub kind: String,
    /// The namespace of the object that it reports.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// `Pending`, `Processing`, `Completed` or `Failed`.
    pub phase: String,
    /// When the object was made.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// When the service stored it.
    pub recorded_at: DateTime<Utc>,
    /// The model that made the vector of its text.
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
