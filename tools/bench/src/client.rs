//! A minimal HTTP client: one keep-alive connection, nothing is sent twice.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, LINK, LOCATION};
use http::{HeaderName, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::record::RecordKind;

/// The path that batches are sent to.
const BATCH: &str = "/api/v1/audit/batch";

/// How long to wait for an answer; the service gives up earlier.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

const JSON: &str = "application/json";

/// A line of JSON for each item.
const NDJSON: &str = "application/x-ndjson";

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The address of a service on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    authority: String,
}

impl Service {
    /// Parses `http://HOST:PORT`; fails unless the host is this machine.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url: Url = text.parse().with_context(|| {
            format!("read the service's URL {text:?}; it has the form http://127.0.0.1:8080")
        })?;
        ensure!(
            url.scheme() == "http",
            "the service's URL must begin with http://; TLS is not supported"
        );
        let host = url.host_str().unwrap_or_default();
        ensure!(
            is_loopback(host),
            "the service's URL names {host:?}, which is not this machine; use 127.0.0.1, [::1] or \
             localhost"
        );
        Ok(Self {
            authority: format!("{host}:{}", url.port().unwrap_or(80)),
        })
    }

    /// Whether anything accepts connections at the address.
    pub(crate) async fn accepts_connections(&self) -> bool {
        TcpStream::connect(&self.authority).await.is_ok()
    }

    /// Sends one request on a new connection.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        Connection::new(self).send(request).await
    }

    /// Whether a path answers 200.
    pub(crate) async fn is_ok(&self, path: &str) -> bool {
        let answer = self.send(&Request::get(path)).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// Fails unless the service says that it is ready.
    pub(crate) async fn require_ready(&self) -> Result<()> {
        match self.send(&Request::get("/health/ready")).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(()),
            Ok(answer) => bail!("the service at {self} is not ready: {answer}"),
            Err(failure) => bail!(
                "the service at {self} does not answer ({failure}); start it, or name another \
                 with --url"
            ),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// Whether a host name or address is this machine's own.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A request to the service.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    path: String,
    content_type: &'static str,
    accept: &'static str,
    body: Bytes,
    /// The records of a batch.
    batch: Option<usize>,
}

impl Request {
    /// A read of a path with its query.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            content_type: JSON,
            accept: "*/*",
            body: Bytes::new(),
            batch: None,
        }
    }

    /// The same, answered with a line for each item.
    pub(crate) fn get_lines(path: impl Into<String>) -> Self {
        Self {
            accept: NDJSON,
            ..Self::get(path)
        }
    }

    /// A write of a record.
    pub(crate) fn write(kind: RecordKind, record: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            body: record.into(),
            ..Self::get(kind.path())
        }
    }

    /// A write of records as a batch, a line for each.
    pub(crate) fn write_batch(records: &[(RecordKind, Vec<u8>)]) -> Self {
        let mut lines = Vec::new();
        for (kind, record) in records {
            let kind = kind.name();
            lines.extend_from_slice(format!("{{\"kind\":\"{kind}\",\"record\":").as_bytes());
            lines.extend_from_slice(record);
            lines.extend_from_slice(b"}\n");
        }
        Self {
            method: Method::POST,
            content_type: NDJSON,
            body: lines.into(),
            batch: Some(records.len()),
            ..Self::get(BATCH)
        }
    }

    /// Whether it writes a batch.
    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// Why an answer is not the expected one: a read gets 200, a new record 201, a batch 201 that
    /// says that all of its records are new.
    pub(crate) fn fault(&self, answer: &Answer) -> Option<String> {
        let expected = match self.method {
            Method::POST => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        if answer.status != expected {
            return Some(format!("status {}", answer.status));
        }
        if answer.is_replayed {
            return Some("answered as a replay".to_owned());
        }
        let stored = self.batch?;
        match serde_json::from_slice::<BatchCounts>(&answer.body) {
            Ok(counts) if counts == BatchCounts::of_new(stored) => None,
            Ok(counts) => Some(format!("a batch of {stored} is answered with {counts:?}")),
            Err(_) => Some("a batch is answered without counts".to_owned()),
        }
    }
}

/// What the answer to a batch says of its records.
#[derive(Debug, Deserialize, PartialEq)]
struct BatchCounts {
    stored: usize,
    replayed: usize,
    refused: usize,
}

