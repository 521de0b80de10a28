//! Runs tests/observability: the dashboard, rules and alerts in deploy/observability with a
//! Prometheus that scrapes a service. `prometheus` and `promtool` come from PATH, else from
//! Debian's package, which needs only the C library.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::database::Database;
use crate::packages::apt;
use crate::process::{command, on_path};
use crate::project::Project;
use crate::python::{packages, python};
use crate::redis::Redis;
use crate::service::{Service, settle_port};
use crate::steps::Step;

const PURPOSE: &str = "The metrics parser for the tests of deploy/observability";
const INSTEAD: &str = "The other steps of `cargo xtask test` do not need it.";

const FOLDER: &str = "tests/observability";

/// Suites to search for the package, oldest first: the expressions must work with it.
const SUITES: [&str; 3] = ["bookworm", "trixie", "testing"];

/// The model that the service requests from the provider.
const MODEL: &str = "stand-in-model";

/// A service and the programs that test its metrics.
pub(crate) struct Observability {
    service: Service,
    _redis: Redis,
    /// Address at which the tests' embedding provider listens.
    provider: String,
    /// The service's database, which the tests make fail.
    database_url: String,
    python: PathBuf,
    packages: PathBuf,
    programs: Programs,
}

impl Observability {
    /// Downloads what is missing, and starts a service with a new database and its own Redis, so
    /// that no other service's counters are in its metrics.
    pub(crate) async fn start(
        project: &Project,
        devhost: PathBuf,
        database: &Database,
        step: &Step,
    ) -> Result<(Self, String)> {
        let python = python(PURPOSE, INSTEAD, step).await?;
        let list = project.root.join(FOLDER).join("requirements.txt");
        let packages = packages(project, "observability", &list, PURPOSE, INSTEAD, step).await?;
        let programs = Programs::find(project, step).await?;
        let (redis, _) = Redis::start(project, step).await?;
        let provider = settle_port((Ipv4Addr::LOCALHOST, 0).into())?.to_string();
        let mut variables = redis.variables()?;
        variables.extend([
            ("embedding_provider", "openai".to_owned()),
            ("embedding_base_url", format!("http://{provider}/v1")),
            ("embedding_host", format!("http://{provider}")),
            ("embedding_model", MODEL.to_owned()),
            ("embedding_deadline_milliseconds", "10000".to_owned()),
        ]);
        let (service, address) = Service::start_with_new_database(
            project,
            devhost,
            database,
            "observability",
            &variables,
            step,
        )
        .await?;
        let result = format!("ready at {}, for Prometheus {}", service.url, programs.from);
        let started = Self {
            service,
            _redis: redis,
            provider,
            database_url: address.secret_url().to_owned(),
            python,
            packages,
            programs,
        };
        Ok((started, result))
    }

    pub(crate) fn command(&self, project: &Project, arguments: &[String]) -> Command {
        let mut test = command(&self.python);
        test.current_dir(project.root.join(FOLDER))
            .env("PYTHONPATH", &self.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DATA_STORAGE_URL", &self.service.url)
            .env("DATABASE_URL", &self.database_url)
            .env("PROVIDER_LISTEN", &self.provider)
            .env("PROVIDER_MODEL", MODEL)
            .env("PROMETHEUS", &self.programs.prometheus)
            .env("PROMTOOL", &self.programs.promtool)
            .args(["-m", "unittest", "--verbose"])
            .args(arguments);
        test
    }
}

/// Prometheus, and the checker of its rules.
struct Programs {
    prometheus: PathBuf,
    promtool: PathBuf,
    from: &'static str,
}

impl Programs {
    async fn find(project: &Project, step: &Step) -> Result<Self> {
        if let (Some(prometheus), Some(promtool)) = (on_path("prometheus"), on_path("promtool")) {
            return Ok(Self {
                prometheus,
                promtool,
                from: "from PATH",
            });
        }
        let _lock = project.lock("prometheus", step).await?;
        let folder = apt::unpacked(project, "prometheus", &SUITES, step)
            .await
            .context(
                "The tests of deploy/observability need prometheus and promtool 2.42 or newer, \
                 on PATH or from Debian's package prometheus",
            )?;
        Ok(Self::in_package(&folder))
    }

    fn in_package(folder: &Path) -> Self {
        Self {
            prometheus: folder.join("usr/bin/prometheus"),
            promtool: folder.join("usr/bin/promtool"),
            from: "from Debian's package",
        }
    }
}
