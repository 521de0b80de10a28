//! Builds components, the host, other programs and tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process::{Finished, command, on_path, output_of, run};
use crate::project::Project;
use crate::steps::{Step, Steps, tell};
use crate::toolchain::{self, TARGET};

/// Oldest Spin with the interfaces that the components use (`spin:postgres@4.0.0`).
const SPIN_VERSION_MIN: (u32, u32) = (3, 4);

/// Which program runs the components.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostChoice {
    /// `spin` if it is on PATH and new enough, else tools/devhost
    Auto,
    /// The `spin` command
    Spin,
    /// tools/devhost, the project's own host
    Devhost,
}

/// The host, with its path.
pub(crate) enum Host {
    Spin(PathBuf),
    Devhost(PathBuf),
}

/// `cargo xtask build`: builds the components of `spin.toml`.
pub(crate) async fn build() -> Result<()> {
    let project = Project::find()?;
    let mut steps = Steps::new();
    let step = steps.begin("toolchain");
    let result = toolchain::ensure(&project, &step).await?;
    steps.end(step, result);
    let step = steps.begin("components");
    let result = components(&project, &project.component_packages()?, RELEASE, &step).await?;
    steps.end(step, result);
    Ok(())
}

/// Cargo profile of spin.toml's components.
pub(crate) const RELEASE: &str = "release";

/// Cargo profile of components under test: compiles faster, runs slower.
pub(crate) const COMPONENT_TEST: &str = "component-test";

/// Builds components in a cargo profile.
pub(crate) async fn components(
    project: &Project,
    packages: &[String],
    profile: &str,
    step: &Step,
) -> Result<String> {
    let mut build = project.cargo();
    toolchain::use_sysroot(project, &mut build);
    build
        .args(["build", "--profile", profile, "--target", TARGET])
        // spin.toml names this folder, whatever cargo is configured to use.
        .arg("--target-dir")
        .arg(project.root.join("target"));
    for package in packages {
        build.args(["--package", package]);
    }
    let built = run(build, step, None).await?;
    explain(&built, "the components")?;
    Ok(format!("{} built ({profile})", packages.len()))
}

/// How native programs are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Compiles fast.
    Dev,
    /// As Spin's releases are built, for measurements.
    Optimized,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Optimized => "optimized",
        }
    }

    /// Folder below target/.
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Optimized => "optimized",
        }
    }
}

/// Finds or builds the host; the text says which one and why.
pub(crate) async fn host(
    project: &Project,
    choice: HostChoice,
    profile: Profile,
    step: &Step,
) -> Result<(Host, String)> {
    if choice != HostChoice::Devhost {
        match usable_spin().await {
            Ok((path, version)) => {
                let result = format!("spin {version} ({})", path.display());
                return Ok((Host::Spin(path), result));
            }
            Err(why) if choice == HostChoice::Spin => {
                bail!(
                    "Cannot use Spin: {why}. Install Spin {}.{} or newer, or use tools/devhost: \
                     `--host devhost`.",
                    SPIN_VERSION_MIN.0,
                    SPIN_VERSION_MIN.1
                );
            }
            Err(why) => {
                let path = program(project, "devhost", profile, step).await?;
                return Ok((Host::Devhost(path), format!("tools/devhost: {why}")));
            }
        }
    }
    let path = program(project, "devhost", profile, step).await?;
    Ok((
        Host::Devhost(path),
        "tools/devhost, as requested".to_owned(),
    ))
}

/// Builds the package `name`; returns the path of its program.
pub(crate) async fn program(
    project: &Project,
    name: &str,
    profile: Profile,
    step: &Step,
) -> Result<PathBuf> {
    let mut build = project.cargo();
    build.args(["build", "--package", name, "--profile", profile.name()]);
    let built = run(build, step, None).await?;
    explain(&built, &format!("the package {name}"))?;
    let metadata = project.metadata().await?;
    Ok(metadata.target_directory.join(profile.folder()).join(name))
}

/// Builds a program with the dependencies' features that the tests are built with; its path.
pub(crate) async fn program_beside_tests(
    project: &Project,
    name: &str,
    step: &Step,
) -> Result<PathBuf> {
    let mut build = project.cargo_for_all("build").await?;
    // Only with a test among the targets does cargo enable what tests need.
    build.args(["--bin", name, "--test", "api"]);
    let built = run(build, step, None).await?;
    explain(&built, &format!("the package {name}"))?;
    program_path(project, name).await
}

/// Builds all tests and the programs that they run.
pub(crate) async fn tests(project: &Project, step: &Step) -> Result<String> {
    let mut build = project.cargo_for_all("test").await?;
    build.arg("--no-run");
    let built = run(build, step, None).await?;
    explain(&built, "the tests")?;
    Ok("built".to_owned())
}

/// Builds tests; returns the names that `cargo test ... --list` prints.
pub(crate) async fn list_tests(list: Command, step: &Step) -> Result<Vec<String>> {
    let listed = run(list, step, None).await?;
    explain(&listed, "the tests")?;
    let names = listed.lines.iter();
    Ok(names
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

/// Path of the package `name`'s program, once built.
pub(crate) async fn program_path(project: &Project, name: &str) -> Result<PathBuf> {
    let metadata = project.metadata().await?;
    Ok(metadata.target_directory.join("debug").join(name))
}

/// Spin's path and version, or why it cannot be used.
async fn usable_spin() -> Result<(PathBuf, String), String> {
    let path = on_path("spin").ok_or("no `spin` on PATH")?;
    let mut ask = command(&path);
    ask.arg("--version");
    let text = output_of(ask)
        .await
        .map_err(|error| format!("`spin --version` failed ({error:#})"))?;
    let version = text.split_whitespace().nth(1).unwrap_or_default();
    match version_of(version) {
        Some(found) if found >= SPIN_VERSION_MIN => Ok((path, version.to_owned())),
        _ => Err(format!(
            "`{text}` on PATH is not Spin {}.{} or newer",
            SPIN_VERSION_MIN.0, SPIN_VERSION_MIN.1
        )),
    }
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Prints the compiler's messages if a build failed.
fn explain(built: &Finished, what: &str) -> Result<()> {
    if built.success {
        return Ok(());
    }
    let progress = [
        "Compiling ",
        "Downloaded ",
        "Downloading ",
        "Locking ",
        "Blocking ",
    ];
    for line in &built.lines {
        if !progress
            .iter()
            .any(|start| line.trim_start().starts_with(start))
        {
            tell(line);
        }
    }
    Err(anyhow::anyhow!("see cargo's messages above"))
        .with_context(|| format!("Building {what} failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_version_is_compared_by_number() {
        assert_eq!(version_of("3.4.0"), Some((3, 4)));
        assert_eq!(version_of("4.0.0-rc.1"), Some((4, 0)));
        assert!(version_of("3.10.1") > Some(SPIN_VERSION_MIN));
        assert!(version_of("2.7.0") < Some(SPIN_VERSION_MIN));
        assert_eq!(version_of("canary"), None);
    }
}
