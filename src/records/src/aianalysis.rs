//! The record of an AI analysis: a model looked for the cause and recommends an action.

use serde_json::{Value, json};

use crate::common_fields::{CommonFields, LONG_TEXT, TEXT};
use crate::field_reader::{FieldReader, INTEGER_MAX, Text};
use crate::record::Kind;

/// What an AI analysis' controller reports of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AiAnalysis {
    /// The remediation request that it is for.
    pub remediation_request_ref: String,
    /// What raised the signal, for example `prometheus-alert`.
    pub signal_type: Option<String>,
    /// Who serves the model, for example `openai`.
    pub llm_provider: String,
    /// The model, for example `gpt-4o`.
    pub llm_model: String,
    /// What it found.
    pub root_cause: Option<String>,
    /// How sure it is of that, 0 to 1.
    pub confidence: Option<f64>,
    /// What it would do.
    pub recommended_action: Option<String>,
    /// Whether a person has to agree first.
    pub requires_approval: Option<bool>,
    /// Names the analysis where it was made.
    pub investigation_id: Option<String>,
}

impl Kind for AiAnalysis {
    const NAME: &'static str = "aianalysis";
    const TITLE: &'static str = "AI analysis";

    fn read(fields: &mut FieldReader<'_>, _: Option<&CommonFields>) -> Option<Self> {
        let remediation_request_ref = fields.required_text("remediationRequestRef", &TEXT);
        let signal_type = fields.text("signalType", &TEXT);
        fields.text_map("signalContext", usize::MAX, &Text::ANY, &Text::ANY);
        let llm_provider = fields.required_text("llmProvider", &TEXT);
        let llm_model = fields.required_text("llmModel", &TEXT);
        fields.number("temperature", 0.0..=2.0);
        let root_cause = fields.text("rootCause", &LONG_TEXT);
        let confidence = fields.number("confidence", 0.0..=1.0);
        let recommended_action = fields.text("recommendedAction", &LONG_TEXT);
        let requires_approval = fields.boolean("requiresApproval");
        let investigation_id = fields.text("investigationId", &TEXT);
        fields.integer("tokensUsed", 0..=INTEGER_MAX);
        fields.number("investigationTimeSeconds", 0.0..=INTEGER_MAX as f64);
        Some(Self {
            remediation_request_ref,
            signal_type,
            llm_provider,
            llm_model,
            root_cause,
            confidence,
            recommended_action,
            requires_approval,
            investigation_id,
        })
    }

    fn projection(&self, _: &CommonFields, _: &str) -> Value {
        json!({
            "remediation_request_id": self.remediation_request_ref,
            "signal_type": self.signal_type,
            "model_used": self.llm_model,
            "model_confidence": self.confidence,
            "root_cause": self.root_cause,
        })
    }
}
