//! Converts incidents from the database to responses.

use chrono::{DateTime, Utc};
use records::{is_zero_time, parse_timestamp};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;

use crate::view::{
    Action, Analysis, Incident, IncidentRecord, IncidentSummary, ReportedObject, Step, Workflow,
};

/// An incident as `find_incident` of `migrations/` returns it.
#[derive(Debug, Deserialize)]
pub struct FoundIncident {
    summary: IncidentSummary,
    signal_type: Option<String>,
    remediation: Option<ShownObject>,
    analysis: Option<ShownObject>,
    workflow: Option<ShownObject>,
    actions: Vec<FoundAction>,
    record_count: i64,
    records: Vec<FoundRecord>,
}

#[derive(Debug, Deserialize)]
struct ShownObject {
    version: Version,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
struct Version {
    object: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    phase: String,
    completed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct FoundAction {
    action_id: Uuid,
    action_type: String,
    status: String,
    object: ShownObject,
}

#[derive(Debug, Deserialize)]
struct FoundRecord {
    id: i64,
    kind: String,
    namespace: String,
    name: String,
    phase: String,
    created_at: DateTime<Utc>,
    started_at: Option<String>,
    completed_at: Option<String>,
    recorded_at: DateTime<Utc>,
    embedding_model: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    reason: Option<String>,
    message: Option<String>,
    priority: Option<String>,
    llm_provider: Option<String>,
    investigation_id: Option<String>,
    root_cause: Option<String>,
    recommended_action: Option<String>,
    #[serde(deserialize_with = "read_set")]
    requires_approval: Option<bool>,
    #[serde(deserialize_with = "read_set")]
    is_auto_approved: Option<bool>,
    #[serde(deserialize_with = "read_set")]
    step_count: Option<f64>,
    #[serde(deserialize_with = "read_set")]
    current_step: Option<f64>,
    #[serde(deserialize_with = "read_set")]
    completed_count: Option<f64>,
    #[serde(deserialize_with = "read_set")]
    failed_count: Option<f64>,
    #[serde(deserialize_with = "read_set")]
    skipped_count: Option<f64>,
    #[serde(deserialize_with = "read_set")]
    step_statuses: Option<Vec<StepStatus>>,
    step_name: Option<String>,
    target_type: Option<String>,
    target_name: Option<String>,
    target_namespace: Option<String>,
    action_result: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StepStatus {
    name: String,
    phase: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    #[serde(default, deserialize_with = "read_set")]
    retry_count: Option<f64>,
    message: Option<String>,
}

impl From<FoundIncident> for Incident {
    fn from(found: FoundIncident) -> Self {
        let (remediation, request) = found.remediation.map(ShownObject::split).unzip();
        let (analysis, finding) = found.analysis.map(ShownObject::split).unzip();
        let finding = finding.unwrap_or_default();
        Self {
            summary: found.summary,
            signal_type: found.signal_type,
            priority: request.and_then(|request| set(request.priority)),
            root_cause: set(finding.root_cause),
            recommended_action: set(finding.recommended_action),
            remediation,
            analysis: analysis.map(|object| Analysis {
                object,
                llm_provider: set(finding.llm_provider),
                investigation_id: set(finding.investigation_id),
                requires_approval: finding.requires_approval,
            }),
            workflow: found.workflow.map(Workflow::from),
            actions: found.actions.into_iter().map(Action::from).collect(),
            record_count: found.record_count,
            records: found
                .records
                .into_iter()
                .map(IncidentRecord::from)
                .collect(),
        }
    }
}

impl ShownObject {
    /// Separates the common fields, with reason and message, from the content.
    fn split(self) -> (ReportedObject, Content) {
        let mut content = self.content.unwrap_or_default();
        let version = self.version;
        let (namespace, name) = version.object.split_once('/').unwrap_or_default();
        let object = ReportedObject {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            phase: version.phase,
            reason: set(content.reason.take()),
            message: set(content.message.take()),
            created_at: version.created_at,
            started_at: version.started_at,
            completed_at: version.completed_at,
        };
        (object, content)
    }
}

impl From<ShownObject> for Workflow {
    fn from(shown: ShownObject) -> Self {
        let (object, content) = shown.split();
        let steps = content.step_statuses.unwrap_or_default();
        Self {
            object,
            step_count: whole(content.step_count),
            current_step: whole(content.current_step),
            completed_count: whole(content.completed_count),
            failed_count: whole(content.failed_count),
            skipped_count: whole(content.skipped_count),
            requires_approval: content.requires_approval,
            is_auto_approved: content.is_auto_approved,
            steps: steps.into_iter().map(Step::from).collect(),
        }
    }
}

impl From<StepStatus> for Step {
    fn from(step: StepStatus) -> Self {
        Self {
            name: step.name,
            phase: step.phase,
            started_at: instant(step.started_at),
            completed_at: instant(step.completed_at),
            retry_count: whole(step.retry_count),
            message: set(step.message),
        }
    }
}

impl From<FoundAction> for Action {
    fn from(found: FoundAction) -> Self {
        let (object, content) = found.object.split();
        Self {
            action_id: found.action_id,
            object,
            action_type: found.action_type,
            status: found.status,
            step_name: set(content.step_name),
            target_type: set(content.target_type),
            target_name: set(content.target_name),
            target_namespace: set(content.target_namespace),
            result: set(content.action_result),
        }
    }
}

impl From<FoundRecord> for IncidentRecord {
    fn from(found: FoundRecord) -> Self {
        Self {
            id: found.id,
            kind: found.kind,
            namespace: found.namespace,
            name: found.name,
            phase: found.phase,
            created_at: found.created_at,
            started_at: instant(found.started_at),
            completed_at: instant(found.completed_at),
            recorded_at: found.recorded_at,
            embedding_model: found.embedding_model,
        }
    }
}

fn set(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Reads a value; an empty text counts as absent, whatever the type.
fn read_set<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value == "" {
        return Ok(None);
    }
    Option::deserialize(value).map_err(D::Error::custom)
}

/// Go's zero time counts as absent.
fn instant(text: Option<String>) -> Option<DateTime<Utc>> {
    let instant = parse_timestamp(&text?)?;
    (!is_zero_time(instant)).then(|| instant.to_utc())
}

/// Canonical JSON writes whole numbers as doubles.
fn whole(number: Option<f64>) -> Option<i64> {
    number.map(|number| number as i64)
}
