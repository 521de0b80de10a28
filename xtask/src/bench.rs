//! `cargo xtask bench`: compares the service's speed with PostgreSQL's own.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::bench_databases::{BenchDatabases, of_running_service};
use crate::build::{self, Host, HostChoice, Profile};
use crate::database::Database;
use crate::log_key;
use crate::process::{command, output_of, run, run_live};
use crate::project::Project;
use crate::redis::Redis;
use crate::steps::{Step, Steps, tell};
use crate::toolchain;

/// Names a running service to measure.
const SERVICE_VARIABLE: &str = "DATA_STORAGE_URL";

/// Earlier reports, which the page compares with.
const KEPT_REPORTS: &str = "docs/benchmarks";

const REPORT: [&str; 3] = ["report.json", "report.md", "report.html"];

/// Components that do almost nothing, for comparison.
const BASELINE: [&str; 2] = ["baseline-empty", "baseline-select-1"];

#[derive(Args)]
pub(crate) struct Options {
    /// Take under ten minutes once everything is built, without a million incidents
    #[arg(long)]
    quick: bool,
    /// Only check that the benchmark works; the numbers mean nothing
    #[arg(long, hide = true, conflicts_with = "quick")]
    smoke: bool,
    /// Measure only these groups
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GROUPS")]
    only: Vec<Group>,
    /// Rounds per measurement
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: Option<u64>,
    /// Seconds per measurement, except for those at a constant rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// The folder for the report [default: .data/bench/TIME]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The program that runs the components
    #[arg(long, value_enum, default_value = "auto")]
    host: HostChoice,
    /// Whether the workspace's programs are built already
    #[arg(skip)]
    is_built: bool,
}

/// Measurements that `--only` selects.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// New records
    Write,
    /// Batches of 1 to 500 new records, beside single writes and bare INSERTs
    Batch,
    /// Lists, single incidents, searches, outcomes and exports
    Read,
    /// Writes, lists and searches at once
    Mixed,
    /// The tamper-evident log: what it costs writes, and how fast it proves records
    Log,
    /// Components that do almost nothing
    Baseline,
    /// The service's start-up time
    StartUp,
}

/// How thorough a run is.
#[derive(Clone, Copy)]
struct Extent {
    mode: &'static str,
    /// Incidents in each database that is read.
    sizes: &'static [u64],
    profile: Profile,
}

const FULL: Extent = Extent {
    mode: "full",
    sizes: &[20_000, 1_000_000],
    profile: Profile::Optimized,
};

const QUICK: Extent = Extent {
    mode: "quick",
    sizes: &[20_000],
    profile: Profile::Optimized,
};

const SMOKE: Extent = Extent {
    mode: "smoke",
    sizes: &[500],
    profile: Profile::Dev,
};

impl Options {
    pub(crate) fn smoke(is_built: bool) -> Self {
        Self {
            quick: false,
            smoke: true,
            only: Vec::new(),
            rounds: None,
            seconds: None,
            out: None,
            host: HostChoice::Devhost,
            is_built,
        }
    }

    fn extent(&self) -> Extent {
        match (self.smoke, self.quick) {
            (true, _) => SMOKE,
            (_, true) => QUICK,
            _ => FULL,
        }
    }
}

/// Sets everything up, measures, and prints the report's paths.
pub(crate) async fn bench(options: Options) -> Result<()> {
    let project = Project::find()?;
    let out = project.root.join(match &options.out {
        Some(out) => out.clone(),
        None => {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            project.data.join("bench").join(seconds.to_string())
        }
    });
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut steps = Steps::new();
    let is_right = match std::env::var(SERVICE_VARIABLE) {
        Ok(url) if !url.is_empty() => {
            measure_running(&project, &options, &url, &out, &mut steps).await?
        }
        _ => measure_own(&project, &options, &out, &mut steps).await?,
    };
    if !is_right {
        bail!(
            "Requests got unexpected responses or a measurement failed: see above. If this command \
             started the service, its log is {}.",
            out.join("host.log").display()
        );
    }
    tell(&format!("\n{}", steps.table()));
    for name in REPORT {
        tell(&out.join(name).display().to_string());
    }
    Ok(())
}

async fn measure_running(
    project: &Project,
    options: &Options,
    url: &str,
    out: &Path,
    steps: &mut Steps,
) -> Result<bool> {
    let step = steps.begin("database");
    let (databases, result) = of_running_service(&step).await?;
    steps.end(step, result);
    let pgbench = pgbench(project, steps).await?;
    let plan = [
        ("service", json!({"url": url})),
        ("pgbench", pgbench),
        ("databases", databases),
    ];
    measure(project, options, plan, out, steps).await
}

/// Builds this checkout's components, starts services and measures them.
async fn measure_own(
    project: &Project,
    options: &Options,
    out: &Path,
    steps: &mut Steps,
) -> Result<bool> {
    let step = steps.begin("database");
    let (database, result) = if options.smoke {
        Database::open_for_tests(project, &step).await?
    } else {
        Database::open(project, &step).await?
    };
    steps.end(step, result);

    let step = steps.begin("toolchain");
    let result = toolchain::ensure(project, &step).await?;
    steps.end(step, result);

    let step = steps.begin("components");
    let mut packages = project.component_packages()?;
    packages.extend(BASELINE.map(str::to_owned));
    let result = build::components(project, &packages, build::RELEASE, &step).await?;
    steps.end(step, result);

    let step = steps.begin("redis");
    let (redis, result) = Redis::open(project, &step).await?;
    steps.end(step, result);
    measure_with(project, options, &database, &redis, out, steps).await
}

