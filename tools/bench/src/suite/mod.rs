//! `bench report`: how fast the service writes and reads, compared with PostgreSQL itself.

mod batch;
mod cases;
mod export;
mod host;
mod plan;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use futures::future::try_join_all;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::host::{Application, BASELINE, SERVICE, memory_peak_mib, with_server};
use self::plan::{Group, HostKind, Plan, StoredIncidents};
use crate::case::Case;
use crate::client::Service;
use crate::counting_proxy::CountingProxy;
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::log::{self, Part};
use crate::machine::{entries, new_report, version_of};
use crate::measure::Setup;
use crate::pgbench::MIXED_REPEATS_PERCENT;
use crate::record::{Generator, PAYLOAD_BYTES};
use crate::report::{HostMemory, Measure, Mixed, Report, StartUp, markdown};
use crate::server::Server;

/// Numbers of connections of the closed loops.
const CONNECTIONS: [usize; 2] = [8, 64];

/// The most connections of an open loop.
const AT_RATE_CONNECTIONS: usize = 64;

/// The requests per second of the mixed load.
const MIXED_PER_SECOND: [(&str, u32); 3] = [("write-mixed", 300), ("list", 50), ("search", 5)];

/// Measures what a plan says, which `cargo xtask bench` makes.
///
/// Writes report.json and report.md to the plan's folder, and the latter to the standard output.
/// Ends with 1 if a request failed.
#[derive(Args)]
pub(crate) struct Options {
    /// The plan's JSON. It is a file since it holds passwords.
    #[arg(long)]
    plan: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let plan = fs::read_to_string(&options.plan).context("read the plan")?;
    let plan: Plan = serde_json::from_str(&plan).context("read the plan of the run")?;
    ensure!(
        plan.host.is_some() != plan.service.is_some(),
        "a plan has either a host to start or a service that is running"
    );
    let suite = Suite {
        plan: &plan,
        generator: Generator::new()?,
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

/// The peak memory of a host after some loads.
fn memory(host: &Server, loads: &str, stored: &StoredIncidents) -> Option<HostMemory> {
    memory_peak_mib(host.pid).map(|peak_mib| HostMemory {
        name: loads.to_owned(),
        incidents: stored.incidents,
        peak_mib,
    })
}

struct Suite<'a> {
    plan: &'a Plan,
    generator: Generator,
}

impl Suite<'_> {
    async fn new_report(&self) -> Result<Report> {
        let database = Database::parse(&self.first_database()?.url)?;
        let mut report = new_report(self.plan.mode, &database.connect().await?).await?;
        let host = self.plan.host.as_ref();
        let redis = self.plan.redis.as_ref();
        report.is_running_service = host.is_none();
        let running = "running already: the commit is that of the benchmark";
        report.surroundings.extend(entries([
            ("host", host.map_or(running, |host| &host.name).into()),
            ("redis", json!(redis.map(|redis| &redis.name))),
            ("pgbench", version_of(&self.plan.pgbench).into()),
        ]));
        let (extent, batches) = (self.plan.extent(), self.plan.batch_extent());
        report.settings = entries([
            ("rounds", extent.rounds.into()),
            ("seconds", extent.duration.as_secs().into()),
            ("warm_up_seconds", extent.warm_up.as_secs().into()),
            ("at_rate_seconds", extent.at_rate.as_secs().into()),
            ("connections", json!(CONNECTIONS)),
            ("batch_rounds", batches.rounds.into()),
            ("batch_seconds", batches.duration.as_secs().into()),
            ("payload_bytes", PAYLOAD_BYTES.into()),
            ("mixed_repeats_percent", MIXED_REPEATS_PERCENT.into()),
            // The service's default, which our own hosts use.
            ("embedding_provider", json!(host.map(|_| "local"))),
        ]);
        Ok(report)
    }

