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

/// Bytes above which a log is set aside when it is next opened.
const LOG_BYTES_MAX: u64 = 20 * 1024 * 1024;

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
}

pub(crate) struct Project {
    /// The folder of `spin.toml`.
    pub(crate) root: PathBuf,
    /// Downloads, builds and data kept between runs; ignored by Git.
    pub(crate) data: PathBuf,
}

impl Project {
    /// Finds the checkout that this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it for `cargo run`; the compiled-in value is for a direct start.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("cannot find the project's folder")?
            .to_owned();
        anyhow::ensure!(
            root.join("spin.toml").is_file(),
            "There is no spin.toml in {}. Run `cargo xtask` inside the project's checkout.",
            root.display()
        );
        let data = root.join(".data");
        std::fs::create_dir_all(data.join("log"))
            .with_context(|| format!("cannot create {}", data.display()))?;
        Ok(Self { root, data })
    }

    /// Opens a log in `.data/log/` to append.
    pub(crate) fn open_log(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.data.join("log").join(name);
        if path.metadata().is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
            std::fs::rename(&path, path.with_extension("log.old")).ok();
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok((path, file))
    }

    /// Waits for and takes the checkout's lock `name`. Dropping the file, or the death of this
    /// program, releases it.
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
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
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

    /// The packages of spin.toml's components, read from their build commands.
    pub(crate) fn component_packages(&self) -> Result<Vec<String>> {
        let path = self.root.join("spin.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        let mut packages = Vec::new();
        for (id, component) in manifest.component {
            let Some(build) = component.build else {
                continue;
            };
            match package_of(&build.command) {
                Some(package) => packages.push(package.to_owned()),
                None => bail!(
                    "The build command of the component `{id}` in spin.toml names no package: \
                     add `--package NAME`."
                ),
            }
        }
        packages.sort();
        packages.dedup();
        Ok(packages)
    }

    /// The packages of the workspace that are components.
    pub(crate) async fn components(&self) -> Result<Vec<String>> {
        let packages = self.metadata().await?.packages.into_iter();
        Ok(packages
            .filter(Package::is_component)
            .map(|package| package.name)
            .collect())
    }

    /// A cargo command for all packages with tests. Steps share what it builds: cargo enables
    /// the features that the chosen packages need, and compiles dependencies again for others.
    pub(crate) async fn cargo_for_all(&self, subcommand: &str) -> Result<Command> {
        let mut cargo = self.cargo();
        cargo.args([subcommand, "--workspace"]);
        // No native linker knows what components import, and they have no tests.
        for package in self.components().await? {
            cargo.args(["--exclude", &package]);
        }
        Ok(cargo)
    }

    /// A package's version in Cargo.lock.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let text = std::fs::read_to_string(self.root.join("Cargo.lock"))
            .context("cannot read Cargo.lock")?;
        let lock: Lock = toml::from_str(&text).context("cannot read Cargo.lock")?;
        let found = lock.package.into_iter().find(|one| one.name == package);
        let found = found.with_context(|| format!("cannot find {package} in Cargo.lock"))?;
        Ok(found.version)
    }

    pub(crate) async fn metadata(&self) -> Result<Metadata> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version=1", "--no-deps"]);
        let text = process::output_of(command)
            .await
            .context("cannot read the workspace's packages")?;
        serde_json::from_str(&text).context("cannot read the workspace's packages")
    }
}

/// Opens a lock file, and creates it if it is missing.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
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
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Package {
    /// Whether it builds only a component, which does not link natively.
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