/// Measures services of this checkout, whose components are built.
pub(crate) async fn measure_with(
    project: &Project,
    options: &Options,
    database: &Database,
    redis: &Redis,
    out: &Path,
    steps: &mut Steps,
) -> Result<bool> {
    let extent = options.extent();
    let step = steps.begin("host");
    let (host, result) = if options.is_built {
        let path = build::program_path(project, "devhost").await?;
        (Host::Devhost(path), "tools/devhost, built".to_owned())
    } else {
        build::host(project, options.host, extent.profile, &step).await?
    };
    let host = host_plan(project, &host, extent.profile).await?;
    steps.end(step, result);
    let pgbench = pgbench(project, steps).await?;

    let step = steps.begin("data sets");
    let (databases, result) =
        BenchDatabases::set_up(project, database, extent.sizes, options.is_built, &step).await?;
    steps.end(step, result);

    let plan = [
        ("host", host),
        ("pgbench", pgbench),
        (
            "redis",
            json!({"url": redis.url, "pid": redis.process(), "name": redis.from}),
        ),
        ("databases", databases.plan()),
    ];
    let is_right = measure(project, options, plan, out, steps).await;
    let cleaned_up = databases.clean_up(database).await;
    // Report the first failure.
    let is_right = is_right?;
    cleaned_up?;
    Ok(is_right)
}

async fn host_plan(project: &Project, host: &Host, profile: Profile) -> Result<Value> {
    let (program, kind, name) = match host {
        Host::Spin(program) => {
            let mut ask = command(program);
            ask.arg("--version");
            (program, "spin", output_of(ask).await?)
        }
        Host::Devhost(program) => {
            let wasmtime = project.locked_version("wasmtime")?;
            let profile = profile.name();
            let name = format!("tools/devhost on wasmtime {wasmtime}, profile {profile}");
            (program, "devhost", name)
        }
    };
    Ok(json!({
        "program": program,
        "kind": kind,
        "name": name,
        "root": project.root,
        "log_signing_key": log_key::local(project)?.to_secret_text(),
    }))
}

async fn pgbench(project: &Project, steps: &mut Steps) -> Result<Value> {
    let step = steps.begin("pgbench");
    let pgbench = crate::postgres::program(project, "pgbench", &step).await?;
    steps.end(step, pgbench.display().to_string());
    Ok(json!(pgbench))
}

/// Runs `bench report` on a plan and `bench page` on its report; true if no request failed.
async fn measure(
    project: &Project,
    options: &Options,
    plan: impl IntoIterator<Item = (&'static str, Value)>,
    out: &Path,
    steps: &mut Steps,
) -> Result<bool> {
    let only: Vec<_> = options.only.iter().filter_map(name_of).collect();
    let asked = [
        ("mode", options.extent().mode.into()),
        ("out", json!(out)),
        ("only", json!((!only.is_empty()).then_some(only))),
        ("rounds", json!(options.rounds)),
        ("seconds", json!(options.seconds)),
    ];
    let plan = plan
        .into_iter()
        .chain(asked)
        .map(|(key, value)| (key.to_owned(), value));
    let plan = Value::Object(plan.collect());

    for name in REPORT {
        fs::remove_file(out.join(name)).ok();
    }
    let step = steps.begin("bench");
    let bench = bench_program(project, options.is_built, &step).await?;
    steps.end(step, "tools/bench, built");
    let step = steps.begin_live("measuring", "bench report");
    let file = PlanFile::write(out, &plan)?;
    let mut report = command(&bench);
    report
        .current_dir(&project.root)
        .args(["report", "--plan"])
        .arg(&file.0);
    let is_right = run_live(report).await?;
    drop(file);
    steps.end(step, "measured");

    if out.join("report.json").is_file() {
        let step = steps.begin("page");
        let mut page = command(&bench);
        page.current_dir(&project.root)
            .args(["page", "--reports", KEPT_REPORTS, "--report"])
            .arg(out.join("report.json"))
            .arg("--out")
            .arg(out.join("report.html"));
        let made = run(page, &step, None).await?;
        if !made.success {
            bail!("`bench page` cannot render the report: {}", made.last(5));
        }
        steps.end(step, "report.html");
    }
    Ok(is_right)
}

/// Path of tools/bench, built if needed.
pub(crate) async fn bench_program(
    project: &Project,
    is_built: bool,
    step: &Step,
) -> Result<PathBuf> {
    if is_built {
        build::program_path(project, "bench").await
    } else {
        // Optimized, as the host is: they share the machine.
        build::program(project, "bench", Profile::Optimized, step).await
    }
}

fn name_of(group: &Group) -> Option<String> {
    Some(group.to_possible_value()?.get_name().to_owned())
}

/// A plan in a file that only this user can read: it holds a key, and its URLs passwords. Removed when dropped.
struct PlanFile(PathBuf);

impl PlanFile {
    fn write(folder: &Path, plan: &Value) -> Result<Self> {
        let path = folder.join("plan.json");
        fs::remove_file(&path).ok();
        let written = File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(plan.to_string().as_bytes()));
        let file = Self(path);
        written.with_context(|| format!("cannot write {}", file.0.display()))?;
        Ok(file)
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}
