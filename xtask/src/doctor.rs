//! `cargo xtask doctor`: shows what this machine has, what the commands download, what is missing.

use std::env;

use anyhow::{Result, bail};

use crate::packages::debian_program::{NGINX, PGBOUNCER};
use crate::process::{command, on_path, output_of};
use crate::project::Project;
use crate::steps::tell;
use crate::{address, deploy, postgres_programs, redis, toolchain};

struct Finding {
    name: &'static str,
    state: State,
}

enum State {
    /// Its path or version.
    Found(String),
    /// Where the commands get it.
    Downloaded(&'static str),
    /// What the commands do without it.
    Optional(&'static str),
    /// How to install it: every command needs it.
    Missing(&'static str),
}

/// Prints the findings; an error if something is missing that every command needs.
pub(crate) async fn doctor() -> Result<()> {
    let project = Project::find()?;
    let findings = [
        finding("C compiler", program("cc", None).await, MISSING_CC),
        finding(
            "Python",
            program("python3", Some("--version")).await,
            MISSING_PYTHON,
        ),
        finding(
            toolchain::TARGET,
            toolchain::describe_target(&project).await?,
            State::Downloaded("rustup, or built in .data/ from Debian's packages"),
        ),
        finding(
            "Spin",
            program("spin", Some("--version")).await,
            State::Optional("tools/devhost runs the components"),
        ),
        finding(
            "PostgreSQL",
            postgresql().await,
            State::Downloaded("a Python wheel (16 with pgvector), in .data/"),
        ),
        finding(
            "Redis",
            named_by(redis::URL_VARIABLE).or(program("redis-server", None).await),
            State::Downloaded("a Python wheel, in .data/"),
        ),
        finding(
            "nginx",
            named_by(NGINX.variable).or(program(NGINX.name, None).await),
            State::Downloaded("Debian's package, in .data/, for end-to-end tests"),
        ),
        finding(
            "PgBouncer",
            named_by(PGBOUNCER.variable).or(program(PGBOUNCER.name, None).await),
            State::Downloaded("Debian's package, in .data/, for end-to-end tests"),
        ),
        finding(
            "kubectl",
            program("kubectl", None).await,
            State::Downloaded("Debian's package, in .data/, for the tests of deploy/"),
        ),
        finding(
            "Go",
            program("go", Some("version")).await,
            State::Optional(
                "the tests on Kubernetes, of the Go clients and of the log by others' programs are skipped",
            ),
        ),
        finding(
            "SpinKube's CRDs",
            named_by(deploy::CRDS_VARIABLE),
            State::Optional("the tests of deploy/ do not validate SpinApps"),
        ),
    ];
    for finding in &findings {
        tell(&finding.line());
    }
    if findings.iter().any(Finding::is_missing) {
        bail!("Every command needs what is marked ✗ above. Install it.");
    }
    Ok(())
}

const MISSING_CC: State =
    State::Missing("Install gcc or clang, which Rust links with (Debian: build-essential)");
const MISSING_PYTHON: State =
    State::Missing("Install Python 3.11 with pip, which downloads PostgreSQL and Redis");

fn finding(name: &'static str, found: Option<String>, otherwise: State) -> Finding {
    Finding {
        name,
        state: found.map_or(otherwise, State::Found),
    }
}

impl Finding {
    fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing(_))
    }

    fn line(&self) -> String {
        let name = self.name;
        match &self.state {
            State::Found(what) => format!("✓ {name:16} {what}"),
            State::Downloaded(from) => format!("↓ {name:16} not found; comes from {from}"),
            State::Optional(without) => format!("- {name:16} not found; {without}"),
            State::Missing(what) => format!("✗ {name:16} not found. {what}"),
        }
    }
}

/// A program's path and version; None if it is missing or fails.
async fn program(name: &str, version: Option<&str>) -> Option<String> {
    let path = on_path(name)?;
    let mut shown = path.display().to_string();
    if let Some(argument) = version {
        let mut ask = command(&path);
        ask.arg(argument);
        let said = output_of(ask).await.ok()?;
        shown = format!("{} ({shown})", said.lines().next().unwrap_or_default());
    }
    Some(shown)
}

/// Says that a variable is set, without its value, which may be a secret.
fn named_by(variable: &str) -> Option<String> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(|_| format!("set by {variable}"))
}

async fn postgresql() -> Option<String> {
    if let Some(named) = named_by(address::URL_VARIABLE) {
        return Some(named);
    }
    for pg_config in postgres_programs::installed() {
        if let Some((folder, major)) = postgres_programs::usable(&pg_config).await {
            return Some(format!("{major} with pgvector ({})", folder.display()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_there_or_what_happens_without_it() {
        let found = finding("Go", Some("go1.26".to_owned()), State::Optional("no tests"));
        assert_eq!(found.line(), "✓ Go               go1.26");
        let missing = finding("Go", None, State::Optional("no tests"));
        assert_eq!(missing.line(), "- Go               not found; no tests");
        assert!(!missing.is_missing());
        assert!(finding("Python", None, MISSING_PYTHON).is_missing());
    }
}
