//! What is answered of an incident. The names are what its readers already parse.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// An incident as a list shows it. What is not known yet is null.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentSummary {
    /// Names the incident.
    pub id: i64,
    /// Names the target: equal for all incidents of one cluster, namespace, type and name.
    pub action_history_id: Option<i64>,
    /// Names the latest execution.
    pub action_id: Option<Uuid>,
    /// The alert's name.
    pub alert_name: Option<String>,
    /// `critical`, `high`, `medium` or `low`.
    pub alert_severity: Option<String>,
    /// What was done, for example `scale`.
    pub action_type: Option<String>,
    /// When it was made; until an execution is known, when the remediation request was, else
    /// the workflow, else the analysis.
    #[serde(serialize_with = "rfc3339")]
    pub action_timestamp: DateTime<Utc>,
    /// The model that analysed the incident.
    pub model_used: Option<String>,
    /// How sure it was, 0 to 1.
    pub model_confidence: Option<f64>,
    /// `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub execution_status: String,
    /// The target's namespace.
    pub namespace: Option<String>,
    /// The target's cluster.
    pub cluster: Option<String>,
    /// What the target is, for example `deployment`.
    pub target_type: Option<String>,
    /// The target's name.
    pub target_name: Option<String>,
    /// Names the incident in the records.
    pub correlation_id: String,
}

/// Everything that is known of an incident.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// What raised the signal, for example `prometheus-alert`.
    pub signal_type: Option<String>,
    /// `production`, `staging` or `development`.
    pub environment: Option<String>,
    /// `P0` to `P3`.
    pub priority: Option<String>,
    /// Which alerts are the same.
    pub fingerprint: Option<String>,
    /// The remediation request's name.
    pub remediation_name: Option<String>,
    /// How far the remediation request has come.
    pub remediation_phase: Option<String>,
    /// What it says about that, in a word.
    pub remediation_reason: Option<String>,
    /// What it says about that, for a person.
    pub remediation_message: Option<String>,
    /// When the remediation request was made.
    #[serde(serialize_with = "optional_rfc3339")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it began.
    #[serde(serialize_with = "optional_rfc3339")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "optional_rfc3339")]
    pub completed_at: Option<DateTime<Utc>>,
    /// The latest AI analysis' name.
    pub analysis_name: Option<String>,
    /// How far it has come.
    pub analysis_phase: Option<String>,
    /// What it says about that, in a word.
    pub analysis_reason: Option<String>,
    /// What it says about that, for a person.
    pub analysis_message: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "optional_rfc3339")]
    pub analysis_created_at: Option<DateTime<Utc>>,
    /// When it began.
    #[serde(serialize_with = "optional_rfc3339")]
    pub analysis_started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "optional_rfc3339")]
    pub analysis_completed_at: Option<DateTime<Utc>>,
    /// Whether a person has to agree to what it recommends.
    pub analysis_requires_approval: Option<bool>,
    /// Names the analysis where it was made.
    pub investigation_id: Option<String>,
    /// Who serves the model.
    pub llm_provider: Option<String>,
    /// What it found.
    pub root_cause: Option<String>,
    /// What it would do.
    pub recommended_action: Option<String>,
    /// Which workflow the latest workflow execution is of.
    pub workflow_name: Option<String>,
    /// How far it has come.
    pub workflow_phase: Option<String>,
    /// What it says about that, in a word.
    pub workflow_reason: Option<String>,
    /// What it says about that, for a person.
    pub workflow_message: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "optional_rfc3339")]
    pub workflow_created_at: Option<DateTime<Utc>>,
    /// When it began.
    #[serde(serialize_with = "optional_rfc3339")]
    pub workflow_started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "optional_rfc3339")]
    pub workflow_completed_at: Option<DateTime<Utc>>,
    /// How many steps it has.
    pub workflow_step_count: Option<i64>,
    /// The step that it is at, 0 before the first.
    pub workflow_current_step: Option<i64>,
    /// How many steps ended well.
    pub workflow_completed_count: Option<i64>,
    /// How many ended badly.
    pub workflow_failed_count: Option<i64>,
    /// How many were left out.
    pub workflow_skipped_count: Option<i64>,
    /// Whether a person has to agree to it.
    pub workflow_requires_approval: Option<bool>,
    /// Whether nobody had to.
    pub workflow_is_auto_approved: Option<bool>,
    /// The latest execution's name.
    pub execution_name: Option<String>,
    /// How far it has come.
    pub execution_phase: Option<String>,
    /// What it says about that, in a word.
    pub execution_reason: Option<String>,
    /// What it says about that, for a person.
    pub execution_message: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "optional_rfc3339")]
    pub execution_created_at: Option<DateTime<Utc>>,
    /// When it began.
    #[serde(serialize_with = "optional_rfc3339")]
    pub execution_started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "optional_rfc3339")]
    pub execution_completed_at: Option<DateTime<Utc>>,
    /// The step of the workflow that it is.
    pub execution_step_name: Option<String>,
    /// What came of it.
    pub execution_result: Option<String>,
    /// How many records the incident has.
    pub record_count: i64,
    /// Its records in the order they were stored, the latest 1,000 of them.
    pub records: Vec<IncidentRecord>,
}

/// One record of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IncidentRecord {
    /// The id that its writer was answered.
    pub id: i64,
    /// The embedding id that its writer was answered.
    pub embedding_id: i64,
    /// `remediation`, `aianalysis`, `workflow` or `execution`.
    pub kind: String,
    /// The model that made the vector of its text.
    pub embedding_model: String,
}

fn rfc3339<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn optional_rfc3339<S: Serializer>(
    instant: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => rfc3339(instant, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_is_written_as_its_readers_parse_it() {
        let summary = IncidentSummary {
            id: 12345,
            action_history_id: Some(1),
            action_id: None,
            alert_name: Some("HighMemoryUsage".to_owned()),
            alert_severity: Some("critical".to_owned()),
            action_type: None,
            action_timestamp: "2025-11-01T12:00:00+02:00".parse().unwrap(),
            model_used: None,
            model_confidence: None,
            execution_status: "completed".to_owned(),
            namespace: Some("production".to_owned()),
            cluster: Some("eu-1".to_owned()),
            target_type: Some("deployment".to_owned()),
            target_name: Some("api-server".to_owned()),
            correlation_id: "req-2025-10-06-abc123".to_owned(),
        };
        assert_eq!(
            serde_json::to_value(&summary).unwrap(),
            json!({
                "id": 12345, "action_history_id": 1, "action_id": null,
                "alert_name": "HighMemoryUsage", "alert_severity": "critical",
                "action_type": null, "action_timestamp": "2025-11-01T10:00:00Z",
                "model_used": null, "model_confidence": null,
                "execution_status": "completed", "namespace": "production",
                "cluster": "eu-1", "target_type": "deployment",
                "target_name": "api-server", "correlation_id": "req-2025-10-06-abc123"
            })
        );
    }
}
