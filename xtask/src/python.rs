//! Python, and Python packages in the versions that a file of the checkout lists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{command, on_path, run};
use crate::project::Project;
use crate::steps::Step;

/// How long pip may take to download a wheel.
pub(crate) const DOWNLOAD_WAIT_MAX: Duration = Duration::from_secs(300);

/// Python 3, where there is one.
pub(crate) fn interpreter() -> Option<PathBuf> {
    on_path("python3").or_else(|| on_path("python"))
}

/// A Python with pip, to download what is for `purpose`; `instead` says what can be done without
/// it.
pub(crate) async fn python(purpose: &str, instead: &str, step: &Step) -> Result<PathBuf> {
    let Some(python) = interpreter() else {
        bail!(
            "{purpose} is downloaded with Python's pip, and there is no python3 on PATH. Install \
             Python 3 with pip (on Debian and Ubuntu: python3 and python3-pip) and repeat this \
             command. {instead}"
        );
    };
    let mut ask = command(&python);
    ask.args(["-m", "pip", "--version"]);
    let asked = run(ask, step, None).await?;
    if !asked.success {
        bail!(
            "{purpose} is downloaded with Python's pip, which {} lacks (it said: {}). Install pip \
             (on Debian and Ubuntu: python3-pip) and repeat this command. {instead}",
            python.display(),
            asked.last(1),
        );
    }
    Ok(python)
}

/// The folder `name` of the project's data with the Python packages that the file `list` has,
/// downloaded where they are not there in these versions. None is installed into Python.
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
        std::fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let folder = project.data.join(name);
    // Written last: where it is, everything is.
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
    // A setting for installations into Python, which this is not.
    .env_remove("PIP_REQUIRE_VIRTUALENV");
    let installed = run(pip, step, Some(DOWNLOAD_WAIT_MAX)).await?;
    if !installed.success {
        bail!(
            "{purpose} could not be downloaded: pip found no way to get it for this machine, or \
             no network (it said: {}). {instead}",
            installed.last(2)
        );
    }
    std::fs::write(&mark, wanted).with_context(|| format!("write {}", mark.display()))?;
    Ok(folder)
}
