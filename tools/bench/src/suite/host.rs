//! The program that runs the components, started for a part of the run.

use std::fs;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;
use url::Url;

use super::plan::{HostKind, HostProgram, Plan};
use crate::client::Service;
use crate::cpu::children;
use crate::server::Server;

/// An application: its manifest, and the path that answers 200 when it is ready.
#[derive(Clone, Copy)]
pub(super) struct Application {
    manifest: &'static str,
    ready_path: &'static str,
}

pub(super) const SERVICE: Application = Application {
    manifest: "spin.toml",
    ready_path: "/health/ready",
};

pub(super) const BASELINE: Application = Application {
    manifest: "tools/bench/baseline/spin.toml",
    ready_path: "/empty",
};

/// Starts a host and waits until it is ready. `cache` is the folder of compiled components, if not
/// the usual one.
pub(super) async fn start(
    plan: &Plan,
    host: &HostProgram,
    application: Application,
    database_url: &str,
    cache: Option<&Path>,
) -> Result<Server> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
    let listen = free.context("find a free port")?.to_string();
    let database = host_and_port(database_url, 5432)?;
    let mut command = Command::new(&host.program);
    match host.kind {
        HostKind::Spin => command.args(["up", "--state-dir", ".data/spin"]),
        HostKind::Devhost => {
            let usual = host.root.join(".data/devhost");
            command.arg("--cache-dir").arg(cache.unwrap_or(&usual))
        }
    };
    command
        .current_dir(&host.root)
        // Spin would record a backtrace of every error, also of those that it expects.
        .env_remove("RUST_BACKTRACE")
        .args(["--from", application.manifest, "--listen", &listen])
        .args(["--runtime-config-file", "runtime-config.toml"])
        .env("SPIN_VARIABLE_DATABASE_URL", database_url)
        .env("SPIN_VARIABLE_DATABASE_READER_URL", database_url)
        .env("SPIN_VARIABLE_DATABASE_HOST", &database)
        .env("SPIN_VARIABLE_DATABASE_READER_HOST", &database)
        .env("SPIN_VARIABLE_LOG_SIGNING_KEY", &host.log_signing_key);
    if let Some(redis) = &plan.redis {
        command
            .env("SPIN_VARIABLE_REDIS_URL", &redis.url)
            .env("SPIN_VARIABLE_REDIS_HOST", host_and_port(&redis.url, 6379)?);
    }
    let service = Service::parse(&format!("http://{listen}"))?;
    let log = plan.out.join("host.log");
    Server::start(command, service, application.ready_path, &log).await
}

/// The peak memory of a process and its children (`spin up` starts one), added up, in MiB.
pub(super) fn memory_peak_mib(pid: u32) -> Option<f64> {
    let peak_mib = |pid: u32| -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1_024.0)
    };
    let processes = iter::once(pid).chain(children(pid));
    processes.filter_map(peak_mib).reduce(|sum, mib| sum + mib)
}

/// Parses a URL. Errors do not show it, since it may contain a password.
fn parse(url: &str) -> Result<Url> {
    let Ok(url) = url.parse::<Url>() else {
        bail!("a URL in the plan cannot be read");
    };
    Ok(url)
}

fn host_and_port(url: &str, port: u16) -> Result<String> {
    let url = parse(url)?;
    let host = url.host_str().context("a URL in the plan names no host")?;
    Ok(format!("{host}:{}", url.port().unwrap_or(port)))
}

/// A database's URL with another server.
pub(super) fn with_server(url: &str, server: SocketAddr) -> Result<String> {
    let mut url = parse(url)?;
    let replaced =
        url.set_ip_host(server.ip()).is_ok() && url.set_port(Some(server.port())).is_ok();
    ensure!(replaced, "a URL in the plan has no server");
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_put_in_anothers_place_and_the_rest_stays() {
        let url = "postgres://user:secret@127.0.0.1:5432/data?sslmode=disable";
        let other = with_server(url, ([127, 0, 0, 1], 9).into()).unwrap();
        let expected = "postgres://user:secret@127.0.0.1:9/data?sslmode=disable";
        assert_eq!(other, expected);
        assert_eq!(host_and_port("redis://h", 6379).unwrap(), "h:6379");
        let error = with_server("secret", ([127, 0, 0, 1], 9).into()).unwrap_err();
        assert!(!format!("{error:#}").contains("secret"));
    }

    #[test]
    fn the_peak_of_this_process_is_read() {
        let pid = std::process::id();
        assert!(memory_peak_mib(pid).is_some_and(|mib| mib > 1.0));
        assert_eq!(memory_peak_mib(u32::MAX), None);
    }
}
