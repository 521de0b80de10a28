//! How hosts start and end, many of them beside each other, and the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe, cache_dir, call, none, write_manifest};
use devhost::{Host, HostOptions};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_a_running_request_end_and_takes_no_other() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let address = probe.host.address();
    let running = tokio::spawn(call(address, "/sleep", json!({ "milliseconds": 800 })));
    let also = tokio::spawn(call(
        address,
        "/answer-first",
        json!({ "milliseconds": 800 }),
    ));
    tokio::time::sleep(Duration::from_millis(300)).await;

    let began = Instant::now();
    probe.host.shutdown().await;

    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(running.await.unwrap().unwrap(), json!({ "ok": null }));
    assert_eq!(also.await.unwrap().unwrap(), json!({ "ok": "first" }));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_idle_connections() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let _idle = TcpStream::connect(probe.host.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    probe.host.shutdown().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_cuts_off_what_runs() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let address = probe.host.address();
    let running = tokio::spawn(call(address, "/sleep", json!({ "milliseconds": 5000 })));
    tokio::time::sleep(Duration::from_millis(300)).await;

    let began = Instant::now();
    probe.host.abort();

    assert!(running.await.unwrap().is_err());
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hosts_share_what_is_compiled_and_nothing_else() {
    let manifest = format!("{ONE_COMPONENT}key_value_stores = [\"default\"]\n");
    let first = Probe::start(&manifest).await;
    let began = Instant::now();
    let second = Probe::start(&manifest).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );

    let set = json!({ "store": "default", "do": "set", "key": "k", "value": "v" });
    first.ok("/kv", set).await;
    let exists = json!({ "store": "default", "do": "exists", "key": "k" });
    assert_eq!(second.ok("/kv", exists).await, false);

    first.host.shutdown().await;
    assert_eq!(second.ok("/calls", none()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let address = probe.host.address();
    let error = Probe::start_error(ONE_COMPONENT, |options| options.listen = address).await;
    assert!(
        error.contains(&format!("cannot listen on {address}")),
        "{error}"
    );
    assert!(
        error.contains("choose another port with --listen"),
        "{error}"
    );
}

/// The program, serving the probe.
struct Program {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rest =
            "[component.probe.variables]\na = \"{{ a }}\"\n[variables]\na = { required = true }\n";
        let manifest = write_manifest(folder.path(), &format!("{ONE_COMPONENT}{rest}"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_devhost"))
            .arg("--from")
            .arg(manifest)
            .args(["--listen", "127.0.0.1:0", "--env", "B=c", "--cache-dir"])
            .arg(cache_dir())
            .env("SPIN_VARIABLE_A", "from the environment")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let serving = lines.next().unwrap().unwrap();
        let address = serving
            .strip_prefix("Serving http://")
            .unwrap()
            .parse()
            .unwrap();
        // The rest of its output has somewhere to go.
        std::thread::spawn(move || lines.count());
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_serves_until_it_is_told_to_end() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start();
        let value = call(program.address, "/variable", json!({ "name": "a" }))
            .await
            .unwrap();
        assert_eq!(value, json!({ "ok": "from the environment" }));
        let value = call(program.address, "/environment", none()).await.unwrap();
        assert_eq!(value, json!({ "ok": [["B", "c"]] }));

        let running = tokio::spawn(call(
            program.address,
            "/sleep",
            json!({ "milliseconds": 800 }),
        ));
        tokio::time::sleep(Duration::from_millis(300)).await;
        program.signal(signal);

        assert_eq!(
            running.await.unwrap().unwrap(),
            json!({ "ok": null }),
            "{signal}"
        );
        let status = tokio::task::spawn_blocking(move || program.process.wait().unwrap());
        assert!(status.await.unwrap().success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_leaves_compiled_components_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut options = HostOptions::new(write_manifest(folder.path(), ONE_COMPONENT));
    options.cache_dir = Some(cache.clone());
    Host::start(options).await.unwrap().shutdown().await;
    assert!(std::fs::read_dir(cache).unwrap().next().is_some());
}
