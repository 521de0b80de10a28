//! Runs the service: the host with the components.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use uuid::Uuid;

use crate::address::Address;
use crate::build::Host;
use crate::database::{Database, Users};
use crate::process::{Group, command, log_length, log_tail};
use crate::project::Project;
use crate::steps::{Step, tell};
use crate::{log_key, migrate};

const READY_WAIT_MAX: Duration = Duration::from_secs(90);

/// How long the service may take to finish its requests when stopped.
const GRACE: Duration = Duration::from_secs(15);

/// A running service. Dropping it stops it.
pub(crate) struct Service {
    process: Group,
    /// As `http://127.0.0.1:8080`.
    pub(crate) url: String,
    log: PathBuf,
    /// Offset of this service's part of the log.
    log_start: u64,
    /// Whether its output also goes to the terminal.
    shown: Arc<AtomicBool>,
}

impl Service {
    /// Starts the service with the local log key and these variables of spin.toml, and waits until it
    /// is ready.
    pub(crate) async fn start(
        project: &Project,
        host: &Host,
        listen: SocketAddr,
        database: &Users,
        variables: &[(&str, String)],
        step: &Step,
    ) -> Result<Self> {
        check_free(listen)?;
        let mut run = match host {
            Host::Spin(path) => {
                let mut spin = command(path);
                spin.args(["up", "--state-dir"])
                    .arg(project.data.join("spin"));
                spin
            }
            Host::Devhost(path) => command(path),
        };
        run.current_dir(&project.root)
            .args(["--from", "spin.toml"])
            .args(["--listen", &listen.to_string()])
            .args(["--runtime-config-file", "runtime-config.toml"])
            .env("SPIN_VARIABLE_DATABASE_URL", database.writer.secret_url())
            .env(
                "SPIN_VARIABLE_DATABASE_READER_URL",
                database.reader.secret_url(),
            )
            .env(
                "SPIN_VARIABLE_DATABASE_HOST",
                database.writer.host_and_port(),
            )
            .env(
                "SPIN_VARIABLE_DATABASE_READER_HOST",
                database.reader.host_and_port(),
            )
            .env(
                "SPIN_VARIABLE_LOG_SIGNING_KEY",
                log_key::local(project)?.to_secret_text(),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in variables {
            run.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
        }
        let (log, file) = project.open_log("service.log")?;
        let log_start = log_length(&log);
        let mut process = Group::spawn(&mut run, GRACE)?;
        let shown = Arc::new(AtomicBool::new(false));
        copy_output(&mut process, file, Arc::clone(&shown));

        let mut service = Self {
            process,
            url: format!("http://{}", reachable(listen)),
            log,
            log_start,
            shown,
        };
        service.wait_until_ready(step).await?;
        Ok(service)
    }

    /// Starts a service in tools/devhost, on a free port and with a new database whose name begins
    /// with `name`; also returns the database's address.
    pub(crate) async fn start_with_new_database(
        project: &Project,
        devhost: PathBuf,
        database: &Database,
        name: &str,
        variables: &[(&str, String)],
        step: &Step,
    ) -> Result<(Self, Address)> {
        let name = format!("{name}_{}", Uuid::new_v4().simple());
        let address = database.create(&name).await?;
        migrate::apply(&address, step).await?;
        let users = database.users_of(&address).await?;
        let host = Host::Devhost(devhost);
        let listen = settle_port((Ipv4Addr::LOCALHOST, 0).into())?;
        let service = Self::start(project, &host, listen, &users, variables, step).await?;
        Ok((service, address))
    }

    async fn wait_until_ready(&mut self, step: &Step) -> Result<()> {
        step.say("waiting for /health/ready");
        let give_up = Instant::now() + READY_WAIT_MAX;
        loop {
            let url = format!("{}/health/ready", self.url);
            let answer = tokio::task::spawn_blocking(move || ask(&url))
                .await
                .context("cannot ask the service whether it is ready")?;
            if matches!(answer, Ok((200, _))) {
                return Ok(());
            }
            self.check_alive()?;
            if Instant::now() > give_up {
                let answer = match answer {
                    Ok((status, body)) => format!("/health/ready answers {status}: {body}"),
                    Err(error) => format!("/health/ready does not answer ({error:#})"),
                };
                bail!(
                    "The service did not become ready within {} s; {answer}\n{}",
                    READY_WAIT_MAX.as_secs(),
                    self.last_log_lines()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Also copies the service's output to the terminal from now on.
    pub(crate) fn show_output(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// An error if the service has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => Err(anyhow!(
                "The service ended unexpectedly ({status}).\n{}",
                self.last_log_lines()
            )),
        }
    }

    fn last_log_lines(&self) -> String {
        log_tail(&self.log, self.log_start)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.process.ended(), Ok(None)) {
            tell("Stopping the service ...");
        }
        self.process.stop();
    }
}

/// Copies the service's output to its log and, if `shown`, to the terminal.
fn copy_output(process: &mut Group, file: std::fs::File, shown: Arc<AtomicBool>) {
    let file = Arc::new(Mutex::new(file));
    process.read_lines(move |line| {
        if let Ok(mut file) = file.lock() {
            let _ = writeln!(file, "{line}");
        }
        if shown.load(Ordering::Relaxed) {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    });
}

/// Sends a GET request; returns status and body.
fn ask(url: &str) -> Result<(u16, String)> {
    let mut answer = ureq::get(url)
        .config()
        .timeout_global(Some(Duration::from_secs(3)))
        .http_status_as_error(false)
        .build()
        .call()?;
    let body = answer.body_mut().read_to_string().unwrap_or_default();
    Ok((answer.status().as_u16(), body))
}

/// An error, with what to do, if the service could not listen on this address.
pub(crate) fn check_free(listen: SocketAddr) -> Result<()> {
    let Err(error) = TcpListener::bind(listen) else {
        return Ok(());
    };
    let next = SocketAddr::new(listen.ip(), listen.port().saturating_add(1));
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let (what, another) = match error.kind() {
        std::io::ErrorKind::AddrInUse => (
            "another program, perhaps another `cargo xtask up`, listens there. Stop it",
            next,
        ),
        std::io::ErrorKind::PermissionDenied => {
            ("ports below 1024 need privileges. Get them", default)
        }
        _ => ("the address is not this machine's. Correct it", default),
    };
    bail!(
        "The service cannot listen on {listen} ({error}): {what}, or choose another address, as \
         in `cargo xtask up --listen {another}`."
    )
}

/// Address at which this machine reaches a listener on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => listen.ip(),
    };
    SocketAddr::new(ip, listen.port())
}

/// Replaces port 0 by a free one.
pub(crate) fn settle_port(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    TcpListener::bind(listen)
        .and_then(|listener| listener.local_addr())
        .with_context(|| format!("cannot find a free port on {}", listen.ip()))
}
