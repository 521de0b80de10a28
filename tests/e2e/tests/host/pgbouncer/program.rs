use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use tempfile::TempDir;
use tokio::net::TcpStream;

const START_TIME_MAX: Duration = Duration::from_secs(20);

/// PgBouncer with docs/examples/pgbouncer.ini and other addresses. Dropping it stops it.
pub(super) struct PgBouncer {
    address: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
}

impl PgBouncer {
    /// Starts the program `PGBOUNCER_COMMAND` before `host:port`, with `pool_size` server
    /// connections per user.
    pub(super) async fn start(server: &str, pool_size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let folder = tempfile::tempdir().expect("a folder for PgBouncer");
        let example =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/pgbouncer.ini");
        let mut settings = fs::read_to_string(example).expect("the example of the documentation");
        let (host, port) = server.rsplit_once(':').expect("host:port");
        let users = folder.path().join("userlist.txt");
        for (old, new) in [
            (
                "audit = host=127.0.0.1 port=5432 dbname=audit",
                format!("* = host={host} port={port}"),
            ),
            (
                "listen_port = 5432",
                format!("listen_port = {}", address.port()),
            ),
            (
                "auth_file = userlist.txt",
                format!("auth_file = {}", users.display()),
            ),
            (
                "default_pool_size = 40",
                format!("default_pool_size = {pool_size}"),
            ),
        ] {
            assert!(settings.contains(old), "the example has no {old}");
            settings = settings.replace(old, &new);
        }
        fs::write(folder.path().join("pgbouncer.ini"), settings).expect("its settings");
        let passwords = "\"e2e_writer\" \"of-a-test\"\n\"e2e_reader\" \"of-a-test\"\n";
        fs::write(users, passwords).expect("its users");
        let mut pooler = Self {
            address,
            folder,
            child: None,
        };
        pooler.start_again().await;
        pooler
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub(super) async fn start_again(&mut self) {
        let program = std::env::var_os("PGBOUNCER_COMMAND")
            .expect("PGBOUNCER_COMMAND is not set: run the tests with `cargo xtask test`");
        let log_file = self.folder.path().join("log");
        let log = fs::File::create(&log_file).expect("a log file");
        let mut run = Command::new(program);
        if geteuid().is_root() {
            // It refuses to run as root.
            run.arg("--user=nobody");
        }
        run.arg(self.folder.path().join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = self
            .child
            .insert(run.spawn().expect("PGBOUNCER_COMMAND runs"));
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            let log = || fs::read_to_string(&log_file).unwrap_or_default();
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "PgBouncer ended: {}", log());
            assert!(
                begun.elapsed() < START_TIME_MAX,
                "it does not listen: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop();
    }
}
