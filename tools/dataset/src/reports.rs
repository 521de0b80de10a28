//! Records of an incident as the JSON that controllers send.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::Report;
use crate::dice::Dice;
use crate::story::{Outcome, Story};

const NAMESPACE: &str = "kubernaut-system";

/// Share of requests with the severity only in the priority and the cluster only in a label.
const SEVERITY_UNSAID_PERMILLE: u64 = 80;
const CLUSTER_UNSAID_PERMILLE: u64 = 50;

/// Models of the analyses. Most use the first one.
const MODELS: [(&str, &str); 5] = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
];

/// Returns the records of an incident in the order of their creation.
pub(crate) fn write(story: &Story<'_>, dice: &mut Dice) -> Result<Vec<Report>> {
    let mut reports = vec![remediation(story, dice)?];
    if story.outcome != Outcome::Received {
        reports.push(analysis(story, dice)?);
    }
    if matches!(story.outcome, Outcome::Executing) || !story.outcome.is_open() {
        reports.push(workflow(story, dice)?);
        reports.push(execution(story, dice)?);
    }
    Ok(reports)
}

/// Phase of an object, its reason, and the seconds until it began and ended.
struct Progress {
    phase: &'static str,
    reason: &'static str,
    begun_after: Option<i64>,
    ended_after: Option<i64>,
}

fn remediation(story: &Story<'_>, dice: &mut Dice) -> Result<Report> {
    let (phase, reason) = match story.outcome {
        Outcome::Completed => ("Completed", "RemediationSucceeded"),
        Outcome::Failed => ("Failed", "ExecutionFailed"),
        Outcome::RolledBack => ("Failed", "RolledBack"),
        Outcome::Executing => ("Processing", "WorkflowRunning"),
        Outcome::Received => ("Pending", "Received"),
        Outcome::Analysing => ("Pending", "AnalysisRunning"),
        Outcome::AwaitingApproval => ("Pending", "ApprovalRequired"),
    };
    let ended_at = story.executed_at + TimeDelta::seconds(story.execution_seconds + 3);
    let progress = Progress {
        phase,
        reason,
        begun_after: (story.outcome != Outcome::Received).then_some(1),
        ended_after: (!story.outcome.is_open())
            .then(|| (ended_at - story.requested_at).num_seconds()),
    };
    let fingerprint = records::sha256(&format!(
        "{}/{}/{}/{}",
        story.target.cluster, story.service.namespace, story.service.name, story.alert.name
    ));
    let payload = json!({
        "status": "firing",
        "labels": {
            "alertname": story.alert.name, "namespace": story.service.namespace,
            "pod": story.pod, "severity": story.severity.name(),
        },
        "startsAt": timestamp(story.requested_at - TimeDelta::seconds(90)),
        "generatorURL": format!("/graph?g0.expr={:08x}", dice.bits() >> 32),
    });
    let mut own = json!({
        "signalType": signal_type(story),
        "signalName": story.alert.name,
        "targetType": story.target.kind,
        "targetName": story.service.name,
        "environment": story.target.environment,
        "priority": story.severity.priority(),
        "fingerprint": fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "originalPayload": STANDARD.encode(payload.to_string()),
    });
    if let Some(namespace) = namespace(story) {
        let namespaces = json!({"signalNamespace": namespace, "targetNamespace": namespace});
        extend(&mut own, namespaces)?;
    }
    if !dice.chance(SEVERITY_UNSAID_PERMILLE) {
        extend(&mut own, json!({"severity": story.severity.name()}))?;
    }
    if !dice.chance(CLUSTER_UNSAID_PERMILLE) {
        extend(&mut own, json!({"cluster": story.target.cluster}))?;
    }
    let message = format!("{} on {}", story.alert.name, story.service.name);
    report(
        story,
        "remediation",
        story.requested_at,
        &progress,
        message,
        own,
    )
}

