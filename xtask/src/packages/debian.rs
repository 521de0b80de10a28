//! Debian's packages `rust-src` and `wasi-libc`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::apt::Archive;
use crate::project::Project;
use crate::steps::Step;

/// Suites to search for the installed compiler's version, in order.
const SUITES: [&str; 3] = ["trixie-backports", "testing", "unstable"];

/// Paths of the two packages, which are the same for all architectures.
pub(crate) struct Debs {
    pub(crate) rust_src: PathBuf,
    pub(crate) wasi_libc: PathBuf,
}

pub(crate) fn find(folder: &Path) -> Result<Debs> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .context("cannot list the folder")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let package = |name: &str| {
        files
            .iter()
            .rfind(|file| {
                let file = file.file_name().unwrap_or_default().to_string_lossy();
                file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
            })
            .cloned()
            .with_context(|| format!("cannot find {name}_*.deb in the folder"))
    };
    Ok(Debs {
        rust_src: package("rust-src")?,
        wasi_libc: package("wasi-libc")?,
    })
}

/// Downloads the two packages from the archive that this machine's apt uses.
pub(crate) async fn download(project: &Project, version: &str, step: &Step) -> Result<Debs> {
    let archive = Archive::of_this_machine()?;
    let mut reason = String::new();
    for suite in SUITES {
        step.say(&format!("asking Debian's {suite} for rust-src {version}"));
        match download_from(project, &archive, suite, version, step).await? {
            Ok(debs) => return Ok(debs),
            Err(why) => reason = why,
        }
    }
    bail!(
        "none of Debian's {} has rust-src {version} and wasi-libc (apt-get: {reason})",
        SUITES.join(", ")
    )
}

pub(crate) fn clean(project: &Project) {
    std::fs::remove_dir_all(folder(project)).ok();
}

fn folder(project: &Project) -> PathBuf {
    project.data.join("toolchain/debian")
}

/// Downloads the packages of one suite. The inner error is apt-get's.
async fn download_from(
    project: &Project,
    archive: &Archive,
    suite: &str,
    version: &str,
    step: &Step,
) -> Result<Result<Debs, String>> {
    let packages = [format!("rust-src={version}*"), format!("wasi-libc/{suite}")];
    let suite = match archive.suite(suite, folder(project), step).await? {
        Ok(suite) => suite,
        Err(why) => return Ok(Err(why)),
    };
    if let Err(why) = suite.download(&packages, step).await? {
        return Ok(Err(why));
    }
    Ok(Ok(find(&suite.debs())?))
}
