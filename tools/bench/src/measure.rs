//! Measures a service beside pgbench, round by round.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use futures::future::try_join;
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::Client;

use crate::case::{Case, Requests};
use crate::client::{Request, Service};
use crate::cpu::{Meter, Usage};
use crate::database::Database;
use crate::load::{self, Errors, Load, add_error};
use crate::log;
use crate::pgbench::{self, BARE_TABLE, Script, VECTOR_TABLE, make_vectors};
use crate::record::Generator;
use crate::report::{AtRate, Latency, Measure};

/// The pause before each measurement, in which the last one's connections end.
const SETTLING_PAUSE: Duration = Duration::from_millis(300);

/// A service with its database, and how to measure them.
pub(crate) struct Setup<'a> {
    pub(crate) service: Service,
    pub(crate) client: Client,
    pub(crate) database: Database,
    /// Whether the database is only there to be measured, so that pgbench may write to it.
    pub(crate) is_disposable: bool,
    /// Stored before the run.
    pub(crate) incidents: u64,
    pub(crate) meter: Meter,
    pub(crate) generator: &'a Generator,
    pub(crate) pgbench: Option<&'a Path>,
    pub(crate) rounds: usize,
    /// Before each measurement: connections are opened, statements planned, and most pages written
    /// to the WAL that must be written whole after a checkpoint.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What was read at the beginning and the end of the measured part of a load.
struct Window {
    times: Range<SystemTime>,
    used: Usage,
    wal_bytes: f64,
    hot_update_share: Option<f64>,
}

