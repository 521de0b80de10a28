use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use migrations::{FUNCTIONS_TABLE, HISTORY_TABLE, PSQL_SCRIPT_FILE};
use tokio_postgres::{Client, NoTls};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");

pub(crate) fn server_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set: run the tests with `cargo xtask test`")
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) struct Database {
    pub(crate) url: String,
    programs: PathBuf,
}

impl Database {
    pub(crate) async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = server_url();
        let client = connect(&url).await;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("psql_{}_{count}", std::process::id());
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let row = client
            .query_one("SELECT setting FROM pg_config WHERE name = 'BINDIR'", &[])
            .await
            .unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        Self {
            url: format!("{server}/{name}"),
            programs: PathBuf::from(row.get::<_, &str>(0)),
        }
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg(format!("--dbname={}", self.url));
        command.stdin(Stdio::null());
        command
    }

    /// Returns psql with a script, as the Jobs in deploy/ call it.
    pub(crate) fn psql(&self, script: &Path) -> Command {
        let mut psql = self.command("psql");
        psql.arg("--no-psqlrc").arg("--file").arg(script);
        psql.stdout(Stdio::piped()).stderr(Stdio::piped());
        psql
    }

    /// Runs a successful migration and returns its output: a line per migration and one for the
    /// functions.
    pub(crate) fn migrate(&self) -> Vec<String> {
        applied(&self.psql(&script()).output().unwrap())
    }

    pub(crate) async fn history(&self) -> Vec<(i32, String, String)> {
        let rows = connect(&self.url)
            .await
            .query(
                &format!("SELECT version, name, checksum FROM {HISTORY_TABLE} ORDER BY version"),
                &[],
            )
            .await
            .unwrap();
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect()
    }

    pub(crate) async fn functions(&self) -> (String, String) {
        let row = connect(&self.url)
            .await
            .query_one(
                &format!("SELECT checksum, applied_at::text FROM {FUNCTIONS_TABLE}"),
                &[],
            )
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    pub(crate) async fn execute(&self, statements: &str) {
        let client = connect(&self.url).await;
        client.batch_execute(statements).await.unwrap();
    }

    pub(crate) fn schema(&self) -> String {
        let dump = self.command("pg_dump").arg("--schema-only").output();
        let dump = dump.unwrap();
        assert!(dump.status.success(), "{}", text(&dump.stderr));
        // Newer versions begin with a line that differs in each dump.
        text(&dump.stdout)
            .lines()
            .filter(|line| !line.contains("restrict"))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

pub(crate) fn script() -> PathBuf {
    Path::new(FOLDER).join(PSQL_SCRIPT_FILE)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn applied(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).lines().map(str::to_owned).collect()
}
