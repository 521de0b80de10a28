//! `cargo xtask test`: runs every check and test; `--only` runs one step.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::address::URL_VARIABLE as DATABASE_URL;
use crate::database::Database;
use crate::deploy::{self, Deploy};
use crate::kubernetes::{self, Kubernetes};
use crate::minilm::{self, MODEL_VARIABLE, Minilm};
use crate::observability::Observability;
use crate::packages::debian_program::{NGINX, PGBOUNCER};
use crate::process::{on_path, run_live};
use crate::project::Project;
use crate::redis::{Redis, URL_VARIABLE as REDIS_URL};
use crate::schemathesis::Schemathesis;
use crate::service::Service;
use crate::steps::{Step, Steps, tell};
use crate::{bench_check, build, clients, toolchain};

/// Packages that `--only` tests in a step of their own.
const DEVHOST: &str = "devhost";
const CLUSTER: &str = "cluster";
const E2E: &str = "e2e";
const MINILM: &str = "minilm";

/// The module of the tests that compare the components with wit/. What is unused is imported
/// unless it was optimized away.
const WORLDS: &str = "worlds::";

/// The module of the tests in tests/cluster.
const ON_KUBERNETES: &str = "on_kubernetes::";

#[derive(Args)]
pub(crate) struct Options {
    /// Run only this step and its set-up
    #[arg(long, value_enum, value_name = "STEP")]
    only: Option<Check>,
    /// With `--only e2e`: test release builds of the components, not fast-compiling ones
    #[arg(long)]
    release: bool,
    /// Arguments for the step's command, as in `--only e2e -- replay -- --nocapture`
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// A step of the test run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Check the formatting
    Fmt,
    /// Run Clippy; a warning is a failure
    Clippy,
    /// Check the dependencies' licences and sources with cargo-deny, if it is installed
    Deny,
    /// Run every test
    Tests,
    /// Run the unit and property tests of the libraries
    Unit,
    /// Run the tests of tools/devhost
    Devhost,
    /// Run the tests of tools/minilm, with the embedding model
    Minilm,
    /// Test the whole service over HTTP
    E2e,
    /// Send the service requests generated from openapi.json, and check its responses
    Schemathesis,
    /// Use Python and Go clients generated from openapi.json with the service
    Clients,
    /// Test the dashboard, rules and alerts with a Prometheus that scrapes the service
    Observability,
    /// Run a minimal benchmark, and check that it measures everything
    Bench,
    /// Validate deploy/ against the schemas of Kubernetes and spin.toml
    Deploy,
    /// Test deploy/ and access control on the API server of the newest Kubernetes
    Cluster,
}

impl Check {
    /// The steps without `--only`, in order. One command builds all tests: separate ones would
    /// select other features of the same dependencies and compile them again.
    const ALL: [Self; 10] = [
        Self::Fmt,
        Self::Clippy,
        Self::Deny,
        Self::Deploy,
        Self::Tests,
        Self::Cluster,
        Self::Schemathesis,
        Self::Clients,
        Self::Observability,
        Self::Bench,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Tests => "tests",
            Self::Unit => "unit",
            Self::Devhost => DEVHOST,
            Self::Minilm => MINILM,
            Self::E2e => E2E,
            Self::Schemathesis => "schemathesis",
            Self::Clients => "clients",
            Self::Observability => "observability",
            Self::Deploy => "deploy",
            Self::Cluster => CLUSTER,
            Self::Bench => "bench",
        }
    }

    /// Whether it needs the components, the database and Redis.
    fn needs_service(self) -> bool {
        !matches!(
            self,
            Self::Fmt | Self::Clippy | Self::Deny | Self::Minilm | Self::Deploy
        )
    }

    fn component_profile(self, options: &Options) -> &'static str {
        if self == Self::E2e && !options.release {
            build::COMPONENT_TEST
        } else {
            build::RELEASE
        }
    }

    /// The test targets that the step selects; empty for all.
    fn test_targets(self) -> &'static [&'static str] {
        match self {
            Self::E2e => &["api", "host"],
            Self::Cluster => &["cluster"],
            _ => &[],
        }
    }

    fn needs_model(self) -> bool {
        matches!(self, Self::Tests | Self::Minilm)
    }
}

