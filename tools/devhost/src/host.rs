//! A running host: listens, serves, and ends when it is told to.

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

/// How long requests may still run after the host takes no more.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Where readiness is asked for, unless the options say otherwise.
pub const READINESS_PATHS: [&str; 3] = ["/health/ready", "/readyz", "/health"];

/// What to run, and how. [`HostOptions::new`] has defaults for all but the manifest.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Path of the manifest. The components' paths are relative to it.
    pub manifest: PathBuf,
    /// Path of the runtime configuration.
    pub runtime_config: Option<PathBuf>,
    /// Values of the application's variables. They go before the environment's
    /// `SPIN_VARIABLE_NAME`, and those before the defaults.
    pub variables: BTreeMap<String, String>,
    /// Environment variables for all components.
    pub environment: BTreeMap<String, String>,
    /// Where to listen. Port 0 finds a free one.
    pub listen: SocketAddr,
    /// A folder in which compiled components are kept for the next start.
    pub cache_dir: Option<PathBuf>,
    /// Where the log goes.
    pub log: LogSink,
    /// For how long all requests are still answered after [`Host::shutdown`] is called, those
    /// for readiness with 503.
    pub drain: Duration,
    /// Where readiness is asked for.
    pub readiness_paths: Vec<String>,
}

impl HostOptions {
    /// Options that listen on a free port of this machine, and keep the log in memory.
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

/// A running host. Dropping it is the same as [`Host::abort`].
pub struct Host {
    app: Arc<App>,
    address: SocketAddr,
    tasks: Tasks,
}

/// What runs on behalf of a host.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Cancelled when the host is told to end: readiness is refused from then on.
    pub(crate) draining: CancellationToken,
    /// Cancelled when clients are to leave the connections that they have.
    pub(crate) leaving: CancellationToken,
    /// Cancelled when no more requests are to be taken.
    pub(crate) closing: CancellationToken,
    /// Cancelled when nothing is to run any more.
    aborting: CancellationToken,
}

impl Tasks {
    /// Runs something until its end or the host's.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let aborting = self.aborting.clone();
        self.tracker.spawn(async move {
            aborting.run_until_cancelled(task).await;
        });
    }
}

impl Host {
    /// Loads the application and begins to serve it.
    pub async fn start(options: HostOptions) -> Result<Self> {
        // Several crates might each bring another provider: then TLS asks for a choice.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The application's routes, in the manifest's order.
    pub fn routes(&self) -> &[Route] {
        &self.app.listed
    }

    /// What components and host logged so far, if the log is in memory.
    pub fn log(&self) -> String {
        self.app.log.contents()
    }

    /// Answers requests for the time that [`HostOptions::drain`] says, then takes no more, and
    /// waits for those that run, 10 s at most.
    ///
    /// While it drains, readiness is answered with 503, so that whoever balances sends no more
    /// here. In the second half clients are asked to leave their connections: by
    /// `Connection: close`, or GOAWAY in HTTP/2. So when it closes, nobody is about to send.
    ///
    /// Spin ends at once, and cuts off what runs. Here a service can be restarted, and a test
    /// ended, without that.
    ///
    /// Dropping the future is the same as [`Host::abort`].
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

    /// Ends at once. Requests that run are cut off, as when Spin is told to end.
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