impl BatchCounts {
    fn of_new(stored: usize) -> Self {
        Self {
            stored,
            replayed: 0,
            refused: 0,
        }
    }
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    link: Option<String>,
    /// Whether it has `Idempotent-Replayed: true`.
    pub(crate) is_replayed: bool,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A 201 with this body.
    #[cfg(test)]
    pub(crate) fn of(body: &str) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: None,
            link: None,
            is_replayed: false,
            body: body.to_owned().into(),
        }
    }

    /// The path of the next page.
    pub(crate) fn next_page(&self) -> Option<&str> {
        let link = self.link.as_deref()?.strip_prefix('<')?;
        link.strip_suffix(">; rel=\"next\"")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Why there is no answer. The request may have been carried out.
pub(crate) type Failure = &'static str;

/// A connection that is opened on demand, and again after it was lost.
pub(crate) struct Connection<'a> {
    service: &'a Service,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Connection<'a> {
    /// A connection to the service, not open yet.
    pub(crate) fn new(service: &'a Service) -> Self {
        Self {
            service,
            sender: None,
        }
    }

    /// Sends a request once and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<Answer, Failure> {
        timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .unwrap_or(Err("no answer in time"))
    }

    /// Reads JSON from a path; fails unless the status is 200.
    pub(crate) async fn get_json<T: DeserializeOwned>(&mut self, path: String) -> Result<T> {
        match self.send(&Request::get(path.clone())).await {
            Ok(answer) if answer.status == StatusCode::OK => serde_json::from_slice(&answer.body)
                .with_context(|| format!("read the answer to {path}")),
            Ok(answer) => bail!("{path} is answered with {answer}"),
            Err(failure) => bail!("{path} is not answered: {failure}"),
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, Failure> {
        // Put back only after a complete answer: a connection that failed is not used again.
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await.map_err(|_| "no connection")?,
        };
        let message = http::Request::builder()
            .method(&request.method)
            .uri(&request.path)
            .header(HOST, &self.service.authority)
            .header(CONTENT_TYPE, request.content_type)
            .header(ACCEPT, request.accept)
            .body(Full::new(request.body.clone()))
            .map_err(|_| "no connection")?;
        let lost = |_| "connection lost";
        sender.ready().await.map_err(lost)?;
        let response = sender.send_request(message).await.map_err(lost)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(lost)?.to_bytes();
        self.sender = Some(sender);
        let header = |name| head.headers.get(name)?.to_str().ok();
        Ok(Answer {
            status: head.status,
            location: header(LOCATION).map(str::to_owned),
            link: header(LINK).map(str::to_owned),
            is_replayed: header(IDEMPOTENT_REPLAYED) == Some("true"),
            body,
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.service.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        let is_accepted = |url: &&str| Service::parse(url).is_ok();
        let own = [
            "http://127.0.0.1:8080",
            "http://[::1]:80/",
            "http://localhost",
        ];
        assert!(own.iter().all(is_accepted));
        let others = [
            "http://example.com",
            "https://127.0.0.1",
            "http://10.0.0.1",
            "x",
        ];
        assert!(!others.iter().any(is_accepted));
    }

    #[test]
    fn a_batch_that_is_not_stored_as_a_whole_and_new_is_a_fault() {
        let records = [
            (RecordKind::Remediation, b"{\"a\":1}".to_vec()),
            (RecordKind::Execution, b"{}".to_vec()),
        ];
        let batch = Request::write_batch(&records);
        let lines: &[u8] = b"{\"kind\":\"remediation\",\"record\":{\"a\":1}}\n\
            {\"kind\":\"execution\",\"record\":{}}\n";
        assert_eq!(batch.body, lines);
        let fault = |body| batch.fault(&Answer::of(body));
        let stored = r#"{"stored":2,"replayed":0,"refused":0,"items":[{},{}]}"#;
        assert_eq!(fault(stored), None);
        for other in [
            r#"{"stored":1,"replayed":0,"refused":0}"#,
            r#"{"stored":2,"replayed":1,"refused":0}"#,
            "[]",
        ] {
            assert!(fault(other).is_some(), "{other}");
        }
        let partly = Answer {
            status: StatusCode::MULTI_STATUS,
            ..Answer::of(stored)
        };
        assert_eq!(
            batch.fault(&partly).as_deref(),
            Some("status 207 Multi-Status")
        );
    }

    #[test]
    fn a_page_leads_to_the_next_one_and_the_last_to_none() {
        let link = "</records?limit=2&cursor=a%2B>; rel=\"next\"".to_owned();
        let mut page = Answer {
            link: Some(link),
            ..Answer::of("")
        };
        assert_eq!(page.next_page(), Some("/records?limit=2&cursor=a%2B"));
        page.link = Some("</records?limit=2>; rel=\"monitor\"".to_owned());
        assert_eq!(page.next_page(), None);
    }
}