    async fn measure(&self, report: &mut Report) -> Result<()> {
        if self.plan.includes(Group::StartUp) {
            self.measure_start_up(report).await?;
        }
        for stored in &self.plan.databases {
            let groups: &[Group] = match stored.purpose {
                Group::All => &[Group::Write, Group::Read, Group::Mixed],
                _ => &[stored.purpose],
            };
            self.measure_groups(groups, SERVICE, stored, report).await?;
        }
        self.measure_batches(report).await?;
        self.measure_exports(report).await?;
        self.measure_log(report).await?;
        if self.plan.host.is_some() {
            let stored = self.first_database()?;
            let groups = [Group::Baseline];
            self.measure_groups(&groups, BASELINE, stored, report)
                .await?;
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
                if let Some(mut host) = self.start(SERVICE, database_url, cache).await? {
                    seconds.push(host.started_in.as_secs_f64());
                    host.end(Signal::SIGTERM).await?;
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

    /// Measures the log in the copy of a data set, which is disposable, and how it is read in the
    /// largest data set, whose records it logs first.
    async fn measure_log(&self, report: &mut Report) -> Result<()> {
        let databases = self.plan.databases.iter();
        let copy = databases.clone().find(|one| one.purpose == Group::Mixed);
        let (Some(copy), true) = (copy, self.plan.includes(Group::Log)) else {
            return Ok(());
        };
        let largest = databases.max_by_key(|one| one.incidents);
        let largest = largest.filter(|one| one.incidents > copy.incidents);
        let (all, reads): (&[Part], &[Part]) = (&Part::ALL, &[Part::Reads]);
        let databases = largest.map(|largest| (largest, reads));
        for (stored, parts) in [(copy, all)].into_iter().chain(databases) {
            let Some(mut host) = self.start(SERVICE, &stored.url, None).await? else {
                return Ok(());
            };
            let mut setup = self.setup(Some(&host), stored).await?;
            log::measure(&mut setup, parts, &self.plan.log_extent(), report).await?;
            host.end(Signal::SIGTERM).await?;
        }
        Ok(())
    }

    /// Measures those of some groups that are in the plan, with an application and a database.
    async fn measure_groups(
        &self,
        groups: &[Group],
        application: Application,
        stored: &StoredIncidents,
        report: &mut Report,
    ) -> Result<()> {
        let is_measured = |group| groups.contains(&group) && self.plan.includes(group);
        let mut parts = vec![
            (Group::Write, "writes"),
            (Group::Read, "reads"),
            (Group::Mixed, "mixed load"),
            (Group::Baseline, "baseline"),
        ];
        parts.retain(|(group, _)| is_measured(*group));
        if parts.is_empty() {
            return Ok(());
        }
        let host = self.start(application, &stored.url, None).await?;
        let mut setup = self.setup(host.as_ref(), stored).await?;
        let mut cases = Vec::new();
        for (group, _) in &parts {
            match group {
                Group::Write => cases.extend(cases::writes(&self.generator)?),
                Group::Read => cases.extend(self.reads(&setup).await?),
                Group::Baseline => cases.extend(cases::baseline()),
                _ => {}
            }
        }
        let measures = setup.measure(&cases, &CONNECTIONS).await?;
        setup.duration = self.plan.extent().at_rate;
        let mut outcomes = Vec::new();
        if is_measured(Group::Read) {
            outcomes = cases::outcomes(&setup.client).await?;
        }
        for case in cases.iter().chain(&outcomes) {
            if let Some(rate) = case.rate_per_second {
                setup.settle().await;
                let rate = self.rate(rate);
                let load = setup.at_rate(case, "rate", rate, AT_RATE_CONNECTIONS);
                report.at_rate.push(load.await?);
            }
        }
        if is_measured(Group::Mixed) {
            setup.duration = self.plan.extent().mixed;
            if setup.is_disposable {
                // The data set's entries are not part of the load.
                log::drain(&setup.service, &setup.client).await?;
            }
            report.mixed = self.measure_mixed(&setup).await?;
        }
        if let Some(mut host) = host {
            let names: Vec<_> = parts.iter().map(|(_, name)| *name).collect();
            let memory = memory(&host, &names.join(", "), stored);
            report.host_memory.extend(memory);
            host.end(Signal::SIGTERM).await?;
        }
        let measures = self.count_wire(application, stored, &cases, measures);
        report.measures.extend(measures.await?);
        Ok(())
    }

    /// The rate of this run: less in a smoke test.
    fn rate(&self, per_second: u32) -> u32 {
        (per_second / self.plan.extent().rate_divisor).max(1)
    }

    /// The reads; none where there is nothing to read, unless they were asked for.
    async fn reads(&self, setup: &Setup<'_>) -> Result<Vec<Case>> {
        let cases = cases::reads(&setup.client).await?;
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
            let load = setup.at_rate(case, "mixed", rate, AT_RATE_CONNECTIONS);
            load.await
        });
        Ok(Some(Mixed {
            incidents: setup.incidents,
            seconds: setup.duration.as_secs_f64(),
            loads: try_join_all(loads).await?,
        }))
    }

    /// Adds what passes between the service and PostgreSQL, counted with a host of its own.
    async fn count_wire(
        &self,
        application: Application,
        stored: &StoredIncidents,
        cases: &[Case],
        mut measures: Vec<Measure>,
    ) -> Result<Vec<Measure>> {
        if cases.is_empty() || self.plan.host.is_none() {
            return Ok(measures);
        }
        let database = Database::parse(&stored.url)?;
        let proxy = CountingProxy::start(format!("{}:{}", database.host, database.port)).await?;
        let url = with_server(&stored.url, proxy.address)?;
        let Some(mut host) = self.start(application, &url, None).await? else {
            return Ok(measures);
        };
        for case in cases {
            let counted = wire::count(&host.service, &proxy, case, &self.generator).await?;
            for measure in measures.iter_mut().filter(|one| one.name == case.name) {
                measure.postgresql_wire = Some(counted);
            }
        }
        host.end(Signal::SIGTERM).await?;
        Ok(measures)
    }

    /// Starts the host; `None` if the service is running already.
    async fn start(
        &self,
        application: Application,
        database_url: &str,
        cache: Option<&Path>,
    ) -> Result<Option<Server>> {
        let Some(host) = &self.plan.host else {
            return Ok(None);
        };
        let server = host::start(self.plan, host, application, database_url, cache);
        server.await.map(Some)
    }

    async fn setup(&self, host: Option<&Server>, stored: &StoredIncidents) -> Result<Setup<'_>> {
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
