//! Course of one incident.

use anyhow::{Context as _, Result};
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use crate::alerts::{Alert, Cause, Severity};
use crate::dice::{Dice, PERMILLE};
use crate::fleet::{Fleet, Service, Target};

/// Outcomes per thousand incidents.
const OUTCOMES: [(Outcome, u64); 7] = [
    (Outcome::Completed, 880),
    (Outcome::Failed, 55),
    (Outcome::RolledBack, 30),
    (Outcome::Executing, 20),
    (Outcome::Received, 5),
    (Outcome::Analysing, 5),
    (Outcome::AwaitingApproval, 5),
];

/// Share of analyses that add a detail, which mostly makes their text unique.
const DETAIL_PERMILLE: u64 = 260;

/// Share of these details that the alert itself suggests.
const ALERTS_DETAIL_PERMILLE: u64 = 200;

/// Share of alerts that are one step less severe outside production.
const LOWERED_PERMILLE: u64 = 500;

const PERCENTS: [u64; 8] = [70, 75, 80, 85, 90, 95, 98, 100];

/// Day from which releases count: 2020-01-01, in days of the common era.
const FIRST_RELEASE_DAY: i32 = 737_425;

/// State of an incident when the data ends. Some never end: nobody approved, or a controller was
/// lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    Failed,
    RolledBack,
    Executing,
    Received,
    Analysing,
    AwaitingApproval,
}

impl Outcome {
    fn pick(dice: &mut Dice) -> Self {
        let mut left = dice.below(PERMILLE);
        for (outcome, permille) in OUTCOMES {
            if left < permille {
                return outcome;
            }
            left -= permille;
        }
        Self::Completed
    }

    pub(crate) fn is_open(self) -> bool {
        !matches!(self, Self::Completed | Self::Failed | Self::RolledBack)
    }
}

#[derive(Debug)]
pub(crate) struct Story<'a> {
    /// Eight unique digits.
    pub(crate) key: String,
    pub(crate) correlation_id: String,
    pub(crate) target: &'a Target,
    pub(crate) service: &'a Service,
    pub(crate) alert: &'a Alert,
    pub(crate) cause: &'a Cause,
    pub(crate) severity: Severity,
    pub(crate) outcome: Outcome,
    pub(crate) version: String,
    pub(crate) pod: String,
    pub(crate) root_cause: String,
    pub(crate) advice: String,
    pub(crate) requires_approval: bool,
    /// Creation time of each object, in the order of the kinds.
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) analysed_at: DateTime<Utc>,
    pub(crate) workflow_at: DateTime<Utc>,
    pub(crate) executed_at: DateTime<Utc>,
    pub(crate) analysis_seconds: i64,
    pub(crate) execution_seconds: i64,
}

