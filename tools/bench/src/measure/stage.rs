//! A service with its database: where cases are measured.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::case::{Case, What};
use super::plan::Extent;
use super::requests::templates;
use super::wrk::{NOTHING_ANSWERED, Wrk};
use crate::client::Service;
use crate::cpu::{Meter, Usage};
use crate::database::Database;
use crate::pgbench::PgBench;
use crate::record::Generator;
use crate::report_file::{CpuTime, Latency, Measure, Rounds};

/// The pause before each measure, in which the connections of the last one end.
const SETTLING_PAUSE: Duration = Duration::from_millis(300);

/// A service with its database.
pub(super) struct Stage<'a> {
    /// The service.
    pub(super) service: Service,
    /// A connection to its database.
    pub(super) client: Client,
    /// Its database.
    pub(super) database: Database,
    /// Whether that is there to be measured only, and thrown away.
    pub(super) is_ours: bool,
    /// How many incidents that had before the run, about.
    pub(super) incidents: u64,
    /// Who used how much of the processors.
    pub(super) meter: Meter,
    /// What makes records.
    pub(super) generator: &'a Generator,
    /// What sends as much as it can.
    pub(super) wrk: &'a Wrk,
    /// The program that sends at a constant rate.
    pub(super) oha: &'a std::path::Path,
    /// The program that runs the statements without the service.
    pub(super) pgbench: &'a std::path::Path,
    /// How often and how long.
    pub(super) extent: Extent,
}

/// What one side of a measure came to in one round.
struct Taken {
    per_second: f64,
    requests: u64,
    errors: BTreeMap<String, u64>,
    latency: Latency,
    used: Usage,
    wal_bytes: f64,
    hot_update_share: Option<f64>,
}

/// What pgbench came to in one round.
struct WithoutService {
    per_second: f64,
    errors: BTreeMap<String, u64>,
    cpu: PgbenchCpu,
}

/// CPU time of a transaction, in milliseconds.
struct PgbenchCpu {
    postgres: Option<f64>,
    load_generator: Option<f64>,
}

