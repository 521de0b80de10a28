//! Python, and packages in the versions that a requirements file lists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{command, on_path, run};
use crate::project::Project;
use crate::steps::Step;

/// How long pip may take to download a wheel.
pub(crate) const DOWNLOAD_WAIT_MAX: Duration = Duration::from_secs(300);

pub(crate) fn interpreter() -> Option<PathBuf> {
    on_path("python3").or_else(|| on_path("python"))
}

/// A Python with pip. An error names the `purpose` and says what to do `instead`.
pub(crate) async fn python(purpose: &str, instead: &str, step: &Step) -> Result<PathBuf> {
    let Some(python) = interpreter() else {
        bail!(
            "{purpose} is downloaded with pip, but there is no python3 on PATH. Install \
             Python 3 with pip (on Debian and Ubuntu: python3 and python3-pip) and repeat this \
             command. {instead}"
        );
    };
    let mut ask = command(&python);
    ask.args(["-m", "pip", "--version"]);
    let asked = run(ask, step, None).await?;
    if !asked.success {
        bail!(
            "{purpose} is downloaded with pip, which {} lacks (it said: {}). Install pip \
             (on Debian and Ubuntu: python3-pip) and repeat this command. {instead}",
            python.display(),
            asked.last(1),
        );
    }
    Ok(python)
}

/// The folder `name` in the project's data with the packages of the requirements file `list`,
/// downloaded unless it has these versions. Nothing is installed into Python.
pub(crate) async fn packages(
    project: &Project,
    name: &str,
    list: &Path,
    purpose: &str,
    instead: &str,
    step: &Step,
) -> Result<PathBuf> {
    let _lock = project.lock(name, step).await?;
    let wanted =
        std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let folder = project.data.join(name);
    // Written last, so that it marks a complete folder.
    let mark = folder.join("requirements.txt");
    if std::fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    let python = python(purpose, instead, step).await?;
    std::fs::remove_dir_all(&folder).ok();
    step.say(&format!(
        "downloading the Python packages in {}",
        list.display()
    ));
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
    .arg(list)
    // Applies to installations into Python only.
    .env_remove("PIP_REQUIRE_VIRTUALENV");
    let installed = run(pip, step, Some(DOWNLOAD_WAIT_MAX)).await?;
    if !installed.success {
        bail!(
            "{purpose} cannot be downloaded: pip found no package for this machine or cannot reach \
             the package index ({}). {instead}",
            installed.last(2)
        );
    }
    std::fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(folder)
}
