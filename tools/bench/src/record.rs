//! Generated records of the size and shape of real ones, reproducible from run and number.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use dataset::Dataset;
use records::AnyRecord;
use serde_json::{Value, json};

use crate::load_dataset::made_up_incidents;
use crate::rng::Rng;

/// The start of a target's name; a number below [`TARGETS`] follows.
pub(crate) const TARGET_PREFIX: &str = "checkout-api-";

/// The start of names and correlation ids in every run.
pub(crate) const PREFIX: &str = "bench-";

/// The number of targets.
pub(crate) const TARGETS: u64 = 200;

/// The records of one incident, in the order they are reported. The last one of each kind says
/// `Completed`.
const REPORTS: [(RecordKind, &str); 8] = [
    (RecordKind::Remediation, "Pending"),
    (RecordKind::Aianalysis, "Processing"),
    (RecordKind::Aianalysis, "Completed"),
    (RecordKind::Workflow, "Processing"),
    (RecordKind::Execution, "Processing"),
    (RecordKind::Execution, "Completed"),
    (RecordKind::Workflow, "Completed"),
    (RecordKind::Remediation, "Completed"),
];

/// The number of records that [`Generator::report`] makes for an incident.
pub(crate) const REPORTS_OF_INCIDENT: u64 = REPORTS.len() as u64;

pub(crate) const CLUSTER: &str = "eu-1";

/// How many incidents of the data set new texts are taken from.
const INCIDENTS: u64 = 1_000_000;

/// The length of a new text, which may be the name of a signal.
const TEXT_CHARACTERS_MAX: usize = 255;

/// The signal of every analysis.
pub(crate) const SIGNAL: &str = "HighMemoryUsage";

/// The size of a remediation's original payload.
pub(crate) const PAYLOAD_BYTES: usize = 200;

/// Alerts that recur.
const ALERTS: &str = "\
    HighMemoryUsage HighCpuUsage PodCrashLooping PodNotReady ContainerOomKilled \
    DeploymentReplicasMismatch StatefulSetReplicasMismatch DaemonSetRolloutStuck \
    HorizontalAutoscalerMaxedOut JobFailed CronJobTooLong NodeNotReady NodeDiskPressure \
    NodeMemoryPressure NodeFilesystemAlmostFull NodeClockSkew PersistentVolumeFillingUp \
    PersistentVolumeErrors PersistentVolumeClaimPending ImagePullBackOff KubeletTooManyPods \
    KubeletClientErrors ApiServerLatencyHigh ApiServerErrorsHigh EtcdLeaderChanges \
    EtcdDatabaseSizeLarge CoreDnsErrors IngressErrorsHigh IngressLatencyHigh \
    CertificateExpiringSoon ServiceEndpointDown HttpErrorRateHigh RequestLatencyHigh \
    QueueBacklogGrowing ConsumerLagHigh DatabaseConnectionsExhausted DatabaseReplicationLag \
    CacheHitRateLow ThrottledContainer QuotaAlmostExceeded";

/// The alerts that recur.
pub(crate) fn alerts() -> Vec<&'static str> {
    ALERTS.split_whitespace().collect()
}

/// One of the alerts that recur.
pub(crate) fn known_alert(number: u64) -> &'static str {
    let alerts = alerts();
    let index = usize::try_from(number % alerts.len() as u64).unwrap_or(0);
    alerts.get(index).copied().unwrap_or_default()
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RecordKind {
    Remediation,
    Aianalysis,
    Workflow,
    Execution,
}

impl RecordKind {
    /// As the API and the database name it.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The path that its records are sent to.
    pub(crate) fn path(self) -> String {
        format!("/api/v1/audit/{}", self.name())
    }
}

/// Makes the records of one run.
pub(crate) struct Generator {
    /// The name of the run: lower-case letters and digits.
    pub(crate) run: String,
    begun_at: DateTime<Utc>,
    incidents: Dataset,
}

impl Generator {
    /// The records of a run that begins now.
    pub(crate) fn new() -> Result<Self> {
        Self::of_run(format!("{:x}", Utc::now().timestamp_millis()), Utc::now())
    }

