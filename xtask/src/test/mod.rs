//! `cargo xtask test`: runs every check and test; `--only` runs one step.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::address::URL_VARIABLE as DATABASE_URL;
use crate::database::Database;
use crate::deploy::Deploy;
use crate::kubernetes;
use crate::log_verifiers::{self, LogVerifiers};
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

mod check;
mod cluster;

use self::check::{CLUSTER, Check, DEVHOST, MINILM, WORLDS, command_of, test_arguments};
use self::cluster::on_kubernetes;
pub(crate) use self::cluster::{ClusterOptions, cluster_test};

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
        if let Some(why) = missing(check, &project).await? {
            if options.only.is_some() {
                bail!("The step `{}` cannot run, as {why}", check.name());
            }
            let step = steps.begin(check.name());
            steps.end(step, format!("left out, as {why}"));
            continue;
        }
        if check.needs_service() && needed.is_none() {
            let profile = check.component_profile(options.release);
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
        if let (Check::Log, Some(needed)) = (check, &needed) {
            let step = steps.begin("service");
            let devhost = program(&project, DEVHOST, is_built, &step).await?;
            let export = program(&project, log_verifiers::EXPORT, is_built, &step).await?;
            let (started, result) = LogVerifiers::start(
                &project,
                devhost,
                export,
                &needed.database,
                &needed.redis,
                &step,
            )
            .await?;
            steps.end(step, result);
            let step = steps.begin(check.name());
            let result = started.check(&project, &step).await?;
            steps.end(step, result);
            continue;
        }
        if check == Check::Tests {
            let step = steps.begin("build");
            let result = build::tests(&project, &step).await?;
            steps.end(step, result);
            is_built = true;
        }
        let servers = match check {
            Check::Tests => Servers::ALL,
            Check::E2e => {
                let step = steps.begin("build");
                let is_release = check.component_profile(options.release) == build::RELEASE;
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
        if check.component_profile(options.release) == build::COMPONENT_TEST {
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

/// What a step needs that this machine lacks.
async fn missing(check: Check, project: &Project) -> Result<Option<String>> {
    match check {
        Check::Deny if on_path("cargo-deny").is_none() => Ok(Some(
            "cargo-deny is missing: cargo install --locked cargo-deny".to_owned(),
        )),
        Check::Log => log_verifiers::missing(project).await,
        _ => Ok(None),
    }
}

/// The path of the package `name`'s program, built unless all tests were.
async fn program(project: &Project, name: &str, is_built: bool, step: &Step) -> Result<PathBuf> {
    if is_built {
        build::program_path(project, name).await
    } else {
        build::program_beside_tests(project, name, step).await
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
        let packages = project.components().await?;
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
