//! `bench report`: how fast the service writes and reads, compared with PostgreSQL itself.

mod cases;
mod host;
mod plan;
mod wire;

use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use chrono::Utc;
use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::host::{Application, Host, memory_peak_mib, with_server};
use self::plan::{Group, HostKind, Plan, StoredIncidents};
use crate::case::Case;
use crate::client::Service;
use crate::counting_proxy::CountingProxy;
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::machine::{new_report, version_of};
use crate::measure::Setup;
use crate::pgbench::MIXED_REPEATS_PERCENT;
use crate::record::{Generator, PAYLOAD_BYTES, new_run_id};
use crate::report::{HostMemory, Measure, Mixed, Report, StartUp, markdown};

/// Numbers of connections of the closed loops.
const CONNECTIONS: [usize; 2] = [8, 64];

/// The most connections of an open loop.
const AT_RATE_CONNECTIONS: usize = 64;

/// The seed of records and texts.
const SEED: u64 = 1;

/// The requests per second of the mixed load.
const MIXED_PER_SECOND: [(&str, u32); 3] = [("write-mixed", 300), ("list", 50), ("search", 5)];

/// Measures what a plan says, which `cargo xtask bench` makes.
///
/// Writes report.json and report.md to the plan's folder, and the latter to the standard output.
/// Ends with 1 if a request failed.
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
        "a plan has either a host to start or a service that is running"
    );
    let suite = Suite {
        plan: &plan,
        generator: Generator::new(SEED, &new_run_id(), Utc::now()),
        log: plan.out.join("host.log"),
    };
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut report = suite.new_report().await?;
    let measured = tokio::select! {
        measured = suite.measure(&mut report) => measured,
        // The processes that were started end with what is dropped here.
        _ = terminated.recv() => Err(anyhow!("ended by SIGTERM")),
    };
    // What was measured before an error is worth keeping.
    report.write(&plan.out.join("report.json"))?;
    let text = markdown(&report);
    fs::write(plan.out.join("report.md"), &text).context("write report.md")?;
    println!("{text}");
    measured?;
    let errors = report.error_count();
    if errors > 0 {
        eprintln!("bench: {errors} requests were not answered as they should be");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(plan: &Path) -> Result<String> {
    if plan == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text).context("read the plan")?;
        return Ok(text);
    }
    fs::read_to_string(plan).with_context(|| format!("read the plan {}", plan.display()))
}

/// A manifest and the path that answers 200 when its application is ready.
#[derive(Clone, Copy)]
struct Manifest {
    path: &'static str,
    ready_path: &'static str,
}

const SERVICE: Manifest = Manifest {
    path: "spin.toml",
    ready_path: "/health/ready",
};

const BASELINE: Manifest = Manifest {
    path: "tools/bench/baseline/spin.toml",
    ready_path: "/empty",
};

struct Suite<'a> {
    plan: &'a Plan,
    generator: Generator,
    /// The file for the output of hosts.
    log: PathBuf,
}