    /// The records of a run; another name gives other records.
    pub(crate) fn of_run(run: String, begun_at: DateTime<Utc>) -> Result<Self> {
        Ok(Self {
            run,
            begun_at,
            incidents: made_up_incidents(INCIDENTS)?,
        })
    }

    /// The start of the names and correlation ids of a series of records.
    pub(crate) fn prefix(&self, series: &str) -> String {
        format!("{PREFIX}{}-{series}-", self.run)
    }

    /// The only record of a new incident, completed, as JSON. `text` is embedded, that of an analysis
    /// after [`SIGNAL`].
    pub(crate) fn record(
        &self,
        kind: RecordKind,
        series: &str,
        number: u64,
        text: &str,
    ) -> Result<Vec<u8>> {
        self.body(kind, "Completed", series, number, text)
    }

    /// A record of a series in which [`REPORTS_OF_INCIDENT`] in a row are about one incident. Half of
    /// the incidents have a new text.
    pub(crate) fn report(&self, series: &str, number: u64) -> Result<(RecordKind, Vec<u8>)> {
        let incident = number / REPORTS_OF_INCIDENT;
        let text = if incident.is_multiple_of(2) {
            self.fresh_text(series, incident)?
        } else {
            known_alert(incident).to_owned()
        };
        self.report_with(series, number, &text)
    }

    /// The same, with a given text.
    pub(crate) fn report_with(
        &self,
        series: &str,
        number: u64,
        text: &str,
    ) -> Result<(RecordKind, Vec<u8>)> {
        let (kind, phase) = usize::try_from(number % REPORTS_OF_INCIDENT)
            .ok()
            .and_then(|index| REPORTS.get(index).copied())
            .context("find the report of a number")?;
        let body = self.body(kind, phase, series, number / REPORTS_OF_INCIDENT, text)?;
        Ok((kind, body))
    }

    /// A text that only this number of the series has: what an analysis of an incident found, and of
    /// which pod. Like those of one cluster, many say almost the same.
    pub(crate) fn fresh_text(&self, series: &str, number: u64) -> Result<String> {
        let mut rng = self.rng(&format!("{series}/text"), number);
        let (replica_set, pod) = (rng.next() >> 32, rng.next() >> 44);
        let cause = loop {
            // Some incidents were never analysed.
            let reports = self.incidents.reports(rng.below(INCIDENTS))?;
            let mut reports = reports.iter();
            let cause = reports.find_map(|report| report.record.get("rootCause")?.as_str());
            if let Some(cause) = cause {
                break cause.to_owned();
            }
        };
        let text = format!("Pod {replica_set:08x}-{pod:05x}: {cause}");
        Ok(text.chars().take(TEXT_CHARACTERS_MAX).collect())
    }

