//! The embedded PostgreSQL. Commands of one checkout share the kept server: the first starts it,
//! the last stops it. Each holds a shared file lock, which the kernel releases for a killed
//! command; the next command then takes the server over.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::account::{Home, create_open_folder};
use crate::cluster::{Cluster, Durability, USER, is_alive};
use crate::postgres_programs;
use crate::process::{log_length, log_since, log_tail};
use crate::project::{Project, open_lock};
use crate::steps::{Step, tell};

const DATABASE: &str = "data_storage";

/// How long a server may take to answer: after a crash it replays its log first.
const READY_WAIT_MAX: Duration = Duration::from_secs(300);

/// How long to retry a start while a killed server is still exiting.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(20);

/// How long a fast shutdown may take.
const STOP_WAIT_MAX: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(50);

/// Path of the embedded PostgreSQL's program `name`.
pub(crate) async fn program(project: &Project, name: &str, step: &Step) -> Result<PathBuf> {
    let home = Home::of(project)?;
    let _lock = project.lock("postgres", step).await?;
    Ok(postgres_programs::find(&home, None, step).await?.join(name))
}

/// A server that this command uses. Dropping it stops it, unless others use it.
pub(crate) struct Server {
    pid: Pid,
    /// None if another command started it.
    child: Option<Child>,
    port: u16,
    password: String,
    version: String,
    cluster: Cluster,
    /// The data folder, relative to the checkout if it is inside.
    data_shown: String,
    /// Offset of this server's part of the log.
    log_start: u64,
    hold: Hold,
}

/// Locks that keep other commands from stopping the server or removing its folder.
enum Hold {
    Kept {
        /// Locked while the server starts or stops.
        starting: Option<File>,
        starting_path: PathBuf,
        /// Every user holds a shared lock.
        users: File,
    },
    ThrownAway {
        folder: PathBuf,
        /// Locked while the folder is in use.
        _used: File,
    },
}

impl Server {
    /// Starts the server whose data is kept, or joins it if it runs.
    pub(crate) async fn start(project: &Project, step: &Step) -> Result<Self> {
        let home = Home::of(project)?;
        let starting = project.lock("postgres", step).await?;
        let data = Cluster::data_folder(&home.folder);
        let programs = postgres_programs::find(&home, Some(&data), step).await?;
        let (log, _) = project.open_log("postgres.log")?;
        let cluster = Cluster::new(&home.folder, programs, Durability::Kept, log);
        let users = open_lock(&project.data.join("postgres.users"))?;
        users
            .lock_shared()
            .context("cannot register as a user of the embedded PostgreSQL")?;
        let hold = Hold::Kept {
            starting: Some(starting),
            starting_path: project.data.join("postgres.lock"),
            users,
        };
        let mut server = Self::bring_up(project, &home, cluster, hold, step).await?;
        if let Hold::Kept { starting, .. } = &mut server.hold {
            *starting = None;
        }
        if let Some(note) = home.note {
            step.note(note);
        }
        Ok(server)
    }

    /// Starts a private server that is not durable; dropping it removes its data.
    pub(crate) async fn start_throwaway(project: &Project, step: &Step) -> Result<Self> {
        let home = Home::of(project)?;
        // Until the folder below is locked, another test run might take it for unused.
        let lock = project.lock("postgres", step).await?;
        let programs = postgres_programs::find(&home, None, step).await?;
        let all = home.folder.join("throwaway");
        create_open_folder(&all)?;
        remove_unused(&all);
        let folder = all.join(std::process::id().to_string());
        home.create_private_folder(&folder)?;
        let used = open_lock(&folder.join("used"))?;
        used.lock()
            .context("cannot lock the data folder for tests")?;
        drop(lock);
        let (log, _) = project.open_log("postgres-test.log")?;
        let cluster = Cluster::new(&folder, programs, Durability::ThrownAway, log);
        let hold = Hold::ThrownAway {
            folder,
            _used: used,
        };
        Self::bring_up(project, &home, cluster, hold, step).await
    }

    async fn bring_up(
        project: &Project,
        home: &Home,
        cluster: Cluster,
        hold: Hold,
        step: &Step,
    ) -> Result<Self> {
        let data = cluster.data.strip_prefix(&project.root);
        let data_shown = data.unwrap_or(&cluster.data).display().to_string();
        // Made before the server runs: dropping it on failure releases `hold`.
        let mut server = Self {
            pid: Pid::from_raw(0),
            child: None,
            port: 0,
            password: String::new(),
            version: String::new(),
            cluster,
            data_shown,
            log_start: 0,
            hold,
        };
        server.password = server.cluster.password(home, step).await?;
        let give_up = Instant::now() + RESTART_WAIT_MAX;
        let client = loop {
            server.log_start = log_length(server.cluster.log());
            if let Some((pid, port)) = server.cluster.running() {
                (server.child, server.pid, server.port) = (None, pid, port);
            } else {
                step.say("starting PostgreSQL");
                let (child, port) = server.cluster.start(home, project)?;
                server.pid = Pid::from_raw(i32::try_from(child.id())?);
                (server.child, server.port) = (Some(child), port);
            }
            if let Some(client) = server.wait_until_ready(step).await? {
                break client;
            }
            let said = log_since(server.cluster.log(), server.log_start);
            let port_taken = said.contains("could not bind");
            if port_taken {
                server.cluster.forget_port();
            }
            let joined = server.child.is_none();
            let leaving = said.contains("shared memory block") || said.contains("lock file");
            if !(joined || port_taken || leaving) || Instant::now() > give_up {
                bail!(
                    "The embedded PostgreSQL did not start.\n{}",
                    server.last_log_lines()
                );
            }
            tokio::time::sleep(10 * POLL).await;
        };
        server.version = prepare(&client).await?;
        Ok(server)
    }

