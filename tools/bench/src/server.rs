//! A service that this program starts, and stops or kills.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::client::Service;

/// How long the start may take; it may compile all components.
const START_MAX: Duration = Duration::from_secs(300);

/// How often to ask whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long it may take to end.
const END_MAX: Duration = Duration::from_secs(30);

/// A running service. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    pub(crate) service: Service,
    pub(crate) pid: u32,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts a service and waits until `ready_path` answers 200. Its output is added to the log.
    pub(crate) async fn start(
        mut command: Command,
        service: Service,
        ready_path: &str,
        log: &Path,
    ) -> Result<Self> {
        let program = PathBuf::from(command.as_std().get_program());
        let (program, shown_log) = (program.display(), log.display());
        let output = File::options().create(true).append(true).open(log);
        let output =
            output.with_context(|| format!("open {shown_log} for the service's output"))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("share the log")?)
            .stderr(output)
            .kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let pid = child.id().context("ask for the service's process")?;
        while !service.is_ok(ready_path).await {
            if let Some(status) = child.try_wait().context("look at the service")? {
                bail!("{program} ended right after its start ({status}); read {shown_log}");
            }
            if begun.elapsed() > START_MAX {
                bail!(
                    "{service}{ready_path} did not answer 200 within {} s; does {program} listen \
                     there? Read {shown_log}",
                    START_MAX.as_secs()
                );
            }
            sleep(ASK_EVERY).await;
        }
        let started_in = begun.elapsed();
        Ok(Self {
            child,
            service,
            pid,
            started_in,
        })
    }

    /// Sends a signal and waits for the end of the process.
    pub(crate) async fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("look at the service")? {
            bail!("the service ended by itself ({status}); look at its log");
        }
        send(signal, self.pid)?;
        let ended = timeout(END_MAX, self.child.wait()).await;
        ended.context("the service did not end in time")??;
        Ok(())
    }
}

/// Sends a signal to a process.
pub(crate) fn send(signal: Signal, pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).context("read a process id")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to process {pid}"))
}