/// Runs the steps in order; the first failure ends the run.
pub(crate) async fn test(options: Options) -> Result<()> {
    let project = Project::find()?;
    let mut steps = Steps::new();
    let checks = match options.only {
        Some(only) => vec![only],
        None => Check::ALL.to_vec(),
    };
    let mut needed = None;
    let mut embedder = None;
    let mut tested = None;
    let mut watched = None;
    let mut is_built = false;

    for check in checks {
        if check == Check::Deny && on_path("cargo-deny").is_none() {
            let why = "cargo-deny is missing: cargo install --locked cargo-deny";
            if options.only.is_some() {
                bail!("The step `deny` cannot run, as {why}");
            }
            let step = steps.begin(check.name());
            steps.end(step, format!("left out, as {why}"));
            continue;
        }
        if check.needs_service() && needed.is_none() {
            let profile = check.component_profile(&options);
            needed = Some(Needed::set_up(&project, profile, &mut steps).await?);
        }
        if let (Check::Bench, Some(needed)) = (check, &needed) {
            let result = bench_check::check(
                &project,
                &needed.database,
                &needed.redis,
                is_built,
                &mut steps,
            )
            .await?;
            let step = steps.begin(check.name());
            steps.end(step, result);
            continue;
        }
        if let (Check::Cluster, Some(needed)) = (check, &needed) {
            let own = options.only.map_or(&[][..], |_| &options.arguments);
            let version = kubernetes::NEWEST;
            let left_out = on_kubernetes(&project, needed, version, own, &mut steps).await?;
            if let (Err(why), Some(_)) = (left_out, options.only) {
                bail!("The step `{CLUSTER}` cannot run: {why}");
            }
            continue;
        }
        if let (Check::Clients, Some(needed)) = (check, &needed) {
            let step = steps.begin("service");
            let devhost = program(&project, DEVHOST, is_built, &step).await?;
            let (service, _) = Service::start_with_new_database(
                &project,
                devhost,
                &needed.database,
                check.name(),
                &needed.redis.variables()?,
                &step,
            )
            .await?;
            steps.end(step, format!("ready for the clients at {}", service.url));
            let step = steps.begin(check.name());
            let result = clients::check(&project, &service.url, &step).await?;
            steps.end(step, result);
            continue;
        }
        if check == Check::Tests {
            let step = steps.begin("build");
            let components = packages_of_components(&project).await?;
            let result = build::tests(&project, &components, &step).await?;
            steps.end(step, result);
            is_built = true;
        }
        let servers = match check {
            Check::Tests => Servers::ALL,
            Check::E2e => {
                let step = steps.begin("build");
                let is_release = check.component_profile(&options) == build::RELEASE;
                let list = test_arguments(&options.arguments, &["--list"]);
                let list = command_of(check, &project, &list).await?;
                let mut selected = build::list_tests(list, &step).await?;
                let all = selected.len();
                selected.retain(|name| is_release || !name.starts_with(WORLDS));
                if selected.len() < all {
                    step.note("left out the tests of wit/, which need --release");
                }
                steps.end(step, format!("{} tests selected", selected.len()));
                Servers::of(&selected)
            }
            _ => Servers::default(),
        };
        if servers.embedder {
            let step = steps.begin("embedder");
            let program = program(&project, MINILM, is_built, &step).await?;
            let (server, result) = Minilm::start(&project, program, &step).await?;
            steps.end(step, result);
            embedder = Some(server);
        }
        // Without `--only`, the arguments are for `cargo test`.
        let own = options.only.map_or(&[][..], |_| &options.arguments);
        let mut arguments = options.arguments.clone();
        if check.component_profile(&options) == build::COMPONENT_TEST {
            arguments = test_arguments(&arguments, &["--skip", WORLDS]);
        }
        let mut command = command_of(check, &project, &arguments).await?;
        if let (Check::Schemathesis, Some(needed)) = (check, &needed) {
            let step = steps.begin("service");
            let devhost = program(&project, DEVHOST, is_built, &step).await?;
            let (started, result) =
                Schemathesis::start(&project, devhost, &needed.database, &needed.redis, &step)
                    .await?;
            steps.end(step, result);
            command = started.command(&project, own);
            tested = Some(started);
        } else if let (Check::Observability, Some(needed)) = (check, &needed) {
            let step = steps.begin("service");
            let devhost = program(&project, DEVHOST, is_built, &step).await?;
            let (started, result) =
                Observability::start(&project, devhost, &needed.database, &step).await?;
            steps.end(step, result);
            command = started.command(&project, own);
            watched = Some(started);
        } else if check == Check::Deploy {
            let step = steps.begin("kubectl");
            let (needed, result) = Deploy::set_up(&project, &step).await?;
            steps.end(step, result);
            command = needed.command(&project, own);
        } else if let Some(needed) = &needed {
            command
                .env(DATABASE_URL, needed.database.address().secret_url())
                .env(REDIS_URL, &needed.redis.url)
                .env("COMPONENTS_PROFILE", needed.profile);
        }
        if check.needs_model() {
            let step = steps.begin("model");
            let (folder, result) = minilm::model_folder(&project, &step).await?;
            steps.end(step, result);
            command.env(MODEL_VARIABLE, folder);
        }
        for (proxy, is_needed) in [(NGINX, servers.nginx), (PGBOUNCER, servers.pgbouncer)] {
            if is_needed {
                let step = steps.begin(proxy.name);
                let (program, result) = proxy.find(&project, &step).await?;
                steps.end(step, result);
                command.env(proxy.variable, program);
            }
        }
        if let Some(embedder) = &embedder {
            command.envs(embedder.environment());
        }
        let program = Path::new(command.get_program());
        let shown: Vec<_> = program
            .file_name()
            .into_iter()
            .chain(command.get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        let step = steps.begin_live(check.name(), &shown.join(" "));
        if !run_live(command).await? {
            bail!(
                "The step `{name}` failed; see its output above. Repeat it with `cargo xtask test \
                 --only {name}`.",
                name = check.name()
            );
        }
        steps.end(step, "passed");
    }
    // Stop the services before the servers that they use.
    drop((tested, watched));
    drop((needed, embedder));
    tell(&format!("\n{}", steps.table()));
    tell(&format!("All passed in {}.", steps.elapsed()));
    Ok(())
}

#[derive(Args)]
pub(crate) struct ClusterOptions {
    /// Arguments for `cargo test`, as in `-- tokens`
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// `cargo xtask cluster-test`: runs the step `cluster` on every version of Kubernetes.
pub(crate) async fn cluster_test(options: ClusterOptions) -> Result<()> {
    let project = Project::find()?;
    let mut steps = Steps::new();
    let needed = Needed::set_up(&project, build::RELEASE, &mut steps).await?;
    for version in kubernetes::VERSIONS {
        let arguments = &options.arguments;
        let done = on_kubernetes(&project, &needed, version, arguments, &mut steps).await?;
        if let Err(why) = done {
            bail!("The tests on Kubernetes {version} cannot run: {why}");
        }
    }
    drop(needed);
    tell(&format!("\n{}", steps.table()));
    tell(&format!("All passed in {}.", steps.elapsed()));
    Ok(())
}

/// Runs tests/cluster on a version of Kubernetes. The inner error says why it cannot be built.
async fn on_kubernetes(
    project: &Project,
    needed: &Needed,
    version: &str,
    arguments: &[String],
    steps: &mut Steps,
) -> Result<Result<(), String>> {
    let step = steps.begin("kubernetes");
    let kubernetes = match Kubernetes::build(project, version, &step).await? {
        Ok(kubernetes) => kubernetes,
        Err(why) => {
            let result = format!("skipped the tests on Kubernetes {version}: {why}");
            steps.end(step, result);
            return Ok(Err(why));
        }
    };
    let (kubectl, from) = deploy::kubectl(project, &step).await?;
    if std::env::var_os(deploy::CRDS_VARIABLE).is_none() {
        step.note("SpinApps are not validated; set SPINKUBE_CRDS_DIR to validate them");
    }
    steps.end(step, format!("{}, {from}", kubernetes.version));

    let mut command = command_of(Check::Cluster, project, arguments).await?;
    command
        .env(DATABASE_URL, needed.database.address().secret_url())
        .env(REDIS_URL, &needed.redis.url)
        .env(kubernetes::PROGRAMS_VARIABLE, &kubernetes.programs)
        .env(deploy::KUBECTL_VARIABLE, kubectl);
    let what = format!(
        "cargo test --package {CLUSTER}, on Kubernetes {}",
        kubernetes.version
    );
    let step = steps.begin_live(CLUSTER, &what);
    if !run_live(command).await? {
        bail!(
            "The step `{CLUSTER}` failed on Kubernetes {version}; see its output above. Repeat it \
             with `cargo xtask test --only {CLUSTER}` (newest version) or `cargo xtask \
             cluster-test` (all)."
        );
    }
    steps.end(step, format!("passed on {}", kubernetes.version));
    Ok(Ok(()))
}

/// The path of the package `name`'s program, built unless all tests were.
async fn program(project: &Project, name: &str, is_built: bool, step: &Step) -> Result<PathBuf> {
    if is_built {
        build::program_path(project, name).await
    } else {
        let components = packages_of_components(project).await?;
        build::program_beside_tests(project, &components, name, step).await
    }
}

/// Servers that only some end-to-end tests use, as their module's name tells.
#[derive(Clone, Copy, Default)]
struct Servers {
    embedder: bool,
    nginx: bool,
    pgbouncer: bool,
}

impl Servers {
    const ALL: Self = Self {
        embedder: true,
        nginx: true,
        pgbouncer: true,
    };

    fn of(tests: &[String]) -> Self {
        let any_in = |module: &str| tests.iter().any(|test| test.starts_with(module));
        Self {
            embedder: any_in("minilm::"),
            nginx: any_in("restart::"),
            pgbouncer: any_in("pgbouncer::"),
        }
    }
}

/// What the tests of the service run against.
struct Needed {
    redis: Redis,
    database: Database,
    profile: &'static str,
}

impl Needed {
    async fn set_up(project: &Project, profile: &'static str, steps: &mut Steps) -> Result<Self> {
        let step = steps.begin("toolchain");
        let result = toolchain::ensure(project, &step).await?;
        steps.end(step, result);

        let step = steps.begin("components");
        // All, not only spin.toml's: the tests of the host have their own.
        let packages = packages_of_components(project).await?;
        let result = build::components(project, &packages, profile, &step).await?;
        steps.end(step, result);

        let step = steps.begin("database");
        let (database, result) = Database::open_for_tests(project, &step).await?;
        steps.end(step, result);

        let step = steps.begin("redis");
        let (redis, result) = Redis::open(project, &step).await?;
        steps.end(step, result);
        Ok(Self {
            redis,
            database,
            profile,
        })
    }
}

async fn command_of(check: Check, project: &Project, arguments: &[String]) -> Result<Command> {
    let mut cargo = project.cargo();
    match check {
        Check::Fmt => {
            cargo.args(["fmt", "--all", "--check"]);
            return Ok(cargo);
        }
        Check::Clippy => {
            cargo.args(["clippy", "--workspace", "--all-targets"]);
            cargo.args(["--", "-D", "warnings"]);
            return Ok(cargo);
        }
        Check::Deny => {
            cargo.args(["deny", "check", "licenses", "bans", "sources"]);
        }
        Check::Unit => {
            test_workspace(&mut cargo, project).await?;
            for package in [CLUSTER, DEVHOST, MINILM, E2E] {
                cargo.args(["--exclude", package]);
            }
        }
        Check::Tests => {
            test_workspace(&mut cargo, project).await?;
            // The step `cluster` runs these.
            cargo.args(test_arguments(arguments, &["--skip", ON_KUBERNETES]));
            return Ok(cargo);
        }
        Check::E2e | Check::Cluster => {
            test_workspace(&mut cargo, project).await?;
            if !arguments.iter().any(|argument| argument == "--test") {
                for target in check.test_targets() {
                    cargo.args(["--test", target]);
                }
            }
        }
        Check::Devhost
        | Check::Minilm
        | Check::Schemathesis
        | Check::Clients
        | Check::Observability
        | Check::Bench
        | Check::Deploy => {
            cargo.args(["test", "--package", check.name()]);
        }
    }
    cargo.args(arguments);
    Ok(cargo)
}

/// Adds `test` for all native packages: the same ones in every step, so that steps share builds.
async fn test_workspace(cargo: &mut Command, project: &Project) -> Result<()> {
    cargo.args(["test", "--workspace"]);
    // Components do not link natively, and have no tests.
    for package in packages_of_components(project).await? {
        cargo.args(["--exclude", &package]);
    }
    Ok(())
}

/// Appends arguments for the test programs, after `--`.
fn test_arguments(arguments: &[String], more: &[&str]) -> Vec<String> {
    let mut all = arguments.to_vec();
    if !all.iter().any(|argument| argument == "--") {
        all.push("--".to_owned());
    }
    all.extend(more.iter().map(|&argument| argument.to_owned()));
    all
}

async fn packages_of_components(project: &Project) -> Result<Vec<String>> {
    let packages = project.metadata().await?.packages.into_iter();
    Ok(packages
        .filter(|package| package.is_component())
        .map(|package| package.name)
        .collect())
}
