//! The server, its faults and the requests that it received.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::answer::{Answer, answer, failure_of};
use crate::cluster::{Cluster, Rule, Token};
use crate::reviews::review;
use crate::tls::Identity;

const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A fault.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this status with the API server's error.
    Status(u16),
    /// Answers normally after a delay.
    Late(Duration),
    /// Closes the connection without a response.
    Close,
    /// Answers 201 with this body as JSON.
    Body(String),
    /// Answers normally with another content type.
    MediaType(String),
    /// Redirects the client.
    Redirect(String),
}

/// A received request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The path.
    pub path: String,
    /// The bearer token.
    pub bearer: Option<String>,
    /// The body; null if it is not JSON.
    pub body: Value,
    /// The header `traceparent`.
    pub traceparent: Option<String>,
}

#[derive(Default)]
struct State {
    cluster: Cluster,
    /// The fault, and the path suffix of the requests that it affects.
    fault: Option<(String, Fault)>,
    asked: Vec<ReceivedRequest>,
}

/// A stand-in server. Dropping it stops it.
pub struct KubeApi {
    address: SocketAddr,
    ca_pem: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl KubeApi {
    /// Starts a server of an empty cluster on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let identity = Identity::new();
        let ca_pem = identity.ca_pem.clone();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let acceptor = identity.acceptor.clone();
                tokio::spawn(async move {
                    // Clients that distrust the certificate disconnect.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    serve(stream, state).await;
                });
            }
        });
        Self {
            address,
            ca_pem,
            state,
            task,
        }
    }

    /// Returns the server's `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the server's `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns its certificate authority in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Issues a token.
    pub fn issue(&self, token: &str, of: Token) {
        self.state().cluster.tokens.insert(token.to_owned(), of);
    }

    /// Withdraws a token.
    pub fn withdraw(&self, token: &str) {
        self.state().cluster.tokens.remove(token);
    }

    /// Grants a permission.
    pub fn allow(&self, rule: Rule) {
        self.state().cluster.rules.push(rule);
    }

    /// Lets a user ask about other users (`system:auth-delegator`).
    pub fn allow_reviews(&self, subject: &str) {
        for (group, resource) in [
            ("authentication.k8s.io", "tokenreviews"),
            ("authorization.k8s.io", "subjectaccessreviews"),
        ] {
            self.allow(Rule::to_create(subject, group, resource));
        }
    }

    /// Revokes a subject's permissions.
    pub fn forbid(&self, subject: &str) {
        self.state()
            .cluster
            .rules
            .retain(|rule| rule.subject != subject);
    }

    /// Fails requests whose path ends with `path_end`; an empty suffix matches all.
    pub fn fail_at(&self, path_end: &str, fault: Fault) {
        self.state().fault = Some((path_end.to_owned(), fault));
    }

    /// Fails every request.
    pub fn fail(&self, fault: Fault) {
        self.fail_at("", fault);
    }

    /// Ends the fault.
    pub fn mend(&self) {
        self.state().fault = None;
    }

    /// Returns the requests since the last call.
    pub fn take_requests(&self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut self.state().asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: tokio_rustls::server::TlsStream<TcpStream>, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { respond(request, &state).await }
    });
    // Ignore clients that disconnect, and the error that closes a connection on demand.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error closes the connection.
async fn respond(request: Request<Incoming>, state: &Mutex<State>) -> io::Result<Answer> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    let bearer =
        header("authorization").and_then(|value| Some(value.strip_prefix("Bearer ")?.to_owned()));
    let content_type = header("content-type").unwrap_or_default();
    let traceparent = header("traceparent");
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let body = read_body(request.into_body()).await?;
    let fault = {
        let mut state = lock(state);
        state.asked.push(ReceivedRequest {
            path: path.clone(),
            bearer: bearer.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            traceparent,
        });
        state
            .fault
            .clone()
            .filter(|(end, _)| path.ends_with(end.as_str()))
            .map(|(_, fault)| fault)
    };
    let good = || {
        if method != Method::POST {
            failure_of(StatusCode::METHOD_NOT_ALLOWED)
        } else if content_type != "application/json" {
            failure_of(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        } else {
            review(&lock(state).cluster, &path, bearer.as_deref(), &body)
        }
    };
    Ok(match fault {
        None => good(),
        Some(Fault::Status(status)) => failure_of(StatusCode::from_u16(status).expect("a status")),
        Some(Fault::Late(pause)) => {
            tokio::time::sleep(pause).await;
            good()
        }
        Some(Fault::Close) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Body(body)) => answer(StatusCode::CREATED, "application/json", body),
        Some(Fault::MediaType(media_type)) => {
            let mut answer = good();
            let media_type = media_type.parse().expect("a header's value");
            answer.headers_mut().insert("content-type", media_type);
            answer
        }
        Some(Fault::Redirect(location)) => {
            let mut answer = answer(StatusCode::TEMPORARY_REDIRECT, "text/plain", String::new());
            let location = location.parse().expect("a header's value");
            answer.headers_mut().insert("location", location);
            answer
        }
    })
}

async fn read_body(body: Incoming) -> io::Result<Bytes> {
    let body = http_body_util::Limited::new(body, BODY_BYTES_MAX);
    let collected = body.collect().await.map_err(io::Error::other)?;
    Ok(collected.to_bytes())
}
