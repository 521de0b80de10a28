//! Clusters, services and targets, and their alerts.

use anyhow::{Context as _, Result};

use crate::alerts::{self, Alert, Catalogue, Sort};
use crate::dice::{Dice, Source, Weighted, index};

const CLUSTERS: [(&str, &str); 12] = [
    ("prod-eu-1", "production"),
    ("prod-eu-2", "production"),
    ("prod-us-1", "production"),
    ("prod-us-2", "production"),
    ("prod-us-3", "production"),
    ("prod-ap-1", "production"),
    ("prod-ap-2", "production"),
    ("edge-eu-1", "production"),
    ("edge-us-1", "production"),
    ("staging-eu-1", "staging"),
    ("staging-us-1", "staging"),
    ("dev-eu-1", "development"),
];

const NAMESPACES: [&str; 24] = [
    "accounts",
    "billing",
    "cart",
    "catalog",
    "checkout",
    "content",
    "delivery",
    "fraud",
    "identity",
    "inventory",
    "invoices",
    "loyalty",
    "media",
    "messaging",
    "notifications",
    "orders",
    "payments",
    "pricing",
    "recommendations",
    "returns",
    "search",
    "shipping",
    "tax",
    "warehouse",
];

/// Services of each namespace: name suffix, sort and Kubernetes type.
const ROLES: [(&str, Sort, &str); 17] = [
    ("api", Sort::Service, "deployment"),
    ("gateway", Sort::Service, "deployment"),
    ("frontend", Sort::Service, "deployment"),
    ("admin", Sort::Service, "deployment"),
    ("webhooks", Sort::Service, "deployment"),
    ("grpc", Sort::Service, "deployment"),
    ("worker", Sort::Worker, "deployment"),
    ("consumer", Sort::Worker, "deployment"),
    ("indexer", Sort::Worker, "deployment"),
    ("sync", Sort::Worker, "deployment"),
    ("mailer", Sort::Worker, "deployment"),
    ("db", Sort::Database, "statefulset"),
    ("ledger", Sort::Database, "statefulset"),
    ("cache", Sort::Cache, "statefulset"),
    ("broker", Sort::Broker, "statefulset"),
    ("nightly", Sort::Batch, "cronjob"),
    ("reports", Sort::Batch, "cronjob"),
];

const NODES_OF_CLUSTER: u64 = 20;

/// Probability that a service runs in a cluster.
const RUNS_IN_PERMILLE: u64 = 650;

/// A target's weight is 1 / (rank + offset), after Zipf and Mandelbrot: the first target has one in
/// fifty incidents, most have a handful a week.
const RANK_OFFSET: u64 = 10;
const SHARE_UNIT: u64 = 1_000_000;

/// Minimum and maximum number of a service's alerts.
const ALERTS_OF_SERVICE: (u64, u64) = (3, 6);

/// Weights of a service's first, second and third cause of one alert.
const CAUSE_WEIGHTS: [u64; 3] = [6, 3, 1];

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) dependency: String,
    pub(crate) limit_mebibytes: u64,
    pub(crate) replicas: u64,
    pub(crate) release_days: u64,
    /// Indexes of its alerts, each with the indexes of its causes.
    pub(crate) problems: Weighted<(usize, Weighted<usize>)>,
}

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) cluster: &'static str,
    pub(crate) environment: &'static str,
    pub(crate) service: usize,
    pub(crate) kind: &'static str,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) evidence: Vec<String>,
    pub(crate) services: Vec<Service>,
    targets: Weighted<Target>,
    storms: Vec<usize>,
}

