//! Debian's packages `rust-src` and `wasi-libc`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::apt::Archive;
use crate::project::Project;
use crate::steps::Step;

/// Where the version of the installed compiler is looked for, in this order.
const SUITES: [&str; 3] = ["trixie-backports", "testing", "unstable"];

/// The two packages. Both are the same for all architectures.
pub(crate) struct Debs {
    /// The standard library's source.
    pub(crate) rust_src: PathBuf,
    /// WASI's C library.
    pub(crate) wasi_libc: PathBuf,
}

/// The two packages in `folder`.
pub(crate) fn find(folder: &Path) -> Result<Debs> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .context("look into the folder")?
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
            .with_context(|| format!("find {name}_*.deb in the folder"))
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
        "none of {} has rust-src {version} and wasi-libc (apt-get: {reason})",
        SUITES.join(", ")
    )
}

/// Removes what [`download`] left.
pub(crate) fn clean(project: &Project) {
    std::fs::remove_dir_all(folder(project)).ok();
}

fn folder(project: &Project) -> PathBuf {
    project.data.join("toolchain/debian")
}

/// One suite's packages, or what apt-get said.
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
