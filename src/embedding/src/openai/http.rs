//! One request over the host's HTTP, which waits no longer than it is told.
//!
//! The host's own time limits bound each step. They do not bound the whole: a server that
//! sends a byte now and then would keep a caller for ever. So every wait here is for the host
//! or for the alarm, whichever comes first.

use std::time::{Duration, SystemTime};

use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::http::outgoing_handler::{RequestOptions, handle};
use wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasi::io::poll::{Pollable, poll};
use wasi::io::streams::{OutputStream, StreamError};

use super::failure::Failure;
use super::retry::read_retry_after;
use super::settings::{ApiKey, Endpoint};
use super::wire::ANSWER_BYTES_MAX;

const STATUS_OK: u16 = 200;

/// Posts JSON and answers the body of the answer, which has the status 200.
pub(crate) fn post(
    endpoint: &Endpoint,
    key: &ApiKey,
    body: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let alarm = Alarm::set(limit);
    let request = new_request(endpoint, key, body.len()).ok_or(Failure::Unsendable)?;
    let outgoing = request.body().map_err(|()| Failure::Unsendable)?;
    let pending = handle(request, time_limits(limit)).map_err(|error| read_error(&error))?;
    send(outgoing, body, &alarm)?;
    alarm.wait(&pending.subscribe())?;
    let response = match pending.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(error))) => return Err(read_error(&error)),
        Some(Err(())) | None => return Err(Failure::Connection("no answer from the host")),
    };
    let status = response.status();
    if status == STATUS_OK {
        receive(&response, &alarm)
    } else {
        Err(Failure::Status {
            status,
            retry_after: retry_after(&response),
        })
    }
}

/// What ends all waiting.
struct Alarm(Pollable);

impl Alarm {
    fn set(limit: Duration) -> Self {
        Self(subscribe_duration(nanoseconds(limit)))
    }

    /// Waits for the host, unless the time is up.
    fn wait(&self, host: &Pollable) -> Result<(), Failure> {
        poll(&[host, &self.0]);
        if self.0.ready() {
            Err(Failure::TimedOut)
        } else {
            Ok(())
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn new_request(endpoint: &Endpoint, key: &ApiKey, length: usize) -> Option<OutgoingRequest> {
    let headers = Fields::new();
    let json = "application/json".to_owned();
    // With a length the host need not send the body in chunks, which not every server takes.
    let values = [
        ("content-type", Some(json.clone())),
        ("accept", Some(json)),
        ("content-length", Some(length.to_string())),
        ("authorization", key.authorization()),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            headers.append(&name.to_owned(), &value.into_bytes()).ok()?;
        }
    }
    let scheme = if endpoint.is_tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let request = OutgoingRequest::new(headers);
    request.set_method(&Method::Post).ok()?;
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(&endpoint.authority)).ok()?;
    request.set_path_with_query(Some(&endpoint.path)).ok()?;
    Some(request)
}

/// The host's limits, so that it does not keep up a connection that nobody waits for. One
/// that a host does not know stays as it is: the alarm holds in any case.
fn time_limits(limit: Duration) -> Option<RequestOptions> {
    let limit = Some(nanoseconds(limit));
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(limit);
    let _ = options.set_first_byte_timeout(limit);
    let _ = options.set_between_bytes_timeout(limit);
    Some(options)
}

fn send(outgoing: OutgoingBody, body: &[u8], alarm: &Alarm) -> Result<(), Failure> {
    let stream = outgoing
        .write()
        .map_err(|()| Failure::Connection("no way to send the request"))?;
    match write_all(&stream, body, alarm) {
        // Who reads no further may have answered already; what it answered tells more.
        Ok(()) | Err(Failure::Connection(_)) => {}
        Err(failure) => return Err(failure),
    }
    drop(stream);
    let _ = OutgoingBody::finish(outgoing, None);
    Ok(())
}

fn write_all(stream: &OutputStream, mut body: &[u8], alarm: &Alarm) -> Result<(), Failure> {
    let broken = |_| Failure::Connection("the connection broke");
    while !body.is_empty() {
        let room = stream.check_write().map_err(broken)?;
        let length = usize::try_from(room).unwrap_or(usize::MAX).min(body.len());
        let (chunk, rest) = body.split_at(length);
        if chunk.is_empty() {
            alarm.wait(&stream.subscribe())?;
        } else {
            stream.write(chunk).map_err(broken)?;
            body = rest;
        }
    }
    Ok(())
}

fn receive(response: &IncomingResponse, alarm: &Alarm) -> Result<Vec<u8>, Failure> {
    let broken = Failure::Connection("the answer broke off");
    let incoming = response.consume().map_err(|()| broken.clone())?;
    let stream = incoming.stream().map_err(|()| broken.clone())?;
    let mut body = Vec::new();
    loop {
        alarm.wait(&stream.subscribe())?;
        // One byte more than is allowed shows that there is more.
        let room = (ANSWER_BYTES_MAX + 1).saturating_sub(body.len());
        match stream.read(room as u64) {
            Ok(chunk) => body.extend(chunk),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken),
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Malformed("it is too long"));
        }
    }
}

fn retry_after(response: &IncomingResponse) -> Option<Duration> {
    let values = response.headers().get(&"retry-after".to_owned());
    read_retry_after(values.first()?, SystemTime::now())
}

/// The host's code without what it quotes: a name, an address, a message of the server's.
fn read_error(error: &ErrorCode) -> Failure {
    match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Failure::NotGranted,
        ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestMethodInvalid => Failure::Unsendable,
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout
        | ErrorCode::DnsTimeout => Failure::TimedOut,
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            Failure::Connection("the name has no address")
        }
        ErrorCode::ConnectionRefused => Failure::Connection("connection refused"),
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => Failure::Connection("no TLS with the server"),
        _ => Failure::Connection("the connection broke"),
    }
}
