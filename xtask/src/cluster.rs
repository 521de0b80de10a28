//! A PostgreSQL data folder: creates it, starts a server on it, finds a running one.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::Home;
use crate::process::{command, detached_command, end_with_us, run};
use crate::project::Project;
use crate::steps::Step;

pub(crate) const USER: &str = "postgres";

/// Settings of every embedded server: loopback only, with room for the service's connections.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=1GB",
    "maintenance_work_mem=256MB",
    "max_wal_size=2GB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] %q%d ",
];

/// Kept data survives a power failure.
const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/// Tests discard their data.
const FAST: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

/// Whether data must survive a crash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// For local runs.
    Kept,
    /// For tests.
    ThrownAway,
}

/// A data folder, and how to start a server on it.
pub(crate) struct Cluster {
    pub(crate) data: PathBuf,
    password_file: PathBuf,
    port_file: PathBuf,
    programs: PathBuf,
    durability: Durability,
    log: PathBuf,
}

impl Cluster {
    pub(crate) fn data_folder(folder: &Path) -> PathBuf {
        folder.join("postgres")
    }

    pub(crate) fn new(
        folder: &Path,
        programs: PathBuf,
        durability: Durability,
        log: PathBuf,
    ) -> Self {
        Self {
            data: Self::data_folder(folder),
            password_file: folder.join("postgres.password"),
            port_file: folder.join("postgres.port"),
            programs,
            durability,
            log,
        }
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Creates the data folder if it is missing; returns the superuser's password.
    pub(crate) async fn password(&self, home: &Home, step: &Step) -> Result<String> {
        if !self.data.is_dir() {
            self.create(home, step).await?;
        }
        std::fs::read_to_string(&self.password_file).with_context(|| {
            format!(
                "cannot read the password for the data in {} from {}; if it is lost, remove that \
                 folder and the data in it to start over",
                self.data.display(),
                self.password_file.display()
            )
        })
    }

    async fn create(&self, home: &Home, step: &Step) -> Result<()> {
        step.say("creating the data folder (initdb)");
        let password = uuid::Uuid::new_v4().simple().to_string();
        // initdb runs as PostgreSQL's user, who must be able to read the file.
        let handed_over = self.data.with_extension("initdb");
        write_secret(&handed_over, &password)?;
        home.give(&handed_over)?;
        // Renamed when complete, so `data` is never partial.
        let partial = self.data.with_extension("partial");
        home.create_private_folder(&partial)?;

        let mut initdb = command(self.programs.join("initdb"));
        home.run_as(&mut initdb);
        initdb
            .env("LC_ALL", "C")
            .arg("--pgdata")
            .arg(&partial)
            .arg(format!("--username={USER}"))
            .arg("--pwfile")
            .arg(&handed_over)
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--data-checksums", "--no-instructions"]);
        if self.durability == Durability::ThrownAway {
            initdb.arg("--no-sync");
        }
        let created = run(initdb, step, None).await;
        std::fs::remove_file(&handed_over).ok();
        let created = created?;
        ensure!(
            created.success,
            "initdb cannot create the embedded PostgreSQL's data folder: {}",
            created.last(4)
        );
        write_secret(&self.password_file, &password)?;
        std::fs::rename(&partial, &self.data)
            .with_context(|| format!("cannot rename {}", partial.display()))
    }

    /// The running server's process id and port, whoever started it. Ignores a stale process id.
    pub(crate) fn running(&self) -> Option<(Pid, u16)> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?);
        let port = lines.nth(2)?.trim().parse().ok()?;
        (is_alive(pid) && is_server_of(pid, &self.data)).then_some((pid, port))
    }

    /// Starts a server; returns its process and port.
    pub(crate) fn start(&self, home: &Home, project: &Project) -> Result<(Child, u16)> {
        let port = self.choose_port()?;
        let log_name = self.log.file_name().unwrap_or_default().to_string_lossy();
        let (_, log) = project.open_log(&log_name)?;
        let errors = log.try_clone().context("cannot open PostgreSQL's log")?;
        let program = self.programs.join("postgres");
        // Others may use a kept server, so it may outlive this command.
        let mut server = detached_command(program);
        if self.durability == Durability::ThrownAway {
            end_with_us(&mut server, Signal::SIGQUIT);
        }
        home.run_as(&mut server);
        server
            .env("LC_ALL", "C")
            .stdout(log)
            .stderr(errors)
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &port.to_string()]);
        let durability = match self.durability {
            Durability::Kept => DURABLE,
            Durability::ThrownAway => FAST,
        };
        for setting in SETTINGS.iter().chain(&durability) {
            server.args(["-c", setting]);
        }
        let child = server
            .spawn()
            .context("cannot start the embedded PostgreSQL")?;
        Ok((child, port))
    }

    /// The last port if it is free, so that clients find the server again; else another one.
    fn choose_port(&self) -> Result<u16> {
        let remembered = std::fs::read_to_string(&self.port_file)
            .ok()
            .and_then(|text| text.trim().parse::<u16>().ok())
            .and_then(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let listener = match remembered {
            Some(listener) => listener,
            None => TcpListener::bind(("127.0.0.1", 0))
                .context("cannot find a free port for the embedded PostgreSQL")?,
        };
        let port = listener
            .local_addr()
            .context("cannot find a free port")?
            .port();
        std::fs::write(&self.port_file, port.to_string())
            .with_context(|| format!("cannot write {}", self.port_file.display()))?;
        Ok(port)
    }

    /// Forgets the last port, which another program took.
    pub(crate) fn forget_port(&self) {
        std::fs::remove_file(&self.port_file).ok();
    }
}

pub(crate) fn is_alive(pid: Pid) -> bool {
    // EPERM: it exists, but we may not signal it.
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

/// Whether the process is a server on `data`: after a reboot, its id may be another program's.
fn is_server_of(pid: Pid, data: &Path) -> bool {
    match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => line
            .split(|byte| *byte == 0)
            .any(|word| word == data.as_os_str().as_encoded_bytes()),
        // Without /proc, trust the id.
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let write = || {
        std::fs::remove_file(path).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
