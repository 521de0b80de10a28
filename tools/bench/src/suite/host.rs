//! The program that runs the components, started for a part of the run.

use std::fs::{self, File};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use url::Url;

use super::plan::{HostKind, HostProgram};
use crate::client::Service;
use crate::cpu::children;

/// How long the start may take; it may compile all components.
const START_MAX: Duration = Duration::from_secs(180);

/// How often to ask whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long it may take to stop.
const STOP_MAX: Duration = Duration::from_secs(20);

/// An application. No `Debug`, since its URLs contain passwords.
pub(super) struct Application<'a> {
    /// The path of the manifest in the project's folder.
    pub(super) manifest: &'static str,
    /// The path that answers 200 when it is ready.
    pub(super) ready_path: &'static str,
    pub(super) database_url: &'a str,
    pub(super) redis_url: Option<&'a str>,
    /// The folder of compiled components, if not the usual one.
    pub(super) cache: Option<&'a Path>,
    /// The file for the host's output.
    pub(super) log: &'a Path,
}

/// A running host. Dropping it kills it.
pub(super) struct Host {
    child: Child,
    pub(super) service: Service,
    pub(super) pid: u32,
    /// From its start to its first answer.
    pub(super) started_in: Duration,
}

impl Host {
    /// Starts a host and waits until it is ready.
    pub(super) async fn start(host: &HostProgram, application: &Application<'_>) -> Result<Self> {
        let listen = free_address()?;
        let mut command = command(host, application, &listen)?;
        let begun = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("start {}", host.program.display()))?;
        let pid = child.id().context("ask for the host's process")?;
        let mut host = Self {
            child,
            service: Service::parse(&format!("http://{listen}"))?,
            pid,
            started_in: Duration::ZERO,
        };
        let is_up = timeout(START_MAX, host.wait_until_up(application)).await;
        is_up.with_context(|| {
            format!(
                "the host did not answer {} with 200 within {} s; see {}",
                application.ready_path,
                START_MAX.as_secs(),
                application.log.display()
            )
        })??;
        host.started_in = begun.elapsed();
        Ok(host)
    }

    async fn wait_until_up(&mut self, application: &Application<'_>) -> Result<()> {
        loop {
            if self.service.is_ok(application.ready_path).await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().context("look at the host")? {
                bail!(
                    "the host ended ({status}); see {}",
                    application.log.display()
                );
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Stops it and waits for its end.
    pub(super) async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?);
        kill(pid, Signal::SIGTERM).context("end the host")?;
        let ended = timeout(STOP_MAX, self.child.wait()).await;
        ended.context("the host did not end in time")??;
        Ok(())
    }
}

fn command(host: &HostProgram, application: &Application<'_>, listen: &str) -> Result<Command> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(application.log)
        .with_context(|| format!("open {}", application.log.display()))?;
    let database = host_and_port(application.database_url, 5432)?;
    let mut command = Command::new(&host.program);
    match host.kind {
        HostKind::Spin => {
            command.args(["up", "--state-dir", ".data/spin"]);
        }
        HostKind::Devhost => {
            let usual = host.root.join(".data/devhost");
            let cache = application.cache.unwrap_or(&usual);
            command.arg("--cache-dir").arg(cache);
        }
    }
    command
        .current_dir(&host.root)
        .args(["--from", application.manifest, "--listen", listen])
        .args(["--runtime-config-file", "runtime-config.toml"])
        .env("SPIN_VARIABLE_DATABASE_URL", application.database_url)
        .env(
            "SPIN_VARIABLE_DATABASE_READER_URL",
            application.database_url,
        )
        .env("SPIN_VARIABLE_DATABASE_HOST", &database)
        .env("SPIN_VARIABLE_DATABASE_READER_HOST", &database)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the log")?)
        .stderr(log)
        .kill_on_drop(true);
    if let Some(url) = application.redis_url {
        command
            .env("SPIN_VARIABLE_REDIS_URL", url)
            .env("SPIN_VARIABLE_REDIS_HOST", host_and_port(url, 6379)?);
    }
    Ok(command)
}

/// The peak memory of a process and its children (`spin up` starts one), added up, in MiB.
pub(super) fn memory_peak_mib(pid: u32) -> Option<f64> {
    let processes = iter::once(pid).chain(children(pid));
    processes
        .filter_map(peak_mib_of)
        .reduce(|sum, mib| sum + mib)
}

fn peak_mib_of(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024.0)
}

/// The host and port of a URL. Errors do not show the URL, which may contain a password.
fn host_and_port(url: &str, port: u16) -> Result<String> {
    let Ok(url) = url.parse::<Url>() else {
        bail!("a URL in the plan cannot be read");
    };
    let host = url.host_str().context("a URL in the plan names no host")?;
    Ok(format!("{host}:{}", url.port().unwrap_or(port)))
}

/// A database's URL with another server.
pub(super) fn with_server(url: &str, server: SocketAddr) -> Result<String> {
    let Ok(mut url) = url.parse::<Url>() else {
        bail!("a URL in the plan cannot be read");
    };
    let replaced =
        url.set_ip_host(server.ip()).is_ok() && url.set_port(Some(server.port())).is_ok();
    ensure!(replaced, "a URL in the plan has no server");
    Ok(url.into())
}

fn free_address() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    let address = listener.local_addr().context("find a free port")?;
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_put_in_anothers_place_and_the_rest_stays() {
        let url = "postgres://user:secret@127.0.0.1:5432/data?sslmode=disable";
        let other = with_server(url, ([127, 0, 0, 1], 9).into()).unwrap();
        assert_eq!(
            other,
            "postgres://user:secret@127.0.0.1:9/data?sslmode=disable"
        );
        assert_eq!(host_and_port(url, 1).unwrap(), "127.0.0.1:5432");
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
