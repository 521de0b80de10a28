//! A TCP proxy before the database that a test can cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections to a server.
pub struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy on a free port before `host:port`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_open, gate) = watch::channel(true);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                let server = server.clone();
                let mut gate = gate.clone();
                let counted = counted.clone();
                tokio::spawn(async move {
                    if !*gate.borrow_and_update() {
                        return;
                    }
                    let Ok(mut outbound) = TcpStream::connect(server).await else {
                        return;
                    };
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::select! {
                        _ = copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = gate.changed() => {}
                    }
                    counted.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self {
            address,
            is_open,
            connections,
            task,
        }
    }

    /// Returns the proxy's `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Cuts all connections and closes new ones at once.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Cuts the open connections and returns their number; forwards new ones.
    pub fn cut_once(&self) -> usize {
        self.is_open.send_replace(true);
        self.connections.load(Ordering::Relaxed)
    }

    /// Forwards connections again.
    pub fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
