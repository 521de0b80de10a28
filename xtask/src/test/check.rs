//! The steps of `cargo xtask test` and the command of each.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::build;
use crate::project::Project;

/// Packages that `--only` tests in a step of their own.
pub(super) const DEVHOST: &str = "devhost";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const E2E: &str = "e2e";
pub(super) const MINILM: &str = "minilm";

/// The module of the tests that compare the components with wit/. What is unused is imported
/// unless it was optimized away.
pub(super) const WORLDS: &str = "worlds::";

/// The module of the tests in tests/cluster.
pub(super) const ON_KUBERNETES: &str = "on_kubernetes::";

/// A step of the test run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Check {
    /// Check the formatting
    Fmt,
    /// Run Clippy; a warning is a failure
    Clippy,
    /// Check the dependencies' licences and sources with cargo-deny, if it is installed
    Deny,
    /// Run every test
    Tests,
    /// Run the unit and property tests of the libraries
    Unit,
    /// Run the tests of tools/devhost
    Devhost,
    /// Run the tests of tools/minilm, with the embedding model
    Minilm,
    /// Test the whole service over HTTP
    E2e,
    /// Send the service requests generated from openapi.json, and check its responses
    Schemathesis,
    /// Use Python and Go clients generated from openapi.json with the service
    Clients,
    /// Verify the log with programs and packages of others, if Go is installed
    Log,
    /// Test the dashboard, rules and alerts with a Prometheus that scrapes the service
    Observability,
    /// Run a minimal benchmark, and check that it measures everything
    Bench,
    /// Validate deploy/ against the schemas of Kubernetes and spin.toml
    Deploy,
    /// Test deploy/ and access control on the API server of the newest Kubernetes
    Cluster,
}

impl Check {
    /// The steps without `--only`, in order. One command builds all tests: separate ones would
    /// select other features of the same dependencies and compile them again.
    pub(super) const ALL: [Self; 11] = [
        Self::Fmt,
        Self::Clippy,
        Self::Deny,
        Self::Deploy,
        Self::Tests,
        Self::Cluster,
        Self::Schemathesis,
        Self::Clients,
        Self::Log,
        Self::Observability,
        Self::Bench,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Tests => "tests",
            Self::Unit => "unit",
            Self::Devhost => DEVHOST,
            Self::Minilm => MINILM,
            Self::E2e => E2E,
            Self::Schemathesis => "schemathesis",
            Self::Clients => "clients",
            Self::Log => "log",
            Self::Observability => "observability",
            Self::Deploy => "deploy",
            Self::Cluster => CLUSTER,
            Self::Bench => "bench",
        }
    }

    /// Whether it needs the components, the database and Redis.
    pub(super) fn needs_service(self) -> bool {
        !matches!(
            self,
            Self::Fmt | Self::Clippy | Self::Deny | Self::Minilm | Self::Deploy
        )
    }

    pub(super) fn component_profile(self, is_release: bool) -> &'static str {
        if self == Self::E2e && !is_release {
            build::COMPONENT_TEST
        } else {
            build::RELEASE
        }
    }

    /// The test targets that the step selects; empty for all.
    pub(super) fn test_targets(self) -> &'static [&'static str] {
        match self {
            Self::E2e => &["api", "host"],
            Self::Cluster => &["cluster"],
            _ => &[],
        }
    }

    pub(super) fn needs_model(self) -> bool {
        matches!(self, Self::Tests | Self::Minilm)
    }
}

/// The command of a step, with arguments for it.
pub(super) async fn command_of(
    check: Check,
    project: &Project,
    arguments: &[String],
) -> Result<Command> {
    let mut cargo = project.cargo();
    match check {
        Check::Fmt => {
            cargo.args(["fmt", "--all", "--check"]);
            return Ok(cargo);
        }
        Check::Clippy => {
            cargo.args(["clippy", "--workspace", "--all-targets"]);
            cargo.args(["--", "-D", "warnings"]);
            return Ok(cargo);
        }
        Check::Deny => {
            cargo.args(["deny", "check", "licenses", "bans", "sources"]);
        }
        Check::Unit => {
            cargo = project.cargo_for_all("test").await?;
            for package in [CLUSTER, DEVHOST, MINILM, E2E] {
                cargo.args(["--exclude", package]);
            }
        }
        Check::Tests => {
            cargo = project.cargo_for_all("test").await?;
            // The step `cluster` runs these.
            cargo.args(test_arguments(arguments, &["--skip", ON_KUBERNETES]));
            return Ok(cargo);
        }
        Check::E2e | Check::Cluster => {
            cargo = project.cargo_for_all("test").await?;
            if !arguments.iter().any(|argument| argument == "--test") {
                for target in check.test_targets() {
                    cargo.args(["--test", target]);
                }
            }
        }
        Check::Devhost
        | Check::Minilm
        | Check::Schemathesis
        | Check::Clients
        | Check::Log
        | Check::Observability
        | Check::Bench
        | Check::Deploy => {
            cargo.args(["test", "--package", check.name()]);
        }
    }
    cargo.args(arguments);
    Ok(cargo)
}

/// Appends arguments for the test programs, after `--`.
pub(super) fn test_arguments(arguments: &[String], more: &[&str]) -> Vec<String> {
    let mut all = arguments.to_vec();
    if !all.iter().any(|argument| argument == "--") {
        all.push("--".to_owned());
    }
    all.extend(more.iter().map(|&argument| argument.to_owned()));
    all
}
