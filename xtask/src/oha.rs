//! oha, which sends requests at a constant rate.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::process::{command, on_path, output_of, run};
use crate::project::Project;
use crate::steps::Step;

/// Names the oha to use.
const COMMAND_VARIABLE: &str = "OHA_COMMAND";

const PROGRAM: &str = "oha";

/// The version that is built where there is none.
const VERSION: &str = "1.16.0";

/// Those from this minor version on take the same options and print the same.
const MINOR_MIN: u32 = 16;

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
        let mut ask = command(&program);
        ask.arg("--version");
        let version = output_of(ask).await.unwrap_or_default();
        if is_new_enough(&version) {
            return Ok((program, format!("{} from PATH", version.trim())));
        }
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

/// Whether a program that says this of itself can be used, such as `oha 1.16.0`.
fn is_new_enough(version: &str) -> bool {
    let minor = version
        .strip_prefix("oha 1.")
        .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= MINOR_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, is_right) in [
            ("oha 1.16.0\n", true),
            ("oha 1.100.0", true),
            ("oha 1.9.0", false),
            ("oha 2.0.0", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), is_right, "{version}");
        }
    }
}