impl Fleet {
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let Catalogue { evidence, alerts } = alerts::read()?;
        let mut fleet = Self {
            storms: of_sort(&alerts, Sort::Storm),
            alerts,
            evidence,
            services: Vec::new(),
            targets: Weighted::new([]),
        };
        let mut dice = Source::new(seed, "fleet").dice(0);
        let mut targets = Vec::new();
        for namespace in NAMESPACES {
            for (role, sort, kind) in ROLES {
                let (dependency, _, _) = dice.pick(&ROLES);
                let service = fleet.add_service(
                    format!("{namespace}-{role}"),
                    namespace,
                    sort,
                    format!("{namespace}-{dependency}"),
                    &mut dice,
                );
                for (cluster, environment) in CLUSTERS {
                    if dice.chance(RUNS_IN_PERMILLE) {
                        targets.push(Target {
                            cluster,
                            environment,
                            service,
                            kind,
                        });
                    }
                }
            }
        }
        for (number, (cluster, environment)) in (0..).zip(CLUSTERS) {
            for node in 0..NODES_OF_CLUSTER {
                let name = format!("ip-10-{number}-{}-{}", node % 4, dice.between(4, 250));
                let kubelet = "kubelet".to_owned();
                let service =
                    fleet.add_service(name, "kube-system", Sort::Node, kubelet, &mut dice);
                targets.push(Target {
                    cluster,
                    environment,
                    service,
                    kind: "node",
                });
            }
        }
        dice.shuffle(&mut targets);
        fleet.targets = Weighted::new((0..).zip(targets).map(|(rank, target)| {
            let share = SHARE_UNIT / (rank + RANK_OFFSET);
            // Other environments have less traffic and fewer alerts.
            let is_production = target.environment == "production";
            (target, if is_production { share } else { share / 3 })
        }));
        Ok(fleet)
    }

    fn add_service(
        &mut self,
        name: String,
        namespace: &str,
        sort: Sort,
        dependency: String,
        dice: &mut Dice,
    ) -> usize {
        let mut own = of_sort(&self.alerts, sort);
        dice.shuffle(&mut own);
        own.truncate(index(
            dice.between(ALERTS_OF_SERVICE.0, ALERTS_OF_SERVICE.1),
        ));
        let problems: Vec<_> = (1..)
            .zip(own)
            .map(|(rank, alert)| ((alert, self.causes(alert, dice)), 60 / rank))
            .collect();
        self.services.push(Service {
            name,
            namespace: namespace.to_owned(),
            dependency,
            limit_mebibytes: *dice.pick(&[256, 512, 768, 1_024, 2_048, 4_096]),
            replicas: dice.between(2, 12),
            release_days: dice.between(7, 60),
            problems: Weighted::new(problems),
        });
        self.services.len() - 1
    }

    fn causes(&self, alert: usize, dice: &mut Dice) -> Weighted<usize> {
        let count = self.alerts.get(alert).map_or(0, |alert| alert.causes.len());
        let mut causes: Vec<_> = (0..count).collect();
        dice.shuffle(&mut causes);
        Weighted::new(causes.into_iter().zip(CAUSE_WEIGHTS))
    }

    pub(crate) fn pick_target(&self, dice: &mut Dice) -> &Target {
        self.targets.pick(dice)
    }

    pub(crate) fn pick_target_of_cluster(&self, cluster: &str, dice: &mut Dice) -> &Target {
        loop {
            let target = dice.pick(self.targets.choices());
            if target.cluster == cluster && target.kind != "node" {
                return target;
            }
        }
    }

    pub(crate) fn storm(&self, dice: &mut Dice) -> Result<(&'static str, usize, usize)> {
        let (cluster, _) = *dice.pick(&CLUSTERS);
        let alert = *dice.pick(&self.storms);
        let causes = &self.alerts.get(alert).context("find a storm")?.causes;
        Ok((cluster, alert, index(dice.below(causes.len() as u64))))
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.targets.choices().len()
    }
}

fn of_sort(alerts: &[Alert], sort: Sort) -> Vec<usize> {
    let alerts = alerts.iter().enumerate();
    let wanted = alerts.filter(|(_, alert)| alert.of == sort);
    wanted.map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn some_targets_have_far_more_incidents_than_most() {
        let fleet = Fleet::new(1).unwrap();
        assert!((3_000..3_800).contains(&fleet.size()), "{}", fleet.size());
        let mut dice = Source::new(1, "test").dice(0);
        let mut incidents = BTreeMap::<_, usize>::new();
        for _ in 0..100_000 {
            let target = fleet.pick_target(&mut dice);
            *incidents
                .entry((target.cluster, target.service))
                .or_default() += 1;
        }
        let most = incidents.values().max().copied().unwrap();
        assert!((1_000..4_000).contains(&most), "{most}");
        assert!(incidents.len() > 2_500, "{}", incidents.len());
    }

    #[test]
    fn every_service_has_alerts_and_every_alert_causes() {
        let fleet = Fleet::new(1).unwrap();
        for service in &fleet.services {
            for (_, causes) in service.problems.choices() {
                assert!(!causes.choices().is_empty(), "{service:?}");
            }
            assert!(!service.problems.choices().is_empty(), "{service:?}");
        }
    }
}
