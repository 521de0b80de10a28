//! Schemathesis, which reads openapi.json, asks the service everything that follows from it, and
//! looks whether the answers are as the document says. It is a Python program; its requirements
//! are downloaded once, in the versions that xtask/schemathesis/requirements.txt has.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use crate::build::Host;
use crate::database::Database;
use crate::migrate;
use crate::process::{command, run};
use crate::project::Project;
use crate::redis::Redis;
use crate::service::{Service, settle_port};
use crate::steps::Step;
use crate::wheel::{DOWNLOAD_WAIT_MAX, python};

const PURPOSE: &str = "Schemathesis, which tests the service against openapi.json,";
const INSTEAD: &str = "The other steps of `cargo xtask test` do not need it.";

/// Its files in the checkout.
const FOLDER: &str = "xtask/schemathesis";

/// How many requests it makes up for an operation, beside the examples and the systematic ones.
const EXAMPLES_MAX: u32 = 15;

/// A service to be tested, and what tests it.
pub(crate) struct Schemathesis {
    service: Service,
    python: PathBuf,
    packages: PathBuf,
}

impl Schemathesis {
    /// Downloads what is missing, and starts a service with a new database.
    pub(crate) async fn start(
        project: &Project,
        devhost: PathBuf,
        database: &Database,
        redis: &Redis,
        step: &Step,
    ) -> Result<(Self, String)> {
        let python = python(PURPOSE, INSTEAD, step).await?;
        let packages = packages(project, &python, step).await?;
        let host = Host::Devhost(devhost);
        let name = format!("schemathesis_{}", Uuid::new_v4().simple());
        let address = database.create(&name).await?;
        migrate::apply(&address, step).await?;
        let listen = settle_port((Ipv4Addr::LOCALHOST, 0).into())?;
        let users = database.users_of(&address).await?;
        let variables = redis.variables()?;
        let service = Service::start(project, &host, listen, &users, &variables, step).await?;
        let result = format!("for the service at {}", service.url);
        let started = Self {
            service,
            python,
            packages,
        };
        Ok((started, result))
    }

    /// The command that tests the service.
    pub(crate) fn command(&self, project: &Project, arguments: &[String]) -> Command {
        let folder = project.root.join(FOLDER);
        let mut test = command(&self.python);
        // It keeps notes where it runs.
        test.current_dir(&project.data)
            .env("PYTHONPATH", &self.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
            .args(["-m", "schemathesis.cli", "--config-file"])
            .arg(folder.join("schemathesis.toml"))
            .arg("run")
            .arg(project.root.join("openapi.json"))
            .args(["--url", &self.service.url])
            .args(["--checks", "all", "--no-color"])
            .args(["--phases", "examples,coverage,fuzzing,stateful"])
            .args(["--max-examples", &EXAMPLES_MAX.to_string()])
            .args(arguments);
        test
    }
}

/// The folder with the Python packages, downloaded where they are not there in these versions.
async fn packages(project: &Project, python: &PathBuf, step: &Step) -> Result<PathBuf> {
    let _lock = project.lock("schemathesis", step).await?;
    let list = project.root.join(FOLDER).join("requirements.txt");
    let wanted =
        std::fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let folder = project.data.join("schemathesis");
    // Written last: where it is, everything is.
    let mark = folder.join("requirements.txt");
    if std::fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    std::fs::remove_dir_all(&folder).ok();
    step.say("downloading schemathesis");
    let mut pip = command(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--only-binary",
        ":all:",
    ])
    .args(["--disable-pip-version-check", "--progress-bar", "off"])
    .args(["--no-compile", "--no-warn-script-location"])
    .args(["--retries", "2", "--timeout", "20", "--target"])
    .arg(&folder)
    .arg("--requirement")
    .arg(&list)
    // A setting for installations into Python, which this is not.
    .env_remove("PIP_REQUIRE_VIRTUALENV");
    let installed = run(pip, step, Some(DOWNLOAD_WAIT_MAX)).await?;
    if !installed.success {
        bail!(
            "{PURPOSE} could not be downloaded: pip found no way to get it for this machine, or \
             no network (it said: {}). {INSTEAD}",
            installed.last(2)
        );
    }
    std::fs::write(&mark, wanted).with_context(|| format!("write {}", mark.display()))?;
    Ok(folder)
}
