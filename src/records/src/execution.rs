//! Execution records: Kubernetes actions.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common_fields::{CommonFields, NAMESPACE, Phase, TEXT, stored_instant};
use crate::field::Text;
use crate::field_reader::FieldReader;
use crate::record::Kind;

/// UUID namespace (RFC 9562, section 6.5) of action ids.
const ACTION_IDS: Uuid = Uuid::from_u128(0x9b1f_6c1e_52c4_5f0a_8d2e_6f7a_41c3_b7d0);

/// A Kubernetes action as its controller reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Id of the action, the same in every version of the execution.
    pub action_id: Uuid,
    /// Name of the workflow step.
    pub step_name: String,
    /// Type of the action, for example `scale`.
    pub action_type: String,
    /// Type of the target, for example `deployment`.
    pub target_type: String,
    /// Name of the target.
    pub target_name: String,
    /// Namespace of the target; `None` for cluster-scoped objects such as nodes.
    pub target_namespace: Option<String>,
    /// Result of the action.
    pub action_result: Option<String>,
    /// Whether the action was rolled back.
    pub is_rolled_back: Option<bool>,
}

impl Kind for Execution {
    const NAME: &'static str = "execution";
    const TITLE: &'static str = "Execution";
    const TEXT_IS_NAME: bool = true;

    fn read(fields: &mut FieldReader<'_>, common: Option<&CommonFields>) -> Option<Self> {
        fields.required_text("workflowExecutionRef", &TEXT);
        let step_name = fields.required_text("stepName", &TEXT);
        let action_type = fields.required_text("actionType", &TEXT);
        fields.text_map("actionData", usize::MAX, &Text::ANY, &Text::ANY);
        let target_type = fields.required_text("targetType", &TEXT);
        let target_name = fields.required_text("targetName", &TEXT);
        let target_namespace = fields.text("targetNamespace", &NAMESPACE);
        fields.boolean("enableDryRun");
        fields.boolean("enableValidation");
        fields.boolean("enableRollback");
        let action_result = fields.text("actionResult", &Text::ANY);
        fields.text("resourceVersion", &TEXT);
        fields.text("previousVersion", &TEXT);
        fields.text("dryRunResult", &Text::ANY);
        fields.text("validationResult", &Text::ANY);
        fields.texts("validationWarnings");
        let is_rolled_back = fields.boolean("isRolledBack");
        Some(Self {
            action_id: action_id(common?),
            step_name,
            action_type,
            target_type,
            target_name,
            target_namespace,
            action_result,
            is_rolled_back,
        })
    }

    fn projection(&self, common: &CommonFields, cluster: &str) -> Value {
        json!({
            "cluster": cluster,
            "namespace": self.target_namespace.as_deref().unwrap_or_default(),
            "target_type": self.target_type,
            "target_name": self.target_name,
            "action_id": self.action_id,
            "action_type": self.action_type,
            "action_timestamp": stored_instant(common.created_at),
            "execution_status": self.status(common.phase),
        })
    }

    /// Action, step, type of the target, and status, one per line.
    fn embedded_text(&self, common: &CommonFields) -> String {
        let status = self.status(common.phase);
        [
            &self.action_type,
            &self.step_name,
            &self.target_type,
            status,
        ]
        .join("\n")
    }

    /// A rollback is newer than the action that it undoes.
    fn progress(&self) -> i64 {
        i64::from(self.is_rolled_back == Some(true))
    }
}

impl Execution {
    /// Status of the action: `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub fn status(&self, phase: Phase) -> &'static str {
        if self.is_rolled_back == Some(true) {
            "rolled-back"
        } else {
            phase.status()
        }
    }
}

/// Derives the id from what all versions of an execution share.
fn action_id(common: &CommonFields) -> Uuid {
    let CommonFields {
        correlation_id,
        namespace,
        name,
        ..
    } = common;
    // None of the parts contains a space.
    let identity = format!("{correlation_id} {namespace} {name}");
    Uuid::new_v5(&ACTION_IDS, identity.as_bytes())
}
