//! The records that are written: made up, but of the size and shape of real ones, and the
//! same again for the same seed, run and number.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::ValueEnum;
use dataset::Parsed;
use serde::Serialize;
use serde_json::{Value, json};

use crate::alerts::known_alert;
use crate::dice::Dice;

/// A target's name is this and a number below [`TARGETS`].
pub(crate) const TARGET_PREFIX: &str = "checkout-api-";

/// What names and correlation ids begin with, in every run.
pub(crate) const PREFIX: &str = "bench-";

/// How many targets the records are about.
pub(crate) const TARGETS: u64 = 200;

/// What is reported of one incident, in the order it happens: each object's last report
/// says `Completed`.
const REPORTS: [(RecordKind, Progress); 8] = [
    (RecordKind::Remediation, Progress::Pending),
    (RecordKind::Aianalysis, Progress::Processing),
    (RecordKind::Aianalysis, Progress::Completed),
    (RecordKind::Workflow, Progress::Processing),
    (RecordKind::Execution, Progress::Processing),
    (RecordKind::Execution, Progress::Completed),
    (RecordKind::Workflow, Progress::Completed),
    (RecordKind::Remediation, Progress::Completed),
];

/// How many records [`Generator::report`] makes of one incident.
pub(crate) const REPORTS_OF_INCIDENT: u64 = REPORTS.len() as u64;

/// The cluster of a record that names none; every record here names its own.
const CLUSTER: &str = "eu-1";

/// How many words a new text has. With the model that is built in, such a text has about 60
/// components that are not zero.
const FRESH_WORDS: usize = 7;

/// A kind of record, as paths and tables name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordKind {
    /// Of a remediation request.
    Remediation,
    /// Of an AI analysis.
    Aianalysis,
    /// Of a workflow execution.
    Workflow,
    /// Of a Kubernetes action.
    Execution,
}

impl RecordKind {
    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Remediation => "remediation",
            Self::Aianalysis => "aianalysis",
            Self::Workflow => "workflow",
            Self::Execution => "execution",
        }
    }

    /// Where its records are sent.
    pub(crate) fn path(self) -> String {
        format!("/api/v1/audit/{}", self.name())
    }
}

/// How far a reporting object is.
#[derive(Clone, Copy)]
enum Progress {
    Pending,
    Processing,
    Completed,
}

/// Makes the records of one run.
pub(crate) struct Generator {
    seed: u64,
    run: String,
    begun_at: DateTime<Utc>,
    payload_bytes: usize,
}

impl Generator {
    /// The records of a run: another seed or another name gives others. `payload_bytes` is the
    /// size of a remediation's original payload.
    pub(crate) fn new(seed: u64, run: &str, begun_at: DateTime<Utc>, payload_bytes: usize) -> Self {
        Self {
            seed,
            run: run.to_owned(),
            begun_at,
            payload_bytes,
        }
    }

    /// What the names and correlation ids of one sort of record begin with.
    pub(crate) fn prefix(&self, sort: &str) -> String {
        format!("{PREFIX}{}-{sort}-", self.run)
    }

    /// The record of an object that has completed, the only one of its incident, as JSON.
    /// `text` is what is embedded.
    pub(crate) fn record(
        &self,
        kind: RecordKind,
        sort: &str,
        number: u64,
        text: &str,
    ) -> Result<Vec<u8>> {
        self.body(kind, Progress::Completed, sort, number, text)
    }

    /// Record `number` of those of which [`REPORTS_OF_INCIDENT`] each are about one incident.
    /// Half of the incidents have a text that no other has.
    pub(crate) fn report(&self, sort: &str, number: u64) -> Result<(RecordKind, Vec<u8>)> {
        let incident = number / REPORTS_OF_INCIDENT;
        let text = if incident.is_multiple_of(2) {
            self.fresh_text(sort, incident)
        } else {
            known_alert(incident).to_owned()
        };
        self.report_with(sort, number, &text)
    }