impl Stage<'_> {
    /// Measures cases at numbers of connections, in rounds, every second one backwards: what
    /// drifts meanwhile (tables that grow, a machine that warms up) is not to fall on the same ones
    /// each time.
    pub(super) async fn measure(
        &self,
        cases: &[Case],
        connections: &[usize],
    ) -> Result<Vec<Measure>> {
        let pairs = || {
            cases
                .iter()
                .flat_map(|case| connections.iter().map(move |n| (case, *n)))
        };
        let mut measures: Vec<Measure> = pairs()
            .map(|(case, connections)| self.begin(case, connections))
            .collect();
        let mut latencies: Vec<Vec<Latency>> = vec![Vec::new(); measures.len()];
        for round in 0..self.extent.rounds {
            let mut order: Vec<_> = pairs()
                .zip(measures.iter_mut().zip(&mut latencies))
                .collect();
            let is_backwards = round % 2 == 1;
            if is_backwards {
                order.reverse();
            }
            for ((case, connections), (measure, latencies)) in order {
                let mut without_service = None;
                if is_backwards {
                    without_service = self.take_pgbench(case, connections, round).await?;
                }
                let taken = self.take_service(case, connections, round).await?;
                if !is_backwards {
                    without_service = self.take_pgbench(case, connections, round).await?;
                }
                self.say(round, case, connections, &taken, without_service.as_ref());
                latencies.push(taken.latency);
                add(measure, taken, without_service);
            }
        }
        for (measure, latencies) in measures.iter_mut().zip(latencies) {
            measure.closed_loop_latency = Some(median(&latencies));
        }
        Ok(measures)
    }

    /// Asks for a case before it is measured: the service makes its connections to the database,
    /// those plan their statements, and the pages that a checkpoint has cleaned are logged whole.
    /// What is written has a name that begins with `warm-up`.
    pub(super) async fn warm_up(&self, case: &Case, connections: usize, name: &str) -> Result<()> {
        let name = format!("warm-up-{name}");
        let make = |sort| templates(self.generator, sort, &name);
        let requests = case.what.requests(make)?;
        let url = self.service.to_string();
        let run = self
            .wrk
            .run(&url, &requests, connections, self.extent.warm_up);
        let mut errors = run.await?.errors;
        // Many searches at once can take as long as this.
        errors.remove(NOTHING_ANSWERED);
        ensure!(
            errors.is_empty(),
            "{} failed before it was measured: {errors:?}",
            case.name
        );
        Ok(())
    }

    fn begin(&self, case: &Case, connections: usize) -> Measure {
        Measure {
            name: case.name.to_owned(),
            incidents: self.incidents,
            connections: connections as u64,
            service_per_second: Rounds::default(),
            pgbench_per_second: Rounds::default(),
            efficiency: Rounds::default(),
            errors: BTreeMap::new(),
            closed_loop_latency: None,
            cpu_ms_per_request: CpuTime::default(),
            pgbench_cpu_ms_per_request: CpuTime::default(),
            postgresql_wire: None,
            wal_bytes_per_request: Rounds::default(),
            hot_update_share: Rounds::default(),
        }
    }

    async fn take_service(&self, case: &Case, connections: usize, round: usize) -> Result<Taken> {
        let name = format!("{}-{connections}-{round}", case.name);
        let make = |sort| templates(self.generator, sort, &name);
        let requests = case.what.requests(make)?;
        self.settle().await;
        self.warm_up(case, connections, &name).await?;
        let (updates, hot_updates) = self.updates().await?;
        let (wal, before) = (self.wal_position().await?, self.meter.read()?);
        let url = self.service.to_string();
        let outcome = self
            .wrk
            .run(&url, &requests, connections, self.extent.duration);
        let outcome = outcome.await?;
        let used = self.meter.read()?.since(&before);
        let wal_bytes = self.wal_position().await? - wal;
        let (updates_then, hot_updates_then) = self.updates().await?;
        let (updates, hot_updates) = (updates_then - updates, hot_updates_then - hot_updates);
        let mut errors = outcome.errors;
        let mut served = outcome.answered;
        if let What::Write(_) = case.what {
            let stored = self.stored(&name).await?;
            let lost = outcome.answered.saturating_sub(stored);
            if lost > 0 {
                errors.insert("answered and not stored".to_owned(), lost);
            }
            // wrk does not wait for the last answers.
            served = served.max(stored);
        }
        Ok(Taken {
            per_second: outcome.per_second,
            requests: served + errors.values().sum::<u64>(),
            errors,
            latency: outcome.latency,
            used,
            wal_bytes,
            hot_update_share: (updates > 0.0).then(|| hot_updates / updates),
        })
    }

    async fn take_pgbench(
        &self,
        case: &Case,
        connections: usize,
        round: usize,
    ) -> Result<Option<WithoutService>> {
        let Some(script) = &case.script else {
            return Ok(None);
        };
        let mut script = script.clone();
        if let What::Write(_) = case.what {
            // Its records are made up in SQL: nothing to be left in somebody's store.
            if !self.is_ours {
                return Ok(None);
            }
            let name = format!("pgbench-{}-{connections}-{round}", case.name);
            let prefix = ("prefix".to_owned(), self.generator.prefix(&name));
            script.variables.push(prefix);
        }
        let pgbench = PgBench::new(self.pgbench.to_owned(), &self.database, connections)?;
        self.settle().await;
        let begun = self.meter.read()?;
        let Extent {
            warm_up, duration, ..
        } = self.extent;
        let run = pgbench.run_unread(&script, warm_up + duration, round as u64 + 1);
        // pgbench counts its time from when it has connected, and so is still running at the end.
        let window = async {
            sleep(warm_up).await;
            let (from, before) = (SystemTime::now(), self.meter.read()?);
            sleep(duration).await;
            let (until, after) = (SystemTime::now(), self.meter.read()?);
            anyhow::Ok((from..until, after.since(&before)))
        };
        let (summary, (window, used)) = try_join(run, window).await?;
        let counted = pgbench.count_within(&window)?;
        let seconds = window.end.duration_since(window.start)?.as_secs_f64();
        let per_second = counted as f64 / seconds;
        let cpu = PgbenchCpu {
            postgres: each(used.postgres, counted),
            // A child's time is known when it has ended, and so that of all of it.
            load_generator: each(self.meter.read()?.since(&begun).load, summary.transactions),
        };
        let mut errors = BTreeMap::new();
        if summary.failed > 0 {
            errors.insert("pgbench: failed transaction".to_owned(), summary.failed);
        }
        if counted == 0 {
            errors.insert("pgbench: no transaction".to_owned(), 1);
        }
        Ok(Some(WithoutService {
            per_second,
            errors,
            cpu,
        }))
    }

    /// Lets the last measure's work end, so that the next one begins where the others do: after a
    /// checkpoint.
    pub(super) async fn settle(&self) {
        sleep(SETTLING_PAUSE).await;
        if self.is_ours {
            // Only some users may.
            let _ = self.client.batch_execute("CHECKPOINT").await;
        }
    }

    /// Where the write-ahead log ends, in bytes from its beginning.
    async fn wal_position(&self) -> Result<f64> {
        self.client
            .query_one(
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::double precision",
                &[],
            )
            .await
            .and_then(|row| row.try_get(0))
            .context("ask where the write-ahead log ends")
    }

    /// How often incidents were updated, and how often without a new entry in any index (HOT), as far
    /// as PostgreSQL's processes have said so: they do once a second.
    async fn updates(&self) -> Result<(f64, f64)> {
        let row = self
            .client
            .query_one(
                "SELECT n_tup_upd::double precision, n_tup_hot_upd::double precision \
                 FROM pg_stat_user_tables WHERE relid = 'incidents'::regclass",
                &[],
            )
            .await
            .context("ask how often incidents were updated")?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// How many records with such names are stored.
    pub(super) async fn stored(&self, name: &str) -> Result<u64> {
        let prefix = self.generator.prefix(name);
        let count: i64 = self
            .client
            .query_one(
                "SELECT count(*) FROM incidents \
                 JOIN incident_records ON incident_id = incidents.id \
                 WHERE correlation_id >= $1 AND correlation_id < $1 || '~'",
                &[&prefix],
            )
            .await
            .and_then(|row| row.try_get(0))
            .context("count what was stored")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn say(
        &self,
        round: usize,
        case: &Case,
        connections: usize,
        taken: &Taken,
        without_service: Option<&WithoutService>,
    ) {
        let beside = without_service.map_or_else(String::new, |without| {
            format!(
                " beside {:.0}/s of pgbench: {:.2}",
                without.per_second,
                taken.per_second / without.per_second
            )
        });
        eprintln!(
            "bench: round {} of {}: {}, {} incidents, {connections} connections: {:.0}/s{beside}, \
             {} errors",
            round + 1,
            self.extent.rounds,
            case.name,
            self.incidents,
            taken.per_second,
            taken.errors.values().sum::<u64>()
        );
    }
}

/// Adds a round to a measure.
fn add(measure: &mut Measure, taken: Taken, without_service: Option<WithoutService>) {
    let (used, requests) = (taken.used, taken.requests);
    let cpu = &mut measure.cpu_ms_per_request;
    for (rounds, seconds) in [
        (&mut cpu.host, used.host),
        (&mut cpu.postgresql, used.postgres),
        (&mut cpu.redis, used.redis),
        (&mut cpu.load_generator, used.load),
    ] {
        rounds.0.extend(each(seconds, requests));
    }
    measure.service_per_second.0.push(taken.per_second);
    measure.hot_update_share.0.extend(taken.hot_update_share);
    if measure.name.starts_with("write") {
        let bytes = taken.wal_bytes / requests.max(1) as f64;
        measure.wal_bytes_per_request.0.push(bytes);
    }
    for (error, count) in taken.errors {
        *measure.errors.entry(error).or_default() += count;
    }
    let Some(without) = without_service else {
        return;
    };
    let cpu = &mut measure.pgbench_cpu_ms_per_request;
    cpu.postgresql.0.extend(without.cpu.postgres);
    cpu.load_generator.0.extend(without.cpu.load_generator);
    measure.pgbench_per_second.0.push(without.per_second);
    measure
        .efficiency
        .0
        .push(taken.per_second / without.per_second);
    for (error, count) in without.errors {
        *measure.errors.entry(error).or_default() += count;
    }
}

/// Milliseconds of each request.
fn each(seconds: Option<f64>, requests: u64) -> Option<f64> {
    seconds.map(|seconds| seconds * 1_000.0 / requests.max(1) as f64)
}

/// The medians of latencies over the rounds, and the greatest of all.
fn median(latencies: &[Latency]) -> Latency {
    let middle = |value: fn(&Latency) -> Option<f64>| {
        let values: Vec<f64> = latencies.iter().filter_map(value).collect();
        Rounds(values).median()
    };
    Latency {
        mean_ms: middle(|latency| latency.mean_ms),
        p50_ms: middle(|latency| latency.p50_ms),
        p90_ms: middle(|latency| latency.p90_ms),
        p95_ms: middle(|latency| latency.p95_ms),
        p99_ms: middle(|latency| latency.p99_ms),
        p99_9_ms: middle(|latency| latency.p99_9_ms),
        max_ms: latencies
            .iter()
            .filter_map(|latency| latency.max_ms)
            .reduce(f64::max),
    }
}
