//! The meaning and an example of each field of the records. The parser provides the rules.

use serde_json::{Value, json};

/// A field's name, meaning and example.
pub(crate) type FieldDescription = (&'static str, &'static str, Value);

/// The name of a kind's schema, and the kind's fields.
pub(crate) fn of_kind(kind: &str) -> Option<(&'static str, Vec<FieldDescription>)> {
    Some(match kind {
        "remediation" => ("RemediationRecord", of_remediation()),
        "aianalysis" => ("AiAnalysisRecord", of_ai_analysis()),
        "workflow" => ("WorkflowRecord", of_workflow()),
        "execution" => ("ExecutionRecord", of_execution()),
        "event" => ("EventRecord", of_event()),
        _ => return None,
    })
}

/// The fields of all kinds.
pub(crate) fn of_common_fields() -> Vec<FieldDescription> {
    vec![
        (
            "name",
            "Name of the reporting Kubernetes object.",
            json!("rr-web-memory-1"),
        ),
        (
            "namespace",
            "Namespace of the reporting object.",
            json!("kubernaut-system"),
        ),
        ("phase", "Phase of the object's work.", json!("Processing")),
        (
            "message",
            "Human-readable details. At most 10,240 bytes of UTF-8.",
            json!("scaling the deployment"),
        ),
        (
            "reason",
            "Machine-readable reason for the phase.",
            json!("ScalingUp"),
        ),
        (
            "createdAt",
            "Creation time of the object.",
            json!("2026-11-01T10:00:00Z"),
        ),
        (
            "startedAt",
            "Start of the work.",
            json!("2026-11-01T10:00:02Z"),
        ),
        (
            "completedAt",
            "End of the work. Not before `startedAt` at the coarser precision of both.",
            json!("2026-11-01T10:01:30Z"),
        ),
        (
            "correlationId",
            "Identifies the incident. All records with the same correlation id describe one incident.",
            json!("req-2026-11-01-abc123"),
        ),
        (
            "labels",
            "Labels. `severity` and `cluster` replace absent fields of those names. A value has at most 4,096 bytes of UTF-8.",
            json!({"team": "checkout"}),
        ),
    ]
}

