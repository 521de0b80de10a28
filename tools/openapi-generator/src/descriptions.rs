//! What the fields of records mean, and an example of each. Their rules are not here: those
//! come from the parser.

use serde_json::{Value, json};

/// A field's name, what it means, and an example.
pub(crate) type FieldDescription = (&'static str, &'static str, Value);

/// The fields that all kinds share.
pub(crate) fn of_common_fields() -> Vec<FieldDescription> {
    vec![
        (
            "name",
            "The name of the Kubernetes object that reports.",
            json!("rr-web-memory-1"),
        ),
        (
            "namespace",
            "The namespace of the object that reports.",
            json!("kubernaut-system"),
        ),
        ("phase", "How far it has come.", json!("Processing")),
        (
            "message",
            "What it says about that, for a person. At most 10,240 bytes of UTF-8.",
            json!("scaling the deployment"),
        ),
        (
            "reason",
            "What it says about that, in a word.",
            json!("ScalingUp"),
        ),
        (
            "createdAt",
            "When the object was made.",
            json!("2026-11-01T10:00:00Z"),
        ),
        ("startedAt", "When it began.", json!("2026-11-01T10:00:02Z")),
        (
            "completedAt",
            "When it ended; not before `startedAt`, as far as both are precise.",
            json!("2026-11-01T10:01:30Z"),
        ),
        (
            "correlationId",
            "Names the incident: all records with the same correlation id say what there is to know of it.",
            json!("req-2026-11-01-abc123"),
        ),
        (
            "labels",
            "Labels. `severity` and `cluster` stand in for the fields of those names; a value has at most 4,096 bytes of UTF-8.",
            json!({"team": "checkout"}),
        ),
    ]
}

