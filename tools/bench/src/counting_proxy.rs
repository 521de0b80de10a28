//! A TCP proxy before PostgreSQL that counts bytes and round trips.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const BUFFER_BYTES: usize = 64 * 1024;

/// Round trips, bytes to the server, and bytes from it. All that a client sends before an answer
/// arrives is one round trip.
type Counters = [AtomicU64; 3];

/// A proxy on this machine that counts for all connections together, including their handshakes.
/// Dropping it ends its connections.
pub(crate) struct CountingProxy {
    /// The address that clients connect to.
    pub(crate) address: SocketAddr,
    counters: Arc<Counters>,
    acceptor: JoinHandle<()>,
}

impl CountingProxy {
    /// Forwards from a free port of 127.0.0.1 to `server`, a host and a port.
    pub(crate) async fn start(server: String) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("listen for connections to PostgreSQL")?;
        let counters = Arc::new(Counters::default());
        Ok(Self {
            address: listener.local_addr().context("read the proxy's address")?,
            counters: Arc::clone(&counters),
            acceptor: tokio::spawn(accept(listener, server, counters)),
        })
    }

    /// The counters so far.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.counters.each_ref().map(count)
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
    let [round_trips, bytes_sent, bytes_received] = &*counters;
    // Counted before it is passed on: the other side cannot have answered yet.
    let sent = copy(client_says, server_hears, |bytes| {
        bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        if !is_awaited.swap(true, Ordering::Relaxed) {
            round_trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    let received = copy(server_says, client_hears, |bytes| {
        bytes_received.fetch_add(bytes, Ordering::Relaxed);
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

    async fn ping(stream: &mut TcpStream) {
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_sent_before_the_answer_is_one_round_trip() {
        let proxy = CountingProxy::start(start_server().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(proxy.counts(), [0, 0, 0]);
        ping(&mut stream).await;
        assert_eq!(proxy.counts(), [1, 4, 8]);
        stream.write_all(b"pi").await.unwrap();
        // The first part has passed alone.
        while proxy.counts()[1] < 6 {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"ng").await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        assert_eq!(proxy.counts(), [2, 8, 16]);
    }
}
