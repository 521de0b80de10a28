//! Tests clients that generators make from openapi.json: each does a write, a list and an error.
//! xtask/clients/requirements.txt pins Python's generator; each module's go.mod pins Go's, which
//! are skipped without `go`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::go::Go;
use crate::process::{command, run};
use crate::project::Project;
use crate::python::{packages, python};
use crate::steps::Step;

const PURPOSE: &str = "The generator of Python clients";
const INSTEAD: &str = "The other steps of `cargo xtask test` do not need it.";

const FOLDER: &str = "xtask/clients";

/// Tells each program the service's URL.
const URL_VARIABLE: &str = "DATA_STORAGE_URL";

const PYTHON_GENERATOR: &str = "openapi-python-client";

/// Go generators: the tool of the module `go-NAME`, and its arguments before the document.
const GO_GENERATORS: [(&str, &[&str]); 2] = [
    ("oapi-codegen", &["--config", "config.yml"]),
    (
        "ogen",
        &[
            "--config",
            "config.yml",
            "--target",
            "client",
            "--package",
            "client",
            "--loglevel",
            "error",
        ],
    ),
];

/// Minor version of Go that the generators need.
const GO_MINOR_MIN: u32 = 25;

/// How long a generator or client may take, with its first download and build.
const WAIT_MAX: Duration = Duration::from_secs(600);

const LINES_SHOWN: usize = 40;

/// Generates the clients and runs each against the service at `url`; returns which.
pub(crate) async fn check(project: &Project, url: &str, step: &Step) -> Result<String> {
    let _lock = project.lock("clients", step).await?;
    let clients = Clients {
        document: project.root.join("openapi.json"),
        checkout: project.root.join(FOLDER),
        generated: project.data.join("clients"),
        url,
    };
    fs::remove_dir_all(&clients.generated).ok();
    clients.check_python(project, step).await?;
    let go = match Go::find(project, GO_MINOR_MIN).await? {
        Ok(go) => go,
        Err(why) => {
            return Ok(format!(
                "passed with {PYTHON_GENERATOR}; skipped the Go clients: {why}"
            ));
        }
    };
    let mut used = vec![PYTHON_GENERATOR];
    for (generator, arguments) in GO_GENERATORS {
        clients.check_go(&go, generator, arguments, step).await?;
        used.push(generator);
    }
    Ok(format!("passed with {}", used.join(", ")))
}

struct Clients<'a> {
    document: PathBuf,
    /// The programs that use them.
    checkout: PathBuf,
    generated: PathBuf,
    url: &'a str,
}

impl Clients<'_> {
    async fn check_python(&self, project: &Project, step: &Step) -> Result<()> {
        let interpreter = python(PURPOSE, INSTEAD, step).await?;
        let list = self.checkout.join("requirements.txt");
        let packages = packages(project, "client-generator", &list, PURPOSE, INSTEAD, step).await?;
        let folder = self.generated.join("python");
        create(&folder)?;
        let path =
            std::env::join_paths([&packages, &folder]).context("cannot join Python's folders")?;
        let python = || {
            let mut python = command(&interpreter);
            python
                .current_dir(&folder)
                .env("PYTHONPATH", &path)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            python
        };

        let mut generate = python();
        generate
            .args(["-m", "openapi_python_client", "generate", "--path"])
            .arg(&self.document)
            .arg("--config")
            .arg(self.checkout.join("python/config.yml"))
            .args(["--meta", "none", "--output-path", "data_storage"])
            // It warns about what it leaves out.
            .arg("--fail-on-warning");
        succeed(generate, &generates(PYTHON_GENERATOR), step).await?;

        let mut check = python();
        check
            .arg(self.checkout.join("python/check.py"))
            .env(URL_VARIABLE, self.url);
        succeed(check, &uses(PYTHON_GENERATOR), step).await
    }

    async fn check_go(
        &self,
        go: &Go,
        generator: &str,
        arguments: &[&str],
        step: &Step,
    ) -> Result<()> {
        let name = format!("go-{generator}");
        let folder = self.generated.join(&name);
        create(&folder.join("client"))?;
        copy_files(&self.checkout.join(&name), &folder)?;

        let mut generate = go.command("tool", &folder);
        generate.arg(generator).args(arguments).arg(&self.document);
        succeed(generate, &generates(generator), step).await?;

        let mut check = go.command("run", &folder);
        check.arg(".").env(URL_VARIABLE, self.url);
        succeed(check, &uses(generator), step).await
    }
}

fn generates(generator: &str) -> String {
    format!("generating a client with {generator}")
}

fn uses(generator: &str) -> String {
    format!("running the client that {generator} generated")
}

/// Runs a command; its failure is an error with the last lines of its output.
async fn succeed(command: Command, what: &str, step: &Step) -> Result<()> {
    step.say(what);
    let finished = run(command, step, Some(WAIT_MAX)).await?;
    if finished.success {
        return Ok(());
    }
    let skipped = finished.lines.len().saturating_sub(LINES_SHOWN);
    let lines: Vec<_> = finished.lines.into_iter().skip(skipped).collect();
    bail!(
        "The step `clients` failed while {what}:\n  {}\n\
         Repeat it with `cargo xtask test --only clients`.",
        lines.join("\n  ")
    )
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        for file in fs::read_dir(from)? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    };
    copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