impl<'a> Story<'a> {
    pub(crate) fn new(
        fleet: &'a Fleet,
        number: u64,
        arrived_at: DateTime<Utc>,
        storm: Option<Dice>,
        dice: &mut Dice,
    ) -> Result<Self> {
        let (target, alert, cause) = match storm {
            Some(mut of_storm) => {
                let (cluster, alert, cause) = fleet.storm(&mut of_storm)?;
                let target = fleet.pick_target_of_cluster(cluster, dice);
                (target, alert, cause)
            }
            None => {
                let target = fleet.pick_target(dice);
                let service = fleet.services.get(target.service);
                let service = service.context("find a target's service")?;
                let (alert, causes) = service.problems.pick(dice);
                (target, *alert, *causes.pick(dice))
            }
        };
        let service = fleet.services.get(target.service);
        let service = service.context("find a target's service")?;
        let alert = fleet.alerts.get(alert).context("find an alert")?;
        let cause = alert.causes.get(cause).context("find a cause")?;

        let is_production = target.environment == "production";
        let severity = if !is_production && dice.chance(LOWERED_PERMILLE) {
            alert.severity.lower()
        } else {
            alert.severity
        };
        let days = arrived_at.num_days_from_ce() - FIRST_RELEASE_DAY;
        let releases = u64::from(days.unsigned_abs()) / service.release_days;
        let version = format!("v1.{releases}");
        let pod = pod_name(service, &version, dice);
        let texts = Texts {
            target,
            service,
            version: &version,
            pod: &pod,
            percent: *dice.pick(&PERCENTS),
            count: dice.between(3, 900),
            minutes: dice.between(2, 120),
        };
        let mut root_cause = texts.fill(&cause.root);
        if dice.chance(DETAIL_PERMILLE) {
            let detail = if dice.chance(ALERTS_DETAIL_PERMILLE) {
                &alert.detail
            } else {
                dice.pick(&fleet.evidence)
            };
            root_cause = format!("{root_cause}. {}", texts.fill(detail));
        }
        let advice = texts.fill(&cause.advice);

        // An odd factor gives every number below 2^32 a distinct product.
        let key = format!("{:08x}", (number.wrapping_mul(0x9e37_79b1)) & 0xffff_ffff);
        let requires_approval = severity == Severity::Critical && is_production && dice.chance(400);
        let mut seconds = |least, most| dice.between(least, most).cast_signed();
        let analysis_seconds = seconds(6, 95);
        let approval_seconds = if requires_approval {
            seconds(60, 2_400)
        } else {
            0
        };
        let execution_seconds = seconds(4, 240);
        let analysed_at = arrived_at + TimeDelta::seconds(seconds(2, 6));
        let workflow_at = analysed_at
            + TimeDelta::seconds(1 + analysis_seconds + approval_seconds + seconds(1, 4));
        let executed_at = workflow_at + TimeDelta::seconds(seconds(3, 20));
        Ok(Self {
            correlation_id: format!("req-{}-{key}", arrived_at.format("%Y-%m-%d")),
            key,
            target,
            service,
            alert,
            cause,
            severity,
            outcome: Outcome::pick(dice),
            root_cause,
            advice,
            requires_approval,
            requested_at: arrived_at,
            analysed_at,
            workflow_at,
            executed_at,
            analysis_seconds,
            execution_seconds,
            version,
            pod,
        })
    }
}

fn pod_name(service: &Service, version: &str, dice: &mut Dice) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let [a, b, c, d, ..] = records::sha256(&format!("{}/{version}", service.name));
    let mut pod = format!("{}-{a:02x}{b:02x}{c:02x}{d:02x}-", service.name);
    for _ in 0..5 {
        pod.push(char::from(*dice.pick(LETTERS)));
    }
    pod
}

/// Values of the placeholders in a text.
struct Texts<'a> {
    target: &'a Target,
    service: &'a Service,
    version: &'a str,
    pod: &'a str,
    percent: u64,
    count: u64,
    minutes: u64,
}

impl Texts<'_> {
    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(2 * template.len());
        let mut parts = template.split(['{', '}']);
        while let Some(plain) = parts.next() {
            text.push_str(plain);
            match parts.next() {
                Some("service") => text.push_str(&self.service.name),
                Some("namespace") => text.push_str(&self.service.namespace),
                Some("cluster") => text.push_str(self.target.cluster),
                Some("dependency") => text.push_str(&self.service.dependency),
                Some("limit") => text.push_str(&self.service.limit_mebibytes.to_string()),
                Some("replicas") => text.push_str(&self.service.replicas.to_string()),
                Some("version") => text.push_str(self.version),
                Some("pod") => text.push_str(self.pod),
                Some("percent") => text.push_str(&self.percent.to_string()),
                Some("count") => text.push_str(&self.count.to_string()),
                Some("minutes") => text.push_str(&self.minutes.to_string()),
                // A test finds unknown placeholders.
                Some(unknown) => text.push_str(&format!("{{{unknown}}}")),
                None => {}
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ends_are_accounted_for() {
        let all: u64 = OUTCOMES.iter().map(|(_, permille)| permille).sum();
        assert_eq!(all, PERMILLE);
    }
}
