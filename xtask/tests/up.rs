//! Tests `cargo xtask up`: its errors, and that it starts a service and stops everything again.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use std::fs::{self, File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use url::Url;

/// How long starting or stopping may take: components may have to be built.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The part of the `spin` command that `up` uses, run by tools/devhost.
const SPIN: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "spin 4.0.2"; exit; fi
shift 3 # up --state-dir FOLDER
exec "$DEVHOST" "$@"
"#;

/// A running `cargo xtask up`, and the folder with its output.
struct Up {
    child: Child,
    folder: TempDir,
}

impl Up {
    fn start(change: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("up");
        change(&mut command, folder.path());
        let child = command
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap()
    }

    fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < WAIT_MAX, "no end: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The output of a command that fails.
    fn refusal(mut self) -> String {
        let status = self.ends();
        let output = self.output();
        assert_eq!(status.code(), Some(1), "{output}");
        output
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // On SIGTERM, it stops what it started.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        if matches!(self.child.try_wait(), Ok(None)) && kill(pid, Signal::SIGTERM).is_ok() {
            let _ = self.child.wait();
        }
    }
}

fn server() -> Url {
    let url = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set: run the tests with `cargo xtask test`");
    Url::parse(&url).unwrap()
}

fn refused_with(database_url: &str) -> String {
    let up = Up::start(|command, _| {
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database_url);
    });
    let refusal = up.refusal();
    assert!(!refusal.contains("s3cret"), "{refusal}");
    refusal
}

#[test]
fn a_taken_port_is_named_with_one_that_may_be_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let refusal = Up::start(|command, _| {
        command.args(["--listen", &listen]);
    })
    .refusal();
    assert!(refusal.contains(&listen), "{refusal}");
    assert!(
        refusal.contains(&format!("--listen 127.0.0.1:{}", port.saturating_add(1))),
        "{refusal}"
    );
}

#[test]
fn a_database_that_cannot_be_used_is_refused_with_what_to_do() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = nobody.local_addr().unwrap();
    drop(nobody);
    let refusal = refused_with(&format!("postgres://me:s3cret@{free}/audit"));
    assert!(refusal.contains("cannot be reached"), "{refusal}");
    assert!(refusal.contains("correct the host"), "{refusal}");

    let refusal = refused_with("mysql://me:s3cret@db.example/audit");
    assert!(
        refusal.contains("postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        "{refusal}"
    );

    let mut missing = server();
    missing.set_path("no_such_database");
    let refusal = refused_with(missing.as_str());
    assert!(
        refusal.contains("CREATE DATABASE \"no_such_database\""),
        "{refusal}"
    );
}

async fn create_database() -> Url {
    let mut url = server();
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("up_{}", uuid::Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name}");
    client.batch_execute(&create).await.unwrap();
    url.set_path(&name);
    url
}

/// The URL and body of the first command printed to paste.
fn first_record(output: &str) -> Option<(String, String)> {
    let command = output
        .lines()
        .find(|line| line.starts_with("curl -si http"))?;
    let url = command.split(' ').nth(2)?.to_owned();
    let (_, body) = command.split_once("-d '")?;
    Some((url, body.strip_suffix('\'')?.to_owned()))
}

#[tokio::test]
async fn it_brings_a_service_up_that_stores_a_first_record_and_takes_it_down_again() {
    let database = create_database().await;
    let devhost = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("devhost");
    assert!(devhost.is_file(), "run the tests with `cargo xtask test`");
    let mut up = Up::start(|command, folder| {
        let spin = folder.join("spin");
        fs::write(&spin, SPIN).unwrap();
        fs::set_permissions(&spin, Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database.as_str())
            .env_remove("DATABASE_READER_URL")
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("DEVHOST", &devhost);
    });
    let begun = Instant::now();
    let (url, body) = loop {
        let output = up.output();
        assert!(up.child.try_wait().unwrap().is_none(), "{output}");
        if let Some(command) = first_record(&output) {
            break command;
        }
        assert!(begun.elapsed() < WAIT_MAX, "{output}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(up.output().contains("spin 4.0.2"), "{}", up.output());

    let stored = ureq::post(&url)
        .header("content-type", "application/json")
        .send(&body)
        .unwrap();
    assert_eq!(stored.status(), 201);
    let location = stored.headers().get("location").unwrap().to_str().unwrap();
    let service = Url::parse(&url).unwrap();
    let incident = service.join(location).unwrap();
    let mut answer = ureq::get(incident.as_str()).call().unwrap();
    let incident = answer.body_mut().read_to_string().unwrap();
    assert!(incident.contains("HighMemoryUsage"), "{incident}");

    let pid = Pid::from_raw(up.child.id().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    let status = up.ends();
    assert!(status.success(), "{status}: {}", up.output());
    let address = service.socket_addrs(|| None).unwrap();
    assert!(TcpStream::connect(address.as_slice()).is_err());
}