    /// The same with this text.
    pub(crate) fn report_with(
        &self,
        sort: &str,
        number: u64,
        text: &str,
    ) -> Result<(RecordKind, Vec<u8>)> {
        let (kind, progress) = usize::try_from(number % REPORTS_OF_INCIDENT)
            .ok()
            .and_then(|index| REPORTS.get(index).copied())
            .context("find the report of a number")?;
        let body = self.body(kind, progress, sort, number / REPORTS_OF_INCIDENT, text)?;
        Ok((kind, body))
    }

    /// A text that was not seen before, and is not seen again but for the same number.
    pub(crate) fn fresh_text(&self, sort: &str, number: u64) -> String {
        let mut dice = self.dice(&format!("{sort}/text"), number);
        let mut alert = String::new();
        for _ in 0..FRESH_WORDS {
            for (index, is_consonant) in [true, false, true, false, true, false, true]
                .into_iter()
                .enumerate()
            {
                let letter = dice.pick(if is_consonant { CONSONANTS } else { VOWELS });
                if index == 0 {
                    alert.push_str(&letter.to_uppercase());
                } else {
                    alert.push_str(letter);
                }
            }
        }
        alert
    }

    fn body(
        &self,
        kind: RecordKind,
        progress: Progress,
        sort: &str,
        number: u64,
        text: &str,
    ) -> Result<Vec<u8>> {
        let mut dice = self.dice(sort, number);
        let identity = format!("{}{number}", self.prefix(sort));
        let target_name = format!("{TARGET_PREFIX}{}", dice.below(TARGETS));
        let (severity, priority) = dice.pick_pair(&[
            ("critical", "P0"),
            ("high", "P1"),
            ("medium", "P2"),
            ("low", "P3"),
        ]);
        let created_at = self.begun_at
            + TimeDelta::microseconds(i64::try_from(number % 1_000_000_000).unwrap_or(0));
        let after = |seconds| timestamp(created_at + TimeDelta::seconds(seconds));
        let pod = format!(
            "{target_name}-{:08x}-{:04x}",
            dice.next() >> 32,
            dice.next() >> 48
        );
        let (phase, reason) = match progress {
            Progress::Pending => ("Pending", "Received"),
            Progress::Processing => ("Processing", "UnderWay"),
            Progress::Completed => ("Completed", "Ended"),
        };
        let mut record = json!({
            "name": identity,
            "namespace": "kubernaut-system",
            "phase": phase,
            "reason": reason,
            "message": format!(
                "{reason}: pod {pod}, working set at {} MiB, limit 512 MiB, {} restarts in the \
                 last hour",
                dice.below(512),
                dice.below(9)
            ),
            "createdAt": timestamp(created_at),
            "correlationId": identity,
            "labels": {
                "app.kubernetes.io/managed-by": "helm",
                "app.kubernetes.io/name": target_name,
                "cluster": CLUSTER,
                "container": "server",
                "pod": pod,
                "team": "payments",
            },
        });
        let own = match kind {
            RecordKind::Remediation => json!({
                "signalType": "prometheus-alert",
                "signalName": text,
                "signalNamespace": "production",
                "targetType": "deployment",
                "targetName": target_name,
                "targetNamespace": "production",
                "severity": severity,
                "cluster": CLUSTER,
                "environment": "production",
                "priority": priority,
                "fingerprint": (0..4).map(|_| format!("{:016x}", dice.next())).collect::<String>(),
                "originalPayload": STANDARD.encode(dice.text(self.payload_bytes)),
            }),
            RecordKind::Aianalysis => json!({
                "remediationRequestRef": identity,
                "signalType": "prometheus-alert",
                "signalContext": {"alertname": "HighMemoryUsage", "pod": pod, "severity": severity},
                "llmProvider": "openai",
                "llmModel": "gpt-4o",
                "temperature": 0.2,
                "rootCause": text,
                "confidence": 0.87,
                "requiresApproval": severity == "critical",
                "investigationId": format!("inv-{:016x}", dice.next()),
                "tokensUsed": 1_000 + dice.below(4_000),
                "investigationTimeSeconds": 12.5,
            }),
            RecordKind::Workflow => json!({
                "remediationRequestRef": identity,
                "aiAnalysisRef": identity,
                "workflowName": text,
                "isAutoApproved": true,
                "requiresApproval": false,
                "stepCount": 3,
                "currentStep": 2,
                "completedCount": 2,
                "stepStatuses": [
                    {"name": "drain", "phase": "Completed", "startedAt": after(1),
                     "completedAt": after(3), "retryCount": 0},
                    {"name": "scale", "phase": "Completed", "startedAt": after(3),
                     "completedAt": after(9), "retryCount": 1, "message": "the quota was full"},
                    {"name": "verify", "phase": phase, "retryCount": 0},
                ],
            }),
            RecordKind::Execution => json!({
                "workflowExecutionRef": identity,
                "stepName": "scale",
                "actionType": text,
                "actionData": {"replicas": "5", "reason": "memory above its limit", "pod": pod},
                "targetType": "deployment",
                "targetName": target_name,
                "targetNamespace": "production",
                "enableDryRun": true,
                "enableValidation": true,
                "enableRollback": true,
                "actionResult": "replicas 3 -> 5",
                "resourceVersion": dice.below(1_000_000_000).to_string(),
                "dryRunResult": "deployment.apps/checkout-api scaled (server dry run)",
                "validationWarnings": ["the namespace has no quota"],
            }),
        };
        let times = match progress {
            Progress::Pending => json!({}),
            Progress::Processing => json!({"startedAt": after(2)}),
            Progress::Completed => json!({"startedAt": after(2), "completedAt": after(47)}),
        };
        let record_fields = record.as_object_mut().context("make up a record")?;
        for part in [own, times] {
            let Value::Object(part) = part else {
                bail!("a part of a made-up record is no object");
            };
            record_fields.extend(part);
        }
        serde_json::to_vec(&record).context("write a record as JSON")
    }

