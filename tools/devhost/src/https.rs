//! Sends HTTPS requests with a component's own TLS configuration, otherwise as wasmtime does.

use futures::FutureExt;
use futures::future::FusedFuture;
use futures::stream::unfold;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

const TIME_LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn send(
    mut request: Request<WasiBody>,
    options: Option<RequestOptions>,
    config: Arc<ClientConfig>,
) -> Result<
    (
        Response<WasiBody>,
        impl Future<Output = Result<(), Error>> + Send,
    ),
    Error,
> {
    let limit = |chosen: fn(RequestOptions) -> Option<Duration>| {
        options.and_then(chosen).unwrap_or(TIME_LIMIT)
    };
    let connect_limit = limit(|options| options.connect_timeout);
    let first_byte_limit = limit(|options| options.first_byte_timeout);
    let between_bytes_limit = limit(|options| options.between_bytes_timeout);

    let host = request.uri().host().ok_or(Error::HttpRequestUriInvalid)?;
    let name = ServerName::try_from(host)?.to_owned();
    let port = request.uri().port_u16().unwrap_or(443);
    let stream = timeout(connect_limit, TcpStream::connect((host, port)))
        .await
        .map_err(|_| Error::ConnectionTimeout)?
        .map_err(Error::Connect)?;
    let stream = timeout(
        connect_limit,
        TlsConnector::from(config).connect(name, stream),
    )
    .await
    .map_err(|_| Error::ConnectionTimeout)?
    .map_err(Error::Tls)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;

    // Only proxies receive the full URI.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);

    let mut connection = Box::pin(connection.fuse());
    let mut sending = Box::pin(timeout(first_byte_limit, sender.send_request(request)));
    let answer = tokio::select! {
        answer = &mut sending => answer,
        ended = &mut connection => {
            ended?;
            sending.await
        }
    };
    let answer = answer.map_err(|_| Error::ConnectionReadTimeout)??;
    let driver = async move {
        if connection.is_terminated() {
            return Ok(());
        }
        connection.await.map_err(Error::from)
    };
    Ok((
        answer.map(|body| limited(body, between_bytes_limit)),
        driver,
    ))
}

/// Returns a body that fails if a frame takes longer than `limit`.
fn limited(body: Incoming, limit: Duration) -> WasiBody {
    let frames = unfold(body, move |mut body| async move {
        let frame = match timeout(limit, body.frame()).await {
            Ok(frame) => frame?.map_err(Error::from),
            Err(_) => Err(Error::ConnectionReadTimeout),
        };
        Some((frame, body))
    });
    StreamBody::new(frames).boxed_unsync()
}
