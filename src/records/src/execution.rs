//! The record of a Kubernetes action: what was done to the cluster.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common_fields::{CommonFields, NAMESPACE, Phase, TEXT, stored_instant};
use crate::field_reader::{FieldReader, Text};
use crate::record::Kind;

/// The name space (RFC 9562, section 6.5) of the ids of actions.
const ACTION_IDS: Uuid = Uuid::from_u128(0x9b1f_6c1e_52c4_5f0a_8d2e_6f7a_41c3_b7d0);

/// What a Kubernetes action's controller reports of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Names the action: the same for every version of one execution.
    pub action_id: Uuid,
    /// The step of the workflow that it is.
    pub step_name: String,
    /// What is done, for example `scale`.
    pub action_type: String,
    /// What kind of thing it is done to, for example `deployment`.
    pub target_type: String,
    /// Its name.
    pub target_name: String,
    /// Its namespace; none for what has none, as a node.
    pub target_namespace: Option<String>,
    /// What came of it.
    pub action_result: Option<String>,
    /// Whether it was undone.
    pub is_rolled_back: Option<bool>,
}

impl Kind for Execution {
    const NAME: &'static str = "execution";
    const TITLE: &'static str = "Execution";

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

    /// An action that was undone was done before.
    fn progress(&self) -> i64 {
        i64::from(self.is_rolled_back == Some(true))
    }
}

impl Execution {
    /// How far the action is: `pending`, `executing`, `completed`, `failed` or `rolled-back`.
    pub fn status(&self, phase: Phase) -> &'static str {
        if self.is_rolled_back == Some(true) {
            "rolled-back"
        } else {
            phase.status()
        }
    }
}

/// Derived from what stays the same while an execution is reported on: its incident, its
/// namespace and name.
fn action_id(common: &CommonFields) -> Uuid {
    let CommonFields {
        correlation_id,
        namespace,
        name,
        ..
    } = common;
    // None of them can have a space in it.
    let identity = format!("{correlation_id} {namespace} {name}");
    Uuid::new_v5(&ACTION_IDS, identity.as_bytes())
}
