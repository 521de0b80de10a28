//! Workflow execution records.

use serde_json::{Value, json};

use crate::common_fields::{CommonFields, LONG_TEXT, TEXT, check_order};
use crate::field_reader::{Choice, FieldReader, INTEGER_MAX};
use crate::record::Kind;

/// A workflow execution as its controller reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Name of the remediation request.
    pub remediation_request_ref: String,
    /// Name of the workflow, for example `restart-and-scale`.
    pub workflow_name: String,
    /// Whether the workflow was approved automatically.
    pub is_auto_approved: Option<bool>,
    /// Whether a person must approve the workflow.
    pub requires_approval: Option<bool>,
    /// Number of steps.
    pub step_count: i64,
    /// Number of the current step; 0 before the first.
    pub current_step: Option<i64>,
    /// Number of completed steps.
    pub completed_count: Option<i64>,
    /// Number of failed steps.
    pub failed_count: Option<i64>,
    /// Number of skipped steps.
    pub skipped_count: Option<i64>,
}

impl Kind for Workflow {
    const NAME: &'static str = "workflow";
    const TITLE: &'static str = "Workflow";
    const TEXT_IS_NAME: bool = true;

    fn read(fields: &mut FieldReader<'_>, _: Option<&CommonFields>) -> Option<Self> {
        let remediation_request_ref = fields.required_text("remediationRequestRef", &TEXT);
        fields.text("aiAnalysisRef", &TEXT);
        let workflow_name = fields.required_text("workflowName", &TEXT);
        let is_auto_approved = fields.boolean("isAutoApproved");
        let requires_approval = fields.boolean("requiresApproval");
        let step_count = fields.required_integer("stepCount", 1..=INTEGER_MAX);
        let steps_max = step_count.unwrap_or(INTEGER_MAX);
        let current_step = fields.integer("currentStep", 0..=INTEGER_MAX);
        if current_step.is_some_and(|step| step > steps_max) {
            fields.refuse("currentStep", "range", "must be at most stepCount");
        }
        const COUNTS: [&str; 3] = ["completedCount", "failedCount", "skippedCount"];
        let counts = COUNTS.map(|field| fields.integer(field, 0..=INTEGER_MAX));
        // Three values of `INTEGER_MAX` fit 64 bits.
        if counts.iter().flatten().sum::<i64>() > steps_max {
            let message = "the sum of completedCount, failedCount and skippedCount must be at \
                           most stepCount";
            let given = COUNTS.iter().zip(counts);
            for (field, _) in given.filter(|(_, count)| count.is_some()).take(1) {
                fields.refuse(field, "range", message);
            }
        }
        check_step_statuses(fields, steps_max);
        let [completed_count, failed_count, skipped_count] = counts;
        Some(Self {
            remediation_request_ref,
            workflow_name,
            is_auto_approved,
            requires_approval,
            step_count: step_count?,
            current_step,
            completed_count,
            failed_count,
            skipped_count,
        })
    }

    fn projection(&self, common: &CommonFields, _: &str) -> Value {
        json!({
            "remediation_request_id": self.remediation_request_ref,
            "workflow_name": self.workflow_name,
            "execution_status": common.phase.status(),
        })
    }

    fn embedded_text(&self, _: &CommonFields) -> String {
        self.workflow_name.clone()
    }

    /// Steps that ended, plus steps that started.
    fn progress(&self) -> i64 {
        let counts = [
            self.completed_count,
            self.failed_count,
            self.skipped_count,
            self.current_step,
        ];
        counts.into_iter().flatten().sum()
    }
}

#[derive(Clone, Copy)]
struct StepPhase;

impl Choice for StepPhase {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("Pending", Self),
        ("Processing", Self),
        ("Completed", Self),
        ("Failed", Self),
        ("Skipped", Self),
    ];
}

/// Only the record's content keeps `stepStatuses`.
fn check_step_statuses(fields: &mut FieldReader<'_>, steps_max: i64) {
    let statuses = fields.objects("stepStatuses", |step| {
        step.required_text("name", &TEXT);
        step.required_choice::<StepPhase>("phase");
        let started_at = step.timestamp("startedAt");
        let completed_at = step.timestamp("completedAt");
        step.integer("retryCount", 0..=INTEGER_MAX);
        step.text("message", &LONG_TEXT);
        check_order(
            step,
            ("startedAt", started_at),
            ("completedAt", completed_at),
        );
    });
    if i64::try_from(statuses).unwrap_or(i64::MAX) > steps_max {
        fields.refuse(
            "stepStatuses",
            "count",
            "must have at most stepCount entries",
        );
    }
}
