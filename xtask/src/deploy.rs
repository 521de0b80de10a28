//! Runs tests/deploy: kubectl builds deploy/, and Python tests check the objects against the
//! schemas of Kubernetes and against spin.toml.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::packages::apt;
use crate::process::{command, on_path, output_of};
use crate::project::Project;
use crate::python::{packages, python};
use crate::steps::Step;

const PURPOSE: &str = "The validator of Kubernetes objects, for the tests of deploy/,";
const INSTEAD: &str = "The other steps of `cargo xtask test` do not need it.";

const FOLDER: &str = "tests/deploy";

/// Tells the tests the folder of SpinKube's CRDs.
pub(crate) const CRDS_VARIABLE: &str = "SPINKUBE_CRDS_DIR";

/// Tells the tests the path of kubectl.
pub(crate) const KUBECTL_VARIABLE: &str = "KUBECTL";

/// Minor version of the oldest kubectl whose kustomize understands deploy/.
const KUBECTL_MINOR_MIN: u32 = 27;

/// Suites to search for the package, oldest first: it runs with the C library of Debian 12.
const SUITES: [&str; 2] = ["trixie", "testing"];

pub(crate) struct Deploy {
    kubectl: PathBuf,
    python: PathBuf,
    packages: PathBuf,
}

impl Deploy {
    /// Downloads what is missing.
    pub(crate) async fn set_up(project: &Project, step: &Step) -> Result<(Self, String)> {
        let (kubectl, result) = kubectl(project, step).await?;
        let python = python(PURPOSE, INSTEAD, step).await?;
        let list = project.root.join(FOLDER).join("requirements.txt");
        let packages = packages(project, "deploy", &list, PURPOSE, INSTEAD, step).await?;
        let needed = Self {
            kubectl,
            python,
            packages,
        };
        Ok((needed, result))
    }

    pub(crate) fn command(&self, project: &Project, arguments: &[String]) -> Command {
        let mut test = command(&self.python);
        test.current_dir(project.root.join(FOLDER))
            .env("PYTHONPATH", &self.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env(KUBECTL_VARIABLE, &self.kubectl)
            .args(["-m", "unittest", "--verbose"])
            .args(arguments);
        test
    }
}

/// The path of kubectl, and its version and origin.
pub(crate) async fn kubectl(project: &Project, step: &Step) -> Result<(PathBuf, String)> {
    if let Some(program) = on_path("kubectl") {
        let minor = minor_version(&program).await.unwrap_or(0);
        if minor >= KUBECTL_MINOR_MIN {
            return Ok((program, format!("kubectl 1.{minor} from PATH")));
        }
    }
    let _lock = project.lock("kubectl", step).await?;
    let folder = apt::unpacked(project, "kubectl", &SUITES, step)
        .await
        .context(
            "The tests of deploy/ need kubectl 1.27 or newer, on PATH or from Debian's package \
             kubectl",
        )?;
    let program = folder.join("usr/bin/kubectl");
    let minor = minor_version(&program).await?;
    Ok((program, format!("kubectl 1.{minor} from Debian's package")))
}

async fn minor_version(program: &PathBuf) -> Result<u32> {
    let mut ask = command(program);
    ask.args(["version", "--client", "--output=json"]);
    minor_in(
        &output_of(ask)
            .await
            .context("cannot read kubectl's version")?,
    )
}

fn minor_in(answer: &str) -> Result<u32> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        client_version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        minor: String,
    }
    let answer: Answer = serde_json::from_str(answer).context("cannot read kubectl's version")?;
    // Some builds write `27+`.
    let minor = answer.client_version.minor;
    minor
        .trim_end_matches(|character: char| !character.is_ascii_digit())
        .parse()
        .context("cannot read kubectl's version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectls_version_is_read_with_and_without_a_plus() -> Result<()> {
        for minor in ["32", "32+"] {
            let answer = format!(r#"{{"clientVersion": {{"major": "1", "minor": "{minor}"}}}}"#);
            assert_eq!(minor_in(&answer)?, 32);
        }
        assert!(minor_in("no JSON").is_err());
        Ok(())
    }
}
