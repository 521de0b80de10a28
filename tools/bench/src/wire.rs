//! What goes over the wire to PostgreSQL: a proxy that counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Sub;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How much is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Stands between a client and a server, on this machine, and counts what passes over all
/// connections together: openings, handshakes and farewells too. It ends when it is dropped,
/// with all its connections.
#[derive(Debug)]
pub(crate) struct CountingProxy {
    address: SocketAddr,
    counters: Arc<Counters>,
    acceptor: JoinHandle<()>,
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WireCounts {
    /// How often the client said something after the server had, or first: how often it waited.
    /// What it sends before any of the answer comes is one round trip, in however many writes.
    pub(crate) round_trips: u64,
    /// Bytes from the client to the server.
    pub(crate) bytes_sent: u64,
    /// Bytes from the server to the client.
    pub(crate) bytes_received: u64,
}

impl Sub for WireCounts {
    type Output = Self;

    /// What has passed since an earlier reading.
    fn sub(self, earlier: Self) -> Self {
        Self {
            round_trips: self.round_trips.saturating_sub(earlier.round_trips),
            bytes_sent: self.bytes_sent.saturating_sub(earlier.bytes_sent),
            bytes_received: self.bytes_received.saturating_sub(earlier.bytes_received),
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    round_trips: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl CountingProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `server`, a host and a port. Whether
    /// the server is there shows when somebody connects.
    pub(crate) async fn start(server: impl Into<String>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listen for connections to PostgreSQL")?;
        let address = listener.local_addr().context("read the proxy's address")?;
        let counters = Arc::new(Counters::default());
        let acceptor = tokio::spawn(accept(listener, server.into(), Arc::clone(&counters)));
        Ok(Self {
            address,
            counters,
            acceptor,
        })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed until now.
    pub(crate) fn counts(&self) -> WireCounts {
        WireCounts {
            round_trips: self.counters.round_trips.load(Ordering::Relaxed),
            bytes_sent: self.counters.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.counters.bytes_received.load(Ordering::Relaxed),
        }
    }
}

impl Drop for CountingProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, server: String, counters: Arc<Counters>) {
    let server: Arc<str> = server.into();
    // Dropped with this future, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(forward(client, Arc::clone(&server), Arc::clone(&counters)));
                }
                Err(error) => {
                    eprintln!("bench: a connection to PostgreSQL was not accepted: {error}");
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(mut client: TcpStream, server: Arc<str>, counters: Arc<Counters>) {
    let mut server = match TcpStream::connect(&*server).await {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("bench: no connection to PostgreSQL at {server}: {error}");
            return;
        }
    };
    // What is small is to go at once, as without the proxy.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_says, client_hears) = client.split();
    let (server_says, server_hears) = server.split();
    let is_awaited = AtomicBool::new(false);
    // Counted before it is passed on: the other side cannot have answered yet.
    let sent = copy(client_says, server_hears, |bytes| {
        counters.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        if !is_awaited.swap(true, Ordering::Relaxed) {
            counters.round_trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    let received = copy(server_says, client_hears, |bytes| {
        counters.bytes_received.fetch_add(bytes, Ordering::Relaxed);
        is_awaited.store(false, Ordering::Relaxed);
    });
    tokio::join!(sent, received);
}

/// Passes on all that is read, and then that there is no more.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(u64),
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count(length as u64);
        let Some(bytes) = buffer.get(..length) else {
            break;
        };
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Answers every four bytes with eight.
    async fn start_server() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4];
                    while stream.read_exact(&mut request).await.is_ok() {
                        stream.write_all(&[0; 8]).await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn connect(proxy: &CountingProxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    async fn ping(stream: &mut TcpStream) {
        stream.write_all(b"ping").await.unwrap();
        hear(stream).await;
    }

    async fn hear(stream: &mut TcpStream) {
        stream.read_exact(&mut [0; 8]).await.unwrap();
    }

    fn counts(round_trips: u64) -> WireCounts {
        WireCounts {
            round_trips,
            bytes_sent: round_trips * 4,
            bytes_received: round_trips * 8,
        }
    }

    #[tokio::test]
    async fn two_pings_are_two_round_trips() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let mut stream = connect(&proxy).await;
        assert_eq!(proxy.counts(), counts(0));
        ping(&mut stream).await;
        let first = proxy.counts();
        assert_eq!(first, counts(1));
        ping(&mut stream).await;
        assert_eq!(proxy.counts(), counts(2));
        assert_eq!(proxy.counts() - first, counts(1));
    }

    #[tokio::test]
    async fn what_is_sent_in_parts_before_the_answer_is_one_round_trip() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let mut stream = connect(&proxy).await;
        stream.write_all(b"pi").await.unwrap();
        // The first part has passed alone.
        while proxy.counts().bytes_sent < 2 {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"ng").await.unwrap();
        hear(&mut stream).await;
        assert_eq!(proxy.counts(), counts(1));
    }

    #[tokio::test]
    async fn connections_add_up() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
        ping(&mut one).await;
        // The other's first is one too, though nobody on that connection has spoken before.
        ping(&mut other).await;
        ping(&mut one).await;
        assert_eq!(proxy.counts(), counts(3));
    }

    #[tokio::test]
    async fn a_dropped_proxy_ends_its_connections_and_listens_no_more() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let mut stream = connect(&proxy).await;
        ping(&mut stream).await;
        let address = proxy.address();
        drop(proxy);
        let mut end = [0; 1];
        let end = timeout(Duration::from_secs(5), stream.read(&mut end)).await;
        assert_eq!(end.unwrap().unwrap_or_default(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn the_end_of_one_side_is_the_end_of_the_other() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let mut stream = connect(&proxy).await;
        stream.write_all(b"ping").await.unwrap();
        stream.shutdown().await.unwrap();
        // The answer still comes, and then the server's own end.
        hear(&mut stream).await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