fn analysis(story: &Story<'_>, dice: &mut Dice) -> Result<Report> {
    let is_done = story.outcome != Outcome::Analysing;
    let progress = Progress {
        phase: if is_done { "Completed" } else { "Processing" },
        reason: if is_done {
            "RootCauseFound"
        } else {
            "Investigating"
        },
        begun_after: Some(1),
        ended_after: is_done.then_some(1 + story.analysis_seconds),
    };
    let (provider, model) = *dice.pick(&MODELS);
    let mut own = json!({
        "remediationRequestRef": name("remediation", story),
        "signalType": signal_type(story),
        "signalContext": {
            "alertname": story.alert.name, "pod": story.pod, "release": story.version,
            "replicas": story.service.replicas.to_string(),
        },
        "llmProvider": provider,
        "llmModel": model,
        "temperature": 0.2,
        "investigationId": format!("inv-{:016x}", dice.bits()),
    });
    if is_done {
        // A quotient of integers is the same on every machine.
        let confidence = dice.between(58, 98) as f64 / 100.0;
        extend(
            &mut own,
            json!({
                "rootCause": story.root_cause,
                "confidence": confidence,
                "recommendedAction": story.advice,
                "requiresApproval": story.requires_approval
                    || story.outcome == Outcome::AwaitingApproval,
                "tokensUsed": dice.between(1_200, 9_000),
                "investigationTimeSeconds": story.analysis_seconds,
            }),
        )?;
    }
    let message = if is_done {
        format!("Found in {} s", story.analysis_seconds)
    } else {
        "Asking the model".to_owned()
    };
    report(
        story,
        "aianalysis",
        story.analysed_at,
        &progress,
        message,
        own,
    )
}

fn workflow(story: &Story<'_>, dice: &mut Dice) -> Result<Report> {
    let (phase, reason, completed, failed) = match story.outcome {
        Outcome::Completed => ("Completed", "AllStepsCompleted", 3, 0),
        Outcome::Executing => ("Processing", "StepRunning", 1, 0),
        Outcome::RolledBack => ("Failed", "RolledBack", 2, 1),
        _ => ("Failed", "StepFailed", 1, 1),
    };
    let begun_after = (story.executed_at - story.workflow_at).num_seconds();
    let acted_after = begun_after + story.execution_seconds;
    let progress = Progress {
        phase,
        reason,
        begun_after: Some(1),
        ended_after: (!story.outcome.is_open()).then_some(acted_after + 1),
    };
    let after = |seconds| timestamp(story.workflow_at + TimeDelta::seconds(seconds));
    let mut steps = vec![json!({
        "name": "validate", "phase": "Completed", "startedAt": after(1),
        "completedAt": after(begun_after), "retryCount": 0,
    })];
    let mut action = json!({
        "name": story.cause.action, "phase": phase, "startedAt": after(begun_after),
        "retryCount": dice.below(2),
    });
    if !story.outcome.is_open() {
        extend(&mut action, json!({"completedAt": after(acted_after)}))?;
    }
    steps.push(action);
    if completed == 3 {
        steps.push(json!({
            "name": "verify", "phase": "Completed", "startedAt": after(acted_after),
            "completedAt": after(acted_after + 1), "retryCount": 0,
        }));
    }
    let own = json!({
        "remediationRequestRef": name("remediation", story),
        "aiAnalysisRef": name("aianalysis", story),
        "workflowName": story.cause.workflow,
        "isAutoApproved": !story.requires_approval,
        "requiresApproval": story.requires_approval,
        "stepCount": 3,
        "currentStep": completed + failed,
        "completedCount": completed,
        "failedCount": failed,
        "skippedCount": if story.outcome == Outcome::Failed { 1 } else { 0 },
        "stepStatuses": steps,
    });
    let message = format!(
        "{completed} of 3 steps of {} are done",
        story.cause.workflow
    );
    report(
        story,
        "workflow",
        story.workflow_at,
        &progress,
        message,
        own,
    )
}