/// The fields that remediation records add.
pub(crate) fn of_remediation() -> Vec<FieldDescription> {
    vec![
        (
            "signalType",
            "What raised the signal.",
            json!("prometheus-alert"),
        ),
        ("signalName", "The alert's name.", json!("HighMemoryUsage")),
        (
            "signalNamespace",
            "The namespace that the signal is about; none for what has none, as a node.",
            json!("production"),
        ),
        (
            "targetType",
            "What kind of thing is to be remediated.",
            json!("deployment"),
        ),
        ("targetName", "Its name.", json!("api-server")),
        (
            "targetNamespace",
            "Its namespace; none for what has none, as a node.",
            json!("production"),
        ),
        (
            "severity",
            "How bad it is, in any word; lists are filtered by it without regard to case. Where it is absent, the label `severity` says it, else the priority: P0 critical, P1 high, P2 medium, P3 low.",
            json!("critical"),
        ),
        (
            "cluster",
            "The target's cluster. Where it is absent, the label `cluster` says it, else the service's own setting.",
            json!("eu-1"),
        ),
        (
            "environment",
            "What the target is used for, in any word.",
            json!("production"),
        ),
        (
            "priority",
            "How urgent it is, in any word; `P0` to `P3` are understood.",
            json!("P0"),
        ),
        (
            "fingerprint",
            "Which alerts are the same: 64 hexadecimal digits, optionally after `sha256:`.",
            json!("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ),
        (
            "originalPayload",
            "The signal as it came in. At most 65,536 bytes, decoded.",
            json!("eyJhbGVydCI6IkhpZ2hNZW1vcnlVc2FnZSJ9"),
        ),
    ]
}

/// The fields that AI analyses' records add.
pub(crate) fn of_ai_analysis() -> Vec<FieldDescription> {
    vec![
        (
            "remediationRequestRef",
            "The name of the remediation request that it is for.",
            json!("rr-web-memory-1"),
        ),
        (
            "signalType",
            "What raised the signal.",
            json!("prometheus-alert"),
        ),
        (
            "signalContext",
            "What the model was told of the signal.",
            json!({"container": "api"}),
        ),
        ("llmProvider", "Who serves the model.", json!("openai")),
        ("llmModel", "The model.", json!("gpt-4o")),
        ("temperature", "The model's temperature.", json!(0.2)),
        (
            "rootCause",
            "What the model found. At most 10,240 bytes of UTF-8.",
            json!("a cache that is never emptied"),
        ),
        ("confidence", "How sure the model is of that.", json!(0.95)),
        (
            "recommendedAction",
            "What the model would do. At most 10,240 bytes of UTF-8.",
            json!("scale up, then fix the cache"),
        ),
        (
            "requiresApproval",
            "Whether a person has to agree first.",
            json!(false),
        ),
        (
            "investigationId",
            "Names the analysis where it was made.",
            json!("inv-7f3a"),
        ),
        (
            "tokensUsed",
            "How many tokens the analysis took.",
            json!(1834),
        ),
        (
            "investigationTimeSeconds",
            "How long the analysis took, in seconds.",
            json!(12.5),
        ),
    ]
}

/// The fields that workflow executions' records add.
pub(crate) fn of_workflow() -> Vec<FieldDescription> {
    vec![
        (
            "remediationRequestRef",
            "The name of the remediation request that it is for.",
            json!("rr-web-memory-1"),
        ),
        (
            "aiAnalysisRef",
            "The name of the AI analysis that recommended it.",
            json!("ai-web-memory-1"),
        ),
        (
            "workflowName",
            "Which workflow it is.",
            json!("restart-and-scale"),
        ),
        (
            "isAutoApproved",
            "Whether nobody had to agree.",
            json!(true),
        ),
        (
            "requiresApproval",
            "Whether a person has to agree first.",
            json!(false),
        ),
        ("stepCount", "How many steps it has.", json!(3)),
        (
            "currentStep",
            "The step that it is at, 0 before the first; at most `stepCount`.",
            json!(2),
        ),
        (
            "completedCount",
            "How many steps ended well. The three counts are at most `stepCount` together.",
            json!(1),
        ),
        ("failedCount", "How many steps ended badly.", json!(0)),
        ("skippedCount", "How many steps were left out.", json!(0)),
        (
            "stepStatuses",
            "The steps, at most `stepCount` of them.",
            json!([{
                "name": "scale-up", "phase": "Completed", "startedAt": "2026-11-01T10:00:05Z",
                "completedAt": "2026-11-01T10:00:40Z", "retryCount": 0, "message": "3 replicas"
            }]),
        ),
    ]
}

/// The fields of a step of a workflow.
pub(crate) fn of_step() -> Vec<FieldDescription> {
    vec![
        ("name", "The step's name.", json!("scale-up")),
        ("phase", "How far it has come.", json!("Completed")),
        ("startedAt", "When it began.", json!("2026-11-01T10:00:05Z")),
        (
            "completedAt",
            "When it ended; not before `startedAt`, as far as both are precise.",
            json!("2026-11-01T10:00:40Z"),
        ),
        ("retryCount", "How often it was tried again.", json!(0)),
        (
            "message",
            "What it says about that, for a person. At most 10,240 bytes of UTF-8.",
            json!("3 replicas"),
        ),
    ]
}

/// The fields that Kubernetes actions' records add.
pub(crate) fn of_execution() -> Vec<FieldDescription> {
    vec![
        (
            "workflowExecutionRef",
            "The name of the workflow execution that it is a step of.",
            json!("wf-web-memory-1"),
        ),
        ("stepName", "The step's name.", json!("scale-up")),
        ("actionType", "What is done.", json!("scale")),
        ("actionData", "With which values.", json!({"replicas": "3"})),
        (
            "targetType",
            "What kind of thing it is done to.",
            json!("deployment"),
        ),
        ("targetName", "Its name.", json!("api-server")),
        (
            "targetNamespace",
            "Its namespace; none for what has none, as a node.",
            json!("production"),
        ),
        (
            "enableDryRun",
            "Whether it is tried without effect first.",
            json!(true),
        ),
        (
            "enableValidation",
            "Whether its outcome is checked.",
            json!(true),
        ),
        ("enableRollback", "Whether it can be undone.", json!(true)),
        (
            "actionResult",
            "What came of it.",
            json!("scaled from 2 to 3"),
        ),
        (
            "resourceVersion",
            "The target's version after it.",
            json!("48213"),
        ),
        (
            "previousVersion",
            "The target's version before it.",
            json!("48200"),
        ),
        (
            "dryRunResult",
            "What came of the trial.",
            json!("would scale from 2 to 3"),
        ),
        (
            "validationResult",
            "What came of the check.",
            json!("3 of 3 replicas are ready"),
        ),
        (
            "validationWarnings",
            "What the check warns of.",
            json!(["memory is near its limit"]),
        ),
        ("isRolledBack", "Whether it was undone.", json!(false)),
    ]
}
