//! The records that are written: made up, but of the size and shape of real ones, and the
//! same again for the same seed, run and number.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use records::Remediation;
use serde::Serialize;

/// The alerts that come again and again.
pub(crate) const ALERTS: [&str; 40] = [
    "HighMemoryUsage",
    "HighCpuUsage",
    "PodCrashLooping",
    "PodNotReady",
    "ContainerOomKilled",
    "DeploymentReplicasMismatch",
    "StatefulSetReplicasMismatch",
    "DaemonSetRolloutStuck",
    "HorizontalAutoscalerMaxedOut",
    "JobFailed",
    "CronJobTooLong",
    "NodeNotReady",
    "NodeDiskPressure",
    "NodeMemoryPressure",
    "NodeFilesystemAlmostFull",
    "NodeClockSkew",
    "PersistentVolumeFillingUp",
    "PersistentVolumeErrors",
    "PersistentVolumeClaimPending",
    "ImagePullBackOff",
    "KubeletTooManyPods",
    "KubeletClientErrors",
    "ApiServerLatencyHigh",
    "ApiServerErrorsHigh",
    "EtcdLeaderChanges",
    "EtcdDatabaseSizeLarge",
    "CoreDnsErrors",
    "IngressErrorsHigh",
    "IngressLatencyHigh",
    "CertificateExpiringSoon",
    "ServiceEndpointDown",
    "HttpErrorRateHigh",
    "RequestLatencyHigh",
    "QueueBacklogGrowing",
    "ConsumerLagHigh",
    "DatabaseConnectionsExhausted",
    "DatabaseReplicationLag",
    "CacheHitRateLow",
    "ThrottledContainer",
    "QuotaAlmostExceeded",
];

/// A target's name is this and a number below [`TARGETS`].
pub(crate) const TARGET_PREFIX: &str = "checkout-api-";

/// How many targets the records are about.
pub(crate) const TARGETS: u64 = 200;

/// How many versions [`Generator::version`] makes of one remediation.
pub(crate) const VERSIONS: u64 = 4;

/// The cluster of a record that names none; every record here names its own.
const CLUSTER: &str = "eu-1";

const ORIGINAL_PAYLOAD_BYTES: usize = 200;

/// How many words a new text has. With the model that is built in, such a text has about 60
/// components that are not zero.
const FRESH_WORDS: usize = 7;

/// Makes the records of one run.
pub(crate) struct Generator {
    seed: u64,
    run: String,
    begun_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    name: &'a str,
    namespace: &'a str,
    phase: &'a str,
    message: String,
    reason: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    correlation_id: &'a str,
    labels: BTreeMap<&'a str, String>,
    signal_type: &'a str,
    signal_name: &'a str,
    signal_namespace: &'a str,
    target_type: &'a str,
    target_name: String,
    target_namespace: &'a str,
    severity: &'a str,
    cluster: &'a str,
    environment: &'a str,
    priority: &'a str,
    fingerprint: String,
    original_payload: String,
}

impl Generator {
    /// The records of a run: another seed or another name gives others.
    pub(crate) fn new(seed: u64, run: &str, begun_at: DateTime<Utc>) -> Self {
        Self {
            seed,
            run: run.to_owned(),
            begun_at,
        }
    }

    /// What the names and correlation ids of one sort of record begin with.
    pub(crate) fn prefix(&self, sort: &str) -> String {
        format!("bench-{}-{sort}-", self.run)
    }

    /// A remediation of its own, completed, as JSON. `alert` is the text that is embedded.
    pub(crate) fn record(&self, sort: &str, number: u64, alert: &str) -> Result<Vec<u8>> {
        self.body(sort, number, alert, VERSIONS - 1)
    }

    /// Record `number` of those of which [`VERSIONS`] each are about one remediation, from
    /// pending to completed. Half of the remediations have a text that no other has.
    pub(crate) fn version(&self, sort: &str, number: u64) -> Result<Vec<u8>> {
        let (remediation, version) = (number / VERSIONS, number % VERSIONS);
        let alert = if remediation.is_multiple_of(2) {
            self.fresh_alert(sort, remediation)
        } else {
            known_alert(remediation).to_owned()
        };
        self.body(sort, remediation, &alert, version)
    }

