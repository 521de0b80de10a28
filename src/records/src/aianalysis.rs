//! AI analysis records.

use std::iter;

use serde_json::{Value, json};

use crate::common_fields::{CommonFields, LONG_TEXT, TEXT};
use crate::field::Text;
use crate::field_reader::{FieldReader, INTEGER_MAX};
use crate::record::{Kind, is_name};

/// An AI analysis as its controller reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct AiAnalysis {
    /// Name of the remediation request.
    pub remediation_request_ref: String,
    /// Type of the signal's source, for example `prometheus-alert`.
    pub signal_type: Option<String>,
    /// Name of the alert, if the context has it as `alertname` or `signalName`, of 1 to 255 characters.
    pub signal_name: Option<String>,
    /// Provider of the LLM, for example `openai`.
    pub llm_provider: String,
    /// Name of the LLM, for example `gpt-4o`.
    pub llm_model: String,
    /// Root cause that the model found.
    pub root_cause: Option<String>,
    /// Confidence in the root cause, 0 to 1.
    pub confidence: Option<f64>,
    /// Action that the model recommends.
    pub recommended_action: Option<String>,
    /// Whether a person must approve the action.
    pub requires_approval: Option<bool>,
    /// Id of the investigation in the system that made it.
    pub investigation_id: Option<String>,
}

impl Kind for AiAnalysis {
    const NAME: &'static str = "aianalysis";
    const TITLE: &'static str = "AI analysis";
    const TEXT_IS_NAME: bool = false;

    fn read(fields: &mut FieldReader<'_>, _: Option<&CommonFields>) -> Option<Self> {
        let remediation_request_ref = fields.required_text("remediationRequestRef", &TEXT);
        let signal_type = fields.text("signalType", &TEXT);
        let mut context = fields.text_map("signalContext", usize::MAX, &Text::ANY, &Text::ANY);
        let names = ["alertname", "signalName"].map(|key| context.remove(key));
        let mut names = names.iter().flatten().map(|name| name.trim());
        let signal_name = names.find(|name| is_name(name)).map(str::to_owned);
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
            signal_name,
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

    /// Signal, cause and recommendation, one per line. Analyses without findings share one fixed
    /// text, and so one vector.
    fn embedded_text(&self, _: &CommonFields) -> String {
        const NOTHING_FOUND_YET: &str = "analysis without findings";
        let findings = [&self.root_cause, &self.recommended_action];
        if findings.iter().all(|finding| finding.is_none()) {
            return NOTHING_FOUND_YET.to_owned();
        }
        let lines = iter::once(&self.signal_name).chain(findings).flatten();
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
