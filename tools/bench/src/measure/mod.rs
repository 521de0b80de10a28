//! `bench report`: how fast the service writes and reads, beside PostgreSQL itself.

mod at_rate;
mod case;
mod host;
mod oha;
mod plan;
mod requests;
mod stage;
mod start_up;
mod wires;
mod wrk;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::{SecondsFormat, Utc};
use clap::Args;
use futures::future::try_join_all;
use serde_json::{Map, json};
use tokio::signal::unix::{SignalKind, signal};

use self::at_rate::AT_RATE_CONNECTIONS;
use self::case::Case;
use self::host::{Application, Host, memory_peak_mib, with_server};
use self::plan::{Group, Plan, StoredIncidents};
use self::stage::Stage;
use self::wrk::Wrk;
use crate::client::{Service, require_ready};
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::machine::{commit, surroundings, version_of};
use crate::markdown;
use crate::pgbench::MIXED_REPEATS_PERCENT;
use crate::record::Generator;
use crate::report_file::{HostMemory, Measure, Mixed, MixedLoad, Report, VERSION};
use crate::run_id::run_id_from_clock;
use crate::wire::CountingProxy;

/// How many connections send at once.
const CONNECTIONS: [usize; 2] = [8, 64];

/// What records and texts are made from.
const SEED: u64 = 1;

/// The size of a remediation's original payload, in bytes.
const PAYLOAD_BYTES: usize = 200;

/// What arrives in a second while writes, lists and searches arrive at once.
const MIXED_PER_SECOND: [(&str, u64); 3] = [("write-mixed", 300), ("list", 50), ("search", 5)];

/// Measures what a plan says, which `cargo xtask bench` makes.
///
/// Writes report.json and report.md to the plan's folder, and the latter to the standard output.
/// Ends with 1 when a request failed.
#[derive(Args)]
pub(crate) struct Options {
    /// The plan's JSON; `-` is the standard input. It is a file or a pipe since it holds passwords.
    #[arg(long)]
    plan: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let plan = Plan::parse(&read(&options.plan)?)?;
    ensure!(
        plan.host.is_some() != plan.service.is_some(),
        "a plan has either a host to start or a service that is up"
    );
    let bench = Bench::new(&plan)?;
    let mut end = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut report = bench.begin().await?;
    let measured = tokio::select! {
        measured = bench.measure(&mut report) => measured,
        // What was started for the run ends with what is dropped here.
        _ = end.recv() => Err(anyhow!("ended by SIGTERM")),
    };
    // What was measured before something failed is worth having, too.
    report.write(&plan.out.join("report.json"))?;
    let shown = markdown::markdown(&report);
    fs::write(plan.out.join("report.md"), &shown).context("write report.md")?;
    println!("{shown}");
    measured?;
    let errors = report.error_count();
    if errors > 0 {
        eprintln!("bench: {errors} requests were not answered as they should be");
    }
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read(plan: &Path) -> Result<String> {
    if plan == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text).context("read the plan")?;
        return Ok(text);
    }
    fs::read_to_string(plan).with_context(|| format!("read the plan {}", plan.display()))
}

