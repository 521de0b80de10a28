//! The processes that `bench crash` kills and restarts: the service or PostgreSQL.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::client::Service;
use crate::cpu::{children, stat};

/// How long the service may take to start; it may compile its components.
const SERVICE_START_MAX: Duration = Duration::from_secs(300);

/// How long PostgreSQL may take to recover.
const POSTGRES_START_SECONDS_MAX: u64 = 90;

/// How long killed processes may take to be gone.
const END_MAX: Duration = Duration::from_secs(30);

/// The interval of polling.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The service, started by this program.
pub(crate) struct ServiceProcess {
    service: Service,
    program: String,
    arguments: Vec<String>,
    log: Option<PathBuf>,
    child: Option<Child>,
}

impl ServiceProcess {
    /// Starts the service: a program and its arguments, separated by spaces.
    pub(crate) async fn start(
        command: &str,
        log: Option<&Path>,
        service: &Service,
    ) -> Result<Self> {
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().context("--service-command is empty")?;
        ensure!(
            !service.accepts_connections().await,
            "something listens at {service} already: end it, so that --service-command can start \
             a service there that may be killed"
        );
        let mut process = Self {
            service: service.clone(),
            program,
            arguments: words.collect(),
            log: log.map(Path::to_owned),
            child: None,
        };
        process.start_again().await?;
        Ok(process)
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            bail!("the service does not run");
        };
        if let Some(status) = child.try_wait().context("look at the service's process")? {
            bail!("the service ended by itself ({status}); look at its log");
        }
        let pid = child.id().context("find the service's process id")?;
        send_kill(pid).context("kill the service")?;
        timeout(END_MAX, child.wait())
            .await
            .context("wait for the killed service to be gone")?
            .context("wait for the killed service to be gone")?;
        Ok(())
    }

    /// Starts the service and waits until it answers.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let output = || -> Result<Stdio> {
            Ok(match &self.log {
                None => Stdio::null(),
                Some(path) => File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .with_context(|| format!("open {} for the service's log", path.display()))?
                    .into(),
            })
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}; see --service-command", self.program))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().context("look at the service's process")? {
                bail!(
                    "the service ended right after its start ({status}); run {} by hand, or give \
                     --service-log FILE and read it",
                    self.program
                );
            }
            if self.service.is_ok("/health/live").await {
                break;
            }
            ensure!(
                begun.elapsed() < SERVICE_START_MAX,
                "the service does not answer at {} {} s after its start; does --service-command \
                 make it listen there?",
                self.service,
                SERVICE_START_MAX.as_secs()
            );
            sleep(LOOK_PAUSE).await;
        }
        self.child = Some(child);
        Ok(())
    }
}

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
        send_kill(postmaster).context("kill PostgreSQL's postmaster")?;
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
            .arg("restart")
            .arg("--wait")
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
        let output = timeout(
            Duration::from_secs(POSTGRES_START_SECONDS_MAX) + END_MAX,
            command.output(),
        )
        .await
        .context("wait for pg_ctl")?
        .context("run pg_ctl")?;
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

fn send_kill(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).context("read a process id")?;
    ensure!(
        pid > 1,
        "{pid} is not the id of a process that may be killed"
    );
    kill(Pid::from_raw(pid), Signal::SIGKILL).context("send SIGKILL")
}