    /// Waits until the server accepts a connection; None if it ended instead.
    async fn wait_until_ready(&mut self, step: &Step) -> Result<Option<Client>> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(USER)
            .password(&self.password)
            .dbname("postgres")
            .connect_timeout(Duration::from_secs(5));
        let give_up = Instant::now() + READY_WAIT_MAX;
        loop {
            let error = match config.connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(Some(client));
                }
                Err(error) => error,
            };
            if error.code() == Some(&SqlState::INVALID_PASSWORD) {
                bail!(
                    "The embedded PostgreSQL refuses its stored password. To start over without \
                     the data in it, stop every `cargo xtask up` of this checkout and remove {}.",
                    self.cluster.data.display()
                );
            }
            if self.has_ended() {
                return Ok(None);
            }
            if Instant::now() > give_up {
                bail!(
                    "The embedded PostgreSQL did not answer within {} s ({error}).\n{}",
                    READY_WAIT_MAX.as_secs(),
                    self.last_log_lines()
                );
            }
            step.say("waiting for PostgreSQL to answer");
            tokio::time::sleep(POLL).await;
        }
    }

    /// URL of the service's database, with the password.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{DATABASE}",
            self.password, self.port
        )
    }

    /// The server's version, address and data folder, for the step's result.
    pub(crate) fn description(&self) -> String {
        let how = match (&self.hold, &self.child) {
            (Hold::ThrownAway { .. }, _) => ", for this run only".to_owned(),
            (_, None) => ", already running".to_owned(),
            _ => format!(", data in {}", self.data_shown),
        };
        format!("embedded {} at 127.0.0.1:{}{how}", self.version, self.port)
    }

    pub(crate) fn last_log_lines(&self) -> String {
        log_tail(self.cluster.log(), self.log_start)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !is_alive(self.pid),
        }
    }

    fn end(&mut self, signal: Signal, wait_max: Duration) -> bool {
        let _ = kill(self.pid, signal);
        let until = Instant::now() + wait_max;
        while Instant::now() < until {
            if self.has_ended() {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }

    fn stop(&mut self) {
        if self.pid.as_raw() <= 0 || self.has_ended() {
            return;
        }
        if let Hold::Kept {
            starting,
            starting_path,
            users,
        } = &mut self.hold
        {
            // Keeps others from joining while the server stops.
            if starting.is_none() {
                *starting = lock_within(starting_path, STOP_WAIT_MAX);
            }
            let last = starting.is_some() && users.unlock().is_ok() && users.try_lock().is_ok();
            if !last {
                tell("PostgreSQL keeps running: another command of this checkout uses it.");
                return;
            }
            tell("Stopping PostgreSQL ...");
            // Fast shutdown: ends sessions and writes a checkpoint.
            if self.end(Signal::SIGINT, STOP_WAIT_MAX) {
                return;
            }
        }
        // Immediate shutdown: the next start recovers from the log.
        if !self.end(Signal::SIGQUIT, STOP_WAIT_MAX / 3) {
            self.end(Signal::SIGKILL, POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if let Hold::ThrownAway { folder, .. } = &self.hold {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

/// Creates the service's database if it is missing; returns the server's versions.
async fn prepare(client: &Client) -> Result<String> {
    let what = "cannot prepare the embedded PostgreSQL";
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1), \
                    current_setting('server_version'), \
                    (SELECT default_version FROM pg_available_extensions \
                      WHERE name = 'vector')",
            &[&DATABASE],
        )
        .await
        .context(what)?;
    if !row.try_get::<_, bool>(0).context(what)? {
        client
            .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
            .await
            .context(what)?;
    }
    let server: String = row.try_get(1).context(what)?;
    let vector: Option<String> = row.try_get(2).context(what)?;
    Ok(format!(
        "PostgreSQL {server}, pgvector {}",
        vector.unwrap_or_else(|| "missing".to_owned())
    ))
}

fn lock_within(path: &Path, wait_max: Duration) -> Option<File> {
    let file = open_lock(path).ok()?;
    let until = Instant::now() + wait_max;
    while file.try_lock().is_err() {
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(POLL);
    }
    Some(file)
}

/// Removes the folders of killed test runs.
fn remove_unused(all: &Path) {
    let Ok(folders) = std::fs::read_dir(all) else {
        return;
    };
    for folder in folders.filter_map(|entry| Some(entry.ok()?.path())) {
        let unused = open_lock(&folder.join("used")).is_ok_and(|used| used.try_lock().is_ok());
        if unused {
            std::fs::remove_dir_all(&folder).ok();
        }
    }
}
