//! Starts, watches and stops other programs. Each child has its own process group, so Ctrl-C
//! reaches only this program. [`Group`] stops its child when dropped; on Linux the kernel does
//! if this program is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::steps::Step;

const LOG_LINES_SHOWN: usize = 20;

/// Interval between checks whether a child has ended.
const POLL: Duration = Duration::from_millis(30);

/// Time from SIGTERM to SIGKILL for a helper (cargo, pip, apt-get).
const HELPER_GRACE: Duration = Duration::from_secs(3);

/// How long to read output after a program ended: a leftover process may hold the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// A command without input, in its own process group. On Linux, it gets SIGTERM when this
/// program dies.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = detached_command(program);
    end_with_us(&mut command, Signal::SIGTERM);
    command
}

/// As [`command`], for a program that may outlive this one.
pub(crate) fn detached_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Has the kernel send `signal` to the process when this program dies. Linux only.
#[cfg(target_os = "linux")]
pub(crate) fn end_with_us(command: &mut Command, signal: Signal) {
    // SAFETY: only async-signal-safe functions may run between fork and exec; prctl is one.
    unsafe {
        command.pre_exec(move || Ok(nix::sys::prctl::set_pdeathsig(signal)?));
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_us(_command: &mut Command, _signal: Signal) {}

/// A child process and its descendants. Dropping it stops them.
pub(crate) struct Group {
    child: Child,
    /// Time from SIGTERM to SIGKILL.
    grace: Duration,
}

impl Group {
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn spawn(command: &mut Command, grace: Duration) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child, grace })
    }

    fn pipes(&mut self) -> Vec<Box<dyn Read + Send>> {
        let mut pipes: Vec<Box<dyn Read + Send>> = Vec::new();
        if let Some(pipe) = self.child.stdout.take() {
            pipes.push(Box::new(pipe));
        }
        if let Some(pipe) = self.child.stderr.take() {
            pipes.push(Box::new(pipe));
        }
        pipes
    }

    /// Calls `each`, from other threads, with every line the child writes.
    pub(crate) fn read_lines(&mut self, each: impl Fn(String) + Clone + Send + 'static) {
        for pipe in self.pipes() {
            let each = each.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(pipe);
                let mut line = Vec::new();
                while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                    each(String::from_utf8_lossy(&line).trim_end().to_owned());
                    line.clear();
                }
            });
        }
    }

    /// The exit status once the child has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("cannot wait for a child process")
    }

    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends SIGTERM, waits up to `grace`, then kills what is left of the group.
    pub(crate) fn stop(&mut self) {
        let Ok(id) = i32::try_from(self.child.id()) else {
            return;
        };
        let group = Pid::from_raw(id);
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(group, Signal::SIGTERM);
            let until = Instant::now() + self.grace;
            while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(POLL);
            }
        }
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The outcome and output of a program.
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// Lines of both streams, in order of arrival.
    pub(crate) lines: Vec<String>,
}

impl Finished {
    /// The last `count` non-empty lines, joined: programs report errors there.
    pub(crate) fn last(&self, count: usize) -> String {
        let lines: Vec<&str> = self
            .lines
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
            .collect();
        let skipped = lines.len().saturating_sub(count);
        lines
            .into_iter()
            .skip(skipped)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Runs a helper and shows its output as the step's news. After `limit`, stops it and reports
/// failure.
pub(crate) async fn run(
    mut command: Command,
    step: &Step,
    limit: Option<Duration>,
) -> Result<Finished> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string();
    let mut group = Group::spawn(&mut command, HELPER_GRACE)?;
    let (sender, mut receiver) = unbounded_channel();
    forward_lines(&mut group, sender);

    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut lines = Vec::new();
    let success = loop {
        while let Ok(line) = receiver.try_recv() {
            step.say(&line);
            lines.push(line);
        }
        if let Some(status) = group.ended()? {
            break status.success();
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            group.stop();
            lines.push(format!(
                "{program} did not finish within {} s and was stopped",
                limit.unwrap_or_default().as_secs()
            ));
            break false;
        }
        tokio::time::sleep(POLL).await;
    };
    while let Ok(Some(line)) = tokio::time::timeout(DRAIN, receiver.recv()).await {
        lines.push(line);
    }
    Ok(Finished { success, lines })
}

fn forward_lines(group: &mut Group, sender: UnboundedSender<String>) {
    group.read_lines(move |line| {
        // An error only means that nobody reads any more.
        let _ = sender.send(line);
    });
}

/// Runs a command with its output on the terminal; true if it succeeded.
pub(crate) async fn run_live(mut command: Command) -> Result<bool> {
    let mut group = Group::spawn(&mut command, HELPER_GRACE)?;
    Ok(group.wait().await?.success())
}

/// Runs a command and returns its trimmed standard output; an error if it fails.
pub(crate) async fn output_of(mut command: Command) -> Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let program = command.get_program().display().to_string();
    let mut group = Group::spawn(&mut command, HELPER_GRACE)?;
    let mut output = group.child.stdout.take().context("cannot open a pipe")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        output.read_to_end(&mut text).map(|_| text)
    });
    let status = group.wait().await?;
    let text = reader
        .join()
        .ok()
        .and_then(Result::ok)
        .with_context(|| format!("cannot read what {program} wrote"))?;
    anyhow::ensure!(status.success(), "{program} failed ({status})");
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Finds an executable on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
}

/// Length of a log in bytes; 0 if there is none.
pub(crate) fn log_length(log: &Path) -> u64 {
    log.metadata().map_or(0, |file| file.len())
}

/// A log's text after its first `from` bytes; empty if it cannot be read.
pub(crate) fn log_since(log: &Path, from: u64) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(log)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        file.read_to_end(&mut text).ok();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The last lines of [`log_since`], for an error message.
pub(crate) fn log_tail(log: &Path, from: u64) -> String {
    let text = log_since(log, from);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINES_SHOWN);
    let mut shown = format!("Last log lines ({}):", log.display());
    for line in lines.into_iter().skip(skipped) {
        shown.push_str("\n  ");
        shown.push_str(line);
    }
    shown
}
