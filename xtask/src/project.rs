//! The checkout: its folders, its application manifest, its packages.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;
use crate::steps::Step;

/// A log that has grown beyond this is set aside when it is next opened.
const LOG_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// What Cargo.lock has.
#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
}

/// Where the checkout is.
pub(crate) struct Project {
    /// The folder of `spin.toml`.
    pub(crate) root: PathBuf,
    /// Everything these commands download, build or keep between runs; Git ignores it.
    pub(crate) data: PathBuf,
}

impl Project {
    /// The checkout this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it for `cargo run`; the compiled-in value is for a direct start.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("find the project's folder")?
            .to_owned();
        anyhow::ensure!(
            root.join("spin.toml").is_file(),
            "There is no spin.toml in {}. Run `cargo xtask` inside the project's checkout.",
            root.display()
        );
        let data = root.join(".data");
        std::fs::create_dir_all(data.join("log"))
            .with_context(|| format!("create {}", data.display()))?;
        Ok(Self { root, data })
    }

    /// The log file of that name, opened to append.
    pub(crate) fn open_log(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.data.join("log").join(name);
        if path.metadata().is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
            std::fs::rename(&path, path.with_extension("log.old")).ok();
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        Ok((path, file))
    }

    /// Takes the checkout's lock of that name, waiting for another command that holds it.
    /// It is given back when the file is dropped, or by the kernel when this program dies.
    pub(crate) async fn lock(&self, name: &str, step: &Step) -> Result<File> {
        let path = self.data.join(format!("{name}.lock"));
        let file = open_lock(&path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    step.say("waiting for another `cargo xtask` of this checkout");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", path.display()));
                }
            }
        }
    }

    /// A cargo command in the checkout.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = process::command(cargo);
        command.current_dir(&self.root);
        command
    }

    /// The packages of the components that `spin.toml` names, read from their build
    /// commands, so that a new component needs no change here.
    pub(crate) fn component_packages(&self) -> Result<Vec<String>> {
        let path = self.root.join("spin.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        let mut packages = Vec::new();
        for (id, component) in manifest.component {
            let Some(build) = component.build else {
                continue;
            };
            match package_of(&build.command) {
                Some(package) => packages.push(package.to_owned()),
                None => bail!(
                    "The build command of the component `{id}` in spin.toml names no package: \
                     give it `--package NAME`."
                ),
            }
        }
        packages.sort();
        packages.dedup();
        Ok(packages)
    }

    /// The version of a package that Cargo.lock has.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let text =
            std::fs::read_to_string(self.root.join("Cargo.lock")).context("read Cargo.lock")?;
        let lock: Lock = toml::from_str(&text).context("read Cargo.lock")?;
        let found = lock.package.into_iter().find(|one| one.name == package);
        let found = found.with_context(|| format!("find {package} in Cargo.lock"))?;
        Ok(found.version)
    }

    /// What cargo says about the workspace.
    pub(crate) async fn metadata(&self) -> Result<Metadata> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version=1", "--no-deps"]);
        let text = process::output_of(command)
            .await
            .context("read the workspace's packages")?;
        serde_json::from_str(&text).context("read the workspace's packages")
    }
}

/// Opens the file that a lock is taken on.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))
}

#[derive(Deserialize)]
struct Manifest {
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    build: Option<Build>,
}

#[derive(Deserialize)]
struct Build {
    command: String,
}

fn package_of(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--package" | "-p" => return words.next(),
            _ => {
                if let Some(name) = word.strip_prefix("--package=") {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// The part of `cargo metadata` that is used.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// The workspace's packages.
    pub(crate) packages: Vec<Package>,
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Package {
    /// Whether it makes WebAssembly components alone, whose imports no native linker knows.
    pub(crate) fn is_component(&self) -> bool {
        let mut made = self
            .targets
            .iter()
            .flat_map(|target| &target.kind)
            .filter(|kind| !matches!(kind.as_str(), "custom-build" | "test" | "bench"))
            .peekable();
        made.peek().is_some() && made.all(|kind| kind == "cdylib")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_read_from_every_spelling_of_a_build_command() {
        for command in [
            "cargo build --release -p health",
            "cargo build --package health --release",
            "cargo build --package=health",
        ] {
            assert_eq!(package_of(command), Some("health"), "{command}");
        }
        assert_eq!(package_of("cargo build --release"), None);
    }

    #[test]
    fn a_package_with_only_a_cdylib_is_a_component() {
        let package = |kinds: &[&str]| Package {
            name: "any".to_owned(),
            targets: kinds
                .iter()
                .map(|kind| Target {
                    kind: vec![(*kind).to_owned()],
                })
                .collect(),
        };
        assert!(package(&["cdylib"]).is_component());
        assert!(package(&["cdylib", "custom-build", "test"]).is_component());
        assert!(!package(&["cdylib", "bin"]).is_component());
        assert!(!package(&["lib", "test"]).is_component());
        assert!(!package(&["test"]).is_component());
    }
}
