//! A way to the database that a test can cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to a server, until it is told to cut them.
pub struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free port before `host:port`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_open, gate) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                let server = server.clone();
                let mut gate = gate.clone();
                tokio::spawn(async move {
                    if !*gate.borrow_and_update() {
                        return;
                    }
                    let Ok(mut outbound) = TcpStream::connect(server).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = gate.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            is_open,
            task,
        }
    }

    /// `host:port` of the proxy.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Cuts all connections, and closes new ones at once.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Cuts the connections there are; new ones are passed on.
    pub fn cut_once(&self) {
        self.is_open.send_replace(true);
    }

    /// Passes connections on again.
    pub fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