    /// A text that was not seen before, and is not seen again but for the same number.
    pub(crate) fn fresh_alert(&self, sort: &str, number: u64) -> String {
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

    fn body(&self, sort: &str, number: u64, alert: &str, version: u64) -> Result<Vec<u8>> {
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
        let (phase, reason, started_at, completed_at) = match version {
            0 => ("Pending", "Received", None, None),
            1 => ("Processing", "Analysing", Some(after(2)), None),
            2 => ("Processing", "Remediating", Some(after(5)), None),
            _ => ("Completed", "Remediated", Some(after(5)), Some(after(47))),
        };
        let pod = format!(
            "{target_name}-{:08x}-{:04x}",
            dice.next() >> 32,
            dice.next() >> 48
        );
        let labels = BTreeMap::from([
            ("alertname", alert.to_owned()),
            ("app.kubernetes.io/managed-by", "helm".to_owned()),
            ("app.kubernetes.io/name", target_name.clone()),
            ("container", "server".to_owned()),
            ("pod", pod.clone()),
            ("severity", severity.to_owned()),
            ("team", "payments".to_owned()),
        ]);
        let payload: Vec<u8> = (0..ORIGINAL_PAYLOAD_BYTES)
            .map(|_| b' ' + u8::try_from(dice.below(95)).unwrap_or(0))
            .collect();
        serde_json::to_vec(&Body {
            name: &identity,
            namespace: "kubernaut-system",
            phase,
            message: format!(
                "Remediation of pod {pod}: step {version} of {VERSIONS}, working set at {} MiB, \
                 limit 512 MiB, {} restarts in the last hour",
                dice.below(512),
                dice.below(9)
            ),
            reason,
            created_at: timestamp(created_at),
            started_at,
            completed_at,
            correlation_id: &identity,
            labels,
            signal_type: "prometheus-alert",
            signal_name: alert,
            signal_namespace: "production",
            target_type: "deployment",
            target_name,
            target_namespace: "production",
            severity,
            cluster: CLUSTER,
            environment: "production",
            priority,
            fingerprint: (0..4).map(|_| format!("{:016x}", dice.next())).collect(),
            original_payload: STANDARD.encode(payload),
        })
        .context("write a record as JSON")
    }

    fn dice(&self, sort: &str, number: u64) -> Dice {
        let text = format!("{}/{}/{sort}/{number}", self.seed, self.run);
        let [a, b, c, d, e, f, g, h, ..] = records::sha256(&text);
        Dice(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// One of the alerts that come again and again.
pub(crate) fn known_alert(number: u64) -> &'static str {
    let index = usize::try_from(number % ALERTS.len() as u64).unwrap_or(0);
    ALERTS.get(index).copied().unwrap_or_default()
}

/// Reads a record as the service does.
pub(crate) fn parse(body: &[u8]) -> Result<Remediation> {
    Remediation::parse(body, CLUSTER).map_err(|rejection| {
        anyhow!(
            "a record that was made up is not valid any more, change `record.rs`: {:?}",
            rejection.violations
        )
    })
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

const CONSONANTS: &[&str] = &[
    "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z",
];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u"];

/// Numbers that look random and are the same again for the same start (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index).copied())
            .unwrap_or_default()
    }

    fn pick_pair(
        &mut self,
        choices: &[(&'static str, &'static str)],
    ) -> (&'static str, &'static str) {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index).copied())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(run: &str) -> Generator {
        Generator::new(1, run, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn every_record_is_valid_and_about_as_large_as_a_real_one() {
        for number in 0..100 {
            let body = generator("r").version("v", number).unwrap();
            parse(&body).unwrap();
            assert!((1_000..1_600).contains(&body.len()), "{} bytes", body.len());
        }
    }

    #[test]
    fn a_record_is_the_same_again_and_another_in_another_run() {
        let one = generator("r").record("s", 7, "A").unwrap();
        assert_eq!(one, generator("r").record("s", 7, "A").unwrap());
        assert_ne!(one, generator("q").record("s", 7, "A").unwrap());
        assert_ne!(one, generator("r").record("s", 8, "A").unwrap());
    }

    #[test]
    fn later_versions_of_a_remediation_are_newer() {
        let versions: Vec<_> = (0..VERSIONS)
            .map(|number| {
                parse(&generator("r").version("v", number).unwrap())
                    .unwrap()
                    .version()
            })
            .collect();
        assert!(versions.is_sorted());
    }

    #[test]
    fn new_texts_do_not_repeat() {
        let texts: std::collections::HashSet<_> = (0..10_000)
            .map(|number| generator("r").fresh_alert("s", number))
            .collect();
        assert_eq!(texts.len(), 10_000);
    }
}
