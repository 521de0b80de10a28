//! The step `cluster`: tests/cluster on control planes of Kubernetes.

use anyhow::{Result, bail};
use clap::Args;

use super::Needed;
use super::check::{CLUSTER, Check, command_of};
use crate::address::URL_VARIABLE as DATABASE_URL;
use crate::kubernetes::{self, Kubernetes};
use crate::process::run_live;
use crate::project::Project;
use crate::redis::URL_VARIABLE as REDIS_URL;
use crate::steps::{Steps, tell};
use crate::{build, deploy};

#[derive(Args)]
pub(crate) struct ClusterOptions {
    /// Arguments for `cargo test`, as in `-- tokens`
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// `cargo xtask cluster-test`: runs the step `cluster` on every version of Kubernetes.
pub(crate) async fn cluster_test(options: ClusterOptions) -> Result<()> {
    let project = Project::find()?;
    let mut steps = Steps::new();
    let needed = Needed::set_up(&project, build::RELEASE, &mut steps).await?;
    for version in kubernetes::VERSIONS {
        let arguments = &options.arguments;
        let done = on_kubernetes(&project, &needed, version, arguments, &mut steps).await?;
        if let Err(why) = done {
            bail!("The tests on Kubernetes {version} cannot run: {why}");
        }
    }
    drop(needed);
    tell(&format!("\n{}", steps.table()));
    tell(&format!("All passed in {}.", steps.elapsed()));
    Ok(())
}

/// Runs tests/cluster on a version of Kubernetes. The inner error says why it cannot be built.
pub(super) async fn on_kubernetes(
    project: &Project,
    needed: &Needed,
    version: &str,
    arguments: &[String],
    steps: &mut Steps,
) -> Result<Result<(), String>> {
    let step = steps.begin("kubernetes");
    let kubernetes = match Kubernetes::build(project, version, &step).await? {
        Ok(kubernetes) => kubernetes,
        Err(why) => {
            let result = format!("skipped the tests on Kubernetes {version}: {why}");
            steps.end(step, result);
            return Ok(Err(why));
        }
    };
    let (kubectl, from) = deploy::kubectl(project, &step).await?;
    if std::env::var_os(deploy::CRDS_VARIABLE).is_none() {
        step.note("SpinApps are not validated; set SPINKUBE_CRDS_DIR to validate them");
    }
    steps.end(step, format!("{}, {from}", kubernetes.version));

    let mut command = command_of(Check::Cluster, project, arguments).await?;
    command
        .env(DATABASE_URL, needed.database.address().secret_url())
        .env(REDIS_URL, &needed.redis.url)
        .env(kubernetes::PROGRAMS_VARIABLE, &kubernetes.programs)
        .env(deploy::KUBECTL_VARIABLE, kubectl);
    let what = format!(
        "cargo test --package {CLUSTER}, on Kubernetes {}",
        kubernetes.version
    );
    let step = steps.begin_live(CLUSTER, &what);
    if !run_live(command).await? {
        bail!(
            "The step `{CLUSTER}` failed on Kubernetes {version}; see its output above. Repeat it \
             with `cargo xtask test --only {CLUSTER}` (newest version) or `cargo xtask \
             cluster-test` (all)."
        );
    }
    steps.end(step, format!("passed on {}", kubernetes.version));
    Ok(Ok(()))
}
