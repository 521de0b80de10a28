//! Real control planes of Kubernetes, for the tests in tests/cluster: etcd, the API server and the
//! controller manager, built by the `go` command from Kubernetes' own modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::go::Go;
use crate::process::run;
use crate::project::Project;
use crate::steps::Step;

/// The versions that deploy/ is tested with, oldest first: the oldest that it is for, and the newest.
/// Each is a module in xtask/kubernetes, whose go.mod has the exact one.
pub(crate) const VERSIONS: [&str; 2] = ["1.30", NEWEST];

/// The newest of them. Its module has etcd, too.
pub(crate) const NEWEST: &str = "1.37";

/// Where the tests find the programs.
pub(crate) const PROGRAMS_VARIABLE: &str = "KUBERNETES_PROGRAMS";

/// The Go that Kubernetes is written in, 1.26.
const GO_MINOR_MIN: u32 = 26;

const MODULE: &str = "k8s.io/kubernetes";
const ETCD: &str = "go.etcd.io/etcd/server/v3";

/// How long the programs may take, downloaded and compiled for the first time.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The programs of one version.
pub(crate) struct Kubernetes {
    /// The folder that has them.
    pub(crate) programs: PathBuf,
    /// As `v1.37.2`.
    pub(crate) version: String,
}

impl Kubernetes {
    /// Builds those of one of [`VERSIONS`]; or says why they cannot be had.
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
        fs::create_dir_all(&programs).with_context(|| format!("create {}", programs.display()))?;

        let exact = locked_version(&module)?;
        let mut build = go.command("build", &module);
        build
            .args(["-trimpath", "-ldflags", &linker_flags(&exact), "-o"])
            // A path that ends so is a folder.
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

/// Has the programs say which version they are: they decide by it what they can do.
fn linker_flags(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    for variable in ["gitMajor", "gitMinor"] {
        let number = parts.next().unwrap_or_default();
        flags += &format!(" -X k8s.io/component-base/version.{variable}={number}");
    }
    flags
}

/// The version of Kubernetes that a module's go.mod has.
fn locked_version(module: &Path) -> Result<String> {
    let file = module.join("go.mod");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let version = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_kubernetes = words.next() == Some(MODULE);
        words.next().filter(|_| is_kubernetes)
    });
    let version = version.with_context(|| format!("find {MODULE} in {}", file.display()))?;
    Ok(version.to_owned())
}

/// Compiles; or says why it cannot be had.
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
