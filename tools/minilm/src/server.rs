//! Serves the model over HTTP/1.1.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{self, Answer, BODY_BYTES_MAX, Refusal};
use crate::model::Model;

const PATH: &str = "/v1/embeddings";

/// Wait before accepting again after an error, for example for lack of file descriptors.
const ACCEPT_RETRY_TIME: Duration = Duration::from_millis(50);

/// Options of a server.
pub struct Options {
    /// Address to listen on. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// API key that requests must have. `None` accepts any request.
    pub api_key: Option<String>,
    /// Receives a line about each request.
    pub log: fn(&str),
}

impl Default for Options {
    /// Listens on a free loopback port, without a key and a log.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            api_key: None,
            log: |_| {},
        }
    }
}

/// A running server. Dropping it closes its connections.
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts serving. Fails if it cannot listen on the address.
    pub async fn start(model: Arc<Model>, options: Options) -> Result<Self> {
        let listen = options.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listen on {listen}"))?;
        let address = listener.local_addr().context("ask for the address")?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let service = Arc::new(Service {
            model,
            options,
            turns: Arc::new(Semaphore::new(cores)),
        });
        let accepting = tokio::spawn(accept_connections(listener, service));
        Ok(Self { address, accepting })
    }

    /// Returns the address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_connections(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, Arc::clone(&service)));
            }
            Err(error) => {
                (service.options.log)(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_RETRY_TIME).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    // Ignore a client that disconnected.
    _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

struct Service {
    model: Arc<Model>,
    options: Options,
    /// One text per core at a time; more would only use more memory.
    turns: Arc<Semaphore>,
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let begun = Instant::now();
        let asked = format!("{} {}", request.method(), request.uri().path());
        let (answer, outcome) = match self.embed(request).await {
            Ok(answer) => (respond(StatusCode::OK, &answer), answer.summary()),
            Err(refusal) => {
                let body = json!({ "error": refusal });
                (respond(refusal.status, &body), refusal.message)
            }
        };
        let status = answer.status().as_u16();
        let took = begun.elapsed().as_secs_f64();
        (self.options.log)(&format!("{asked}: {status}, {took:.3} s, {outcome}"));
        answer
    }

    async fn embed(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        check_route(&request)?;
        self.check_key(request.headers())?;
        let body = read_body(request.into_body()).await?;
        let request = api::Request::parse(&body)?;
        self.run_model(request)
            .await
            .map_err(|error| Refusal::failure(&error))
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(key) = &self.options.api_key else {
            return Ok(());
        };
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if given == Some(key) {
            return Ok(());
        }
        Err(Refusal::unread(
            StatusCode::UNAUTHORIZED,
            Some("invalid_api_key"),
            "The header `Authorization: Bearer KEY` is missing, or has another key.",
        ))
    }

    async fn run_model(&self, request: api::Request) -> Result<Answer> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .context("wait for a turn")?;
        let model = Arc::clone(&self.model);
        tokio::task::spawn_blocking(move || {
            // Keep the permit to the end, even if the client disconnects.
            let _turn = turn;
            let embeddings = request.texts.iter().map(|text| model.embed(text));
            let embeddings = embeddings.collect::<Result<_>>()?;
            Ok(Answer::new(&request, embeddings))
        })
        .await
        .context("run the model")?
    }
}

fn check_route(request: &Request<Incoming>) -> Result<(), Refusal> {
    let (method, path) = (request.method(), request.uri().path());
    if path != PATH {
        let message = format!("There is no {path} here, only {PATH}.");
        let code = Some("unknown_url");
        return Err(Refusal::unread(StatusCode::NOT_FOUND, code, message));
    }
    if method != Method::POST {
        return Err(Refusal::unread(
            StatusCode::METHOD_NOT_ALLOWED,
            Some("method_not_supported"),
            format!("{path} takes POST, not {method}."),
        ));
    }
    Ok(())
}

async fn read_body(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut read = Vec::new();
    let mut fits = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid(None, "The body broke off."))?;
        let data = frame.into_data().unwrap_or_default();
        // Read an oversized body to its end, because a client that finds the connection closed
        // while it sends ignores the response.
        fits &= read.len() + data.len() <= BODY_BYTES_MAX;
        if fits {
            read.extend_from_slice(&data);
        }
    }
    if fits {
        return Ok(read);
    }
    Err(Refusal::unread(
        StatusCode::PAYLOAD_TOO_LARGE,
        None,
        format!("The body is longer than {BODY_BYTES_MAX} bytes."),
    ))
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}
