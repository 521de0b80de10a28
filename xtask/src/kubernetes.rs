//! Builds Kubernetes control planes (etcd, API server, controller manager) from Go modules, for
//! tests/cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::go::Go;
use crate::process::run;
use crate::project::Project;
use crate::steps::Step;

/// The oldest and the newest supported version, which deploy/ is tested with. Each is a module in
/// xtask/kubernetes; its go.mod has the exact version.
pub(crate) const VERSIONS: [&str; 2] = ["1.30", NEWEST];

/// The newest version. Its module also has etcd.
pub(crate) const NEWEST: &str = "1.37";

/// Tells the tests the programs' folder.
pub(crate) const PROGRAMS_VARIABLE: &str = "KUBERNETES_PROGRAMS";

/// Minor version of Go that Kubernetes needs.
const GO_MINOR_MIN: u32 = 26;

const MODULE: &str = "k8s.io/kubernetes";
const ETCD: &str = "go.etcd.io/etcd/server/v3";

/// How long the programs' first download and build may take.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The programs of one version.
pub(crate) struct Kubernetes {
    pub(crate) programs: PathBuf,
    /// As `v1.37.2`.
    pub(crate) version: String,
}

impl Kubernetes {
    /// Builds one of [`VERSIONS`]. The inner error says why it cannot be built.
    pub(crate) async fn build(
        project: &Project,
        version: &str,
        step: &Step,
    ) -> Result<Result<Self, String>> {
        let go = match Go::find(project, GO_MINOR_MIN).await? {
            Ok(go) => go,
            Err(why) => return Ok(Err(why)),
        };
        let _lock = project.lock("kubernetes", step).await?;
        let modules = project.root.join("xtask/kubernetes");
        let module = modules.join(version);
        let programs = project.data.join("kubernetes").join(version);
        fs::create_dir_all(&programs)
            .with_context(|| format!("cannot create {}", programs.display()))?;

        let exact = locked_version(&module)?;
        let mut build = go.command("build", &module);
        build
            .args(["-trimpath", "-ldflags", &linker_flags(&exact), "-o"])
            // The trailing slash makes it a folder.
            .arg(programs.join(""))
            .arg(format!("{MODULE}/cmd/kube-apiserver"))
            .arg(format!("{MODULE}/cmd/kube-controller-manager"));
        if let Err(why) = compile(build, &format!("compiling Kubernetes {exact}"), step).await? {
            return Ok(Err(why));
        }

        let mut build = go.command("build", &modules.join(NEWEST));
        build
            .args(["-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(programs.join("etcd"))
            .arg(ETCD);
        if let Err(why) = compile(build, "compiling etcd", step).await? {
            return Ok(Err(why));
        }
        Ok(Ok(Self {
            programs,
            version: exact,
        }))
    }
}

/// Sets the programs' version, which selects their features.
fn linker_flags(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    for variable in ["gitMajor", "gitMinor"] {
        let number = parts.next().unwrap_or_default();
        flags += &format!(" -X k8s.io/component-base/version.{variable}={number}");
    }
    flags
}

/// The version of Kubernetes in a module's go.mod.
fn locked_version(module: &Path) -> Result<String> {
    let file = module.join("go.mod");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let version = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_kubernetes = words.next() == Some(MODULE);
        words.next().filter(|_| is_kubernetes)
    });
    let version = version.with_context(|| format!("cannot find {MODULE} in {}", file.display()))?;
    Ok(version.to_owned())
}

/// Compiles; the inner error says why that failed.
async fn compile(build: Command, what: &str, step: &Step) -> Result<Result<(), String>> {
    step.say(what);
    let finished = run(build, step, Some(WAIT_MAX)).await?;
    if finished.success {
        return Ok(Ok(()));
    }
    Ok(Err(format!(
        "{what} failed (it needs Go's module proxy, and 3 GB of memory and 5 GB in .data/ for each \
         version): {}",
        finished.last(3)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_told_their_version() {
        assert_eq!(
            linker_flags("v1.37.2"),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=37"
        );
    }
}
