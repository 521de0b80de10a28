//! Serves HTTP: runs an instance of the component that each request's path selects.

use crate::app::{App, Component};
use crate::host::Tasks;
use crate::routes::{self, WELL_KNOWN};
use crate::state::State;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// Wait before accepting again after an error, for example for lack of file descriptors.
const ACCEPT_RETRY_TIME: Duration = Duration::from_millis(50);

type Answer = Response<HyperOutgoingBody>;

pub(crate) async fn serve_connections(listener: TcpListener, app: Arc<App>, tasks: Tasks) {
    let http = Builder::new(TokioExecutor::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.closing.cancelled() => break,
        };
        match accepted {
            Ok((stream, client)) => {
                let service = Service {
                    app: app.clone(),
                    tasks: tasks.clone(),
                    client,
                    is_http2: Arc::default(),
                };
                service.serve(&http, stream);
            }
            Err(error) => {
                app.log
                    .host(format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_RETRY_TIME).await;
            }
        }
    }
}

#[derive(Clone)]
struct Service {
    app: Arc<App>,
    tasks: Tasks,
    client: SocketAddr,
    is_http2: Arc<AtomicBool>,
}

impl Service {
    fn serve(self, http: &Builder<TokioExecutor>, stream: TcpStream) {
        let (tasks, is_http2) = (self.tasks.clone(), self.is_http2.clone());
        let Tasks {
            leaving, closing, ..
        } = tasks.clone();
        let answer = service_fn(move |request| {
            let service = self.clone();
            async move { service.answer(request).await }
        });
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        let connection = connection.into_owned();
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = &mut connection => return,
                () = leaving.cancelled() => {}
                () = closing.cancelled() => {}
            }
            // GOAWAY loses no request. An idle HTTP/1 connection stays open, because a request may
            // be on its way; responses ask the client to close it.
            if is_http2.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                _ = &mut connection => return,
                () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            _ = connection.await;
        });
    }

    /// Answers a request. Adds `Connection: close` when clients should leave.
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer> {
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        let mut answer = self.route(request).await?;
        if self.tasks.leaving.is_cancelled() && !is_http2 {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(answer)
    }

    /// Answers a request. An error, such as a missing host, closes the connection.
    async fn route(&self, mut request: Request<Incoming>) -> Result<Answer> {
        let path = request.uri().path().to_owned();
        if self.tasks.draining.is_cancelled() && self.app.readiness_paths.contains(&path) {
            return self.answer_not_ready();
        }
        if let Some(name) = path.strip_prefix(WELL_KNOWN) {
            return self.answer_well_known(name);
        }
        let Some(found) = self.app.routes.find(&path) else {
            return plain(StatusCode::NOT_FOUND, "");
        };
        complete_uri(&mut request)?;
        let component = found.handler().component();
        let component = self
            .app
            .components
            .get(component)
            .context("no such component")?;

        let uri = request.uri().clone();
        let answered = match routes::add_headers(request.headers_mut(), &uri, &found, self.client) {
            Ok(()) => self.run(component, request).await,
            Err(error) => Err(error),
        };
        answered.or_else(|error| {
            let id = &component.id;
            self.app
                .log
                .host(format_args!("component {id:?}, path {path}: {error:#}"));
            plain(StatusCode::INTERNAL_SERVER_ERROR, "")
        })
    }

    fn answer_not_ready(&self) -> Result<Answer> {
        let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "draining")?;
        let seconds = self.app.drain.as_secs().max(1);
        let headers = answer.headers_mut();
        headers.insert(header::RETRY_AFTER, seconds.into());
        Ok(answer)
    }

    fn answer_well_known(&self, name: &str) -> Result<Answer> {
        match name {
            "health" => plain(StatusCode::OK, "OK"),
            "info" => {
                let mut answer = plain(StatusCode::OK, &self.app.info)?;
                let json = HeaderValue::from_static("application/json");
                answer.headers_mut().insert(header::CONTENT_TYPE, json);
                Ok(answer)
            }
            _ => plain(StatusCode::NOT_FOUND, ""),
        }
    }

    /// Runs a fresh instance and returns its response as soon as the instance sends one.
    ///
    /// The instance continues after its response, and after the client disconnects and hyper drops
    /// this future.
    async fn run(&self, component: &Arc<Component>, request: Request<Incoming>) -> Result<Answer> {
        let state = State::new(&self.app, component);
        let mut store = Store::new(component.ready.engine(), state);
        let instance = component.ready.instantiate_async(&mut store).await?;

        let (sender, receiver) = oneshot::channel();
        let (mut view, scheme) = (store.data_mut().http(), types::Scheme::Http);
        let request = view.new_incoming_request(scheme, request)?;
        let answer = view.new_response_outparam(sender)?;

        let log = self.app.log.clone();
        let id = component.id.clone();
        self.tasks.spawn(async move {
            let handler = instance.wasi_http_incoming_handler();
            if let Err(error) = handler.call_handle(&mut store, request, answer).await {
                log.host(format_args!("component {id:?} failed: {error:?}"));
            }
        });
        let answer = receiver.await.context("it ended without an answer")?;
        answer.context("it had no answer to give")
    }
}

/// Sets the URI's scheme and host. A missing or contradictory host is an error.
fn complete_uri(request: &mut Request<Incoming>) -> Result<()> {
    let named = match request.headers().get(header::HOST) {
        Some(host) => Some(host.to_str()?.parse::<Authority>()?),
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    let host = match (named, parts.authority) {
        (Some(named), Some(authority)) if named != authority => {
            bail!("the host header does not match the URI")
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => bail!("the request names no host"),
    };
    parts.authority = Some(host);
    parts.scheme = Some(Scheme::HTTP);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn plain(status: StatusCode, text: &str) -> Result<Answer> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let body = body.map_err(|never| match never {}).boxed_unsync();
    Ok(Response::builder().status(status).body(body)?)
}
