//! A PostgreSQL server of a test's own, to be stopped, restarted and promoted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

use crate::database::{Database, make_users};

/// For a server whose data nobody wants back, on a machine with other work.
const SETTINGS: &str = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
    -c shared_buffers=32MB -c superuser_reserved_connections=0 -c max_wal_senders=0";

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// It rolls back what is open, and closes its connections.
    Fast,
    /// Nothing is tidied: the next start recovers, as after a crash.
    Immediate,
}

/// The server. It ends with its value.
pub struct Server {
    folder: TempDir,
    pg_ctl: PathBuf,
    owner: (u32, u32),
    port: u16,
    max_connections: u32,
}

impl Server {
    /// A new server, of the programs of the one that `DATABASE_URL` names: that has to run
    /// on this machine.
    pub async fn start(max_connections: u32) -> Self {
        let (programs, data) = programs_and_data().await;
        let metadata = fs::metadata(&data).expect("DATABASE_URL's server has its data here");
        let mut server = Self {
            folder: tempfile::tempdir().expect("a folder for the server"),
            pg_ctl: programs.join("pg_ctl"),
            // PostgreSQL never runs as root.
            owner: (metadata.uid(), metadata.gid()),
            port: 0,
            max_connections,
        };
        let folder = server.folder.path();
        chown(folder, Some(server.owner.0), Some(server.owner.1)).expect("a folder to give");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a folder to give");
        let options = "--auth=trust --username=postgres --encoding=UTF8 --locale=C --no-sync";
        server.control(&["initdb", "--options", options]).await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        server.port = listener.local_addr().expect("an address").port();
        drop(listener);
        server.start_again().await;
        server
    }

    /// Starts it after [`Self::stop`], and waits until it accepts connections.
    pub async fn start_again(&self) {
        let settings = format!(
            "{SETTINGS} -p {} -c max_connections={}",
            self.port, self.max_connections
        );
        let log = self.folder.path().join("log");
        let log = log.to_str().expect("a folder in UTF-8");
        self.control(&["start", "--wait", "--log", log, "--options", &settings])
            .await;
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(&self, shutdown: Shutdown) {
        let mode = match shutdown {
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        self.control(&["stop", "--wait", "--mode", mode]).await;
    }

    /// Makes the stopped server a standby, which nobody may write to.
    pub fn make_standby(&self) {
        let path = self.data().join("standby.signal");
        fs::write(path, "").expect("a file in the server's data");
    }

    /// Makes the standby the one to write to.
    pub async fn promote(&self) {
        self.control(&["promote", "--wait"]).await;
    }

    /// A new database with all migrations applied.
    pub async fn create_database(&self) -> Database {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let url = Url::parse(&url).expect("a URL");
        let database = Database { url };
        migrations::apply(database.url.as_str())
            .await
            .expect("the migrations apply to an empty database");
        make_users(&database.connect().await).await;
        database
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs pg_ctl.
    async fn control(&self, arguments: &[&str]) {
        let status = Command::new(&self.pg_ctl)
            .args(arguments)
            .arg("--pgdata")
            .arg(self.data())
            .env("LC_ALL", "C")
            .current_dir(self.folder.path())
            .uid(self.owner.0)
            .gid(self.owner.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .expect("pg_ctl is beside the server of DATABASE_URL");
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(status.success(), "pg_ctl {arguments:?}: {status}\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // pg_ctl refuses to be run by root.
        std::process::Command::new(&self.pg_ctl)
            .args(["stop", "--mode", "immediate", "--silent", "--pgdata"])
            .arg(self.data())
            .current_dir(self.folder.path())
            .uid(self.owner.0)
            .gid(self.owner.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok();
    }
}

/// Where the programs and the data of `DATABASE_URL`'s server are.
async fn programs_and_data() -> (PathBuf, PathBuf) {
    let client = Database::from_environment().connect().await;
    let row = client
        .query_one(
            "SELECT setting, current_setting('data_directory') FROM pg_config
             WHERE name = 'BINDIR'",
            &[],
        )
        .await
        .expect("DATABASE_URL's role may ask for the server's folders");
    let (programs, data): (&str, &str) = (row.get(0), row.get(1));
    (Path::new(programs).to_owned(), Path::new(data).to_owned())
}
