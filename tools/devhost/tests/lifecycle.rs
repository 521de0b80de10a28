//! Start and shutdown of hosts, concurrent hosts, and the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use bytes::Bytes;
use common::{
    ONE_COMPONENT, Probe, cache_dir, call, get, none, send, wait_for_log, wait_for_logs,
    write_manifest,
};
use devhost::{Host, HostOptions, READINESS_PATHS};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

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
    wait_for_logs(&probe, "sleeping", 2).await;

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

/// A host that drains, its shutdown, and when that began.
async fn draining(drain: Duration) -> (SocketAddr, JoinHandle<()>, Instant) {
    let probe = Probe::start_with(ONE_COMPONENT, |options| options.drain = drain).await;
    let address = probe.host.address();
    for path in READINESS_PATHS {
        assert_eq!(probe.status(path).await, 200, "{path}");
    }
    let began = Instant::now();
    let shutdown = tokio::spawn(probe.host.shutdown());
    tokio::time::sleep(Duration::from_millis(50)).await;
    (address, shutdown, began)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_drains_is_not_ready_and_answers_all_else() {
    let (address, shutdown, began) = draining(Duration::from_secs(2)).await;
    for path in READINESS_PATHS {
        let answer = send(address, get(path)).await.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.headers()["retry-after"], "2", "{path}");
    }
    let mut answered = 0;
    while !shutdown.is_finished() {
        match call(address, "/health/live", none()).await {
            Ok(answer) => assert!(answer["err"].is_string(), "{answer}"),
            Err(_) if began.elapsed() > Duration::from_millis(1900) => break,
            Err(error) => panic!("after {answered} answers: {error}"),
        }
        answered += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answered > 10, "{answered}");
    shutdown.await.unwrap();
    let elapsed = began.elapsed();
    assert!(elapsed > Duration::from_secs(2), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_when_the_drain_is_over_ends() {
    let (address, shutdown, _) = draining(Duration::from_millis(600)).await;
    let running = call(address, "/sleep", json!({ "milliseconds": 1500 }));
    assert_eq!(running.await.unwrap(), json!({ "ok": null }));
    shutdown.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_to_leave_before_the_drain_is_over() {
    let (address, shutdown, _) = draining(Duration::from_secs(8)).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut kept, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let kept_ended = tokio::spawn(connection);
    let stream = TcpStream::connect(address).await.unwrap();
    let executor = TokioExecutor::new();
    let (mut second, connection) = http2::handshake(executor, TokioIo::new(stream))
        .await
        .unwrap();
    let second_ended = tokio::spawn(connection);
    let at_second = || {
        let request = Request::get("http://probe.example/calls");
        request.body(Full::<Bytes>::default()).unwrap()
    };

    // In the first half, connections stay open.
    for _ in 0..2 {
        let answer = kept.send_request(get("/calls")).await.unwrap();
        assert!(!answer.headers().contains_key("connection"));
        answer.into_body().collect().await.unwrap();
        kept.ready().await.unwrap();
        let answer = second.send_request(at_second()).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    // HTTP/2 closes at once, HTTP/1 only after its next response.
    second_ended.await.unwrap().unwrap();
    assert!(!shutdown.is_finished());
    assert!(!kept_ended.is_finished());
    let answer = kept.send_request(get("/calls")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["connection"], "close");
    answer.into_body().collect().await.unwrap();
    kept_ended.await.unwrap().unwrap();
    assert!(!shutdown.is_finished());
    shutdown.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_cuts_off_what_runs() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let address = probe.host.address();
    let running = tokio::spawn(call(address, "/sleep", json!({ "milliseconds": 5000 })));
    wait_for_log(&probe, "sleeping").await;

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

const LOG_WAIT_MAX: Duration = Duration::from_secs(20);

struct Program {
    process: Child,
    address: SocketAddr,
    log: mpsc::Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Program {
    fn wait_for_log(&self, text: &str) {
        loop {
            let line = self.log.recv_timeout(LOG_WAIT_MAX).expect(text);
            if line.contains(text) {
                return;
            }
        }
    }

    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rest =
            "[component.probe.variables]\na = \"{{ a }}\"\n[variables]\na = { required = true }\n";
        let manifest = write_manifest(folder.path(), &format!("{ONE_COMPONENT}{rest}"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_devhost"))
            .arg("--from")
            .arg(manifest)
            .args(["--listen", "127.0.0.1:0", "--env", "B=c", "--cache-dir"])
            .arg(cache_dir())
            .args(options)
            .env("SPIN_VARIABLE_A", "from the environment")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let serving = lines.next().unwrap().unwrap();
        let address = serving
            .strip_prefix("Serving http://")
            .unwrap()
            .parse()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let log_lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // Keep reading, so that the program never blocks on a full pipe.
        std::thread::spawn(move || lines.count());
        std::thread::spawn(move || {
            for line in log_lines.map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Self {
            process,
            address,
            log,
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
        let mut program = Program::start(&[]);
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
        tokio::task::yield_now().await;
        program.wait_for_log("sleeping");
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
async fn the_program_drains_before_it_ends() {
    let options = ["--drain-seconds", "2", "--readiness-path", "/own/ready"];
    let mut program = Program::start(&options);
    let status = async |path| send(program.address, get(path)).await.unwrap().status();
    assert_eq!(status("/own/ready").await, 200);

    program.signal("TERM");
    let began = Instant::now();
    while status("/own/ready").await == 200 {
        assert!(began.elapsed() < Duration::from_secs(1), "it stays ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status("/health/ready").await, 200);

    let running = tokio::spawn(call(
        program.address,
        "/sleep",
        json!({ "milliseconds": 2500 }),
    ));
    let ended = tokio::task::spawn_blocking(move || program.process.wait().unwrap());
    assert_eq!(running.await.unwrap().unwrap(), json!({ "ok": null }));
    assert!(ended.await.unwrap().success());
    assert!(began.elapsed() > Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_program_at_once() {
    let mut program = Program::start(&["--drain-seconds", "60"]);
    let running = tokio::spawn(call(
        program.address,
        "/sleep",
        json!({ "milliseconds": 9000 }),
    ));
    tokio::task::yield_now().await;
    program.wait_for_log("sleeping");

    let began = Instant::now();
    program.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(program.process.try_wait().unwrap().is_none());
    program.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || program.process.wait().unwrap());
    assert!(!ended.await.unwrap().success());
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(running.await.unwrap().is_err());
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
