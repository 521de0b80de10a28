//! The embedded text of a record: signal name, root cause and action, one per line. If a recipe
//! changes, rename the local model: new and stored texts are no longer comparable.

use records::{AiAnalysis, Execution, Kind, Record, Remediation, Workflow};

/// A kind of record with an embedded text.
pub trait EmbeddedText {
    /// Returns the embedded text, never empty.
    fn embedded_text(&self) -> String;
}

/// Returns the embedded text of a stored record; `None` if the kind or the content is invalid.
pub fn text_of_record(kind: &str, content: &str) -> Option<String> {
    match kind {
        Remediation::NAME => text_of::<Remediation>(content),
        AiAnalysis::NAME => text_of::<AiAnalysis>(content),
        Workflow::NAME => text_of::<Workflow>(content),
        Execution::NAME => text_of::<Execution>(content),
        _ => None,
    }
}

fn text_of<K: Kind + EmbeddedText>(content: &str) -> Option<String> {
    // The cluster is not part of the text.
    let record = Record::<K>::parse(content.as_bytes(), "any").ok()?;
    Some(record.kind.embedded_text())
}

impl EmbeddedText for Remediation {
    fn embedded_text(&self) -> String {
        self.signal_name.clone()
    }
}

impl EmbeddedText for AiAnalysis {
    /// Analyses without findings share one fixed text, and so one vector.
    fn embedded_text(&self) -> String {
        const NOTHING_FOUND_YET: &str = "analysis without findings";
        let findings: Vec<&str> = [&self.root_cause, &self.recommended_action]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if findings.is_empty() {
            return NOTHING_FOUND_YET.to_owned();
        }
        findings.join("\n")
    }
}

impl EmbeddedText for Workflow {
    fn embedded_text(&self) -> String {
        self.workflow_name.clone()
    }
}

impl EmbeddedText for Execution {
    fn embedded_text(&self) -> String {
        self.action_type.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text_of<K: Kind>(own: Value) -> String {
        let mut record = json!({
            "name": "r", "namespace": "n", "phase": "Pending", "correlationId": "c",
            "createdAt": "2026-11-01T10:00:00Z",
        });
        let own = own.as_object().unwrap().clone();
        record.as_object_mut().unwrap().extend(own);
        text_of_record(K::NAME, &record.to_string()).unwrap()
    }

    #[test]
    fn each_kind_has_its_text() {
        let remediation = text_of::<Remediation>(json!({
            "signalType": "p", "signalName": "HighMemoryUsage", "signalNamespace": "n",
            "targetType": "deployment", "targetName": "api", "targetNamespace": "n",
        }));
        assert_eq!(remediation, "HighMemoryUsage");
        let workflow = text_of::<Workflow>(json!({
            "remediationRequestRef": "r", "workflowName": "restart-pods", "stepCount": 1,
        }));
        assert_eq!(workflow, "restart-pods");
        let execution = text_of::<Execution>(json!({
            "workflowExecutionRef": "w", "stepName": "s", "actionType": "scale",
            "targetType": "deployment", "targetName": "api", "targetNamespace": "n",
        }));
        assert_eq!(execution, "scale");
    }

    #[test]
    fn an_analysis_is_its_cause_and_its_recommendation_as_far_as_it_has_them() {
        for (root_cause, recommended_action, text) in [
            (json!("leak"), json!("restart"), "leak\nrestart"),
            (json!("leak"), Value::Null, "leak"),
            (json!(""), json!("restart"), "restart"),
            (Value::Null, Value::Null, "analysis without findings"),
            (json!(""), json!(""), "analysis without findings"),
        ] {
            let analysis = text_of::<AiAnalysis>(json!({
                "remediationRequestRef": "r", "llmProvider": "p", "llmModel": "m",
                "rootCause": root_cause, "recommendedAction": recommended_action,
            }));
            assert_eq!(analysis, text);
        }
    }
}
