//! One keep-alive connection to the service.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::record::RecordKind;

/// How long an answer may take; the service itself gives up before.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Where the service is: on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    authority: String,
}

impl Service {
    /// Reads the service's address, such as `http://127.0.0.1:8080`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url: Url = text.parse().with_context(|| {
            format!("read the service's URL {text:?}; it has the form http://127.0.0.1:8080")
        })?;
        ensure!(
            url.scheme() == "http",
            "the service's URL must begin with http://: no TLS is spoken here"
        );
        let host = url.host_str().unwrap_or_default();
        ensure!(
            is_loopback(host),
            "the service's URL names {host:?}, which is not this machine; loads are sent to 127.0.0.1, [::1] \
             or localhost only"
        );
        let port = url.port().unwrap_or(80);
        Ok(Self {
            authority: format!("{host}:{port}"),
        })
    }

    /// Whether anything accepts connections there.
    pub(crate) async fn accepts_connections(&self) -> bool {
        TcpStream::connect(&self.authority).await.is_ok()
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Answer, Failure> {
        Connection::new(self).send(call).await
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// Whether a host's name or address is this machine's own.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: Cow<'static, str>,
    body: Bytes,
}

impl Call {
    /// A read of a path, with its query.
    pub(crate) fn get(path: impl Into<Cow<'static, str>>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
        }
    }

    /// A write of a record.
    pub(crate) fn write(kind: RecordKind, record: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            path: kind.path().into(),
            body: record.into(),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its `Location`.
    pub(crate) location: Option<String>,
    /// Whether it says `Idempotent-Replayed: true`.
    pub(crate) is_replayed: bool,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// What is wrong with its status, if it is another one.
    pub(crate) fn fault_unless(&self, status: StatusCode) -> Option<String> {
        (self.status != status).then(|| self.status.to_string())
    }
}

/// Why there is no answer. Whether the request was carried out is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection could be made.
    NoConnection,
    /// The connection ended before the answer did.
    ConnectionLost,
    /// The answer took too long.
    TimedOut,
}

impl Failure {
    /// What happened, in a few words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoConnection => "no connection",
            Self::ConnectionLost => "connection lost",
            Self::TimedOut => "no answer in time",
        }
    }
}

/// A connection that is made when it is needed, and made anew when it was lost.
pub(crate) struct Connection<'a> {
    service: &'a Service,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Connection<'a> {
    /// A connection to the service, not made yet.
    pub(crate) fn new(service: &'a Service) -> Self {
        Self {
            service,
            sender: None,
        }
    }

    /// Sends a request and reads the answer, once: nothing is sent a second time.
    pub(crate) async fn send(&mut self, call: &Call) -> Result<Answer, Failure> {
        let answer = timeout(ANSWER_WAIT_MAX, self.exchange(call))
            .await
            .unwrap_or(Err(Failure::TimedOut));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn exchange(&mut self, call: &Call) -> Result<Answer, Failure> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await.map_err(|_| Failure::NoConnection)?,
        };
        let request = Request::builder()
            .method(&call.method)
            .uri(&*call.path)
            .header(HOST, &self.service.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(call.body.clone()))
            .map_err(|_| Failure::NoConnection)?;
        let lost = |_| Failure::ConnectionLost;
        sender.ready().await.map_err(lost)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(lost)?.to_bytes();
        self.sender = Some(sender);
        let header = |name| head.headers.get(name)?.to_str().ok();
        Ok(Answer {
            status: head.status,
            location: header(LOCATION).map(str::to_owned),
            is_replayed: header(IDEMPOTENT_REPLAYED) == Some("true"),
            body,
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.service.authority)
            .await
            .context("connect to the service")?;
        stream.set_nodelay(true).context("set up the connection")?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("begin to speak HTTP")?;
        // It ends with the sender, or with the connection.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Makes sure that the service is there.
pub(crate) async fn require_ready(service: &Service) -> Result<()> {
    match service.ask(&Call::get("/health/ready")).await {
        Ok(answer) if answer.status == StatusCode::OK => Ok(()),
        Ok(answer) => bail!(
            "the service at {service} is not ready, it answers {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
        Err(failure) => bail!(
            "the service at {service} does not answer ({}); start it, or name another with --url",
            failure.as_str()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        for url in [
            "http://127.0.0.1:8080",
            "http://[::1]:80/",
            "http://localhost",
        ] {
            assert!(Service::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com",
            "https://127.0.0.1",
            "http://10.0.0.1:8080",
            "x",
        ] {
            assert!(Service::parse(url).is_err(), "{url}");
        }
    }
}
