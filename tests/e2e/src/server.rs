//! A PostgreSQL server for one test, which can restart, promote and replicate it.

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

/// The data is disposable.
const SETTINGS: &str = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
    -c shared_buffers=32MB -c superuser_reserved_connections=0 -c max_wal_senders=4";

/// Shutdown mode.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// Rolls back open transactions and closes connections.
    Fast,
    /// Stops as in a crash; the next start recovers.
    Immediate,
}

/// A server. Dropping it stops it.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    owner: (u32, u32),
    port: u16,
    max_connections: u32,
}

impl Server {
    /// Starts a new server with the programs of `DATABASE_URL`'s server, which must run on this
    /// machine.
    pub async fn start(max_connections: u32) -> Self {
        let (programs, data) = programs_and_data().await;
        let metadata = fs::metadata(&data).expect("DATABASE_URL's server has its data here");
        // PostgreSQL refuses to run as root.
        let owner = (metadata.uid(), metadata.gid());
        let server = Self::prepare(programs, owner, max_connections);
        let options = "--auth=trust --username=postgres --encoding=UTF8 --locale=C --no-sync";
        server.control(&["initdb", "--options", options]).await;
        server.start_again().await;
        server
    }

    /// Starts a standby of this server.
    pub async fn start_standby(&self) -> Self {
        let standby = Self::prepare(self.programs.clone(), self.owner, self.max_connections);
        let url = self.database().url;
        let arguments = [
            "--dbname",
            url.as_str(),
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ];
        standby.run("pg_basebackup", &arguments).await;
        standby.start_again().await;
        standby
    }

    fn prepare(programs: PathBuf, owner: (u32, u32), max_connections: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the server");
        chown(folder.path(), Some(owner.0), Some(owner.1)).expect("a folder to give");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))
            .expect("a folder to give");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self {
            folder,
            programs,
            owner,
            port: listener.local_addr().expect("an address").port(),
            max_connections,
        }
    }

    /// Starts the server after [`Self::stop`] and waits until it accepts connections.
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

    /// Stops the server and waits for its end.
    pub async fn stop(&self, shutdown: Shutdown) {
        let mode = match shutdown {
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        self.control(&["stop", "--wait", "--mode", mode]).await;
    }

    /// Requires passwords from all users but its superuser.
    pub async fn ask_for_passwords(&self) {
        let rules = "host all postgres 127.0.0.1/32 trust\n\
                     host all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).expect("a file in the server's data");
        self.control(&["reload"]).await;
    }

    /// Makes the stopped server a read-only standby.
    pub fn make_standby(&self) {
        let path = self.data().join("standby.signal");
        fs::write(path, "").expect("a file in the server's data");
    }

    /// Promotes the standby to primary.
    pub async fn promote(&self) {
        self.control(&["promote", "--wait"]).await;
    }

    /// Returns its database, which is empty until [`Self::create_database`].
    pub fn database(&self) -> Database {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let url = Url::parse(&url).expect("a URL");
        Database::at(url)
    }

    /// Applies all migrations and returns the database.
    pub async fn create_database(&self) -> Database {
        let database = self.database();
        migrations::apply(database.url.as_str())
            .await
            .expect("the migrations apply to an empty database");
        make_users(&database.connect().await).await;
        database
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn control(&self, arguments: &[&str]) {
        self.run("pg_ctl", arguments).await;
    }

    async fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(self.programs.join(program))
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
            .expect("PostgreSQL's programs are beside the server of DATABASE_URL");
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // pg_ctl refuses to run as root.
        std::process::Command::new(self.programs.join("pg_ctl"))
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

/// Returns a program beside those of `DATABASE_URL`'s server.
pub async fn postgresql_program(name: &str) -> Command {
    let (programs, _) = programs_and_data().await;
    Command::new(programs.join(name))
}

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