/// The fields of remediation records.
fn of_remediation() -> Vec<FieldDescription> {
    vec![
        (
            "signalType",
            "Type of the signal's source.",
            json!("prometheus-alert"),
        ),
        ("signalName", "Name of the alert.", json!("HighMemoryUsage")),
        (
            "signalNamespace",
            "Namespace of the signal. Omit it for cluster-scoped objects such as nodes.",
            json!("production"),
        ),
        ("targetType", "Type of the target.", json!("deployment")),
        ("targetName", "Name of the target.", json!("api-server")),
        (
            "targetNamespace",
            "Namespace of the target. Omit it for cluster-scoped objects such as nodes.",
            json!("production"),
        ),
        (
            "severity",
            "Free-form severity; filters ignore ASCII case. If absent, the label `severity` applies, otherwise the priority: P0 critical, P1 high, P2 medium, P3 low.",
            json!("critical"),
        ),
        (
            "cluster",
            "Cluster of the target. If absent, the label `cluster` applies, otherwise the service's `cluster_name`.",
            json!("eu-1"),
        ),
        (
            "environment",
            "Free-form environment of the target.",
            json!("production"),
        ),
        (
            "priority",
            "Free-form urgency. `P0` to `P3` can set an absent `severity`.",
            json!("P0"),
        ),
        (
            "fingerprint",
            "Identifies equal alerts: 64 hexadecimal digits, optionally after `sha256:`.",
            json!("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ),
        (
            "originalPayload",
            "The signal as received. At most 65,536 bytes after decoding.",
            json!("eyJhbGVydCI6IkhpZ2hNZW1vcnlVc2FnZSJ9"),
        ),
    ]
}

/// The fields of AI analysis records.
fn of_ai_analysis() -> Vec<FieldDescription> {
    vec![
        (
            "remediationRequestRef",
            "Name of the remediation request.",
            json!("rr-web-memory-1"),
        ),
        (
            "signalType",
            "Type of the signal's source.",
            json!("prometheus-alert"),
        ),
        (
            "signalContext",
            "Signal context given to the model.",
            json!({"container": "api"}),
        ),
        ("llmProvider", "Provider of the model.", json!("openai")),
        ("llmModel", "Name of the model.", json!("gpt-4o")),
        (
            "temperature",
            "Sampling temperature of the model.",
            json!(0.2),
        ),
        (
            "rootCause",
            "Root cause found by the model. At most 10,240 bytes of UTF-8.",
            json!("a cache that is never emptied"),
        ),
        (
            "confidence",
            "Model's confidence in the root cause.",
            json!(0.95),
        ),
        (
            "recommendedAction",
            "Action recommended by the model. At most 10,240 bytes of UTF-8.",
            json!("scale up, then fix the cache"),
        ),
        (
            "requiresApproval",
            "Whether a person must approve first.",
            json!(false),
        ),
        (
            "investigationId",
            "Identifies the analysis at the reporting controller.",
            json!("inv-7f3a"),
        ),
        ("tokensUsed", "Number of tokens used.", json!(1834)),
        (
            "investigationTimeSeconds",
            "Duration of the analysis in seconds.",
            json!(12.5),
        ),
    ]
}

/// The fields of workflow records.
fn of_workflow() -> Vec<FieldDescription> {
    vec![
        (
            "remediationRequestRef",
            "Name of the remediation request.",
            json!("rr-web-memory-1"),
        ),
        (
            "aiAnalysisRef",
            "Name of the recommending AI analysis.",
            json!("ai-web-memory-1"),
        ),
        (
            "workflowName",
            "Name of the workflow.",
            json!("restart-and-scale"),
        ),
        (
            "isAutoApproved",
            "Whether no person had to approve.",
            json!(true),
        ),
        (
            "requiresApproval",
            "Whether a person must approve first.",
            json!(false),
        ),
        ("stepCount", "Number of steps.", json!(3)),
        (
            "currentStep",
            "Current step, 0 before the first. At most `stepCount`.",
            json!(2),
        ),
        (
            "completedCount",
            "Number of successful steps. Together with `failedCount` and `skippedCount` at most `stepCount`.",
            json!(1),
        ),
        ("failedCount", "Number of failed steps.", json!(0)),
        ("skippedCount", "Number of skipped steps.", json!(0)),
        (
            "stepStatuses",
            "States of the steps, at most `stepCount`.",
            json!([{
                "name": "scale-up", "phase": "Completed", "startedAt": "2026-11-01T10:00:05Z",
                "completedAt": "2026-11-01T10:00:40Z", "retryCount": 0, "message": "3 replicas"
            }]),
        ),
    ]
}

/// The fields of a workflow step.
pub(crate) fn of_step() -> Vec<FieldDescription> {
    vec![
        ("name", "Name of the step.", json!("scale-up")),
        ("phase", "Phase of the step.", json!("Completed")),
        (
            "startedAt",
            "Start of the step.",
            json!("2026-11-01T10:00:05Z"),
        ),
        (
            "completedAt",
            "End of the step. Not before `startedAt` at the coarser precision of both.",
            json!("2026-11-01T10:00:40Z"),
        ),
        ("retryCount", "Number of retries.", json!(0)),
        (
            "message",
            "Human-readable details. At most 10,240 bytes of UTF-8.",
            json!("3 replicas"),
        ),
    ]
}

/// The fields of execution records.
fn of_execution() -> Vec<FieldDescription> {
    vec![
        (
            "workflowExecutionRef",
            "Name of the workflow execution.",
            json!("wf-web-memory-1"),
        ),
        ("stepName", "Name of the workflow step.", json!("scale-up")),
        ("actionType", "Type of the action.", json!("scale")),
        (
            "actionData",
            "Parameters of the action.",
            json!({"replicas": "3"}),
        ),
        ("targetType", "Type of the target.", json!("deployment")),
        ("targetName", "Name of the target.", json!("api-server")),
        (
            "targetNamespace",
            "Namespace of the target. Omit it for cluster-scoped objects such as nodes.",
            json!("production"),
        ),
        (
            "enableDryRun",
            "Whether a dry run comes first.",
            json!(true),
        ),
        (
            "enableValidation",
            "Whether the result is validated.",
            json!(true),
        ),
        (
            "enableRollback",
            "Whether the action can be rolled back.",
            json!(true),
        ),
        (
            "actionResult",
            "Result of the action.",
            json!("scaled from 2 to 3"),
        ),
        (
            "resourceVersion",
            "Target's resource version after the action.",
            json!("48213"),
        ),
        (
            "previousVersion",
            "Target's resource version before the action.",
            json!("48200"),
        ),
        (
            "dryRunResult",
            "Result of the dry run.",
            json!("would scale from 2 to 3"),
        ),
        (
            "validationResult",
            "Result of the validation.",
            json!("3 of 3 replicas are ready"),
        ),
        (
            "validationWarnings",
            "Warnings of the validation.",
            json!(["memory is near its limit"]),
        ),
        (
            "isRolledBack",
            "Whether the action was rolled back.",
            json!(false),
        ),
    ]
}

/// The fields of event records.
fn of_event() -> Vec<FieldDescription> {
    vec![
        (
            "eventType",
            "Type of the event, as its component names it.",
            json!("notification.sent"),
        ),
        (
            "eventCategory",
            "Part of the platform that the event is about.",
            json!("notification"),
        ),
        (
            "actorType",
            "Type of who caused the event.",
            json!("service"),
        ),
        ("actor", "Who caused the event.", json!("notifier")),
        (
            "resourceType",
            "Type of the resource that the event is about.",
            json!("deployment"),
        ),
        ("resourceName", "Name of the resource.", json!("api-server")),
        (
            "resourceNamespace",
            "Namespace of the resource.",
            json!("production"),
        ),
        ("outcome", "How the event ended.", json!("success")),
        (
            "data",
            "Details of the event, of any shape.",
            json!({"channel": "chat", "recipients": ["sre", "on-call"]}),
        ),
        (
            "parentRecordId",
            "Id of the record that led to the event. The service does not look it up.",
            json!(12345),
        ),
    ]
}
