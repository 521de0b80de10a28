//! The `go` command, for what is built from Go modules. It is not needed: the steps that use it say that
//! something was left out where there is none.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{command, on_path, output_of};
use crate::project::Project;

/// The `go` command.
pub(crate) struct Go {
    program: PathBuf,
    /// Where it keeps modules and what is compiled.
    data: PathBuf,
}

impl Go {
    /// The one on PATH, if it is Go 1.`minor_min` or newer; or why it cannot be used.
    pub(crate) async fn find(project: &Project, minor_min: u32) -> Result<Result<Self, String>> {
        let Some(program) = on_path("go") else {
            return Ok(Err("there is no `go` on PATH".to_owned()));
        };
        let go = Self {
            program,
            data: project.data.join("go"),
        };
        let mut ask = go.bare();
        ask.current_dir(&project.data).args(["env", "GOVERSION"]);
        let version = output_of(ask).await.context("ask go for its version")?;
        if minor_in(&version).is_some_and(|minor| minor >= minor_min) {
            return Ok(Ok(go));
        }
        Ok(Err(format!(
            "Go 1.{minor_min} is needed, and the one on PATH is {version}"
        )))
    }

    /// A subcommand of it in the module of `folder`. Modules can be removed with the rest of .data/.
    pub(crate) fn command(&self, subcommand: &str, folder: &Path) -> Command {
        let mut go = self.bare();
        go.current_dir(folder).args([subcommand, "-modcacherw"]);
        go
    }

    fn bare(&self) -> Command {
        let mut go = command(&self.program);
        go.env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOPATH", &self.data)
            .env("GOMODCACHE", self.data.join("modules"))
            .env("GOCACHE", self.data.join("cache"));
        go
    }
}

/// The 26 of `go1.26.8`, `go1.26rc1` and `devel go1.26-4c0ffee`.
fn minor_in(version: &str) -> Option<u32> {
    let (_, minor) = version.split_once("go1.")?;
    let end = minor.find(|character: char| !character.is_ascii_digit());
    minor.get(..end.unwrap_or(minor.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_from_releases_candidates_and_development() {
        for version in ["go1.26", "go1.26.8", "go1.26rc1", "devel go1.26-4c0ffee"] {
            assert_eq!(minor_in(version), Some(26), "{version}");
        }
        assert_eq!(minor_in("gccgo"), None);
    }
}