fn execution(story: &Story<'_>, dice: &mut Dice) -> Result<Report> {
    let (phase, reason) = match story.outcome {
        Outcome::Completed => ("Completed", "ActionSucceeded"),
        Outcome::RolledBack => ("Completed", "RolledBack"),
        Outcome::Executing => ("Processing", "ActionRunning"),
        _ => (
            "Failed",
            *dice.pick(&["Timeout", "Forbidden", "ValidationFailed"]),
        ),
    };
    let progress = Progress {
        phase,
        reason,
        begun_after: Some(0),
        ended_after: (!story.outcome.is_open()).then_some(story.execution_seconds),
    };
    let action = &story.cause.action;
    let target = format!("{}/{}", story.target.kind, story.service.name);
    let mut own = json!({
        "workflowExecutionRef": name("workflow", story),
        "stepName": action,
        "actionType": action,
        "actionData": {
            "pod": story.pod, "release": story.version, "reason": story.alert.name,
            "replicas": story.service.replicas.to_string(),
        },
        "targetType": story.target.kind,
        "targetName": story.service.name,
        "enableDryRun": true,
        "enableValidation": true,
        "enableRollback": story.target.kind != "node",
        "resourceVersion": dice.between(1_000_000, 999_999_999).to_string(),
        "dryRunResult": format!("{target} {action} (server dry run)"),
        "validationWarnings": [],
    });
    if let Some(namespace) = namespace(story) {
        extend(&mut own, json!({"targetNamespace": namespace}))?;
    }
    if !story.outcome.is_open() {
        let result = match story.outcome {
            Outcome::Completed => format!("{target}: {action} done"),
            Outcome::RolledBack => format!("{target}: {action} undone, the alert went on"),
            _ => format!("{target}: {action} failed: {reason}"),
        };
        let is_rolled_back = story.outcome == Outcome::RolledBack;
        extend(
            &mut own,
            json!({"actionResult": result, "isRolledBack": is_rolled_back}),
        )?;
    }
    let message = format!("{action} of {target}");
    report(
        story,
        "execution",
        story.executed_at,
        &progress,
        message,
        own,
    )
}

fn report(
    story: &Story<'_>,
    kind: &'static str,
    created_at: DateTime<Utc>,
    progress: &Progress,
    message: String,
    own: Value,
) -> Result<Report> {
    let mut record = json!({
        "name": name(kind, story),
        "namespace": NAMESPACE,
        "phase": progress.phase,
        "reason": progress.reason,
        "message": message,
        "createdAt": timestamp(created_at),
        "correlationId": story.correlation_id,
        "labels": {
            "app.kubernetes.io/managed-by": "kubernaut",
            "app.kubernetes.io/name": story.service.name,
            "cluster": story.target.cluster,
            "team": story.service.namespace,
        },
    });
    let times = [
        ("startedAt", progress.begun_after),
        ("completedAt", progress.ended_after),
    ];
    for (field, after) in times {
        if let Some(after) = after {
            let time = timestamp(created_at + TimeDelta::seconds(after));
            extend(&mut record, json!({ field: time }))?;
        }
    }
    extend(&mut record, own)?;
    Ok(Report { kind, record })
}

fn name(kind: &str, story: &Story<'_>) -> String {
    let prefix = match kind {
        "remediation" => "rr",
        "aianalysis" => "aia",
        "workflow" => "wfe",
        _ => "ke",
    };
    format!("{prefix}-{}-{}", story.service.name, story.key)
}

fn namespace<'a>(story: &Story<'a>) -> Option<&'a str> {
    (story.target.kind != "node").then_some(&story.service.namespace)
}

fn signal_type(story: &Story<'_>) -> &'static str {
    match story.target.kind {
        "node" => "kubernetes-event",
        _ => "prometheus-alert",
    }
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn extend(record: &mut Value, part: Value) -> Result<()> {
    let (Some(record), Value::Object(part)) = (record.as_object_mut(), part) else {
        bail!("a part of a made-up record is no object");
    };
    record.extend(part);
    Ok(())
}
