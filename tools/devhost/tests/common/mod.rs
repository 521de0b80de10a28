//! A host that runs the probe, and a client.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file needs all of it"
)]

use bytes::Bytes;
use devhost::{Host, HostOptions};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Manifest that routes every path to the probe. Callers may extend its component.
pub const ONE_COMPONENT: &str = r#"
spin_manifest_version = 2
[application]
name = "test"
version = "1.2.3"
[[trigger.http]]
route = "/..."
component = "probe"
[component.probe]
source = "PROBE"
"#;

pub struct Probe {
    pub host: Host,
    folder: TempDir,
}

impl Probe {
    /// Starts a host for the manifest. `PROBE` stands for the probe's path.
    pub async fn start(manifest: &str) -> Self {
        Self::start_with(manifest, |_| {}).await
    }

    pub async fn start_with(manifest: &str, change: impl FnOnce(&mut HostOptions)) -> Self {
        match Self::try_start_with(manifest, change).await {
            Ok(probe) => probe,
            Err(error) => panic!("the host does not start: {error:?}"),
        }
    }

    /// Returns the error of a start that must fail, with its causes.
    pub async fn start_error(manifest: &str, change: impl FnOnce(&mut HostOptions)) -> String {
        match Self::try_start_with(manifest, change).await {
            Ok(_) => panic!("the host starts, and should not"),
            Err(error) => format!("{error:#}"),
        }
    }

    async fn try_start_with(
        manifest: &str,
        change: impl FnOnce(&mut HostOptions),
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut options = HostOptions::new(write_manifest(folder.path(), manifest));
        options.cache_dir = Some(cache_dir());
        change(&mut options);
        Ok(Self {
            host: Host::start(options).await?,
            folder,
        })
    }

    /// Sends an operation's arguments and returns the probe's response.
    pub async fn call(&self, path: &str, arguments: Value) -> Value {
        call(self.host.address(), path, arguments)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}\nlog:\n{}", self.host.log()))
    }

    /// Returns the result of an operation that must succeed.
    pub async fn ok(&self, path: &str, arguments: Value) -> Value {
        let mut answer = self.call(path, arguments).await;
        assert!(answer.get("ok").is_some(), "{path}: {answer}");
        answer["ok"].take()
    }

    /// Returns the error of an operation that must fail.
    pub async fn err(&self, path: &str, arguments: Value) -> String {
        let answer = self.call(path, arguments).await;
        let error = answer["err"].as_str();
        error
            .unwrap_or_else(|| panic!("{path}: {answer}"))
            .to_owned()
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        send(self.host.address(), request).await.unwrap()
    }

    pub async fn status(&self, path: &str) -> u16 {
        self.send(get(path)).await.status().as_u16()
    }
}

pub fn write_manifest(folder: &Path, manifest: &str) -> PathBuf {
    let path = folder.join("spin.toml");
    let source = probe_path();
    let text = manifest.replace("PROBE", source.to_str().unwrap());
    std::fs::write(&path, text).unwrap();
    path
}

/// Path of the built probe; `PROBE_WASM` overrides it.
fn probe_path() -> PathBuf {
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/wasm32-wasip2/release/probe.wasm"
    );
    let path = std::env::var_os("PROBE_WASM").map_or_else(|| built.into(), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: cargo build --release --target wasm32-wasip2 -p probe",
        path.display()
    );
    path
}

/// All tests share one cache.
pub fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("devhost-cache")
}

pub fn required_url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `cargo xtask test`, which starts what it names")
    })
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header("host", "probe.example");
    request.body(Full::default()).unwrap()
}

pub async fn call(address: SocketAddr, path: &str, arguments: Value) -> anyhow::Result<Value> {
    let request = Request::post(path)
        .header("host", "probe.example")
        .body(Full::from(arguments.to_string()))?;
    let response = send(address, request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status == 200, "status {status}");
    Ok(serde_json::from_slice(&body)?)
}

pub async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

pub async fn wait_for_log(probe: &Probe, text: &str) {
    wait_for_logs(probe, text, 1).await;
}

/// Waits until the log has a text this many times.
pub async fn wait_for_logs(probe: &Probe, text: &str, times: usize) {
    for _ in 0..500 {
        if probe.host.log().matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!(
        "not {times} times {text:?} in the log:\n{}",
        probe.host.log()
    );
}

pub fn none() -> Value {
    json!({})
}
