//! oha, which sends requests at a constant rate.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::process::{on_path, run};
use crate::project::Project;
use crate::steps::Step;

/// Names the oha to use.
const COMMAND_VARIABLE: &str = "OHA_COMMAND";

const PROGRAM: &str = "oha";

/// What its output is read as.
const VERSION: &str = "1.16.0";

/// The program, and where it is from.
pub(crate) async fn program(project: &Project, step: &Step) -> Result<(PathBuf, String)> {
    if let Some(program) = std::env::var_os(COMMAND_VARIABLE).filter(|path| !path.is_empty()) {
        let program = PathBuf::from(program);
        ensure!(
            program.is_file(),
            "{COMMAND_VARIABLE} names {}, which is no file",
            program.display()
        );
        return Ok((program, format!("the one {COMMAND_VARIABLE} names")));
    }
    if let Some(program) = on_path(PROGRAM) {
        return Ok((program, "oha from PATH".to_owned()));
    }
    let _lock = project.lock(PROGRAM, step).await?;
    let folder = project.data.join(format!("{PROGRAM}-{VERSION}"));
    let program = folder.join("bin").join(PROGRAM);
    if !program.is_file() {
        step.say("building oha takes some minutes, once");
        let mut install = project.cargo();
        // Not optimised: a few hundred requests a second are little work, and it is built sooner.
        install
            .args(["install", PROGRAM, "--version", &format!("={VERSION}")])
            .args(["--locked", "--profile", "dev", "--root"])
            .arg(&folder);
        let installed = run(install, step, None).await?;
        ensure!(
            installed.success,
            "oha {VERSION}, which the benchmark sends requests at a constant rate with, could not be \
             built: {}. Put oha on PATH, or name it in {COMMAND_VARIABLE}.",
            installed.last(8)
        );
    }
    Ok((program, format!("oha {VERSION}, built by cargo install")))
}
