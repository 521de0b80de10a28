//! The `go` command. It is optional: without it, steps skip what they build from Go modules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{command, on_path, output_of};
use crate::project::Project;

pub(crate) struct Go {
    program: PathBuf,
    /// Holds modules and compiled packages.
    data: PathBuf,
}

impl Go {
    /// Finds Go 1.`minor_min` or newer on PATH. The inner error says why it cannot be used.
    pub(crate) async fn find(project: &Project, minor_min: u32) -> Result<Result<Self, String>> {
        let Some(program) = on_path("go") else {
            return Ok(Err("no `go` on PATH".to_owned()));
        };
        let go = Self {
            program,
            data: project.data.join("go"),
        };
        let mut ask = go.bare();
        ask.current_dir(&project.data).args(["env", "GOVERSION"]);
        let version = output_of(ask).await.context("cannot read go's version")?;
        if minor_in(&version).is_some_and(|minor| minor >= minor_min) {
            return Ok(Ok(go));
        }
        Ok(Err(format!(
            "`go` on PATH is {version}, and Go 1.{minor_min} or newer is needed"
        )))
    }

    /// A subcommand in the module of `folder`. It keeps downloaded modules removable.
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

/// The 26 in `go1.26.8`, `go1.26rc1` and `devel go1.26-4c0ffee`.
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
