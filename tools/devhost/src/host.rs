//! Starts, drains and stops a host.

use crate::app::App;
use crate::log::LogSink;
use crate::manifest::Route;
use crate::server::serve_connections;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for running requests after the host stops accepting.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Default readiness paths.
pub const READINESS_PATHS: [&str; 3] = ["/health/ready", "/readyz", "/health"];

/// Options of a host. [`HostOptions::new`] sets defaults for all but the manifest.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Path of the manifest. Component paths are relative to it.
    pub manifest: PathBuf,
    /// Path of the runtime configuration.
    pub runtime_config: Option<PathBuf>,
    /// Application variables. They override `SPIN_VARIABLE_NAME` from the environment.
    pub variables: BTreeMap<String, String>,
    /// Environment variables for all components.
    pub environment: BTreeMap<String, String>,
    /// Address to listen on. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// Cache folder for compiled components.
    pub cache_dir: Option<PathBuf>,
    /// Destination of the log.
    pub log: LogSink,
    /// How long [`Host::shutdown`] keeps answering requests, readiness with 503.
    pub drain: Duration,
    /// Paths of readiness requests.
    pub readiness_paths: Vec<String>,
}

impl HostOptions {
    /// Returns options that listen on a free loopback port and log to memory.
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        Self {
            manifest: manifest.into(),
            runtime_config: None,
            variables: BTreeMap::new(),
            environment: BTreeMap::new(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            cache_dir: None,
            log: LogSink::Memory,
            drain: Duration::ZERO,
            readiness_paths: READINESS_PATHS.map(str::to_owned).into(),
        }
    }
}

/// A running host. Dropping it aborts it ([`Host::abort`]).
pub struct Host {
    app: Arc<App>,
    address: SocketAddr,
    tasks: Tasks,
}

/// Background tasks of a host and the stages of its shutdown.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Cancelled first: readiness answers 503 from here on.
    pub(crate) draining: CancellationToken,
    /// Cancelled second: the host asks clients to close their connections.
    pub(crate) leaving: CancellationToken,
    /// Cancelled third: the host accepts no more requests.
    pub(crate) closing: CancellationToken,
    aborting: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let aborting = self.aborting.clone();
        self.tracker.spawn(async move {
            aborting.run_until_cancelled(task).await;
        });
    }
}

impl Host {
    /// Loads the application and starts serving it. Fails on an invalid file or a used address.
    pub async fn start(options: HostOptions) -> Result<Self> {
        // rustls requires an explicit provider if several crates enable different ones.
        _ = rustls::crypto::ring::default_provider().install_default();

        let listener = listen(options.listen).await?;
        let address = listener.local_addr()?;
        let own = address.to_string().parse().context("the address")?;
        let app = Arc::new(App::load(&options, own).await?);
        let tasks = Tasks::default();
        tasks.spawn(serve_connections(listener, app.clone(), tasks.clone()));
        Ok(Self {
            app,
            address,
            tasks,
        })
    }

    /// Returns the address on which the host listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the application's routes in the manifest's order.
    pub fn routes(&self) -> &[Route] {
        &self.app.listed
    }

    /// Returns the log so far if it is in memory, else an empty text.
    pub fn log(&self) -> String {
        self.app.log.contents()
    }

    /// Drains for [`HostOptions::drain`], stops accepting, and waits up to 10 s for running
    /// requests.
    ///
    /// While the host drains, readiness answers 503, so that load balancers pick another replica.
    /// In the second half it asks clients to disconnect, by `Connection: close` or GOAWAY. So no
    /// request is in flight when it closes. Dropping the future aborts the host ([`Host::abort`]).
    pub async fn shutdown(self) {
        let drain = self.app.drain;
        if !drain.is_zero() {
            self.tasks.draining.cancel();
            tokio::time::sleep(drain / 2).await;
            self.tasks.leaving.cancel();
            tokio::time::sleep(drain / 2).await;
        }
        self.tasks.closing.cancel();
        self.tasks.tracker.close();
        let ended = tokio::time::timeout(DRAIN_TIME_MAX, self.tasks.tracker.wait()).await;
        if ended.is_err() {
            self.app
                .log
                .host("requests were cut off: they did not end in time");
        }
    }

    /// Stops at once and cuts off running requests, as Spin does.
    pub fn abort(self) {}
}

impl Drop for Host {
    fn drop(&mut self) {
        self.tasks.closing.cancel();
        self.tasks.aborting.cancel();
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => {
                "; something listens there already: stop it, or choose another port with --listen"
            }
            _ => "",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}{hint}")
    })
}
