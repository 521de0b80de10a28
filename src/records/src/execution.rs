//! The record of a Kubernetes action: what was done to the cluster.

use serde::Serialize;
use uuid::Uuid;

use crate::common::{Common, NAMESPACE, OPTIONAL_TEXT, TEXT};
use crate::fields::{Fields, Text};
use crate::record::Kind;

/// The name space (RFC 9562, section 6.5) of the ids of actions.
const ACTION_IDS: Uuid = Uuid::from_u128(0x9b1f_6c1e_52c4_5f0a_8d2e_6f7a_41c3_b7d0);

/// What a Kubernetes action's controller reports of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Its namespace.
    pub target_namespace: String,
    /// What came of it.
    pub action_result: Option<String>,
    /// Whether it was undone.
    pub is_rolled_back: Option<bool>,
}

impl Kind for Execution {
    const NAME: &'static str = "execution";
    const TITLE: &'static str = "Execution";

    fn read(fields: &mut Fields<'_>, common: Option<&Common>) -> Option<Self> {
        fields.required_text("workflowExecutionRef", &TEXT);
        let step_name = fields.required_text("stepName", &TEXT);
        let action_type = fields.required_text("actionType", &TEXT);
        fields.text_map("actionData", usize::MAX, &Text::ANY, &Text::ANY);
        let target_type = fields.required_text("targetType", &TEXT);
        let target_name = fields.required_text("targetName", &TEXT);
        let target_namespace = fields.required_text("targetNamespace", &NAMESPACE);
        fields.boolean("enableDryRun");
        fields.boolean("enableValidation");
        fields.boolean("enableRollback");
        let action_result = fields.text("actionResult", &Text::ANY);
        fields.text("resourceVersion", &OPTIONAL_TEXT);
        fields.text("previousVersion", &OPTIONAL_TEXT);
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

    /// An action that was undone was done before.
    fn progress(&self) -> [u64; 2] {
        [u64::from(self.is_rolled_back == Some(true)), 0]
    }
}

/// Derived from what stays the same while an execution is reported on: its incident, its
/// namespace and name, and when it was made.
fn action_id(common: &Common) -> Uuid {
    let Common {
        correlation_id,
        namespace,
        name,
        created_at,
        ..
    } = common;
    // None of the first three can have a space in it.
    let moment = created_at.timestamp_micros();
    let identity = format!("{correlation_id} {namespace} {name} {moment}");
    Uuid::new_v5(&ACTION_IDS, identity.as_bytes())
}
