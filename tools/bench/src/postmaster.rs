//! The PostgreSQL server that `bench crash` kills and restarts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::cpu::{children, stat};
use crate::server::send;

/// How long PostgreSQL may take to recover.
const POSTGRES_START_SECONDS_MAX: u64 = 90;

/// How long PostgreSQL's processes may take to be gone.
const END_MAX: Duration = Duration::from_secs(30);

/// The interval of polling.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A PostgreSQL server on this machine.
pub(crate) struct Postgres {
    data: PathBuf,
    pg_ctl: PathBuf,
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// The server of a data directory, with the programs of a `bin` directory.
    pub(crate) fn new(data: &Path, bin: &Path) -> Result<Self> {
        let owner = fs::metadata(data)
            .with_context(|| format!("look at {}, given as --pg-data", data.display()))?;
        let data = data
            .canonicalize()
            .context("resolve the path given as --pg-data")?;
        let pg_ctl = bin.join("pg_ctl").canonicalize().with_context(|| {
            format!("there is no pg_ctl in {}, given as --pg-bin", bin.display())
        })?;
        let server = Self {
            data,
            pg_ctl,
            uid: owner.uid(),
            gid: owner.gid(),
        };
        server.postmaster()?;
        Ok(server)
    }

    /// Sends SIGKILL to the postmaster and waits for the end of it and its children.
    pub(crate) async fn kill(&self) -> Result<()> {
        let postmaster = self.postmaster()?;
        let mut processes = children(postmaster);
        processes.push(postmaster);
        send(Signal::SIGKILL, postmaster)?;
        let begun = Instant::now();
        // The children end by themselves. As long as the postmaster's parent has not taken note of
        // its end, PostgreSQL takes it for running and does not start.
        while processes.iter().any(|pid| is_postgres(*pid)) || stat(postmaster).is_some() {
            ensure!(
                begun.elapsed() < END_MAX,
                "PostgreSQL's processes are still there {} s after its postmaster was killed; \
                 its parent does not take note: start the server with pg_ctl, not from a program",
                END_MAX.as_secs()
            );
            sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    /// Starts the server and waits until it has recovered.
    pub(crate) async fn start_again(&self) -> Result<()> {
        let mut command = Command::new(&self.pg_ctl);
        // `restart` uses the options of the last start, unlike `start`.
        command
            .args(["restart", "--wait"])
            .arg(format!("--timeout={POSTGRES_START_SECONDS_MAX}"))
            .arg("--pgdata")
            .arg(&self.data)
            .arg("--log")
            .arg(self.data.join("bench-crash.log"))
            .current_dir(&self.data)
            .stdin(Stdio::null());
        // PostgreSQL runs as the owner of its data, and never as root.
        if Uid::effective().is_root() {
            command.uid(self.uid).gid(self.gid);
        }
        let time_max = Duration::from_secs(POSTGRES_START_SECONDS_MAX) + END_MAX;
        let output = timeout(time_max, command.output()).await;
        let output = output.context("wait for pg_ctl")?.context("run pg_ctl")?;
        ensure!(
            output.status.success(),
            "pg_ctl could not start PostgreSQL again ({}): {}; its data directory may have a \
             bench-crash.log that tells more",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    fn postmaster(&self) -> Result<u32> {
        let path = self.data.join("postmaster.pid");
        let pid = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.lines().next()?.trim().parse().ok())
            .filter(|pid| is_postgres(*pid));
        pid.with_context(|| {
            format!(
                "{} names no running PostgreSQL; start the server of --pg-data first",
                path.display()
            )
        })
    }
}

fn is_postgres(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.name.starts_with("postgres") && !stat.is_zombie)
}
