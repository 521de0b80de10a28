//! Schemathesis, a Python program, sends the service requests generated from openapi.json and
//! checks the responses. xtask/schemathesis/requirements.txt pins its version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::database::Database;
use crate::process::command;
use crate::project::Project;
use crate::python::{packages, python};
use crate::redis::Redis;
use crate::service::Service;
use crate::steps::Step;

const PURPOSE: &str = "Schemathesis, which tests the service against openapi.json,";
const INSTEAD: &str = "The other steps of `cargo xtask test` do not need it.";

const FOLDER: &str = "xtask/schemathesis";

/// Random requests per operation, beside the examples and the systematic ones.
const EXAMPLES_MAX: u32 = 15;

/// A service, and the programs that test it.
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
        let list = project.root.join(FOLDER).join("requirements.txt");
        let packages = packages(project, "schemathesis", &list, PURPOSE, INSTEAD, step).await?;
        let variables = redis.variables()?;
        let (service, _) = Service::start_with_new_database(
            project,
            devhost,
            database,
            "schemathesis",
            &variables,
            step,
        )
        .await?;
        let result = format!("ready at {}", service.url);
        let started = Self {
            service,
            python,
            packages,
        };
        Ok((started, result))
    }

    pub(crate) fn command(&self, project: &Project, arguments: &[String]) -> Command {
        let folder = project.root.join(FOLDER);
        let mut test = command(&self.python);
        // It writes files to its working directory.
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