    fn dice(&self, sort: &str, number: u64) -> Dice {
        let text = format!("{}/{}/{sort}/{number}", self.seed, self.run);
        Dice::of(&text)
    }
}

/// Reads a record as the service does.
pub(crate) fn parse(kind: RecordKind, body: &[u8]) -> Result<Parsed> {
    dataset::parse(kind.name(), body, CLUSTER)
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

const CONSONANTS: &[&str] = &[
    "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z",
];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u"];

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(run: &str) -> Generator {
        Generator::new(1, run, DateTime::UNIX_EPOCH, 200)
    }

    #[test]
    fn every_record_is_valid_and_about_as_large_as_a_real_one() {
        for number in 0..100 {
            let (kind, body) = generator("r").report("v", number).unwrap();
            parse(kind, &body).unwrap();
            let size = body.len();
            assert!((700..1_600).contains(&size), "{kind:?}: {size} bytes");
        }
    }

    #[test]
    fn a_record_is_the_same_again_and_another_in_another_run() {
        for kind in RecordKind::value_variants() {
            let record = |run, number| generator(run).record(*kind, "s", number, "A").unwrap();
            assert_eq!(record("r", 7), record("r", 7));
            assert_ne!(record("r", 7), record("q", 7));
            assert_ne!(record("r", 7), record("r", 8));
        }
    }

    #[test]
    fn an_original_payload_is_as_large_as_is_said() {
        let generator = Generator::new(1, "r", DateTime::UNIX_EPOCH, 64 * 1024);
        let body = generator.record(RecordKind::Remediation, "s", 0, "A");
        let record: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        let payload = record["originalPayload"].as_str().unwrap();
        assert_eq!(STANDARD.decode(payload).unwrap().len(), 64 * 1024);
    }

    #[test]
    fn new_texts_do_not_repeat() {
        let texts: std::collections::HashSet<_> = (0..10_000)
            .map(|number| generator("r").fresh_text("s", number))
            .collect();
        assert_eq!(texts.len(), 10_000);
    }
}