struct Bench<'a> {
    plan: &'a Plan,
    generator: Generator,
    wrk: Wrk,
    log: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        Ok(Self {
            plan,
            generator: Generator::new(SEED, &run_id_from_clock(), Utc::now(), PAYLOAD_BYTES),
            wrk: Wrk::new(&plan.programs.wrk)?,
            log: plan.out.join("host.log"),
        })
    }

    async fn measure(&self, report: &mut Report) -> Result<()> {
        if self.plan.includes(Group::StartUp) {
            self.measure_start_up(report).await?;
        }
        for stored in &self.plan.databases {
            self.measure_database(stored, report).await?;
        }
        if self.plan.includes(Group::Baseline) {
            self.measure_baseline(report).await?;
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Report> {
        let first = self
            .plan
            .databases
            .first()
            .context("a plan has a database")?;
        let client = Database::parse(&first.url)?.connect().await?;
        let mut surroundings = surroundings(&client).await?;
        let host = self.plan.host.as_ref();
        surroundings.host = host.map_or_else(
            || "already up: the commit is that of the benchmark".to_owned(),
            |host| host.name.clone(),
        );
        let redis = self.plan.redis.as_ref();
        surroundings.redis = redis.map_or_else(String::new, |redis| redis.name.clone());
        let programs = &self.plan.programs;
        surroundings.wrk = version_of(&programs.wrk, "-v");
        surroundings.oha = version_of(&programs.oha, "--version");
        surroundings.pgbench = version_of(&programs.pgbench, "--version");
        let commit = commit();
        Ok(Report {
            version: VERSION,
            date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            commit: commit.id,
            commit_subject: commit.subject,
            commit_date: commit.date,
            is_running_service: host.is_none(),
            mode: self.plan.mode,
            surroundings,
            settings: self.settings(),
            start_up: Vec::new(),
            host_memory: Vec::new(),
            measures: Vec::new(),
            at_rate: Vec::new(),
            mixed: None,
        })
    }

    fn settings(&self) -> Map<String, serde_json::Value> {
        let extent = self.plan.extent();
        let settings = json!({
            "rounds": extent.rounds,
            "seconds": extent.duration.as_secs(),
            "warm_up_seconds": extent.warm_up.as_secs(),
            "at_rate_seconds": extent.at_rate.as_secs(),
            "connections": CONNECTIONS,
            "seed": SEED,
            "payload_bytes": PAYLOAD_BYTES,
            "mixed_repeats_percent": MIXED_REPEATS_PERCENT,
            // The default of the service, which a host of ours has.
            "embedding_provider": self.plan.host.as_ref().map(|_| "local"),
        });
        match settings {
            serde_json::Value::Object(settings) => settings,
            _ => Map::new(),
        }
    }

    async fn measure_database(&self, stored: &StoredIncidents, report: &mut Report) -> Result<()> {
        let has = |group| stored.purpose.includes(group) && self.plan.includes(group);
        let [has_writes, has_reads, is_mixed] = [Group::Write, Group::Read, Group::Mixed].map(has);
        if !has_writes && !has_reads && !is_mixed {
            return Ok(());
        }
        let host = self
            .start("spin.toml", "/health/ready", &stored.url)
            .await?;
        let stage = self.stage(host.as_ref(), stored).await?;
        let mut cases = Vec::new();
        if has_writes {
            cases.extend(case::writes(&self.generator)?);
        }
        if has_reads {
            cases.extend(self.reads(&stage).await?);
        }
        let first = report.measures.len();
        report
            .measures
            .extend(stage.measure(&cases, &CONNECTIONS).await?);
        report.at_rate.extend(stage.measure_at_rate(&cases).await?);
        if is_mixed {
            report.mixed = self.measure_mixed(&stage).await?;
        }
        let Some(host) = host else {
            return Ok(());
        };
        let asked = [
            (has_writes, "writes"),
            (has_reads, "reads"),
            (is_mixed, "mixed load"),
        ];
        let asked = asked
            .into_iter()
            .filter_map(|(is, name)| is.then_some(name));
        let name = asked.collect::<Vec<_>>().join(", ");
        report
            .host_memory
            .extend(host_memory(&host, name, stored.incidents));
        host.stop().await?;
        let manifest = ("spin.toml", "/health/ready");
        let measures = report.measures.iter_mut().skip(first);
        self.count_wire(stored, manifest, &cases, measures).await
    }

    /// The reads; none where there is nothing to read, unless they were asked for.
    async fn reads(&self, stage: &Stage<'_>) -> Result<Vec<Case>> {
        let cases = case::reads(&stage.client, SEED).await?;
        ensure!(
            !cases.is_empty() || self.plan.only.is_none(),
            "there are no incidents to read but what the benchmark wrote: see `bench load`"
        );
        Ok(cases)
    }

    async fn measure_mixed(&self, stage: &Stage<'_>) -> Result<Option<Mixed>> {
        let mut cases = self.reads(stage).await?;
        if cases.is_empty() {
            return Ok(None);
        }
        cases.extend(case::writes(&self.generator)?);
        stage.settle().await;
        for case in &cases {
            let name = format!("{}-mixed", case.name);
            stage.warm_up(case, AT_RATE_CONNECTIONS, &name).await?;
        }
        let duration = self.plan.extent().mixed;
        let loads = MIXED_PER_SECOND.map(async |(name, per_second)| {
            let case = cases.iter().find(|case| case.name == name);
            let case = case.with_context(|| format!("there is no case {name}"))?;
            stage.at_rate(case, "mixed", per_second, duration).await
        });
        let loads = try_join_all(loads).await?;
        let load = |load: crate::report_file::AtRate| MixedLoad {
            name: load.name,
            per_second: load.per_second,
            requests: load.requests,
            replayed: load.replayed,
            errors: load.errors,
            latency: load.latency,
        };
        Ok(Some(Mixed {
            incidents: stage.incidents,
            seconds: duration.as_secs_f64(),
            loads: loads.into_iter().map(load).collect(),
        }))
    }

    async fn measure_baseline(&self, report: &mut Report) -> Result<()> {
        let manifest = ("tools/bench/baseline/spin.toml", "/empty");
        let stored = self
            .plan
            .databases
            .first()
            .context("a plan has a database")?;
        let Some(host) = self.start(manifest.0, manifest.1, &stored.url).await? else {
            return Ok(());
        };
        let stage = self.stage(Some(&host), stored).await?;
        let cases = case::baseline();
        let first = report.measures.len();
        report
            .measures
            .extend(stage.measure(&cases, &CONNECTIONS).await?);
        let memory = host_memory(&host, "baseline".to_owned(), stored.incidents);
        report.host_memory.extend(memory);
        host.stop().await?;
        let measures = report.measures.iter_mut().skip(first);
        self.count_wire(stored, manifest, &cases, measures).await
    }

    /// Counts what passes between the service and PostgreSQL, with a host of its own.
    async fn count_wire(
        &self,
        stored: &StoredIncidents,
        (manifest, ready_path): (&'static str, &'static str),
        cases: &[Case],
        measures: impl Iterator<Item = &mut Measure>,
    ) -> Result<()> {
        if cases.is_empty() {
            return Ok(());
        }
        let database = Database::parse(&stored.url)?;
        let proxy = CountingProxy::start(format!("{}:{}", database.host, database.port)).await?;
        let url = with_server(&stored.url, proxy.address())?;
        let Some(host) = self.start(manifest, ready_path, &url).await? else {
            return Ok(());
        };
        let mut counted = BTreeMap::new();
        for case in cases {
            let wire = wires::count(&host.service, &proxy, case, &self.generator).await?;
            counted.insert(case.name, wire);
        }
        for measure in measures {
            measure.postgresql_wire = counted.get(measure.name.as_str()).copied();
        }
        host.stop().await
    }

    /// Starts the host, unless a service is up already.
    async fn start(
        &self,
        manifest: &'static str,
        ready_path: &'static str,
        database_url: &str,
    ) -> Result<Option<Host>> {
        self.start_with(manifest, ready_path, database_url, None)
            .await
    }

    async fn start_with(
        &self,
        manifest: &'static str,
        ready_path: &'static str,
        database_url: &str,
        cache: Option<&Path>,
    ) -> Result<Option<Host>> {
        let Some(host) = &self.plan.host else {
            return Ok(None);
        };
        let application = Application {
            manifest,
            ready_path,
            database_url,
            redis_url: self.plan.redis.as_ref().map(|redis| redis.url.as_str()),
            cache,
            log: &self.log,
        };
        Host::start(host, &application).await.map(Some)
    }

    async fn stage(&self, host: Option<&Host>, stored: &StoredIncidents) -> Result<Stage<'_>> {
        let database = Database::parse(&stored.url)?;
        let client = database.connect().await?;
        let (service, host_pid) = match (host, &self.plan.service) {
            (Some(host), _) => (host.service.clone(), Some(host.pid)),
            (None, Some(service)) => (Service::parse(&service.url)?, None),
            (None, None) => bail!("there is no service to measure"),
        };
        if host.is_none() {
            require_ready(&service).await?;
        }
        let redis_pid = self.plan.redis.as_ref().and_then(|redis| redis.pid);
        let meter = Meter::new(host_pid, redis_pid, process_of(&client).await?)?;
        Ok(Stage {
            service,
            client,
            database,
            is_ours: self.plan.host.is_some(),
            incidents: stored.incidents,
            meter,
            generator: &self.generator,
            wrk: &self.wrk,
            oha: &self.plan.programs.oha,
            pgbench: &self.plan.programs.pgbench,
            extent: self.plan.extent(),
        })
    }
}

fn host_memory(host: &Host, name: String, incidents: u64) -> Option<HostMemory> {
    memory_peak_mib(host.pid).map(|peak_mib| HostMemory {
        name,
        incidents,
        peak_mib,
    })
}