impl Suite<'_> {
    async fn new_report(&self) -> Result<Report> {
        let client = Database::parse(&self.first_database()?.url)?
            .connect()
            .await?;
        let mut report = new_report(self.plan.mode, Utc::now(), &client).await?;
        let host = self.plan.host.as_ref();
        let redis = self.plan.redis.as_ref();
        report.is_running_service = host.is_none();
        report.surroundings.host = host.map_or_else(
            || "running already: the commit is that of the benchmark".to_owned(),
            |host| host.name.clone(),
        );
        report.surroundings.redis = redis.map_or_else(String::new, |redis| redis.name.clone());
        report.surroundings.pgbench = version_of(&self.plan.pgbench);
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
            // The service's default, which our own hosts use.
            "embedding_provider": host.map(|_| "local"),
        });
        if let Value::Object(settings) = settings {
            report.settings = settings;
        }
        Ok(report)
    }

    async fn measure(&self, report: &mut Report) -> Result<()> {
        if self.plan.includes(Group::StartUp) {
            self.measure_start_up(report).await?;
        }
        for stored in &self.plan.databases {
            self.measure_database(stored, report).await?;
        }
        if self.plan.includes(Group::Baseline) && self.plan.host.is_some() {
            let (cases, stored) = (cases::baseline(), self.first_database()?);
            let host = self.start(BASELINE, &stored.url, None).await?;
            let setup = self.setup(host.as_ref(), stored).await?;
            let mut measures = setup.measure(&cases, &CONNECTIONS).await?;
            self.stop(host, "baseline", stored, report).await?;
            self.count_wire(BASELINE, stored, &cases, &mut measures)
                .await?;
            report.measures.append(&mut measures);
        }
        Ok(())
    }

    fn first_database(&self) -> Result<&StoredIncidents> {
        self.plan.databases.first().context("a plan has a database")
    }

    async fn measure_start_up(&self, report: &mut Report) -> Result<()> {
        let Some(host) = &self.plan.host else {
            return Ok(());
        };
        let database_url = &self.first_database()?.url;
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.extent().starts {
            let folder = tempfile::tempdir().context("create a folder for compiled components")?;
            // Spin's own cache is in an unknown place, so its starts are all warm.
            let cache = (host.kind == HostKind::Devhost).then(|| folder.path());
            let cold = cache.map(|_| &mut cold);
            for seconds in cold.into_iter().chain([&mut warm]) {
                if let Some(host) = self.start(SERVICE, database_url, cache).await? {
                    seconds.push(host.started_in.as_secs_f64());
                    host.stop().await?;
                }
            }
        }
        for (name, seconds) in [("cold", cold), ("warm", warm)] {
            eprintln!("bench: {name} start: {seconds:.2?} s");
            let name = name.to_owned();
            report.start_up.push(StartUp { name, seconds });
        }
        Ok(())
    }

    async fn measure_database(&self, stored: &StoredIncidents, report: &mut Report) -> Result<()> {
        let is_measured = |group| stored.purpose.includes(group) && self.plan.includes(group);
        let parts: Vec<&str> = [
            (Group::Write, "writes"),
            (Group::Read, "reads"),
            (Group::Mixed, "mixed load"),
        ]
        .into_iter()
        .filter_map(|(group, name)| is_measured(group).then_some(name))
        .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let host = self.start(SERVICE, &stored.url, None).await?;
        let mut setup = self.setup(host.as_ref(), stored).await?;
        let mut cases = Vec::new();
        if is_measured(Group::Write) {
            cases.extend(cases::writes(&self.generator)?);
        }
        if is_measured(Group::Read) {
            cases.extend(self.reads(&setup).await?);
        }
        let mut measures = setup.measure(&cases, &CONNECTIONS).await?;
        setup.duration = self.plan.extent().at_rate;
        for case in &mut cases {
            case.rate_per_second = case.rate_per_second.map(|rate| self.rate(rate));
        }
        let at_rate = setup.measure_at_rate(&cases, AT_RATE_CONNECTIONS).await?;
        report.at_rate.extend(at_rate);
        if is_measured(Group::Mixed) {
            setup.duration = self.plan.extent().mixed;
            report.mixed = self.measure_mixed(&setup).await?;
        }
        self.stop(host, &parts.join(", "), stored, report).await?;
        self.count_wire(SERVICE, stored, &cases, &mut measures)
            .await?;
        report.measures.append(&mut measures);
        Ok(())
    }

    /// The rate of this run: less in a smoke test.
    fn rate(&self, per_second: u32) -> u32 {
        (per_second / self.plan.extent().rate_divisor).max(1)
    }

    /// The reads; none where there is nothing to read, unless they were asked for.
    async fn reads(&self, setup: &Setup<'_>) -> Result<Vec<Case>> {
        let cases = cases::reads(&setup.client, SEED).await?;
        ensure!(
            !cases.is_empty() || self.plan.only.is_none(),
            "there are no incidents to read but what the benchmark wrote: see `bench load`"
        );
        Ok(cases)
    }

    async fn measure_mixed(&self, setup: &Setup<'_>) -> Result<Option<Mixed>> {
        let mut cases = self.reads(setup).await?;
        if cases.is_empty() {
            return Ok(None);
        }
        cases.extend(cases::writes(&self.generator)?);
        setup.settle().await;
        let loads = MIXED_PER_SECOND.map(async |(name, per_second)| {
            let case = cases.iter().find(|case| case.name == name);
            let case = case.with_context(|| format!("there is no case {name}"))?;
            let rate = self.rate(per_second);
            setup
                .at_rate(case, "mixed", rate, AT_RATE_CONNECTIONS)
                .await
        });
        Ok(Some(Mixed {
            incidents: setup.incidents,
            seconds: setup.duration.as_secs_f64(),
            loads: try_join_all(loads).await?,
        }))
    }

    /// Counts what passes between the service and PostgreSQL, with a host of its own.
    async fn count_wire(
        &self,
        manifest: Manifest,
        stored: &StoredIncidents,
        cases: &[Case],
        measures: &mut [Measure],
    ) -> Result<()> {
        if cases.is_empty() || self.plan.host.is_none() {
            return Ok(());
        }
        let database = Database::parse(&stored.url)?;
        let proxy = CountingProxy::start(format!("{}:{}", database.host, database.port)).await?;
        let url = with_server(&stored.url, proxy.address())?;
        let Some(host) = self.start(manifest, &url, None).await? else {
            return Ok(());
        };
        for case in cases {
            let counted = wire::count(&host.service, &proxy, case, &self.generator).await?;
            for measure in measures.iter_mut().filter(|one| one.name == case.name) {
                measure.postgresql_wire = Some(counted);
            }
        }
        host.stop().await
    }

    /// Starts the host; `None` if the service is running already.
    async fn start(
        &self,
        manifest: Manifest,
        database_url: &str,
        cache: Option<&Path>,
    ) -> Result<Option<Host>> {
        let Some(host) = &self.plan.host else {
            return Ok(None);
        };
        let application = Application {
            manifest: manifest.path,
            ready_path: manifest.ready_path,
            database_url,
            redis_url: self.plan.redis.as_ref().map(|redis| redis.url.as_str()),
            cache,
            log: &self.log,
        };
        Host::start(host, &application).await.map(Some)
    }

    /// Notes the memory of a host and stops it.
    async fn stop(
        &self,
        host: Option<Host>,
        name: &str,
        stored: &StoredIncidents,
        report: &mut Report,
    ) -> Result<()> {
        let Some(host) = host else {
            return Ok(());
        };
        let memory = memory_peak_mib(host.pid).map(|peak_mib| HostMemory {
            name: name.to_owned(),
            incidents: stored.incidents,
            peak_mib,
        });
        report.host_memory.extend(memory);
        host.stop().await
    }

    async fn setup(&self, host: Option<&Host>, stored: &StoredIncidents) -> Result<Setup<'_>> {
        let database = Database::parse(&stored.url)?;
        let client = database.connect().await?;
        let service = match (host, &self.plan.service) {
            (Some(host), _) => host.service.clone(),
            (None, Some(service)) => Service::parse(&service.url)?,
            (None, None) => bail!("there is no service to measure"),
        };
        if host.is_none() {
            service.require_ready().await?;
        }
        let host_pid = host.map(|host| host.pid);
        let redis_pid = self.plan.redis.as_ref().and_then(|redis| redis.pid);
        let extent = self.plan.extent();
        Ok(Setup {
            service,
            meter: Meter::new(host_pid, redis_pid, process_of(&client).await?)?,
            client,
            database,
            is_disposable: host.is_some(),
            incidents: stored.incidents,
            generator: &self.generator,
            pgbench: Some(&self.plan.pgbench),
            rounds: extent.rounds,
            warm_up: extent.warm_up,
            duration: extent.duration,
        })
    }
}