    fn body(
        &self,
        kind: RecordKind,
        phase: &str,
        series: &str,
        number: u64,
        text: &str,
    ) -> Result<Vec<u8>> {
        let mut rng = self.rng(series, number);
        let identity = format!("{}{number}", self.prefix(series));
        let target_name = format!("{TARGET_PREFIX}{}", rng.below(TARGETS));
        let (severity, priority) = rng.pick(&[
            ("critical", "P0"),
            ("high", "P1"),
            ("medium", "P2"),
            ("low", "P3"),
        ]);
        let created_at = self.begun_at + TimeDelta::microseconds(i64::try_from(number)?);
        let after = |seconds| timestamp(created_at + TimeDelta::seconds(seconds));
        let (pod, copy) = (rng.next() >> 32, rng.next() >> 48);
        let pod = format!("{target_name}-{pod:08x}-{copy:04x}");
        let reason = match phase {
            "Pending" => "Received",
            "Processing" => "UnderWay",
            _ => "Ended",
        };
        let (used, restarts) = (rng.below(512), rng.below(9));
        let mut record = json!({
            "name": identity, "namespace": "kubernaut-system", "correlationId": identity,
            "createdAt": timestamp(created_at), "phase": phase, "reason": reason,
            "message": format!(
                "{reason}: pod {pod}, working set at {used} MiB, limit 512 MiB, {restarts} restarts \
                 in the last hour"
            ),
            "labels": {
                "app.kubernetes.io/managed-by": "helm", "app.kubernetes.io/name": target_name,
                "cluster": CLUSTER, "container": "server", "pod": pod, "team": "payments",
            },
        });
        let own = match kind {
            RecordKind::Remediation => json!({
                "signalType": "prometheus-alert", "signalName": text,
                "signalNamespace": "production", "targetType": "deployment",
                "targetName": target_name, "targetNamespace": "production",
                "severity": severity, "priority": priority,
                "cluster": CLUSTER, "environment": "production",
                "fingerprint": (0..4).map(|_| format!("{:016x}", rng.next())).collect::<String>(),
                "originalPayload": STANDARD.encode(rng.text(PAYLOAD_BYTES)),
            }),
            RecordKind::Aianalysis => json!({
                "remediationRequestRef": identity, "signalType": "prometheus-alert",
                "signalContext": {"alertname": SIGNAL, "pod": pod, "severity": severity},
                "llmProvider": "openai", "llmModel": "gpt-4o", "temperature": 0.2,
                "rootCause": text, "confidence": 0.87, "requiresApproval": severity == "critical",
                "investigationId": format!("inv-{:016x}", rng.next()),
                "tokensUsed": 1_000 + rng.below(4_000), "investigationTimeSeconds": 12.5,
            }),
            RecordKind::Workflow => json!({
                "remediationRequestRef": identity, "aiAnalysisRef": identity, "workflowName": text,
                "isAutoApproved": true, "requiresApproval": false,
                "stepCount": 3, "currentStep": 2, "completedCount": 2,
                "stepStatuses": [
                    {"name": "drain", "phase": "Completed", "startedAt": after(1),
                     "completedAt": after(3), "retryCount": 0},
                    {"name": "scale", "phase": "Completed", "startedAt": after(3),
                     "completedAt": after(9), "retryCount": 1, "message": "the quota was full"},
                    {"name": "verify", "phase": phase, "retryCount": 0},
                ],
            }),
            RecordKind::Execution => json!({
                "workflowExecutionRef": identity, "stepName": "scale", "actionType": text,
                "actionData": {"replicas": "5", "reason": "memory above its limit", "pod": pod},
                "targetType": "deployment", "targetName": target_name,
                "targetNamespace": "production",
                "enableDryRun": true, "enableValidation": true, "enableRollback": true,
                "actionResult": "replicas 3 -> 5",
                "resourceVersion": rng.below(1_000_000_000).to_string(),
                "dryRunResult": "deployment.apps/checkout-api scaled (server dry run)",
                "validationWarnings": ["the namespace has no quota"],
            }),
        };
        let times = match phase {
            "Pending" => json!({}),
            "Processing" => json!({"startedAt": after(2)}),
            _ => json!({"startedAt": after(2), "completedAt": after(47)}),
        };
        for part in [own, times] {
            if let (Value::Object(record), Value::Object(part)) = (&mut record, part) {
                record.extend(part);
            }
        }
        serde_json::to_vec(&record).context("write a record as JSON")
    }

    fn rng(&self, series: &str, number: u64) -> Rng {
        Rng::new(&format!("{}/{series}/{number}", self.run))
    }
}

/// Reads a record as the service does.
pub(crate) fn parse(kind: RecordKind, body: &[u8]) -> Result<AnyRecord> {
    dataset::parse(&kind.name(), body, CLUSTER)
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(run: &str) -> Generator {
        Generator::of_run(run.to_owned(), DateTime::UNIX_EPOCH).unwrap()
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
        let record = |run, number| generator(run).report("s", number).unwrap().1;
        assert_eq!(record("r", 7), record("r", 7));
        assert_ne!(record("r", 7), record("q", 7));
    }

    #[test]
    fn new_texts_do_not_repeat_and_resemble_those_of_incidents() {
        let generator = generator("r");
        let texts = (0..10_000).map(|number| generator.fresh_text("s", number).unwrap());
        let texts: std::collections::HashSet<_> = texts.collect();
        assert_eq!(texts.len(), 10_000);
        let causes: std::collections::HashSet<_> = texts
            .iter()
            .filter_map(|text| text.split_once(": ").map(|(_, cause)| cause))
            .collect();
        assert!((2_000..8_000).contains(&causes.len()), "{}", causes.len());
    }
}