impl Setup<'_> {
    /// Measures cases at numbers of connections. Every second round is reversed, so that slow changes
    /// (growing tables, a warming machine) do not always affect the same cases.
    pub(crate) async fn measure(
        &self,
        cases: &[Case],
        connections: &[usize],
    ) -> Result<Vec<Measure>> {
        if self.is_disposable && cases.iter().any(|case| case.bare.is_some()) {
            let made = self.client.batch_execute(BARE_TABLE).await;
            made.context("make a table for bare INSERTs")?;
        }
        let mut measures = Vec::new();
        for case in cases {
            for connections in connections {
                let measure = Measure {
                    name: case.name.clone(),
                    incidents: self.incidents,
                    connections: *connections as u64,
                    ..Measure::default()
                };
                measures.push((case, *connections, measure, load::histogram()?));
            }
        }
        for round in 0..self.rounds {
            let is_reversed = round % 2 == 1;
            let mut order: Vec<_> = measures.iter_mut().collect();
            if is_reversed {
                order.reverse();
            }
            for (case, connections, measure, latencies) in order {
                if is_reversed {
                    self.run_pgbench(case, *connections, round, measure).await?;
                }
                self.settle().await;
                let taken = self.run_service(case, *connections, round, measure).await?;
                latencies.add(taken).context("add the latencies up")?;
                if !is_reversed {
                    self.run_pgbench(case, *connections, round, measure).await?;
                }
                let efficiency = efficiency(measure);
                // JSON has no other numbers.
                let finite = efficiency.filter(|efficiency| efficiency.is_finite());
                measure.efficiency.extend(finite);
                eprintln!(
                    "bench: round {} of {}: {}, {} incidents, {connections} connections: {:.0}/s, \
                     efficiency {:.2}, {} errors so far",
                    round + 1,
                    self.rounds,
                    case.name,
                    self.incidents,
                    measure.service_per_second.last().unwrap_or(&0.0),
                    efficiency.unwrap_or(f64::NAN),
                    measure.errors.values().sum::<u64>()
                );
            }
        }
        let finished = measures.into_iter().map(|(_, _, mut measure, latencies)| {
            measure.closed_loop_latency = Some(Latency::new(&latencies));
            measure
        });
        Ok(finished.collect())
    }

    /// Runs a closed loop and adds a round to the measure; returns the latencies in microseconds.
    pub(crate) async fn run_service(
        &self,
        case: &Case,
        connections: usize,
        round: usize,
        measure: &mut Measure,
    ) -> Result<Histogram<u64>> {
        let series = format!("{}-{connections}-{round}", case.name);
        let request = |number| case.requests.make(self.generator, &series, number);
        let load = self.load(connections, &request);
        let run = load::run_closed_loop(&load);
        let (mut outcome, window) = try_join(run, self.window()).await?;
        self.count_lost(case, &series, &mut outcome).await?;
        let answered = outcome.answered();
        let cpu = &mut measure.cpu_ms_per_request;
        cpu.host.extend(each(window.used.host, answered));
        cpu.postgresql.extend(each(window.used.postgres, answered));
        cpu.redis.extend(each(window.used.redis, answered));
        cpu.load_generator.extend(each(window.used.load, answered));
        let rate = answered as f64 / self.duration.as_secs_f64();
        measure.service_per_second.push(rate);
        measure.hot_update_share.extend(window.hot_update_share);
        if case.requests.are_writes() {
            let bytes = window.wal_bytes / answered.max(1) as f64;
            measure.wal_bytes_per_request.push(bytes);
        }
        for (error, count) in outcome.errors {
            add_error(&mut measure.errors, &error, count);
        }
        Ok(outcome.latencies)
    }

    /// Runs pgbench, with the scripts of the case that may be run, and adds a round to the measure.
    async fn run_pgbench(
        &self,
        case: &Case,
        connections: usize,
        round: usize,
        measure: &mut Measure,
    ) -> Result<()> {
        let series = format!("pgbench-{}-{connections}-{round}", case.name);
        if let Some(script) = &case.script
            && let Some(run) = self
                .run_script(script, &case.requests, &series, connections, round)
                .await?
        {
            let errors = &mut measure.errors;
            if case.requests.are_writes() {
                let written = run.successful * case.requests.records();
                self.end_writes(&series, written, errors).await?;
            }
            run.add_errors(errors);
            measure.pgbench_per_second.push(run.per_second);
            let cpu = &mut measure.pgbench_cpu_ms_per_request;
            cpu.postgresql.extend(run.postgresql_ms);
            cpu.load_generator.extend(run.load_generator_ms);
        }
        if let Some(script) = &case.bare
            && let Some(run) = self
                .run_script(script, &case.requests, &series, connections, round)
                .await?
        {
            run.add_errors(&mut measure.errors);
            measure.bare_per_second.push(run.per_second);
            measure.bare_postgresql_ms.extend(run.postgresql_ms);
        }
        if let Some(script) = &case.rows {
            let series = format!("rows-{}-{connections}-{round}", case.name);
            let run = self.run_script(script, &case.requests, &series, connections, round);
            if let Some(run) = run.await? {
                let errors = &mut measure.errors;
                self.end_writes(&series, run.successful, errors).await?;
                run.add_errors(errors);
                measure.rows_per_second.push(run.per_second);
                measure.rows_postgresql_ms.extend(run.postgresql_ms);
            }
        }
        Ok(())
    }

    /// Counts what pgbench committed and the database lacks, and logs the rest: else the service's next
    /// writes would.
    async fn end_writes(&self, series: &str, written: u64, errors: &mut Errors) -> Result<()> {
        let lost = written.saturating_sub(self.count_stored(series).await?);
        add_error(errors, "pgbench: committed and not stored", lost);
        log::drain(&self.service, &self.client).await
    }

    /// Runs pgbench with a script, if it may be run; `series` tells its records from those of others.
    async fn run_script(
        &self,
        script: &Script,
        requests: &Requests,
        series: &str,
        connections: usize,
        round: usize,
    ) -> Result<Option<ScriptRun>> {
        let Some(program) = self.pgbench else {
            return Ok(None);
        };
        let mut script = script.clone();
        if requests.are_writes() {
            // Its records are not real ones.
            if !self.is_disposable {
                return Ok(None);
            }
            let prefix = ("prefix".to_owned(), self.generator.prefix(series));
            script.variables.push(prefix);
            if script.text.contains(VECTOR_TABLE) {
                make_vectors(&self.client, self.generator).await?;
            }
        }
        self.settle().await;
        let before = self.meter.read()?;
        // Still running when the window ends: its time begins when it has connected.
        let time = self.warm_up + self.duration;
        let seed = round + 1;
        let run = pgbench::run(program, &self.database, &script, connections, time, seed);
        let (logs, window) = try_join(run, self.window()).await?;
        // A child's CPU time is known when it has ended, and so only that of its whole run.
        let own = self.meter.read()?.since(&before).load;
        let counted = pgbench::count(&logs, &window.times)?;
        let seconds = window.times.end.duration_since(window.times.start)?;
        Ok(Some(ScriptRun {
            successful: counted.successful,
            failed: counted.failed,
            per_second: counted.within as f64 / seconds.as_secs_f64(),
            postgresql_ms: each(window.used.postgres, counted.within),
            load_generator_ms: each(own, counted.successful),
        }))
    }

    /// Runs an open loop. `part` tells its records from those of others.
    pub(crate) async fn at_rate(
        &self,
        case: &Case,
        part: &str,
        per_second: u32,
        connections: usize,
    ) -> Result<AtRate> {
        let series = format!("{}-{part}", case.name);
        let request = |number| case.requests.make(self.generator, &series, number);
        let load = self.load(connections, &request);
        let mut outcome = load::run_at_rate(&load, per_second).await?;
        self.count_lost(case, &series, &mut outcome).await?;
        let latency = Latency::new(&outcome.latencies);
        let failed: u64 = outcome.errors.values().sum();
        eprintln!(
            "bench: {}, {} incidents, {per_second}/s: p50 {:.1} ms, max {:.1} ms, {failed} errors",
            case.name,
            self.incidents,
            latency.p50_ms.unwrap_or(f64::NAN),
            latency.max_ms.unwrap_or(f64::NAN),
        );
        Ok(AtRate {
            name: case.name.clone(),
            incidents: self.incidents,
            connections: connections as u64,
            per_second: per_second.into(),
            requests: outcome.answered() + failed,
            errors: outcome.errors,
            latency,
        })
    }

    fn load<'a>(
        &'a self,
        connections: usize,
        request: &'a dyn Fn(u64) -> Result<Request>,
    ) -> Load<'a> {
        Load {
            service: &self.service,
            connections,
            warm_up: self.warm_up,
            duration: self.duration,
            request,
        }
    }

    /// Lets the last measurement's work end and the next one begin after a checkpoint.
    pub(crate) async fn settle(&self) {
        sleep(SETTLING_PAUSE).await;
        if self.is_disposable {
            // Only some users may.
            let _ = self.client.batch_execute("CHECKPOINT").await;
        }
    }

    /// Waits for the warm-up and the measured part of a load, and reads the counters around the latter.
    async fn window(&self) -> Result<Window> {
        sleep(self.warm_up).await;
        // The counters take a busy database a while, which belongs to the measured part.
        let measured = Instant::now() + self.duration;
        let (start, before) = (SystemTime::now(), self.meter.read()?);
        let (wal, updates, hot_updates) = self.database_counters().await?;
        sleep_until(measured).await;
        let (end, after) = (SystemTime::now(), self.meter.read()?);
        let (wal_then, updates_then, hot_updates_then) = self.database_counters().await?;
        let updates = updates_then - updates;
        Ok(Window {
            times: start..end,
            used: after.since(&before),
            wal_bytes: wal_then - wal,
            hot_update_share: (updates > 0.0).then(|| (hot_updates_then - hot_updates) / updates),
        })
    }

    /// Bytes of WAL so far, updates of incidents, and HOT updates among them. PostgreSQL's processes
    /// report updates once a second.
    async fn database_counters(&self) -> Result<(f64, f64, f64)> {
        let row = self
            .client
            .query_one(
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::double precision, \
                     n_tup_upd::double precision, n_tup_hot_upd::double precision \
                 FROM pg_stat_user_tables WHERE relid = 'incidents'::regclass",
                &[],
            )
            .await
            .context("read the counters of the database")?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    }

    /// Adds the records to the errors that were answered and are not stored.
    async fn count_lost(
        &self,
        case: &Case,
        series: &str,
        outcome: &mut load::Outcome,
    ) -> Result<()> {
        if !case.requests.are_writes() {
            return Ok(());
        }
        let answered = outcome.answered_in_all * case.requests.records();
        let lost = answered.saturating_sub(self.count_stored(series).await?);
        add_error(&mut outcome.errors, "answered and not stored", lost);
        Ok(())
    }

    /// The stored records of a series.
    async fn count_stored(&self, series: &str) -> Result<u64> {
        let stored: i64 = self
            .client
            .query_one(
                "SELECT count(*) FROM incidents \
                 JOIN incident_records ON incident_id = incidents.id \
                 WHERE correlation_id >= $1 AND correlation_id < $1 || '~'",
                &[&self.generator.prefix(series)],
            )
            .await
            .and_then(|row| row.try_get(0))
            .context("count the stored records")?;
        Ok(u64::try_from(stored).unwrap_or(0))
    }
}

/// A run of pgbench with a script. Times are per transaction.
struct ScriptRun {
    successful: u64,
    failed: u64,
    per_second: f64,
    postgresql_ms: Option<f64>,
    load_generator_ms: Option<f64>,
}

impl ScriptRun {
    fn add_errors(&self, errors: &mut Errors) {
        add_error(errors, "pgbench: failed transaction", self.failed);
        let nothing = u64::from(self.per_second == 0.0);
        add_error(errors, "pgbench: no transaction", nothing);
    }
}

/// The service's rate divided by pgbench's in the last round, if both have one.
fn efficiency(measure: &Measure) -> Option<f64> {
    let pgbench = measure.pgbench_per_second.last()?;
    Some(measure.service_per_second.last()? / pgbench)
}

/// Milliseconds per request.
fn each(seconds: Option<f64>, requests: u64) -> Option<f64> {
    seconds.map(|seconds| seconds * 1_000.0 / requests.max(1) as f64)
}
