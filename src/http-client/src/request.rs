//! Sends a POST and reads its response. Every wait also ends with an alarm: the host's timeouts
//! bound single steps, and a server that sends a byte now and then would block a caller forever.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::bindings::clocks::monotonic_clock::subscribe_duration;
use crate::bindings::http::outgoing_handler::{RequestOptions, handle};
use crate::bindings::http::types::{
    Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use crate::bindings::io::poll::{Pollable, poll};
use crate::bindings::io::streams::{OutputStream, StreamError};

use crate::address::Address;
use crate::failure::Failure;
use crate::retry_after::{read_retry_after, read_retry_after_ms};

/// A POST with a JSON body. It carries the trace context of the request being served.
pub struct Post<'a> {
    /// The server.
    pub address: &'a Address,
    /// Path and query below the base path of `address`, starting with a slash.
    pub path: &'a str,
    /// Name and value of the authorization header, if any.
    pub credentials: Option<(&'static str, String)>,
    /// JSON text.
    pub body: &'a [u8],
}

/// Hides the address, the credentials and the body.
impl fmt::Debug for Post<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

/// The status and headers of a response whose body is unread.
#[derive(Debug)]
pub struct Response {
    status: u16,
    incoming: IncomingResponse,
    alarm: Alarm,
}

impl Post<'_> {
    /// Sends the request. `limit` covers the whole exchange, including the response body.
    ///
    /// # Errors
    ///
    /// The server did not respond in time, or the request could not be sent.
    #[allow(
        clippy::disallowed_methods,
        reason = "the only place that sends HTTP requests"
    )]
    pub fn send(&self, limit: Duration) -> Result<Response, Failure> {
        let alarm = Alarm::set(limit);
        let request = self.to_request().ok_or(Failure::Unsendable)?;
        let outgoing = request.body().map_err(|()| Failure::Unsendable)?;
        let pending = handle(request, time_limits(limit)).map_err(|error| Failure::from(&error))?;
        send(outgoing, self.body, &alarm)?;
        alarm.wait(&pending.subscribe())?;
        match pending.get() {
            Some(Ok(Ok(incoming))) => Ok(Response {
                status: incoming.status(),
                incoming,
                alarm,
            }),
            Some(Ok(Err(error))) => Err(Failure::from(&error)),
            Some(Err(())) | None => Err(Failure::Connection("the host returned no response")),
        }
    }

    fn to_request(&self) -> Option<OutgoingRequest> {
        let headers = Fields::new();
        let json = "application/json".to_owned();
        // Without a length the host sends chunks, which some servers reject.
        let own = [
            ("content-type", Some(json.clone())),
            ("accept", Some(json)),
            ("content-length", Some(self.body.len().to_string())),
            ("traceparent", telemetry::traceparent()),
            ("tracestate", telemetry::tracestate()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in own.chain(self.credentials.clone()) {
            headers.append(name, &value.into_bytes()).ok()?;
        }
        let scheme = if self.address.is_tls {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let path = format!("{}{}", self.address.base_path, self.path);
        let request = OutgoingRequest::new(headers);
        request.set_method(&Method::Post).ok()?;
        request.set_scheme(Some(&scheme)).ok()?;
        request.set_authority(Some(&self.address.authority)).ok()?;
        request.set_path_with_query(Some(&path)).ok()?;
        Some(request)
    }
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The wait that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let header = |name: &str| self.incoming.headers().get(name).into_iter().next();
        header("retry-after-ms")
            .and_then(|value| read_retry_after_ms(&value))
            .or_else(|| read_retry_after(&header("retry-after")?, SystemTime::now()))
    }

    /// The `Content-Type`, if it is ASCII.
    pub fn content_type(&self) -> Option<String> {
        let values = self.incoming.headers().get("content-type");
        String::from_utf8(values.first()?.clone()).ok()
    }

    /// Reads the body, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// The body is too long, late or incomplete.
    pub fn read_body(self, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let broken = Failure::Connection("the response ended early");
        let body = self.incoming.consume().map_err(|()| broken)?;
        let stream = body.stream().map_err(|()| broken)?;
        let mut received = Vec::new();
        loop {
            self.alarm.wait(&stream.subscribe())?;
            // One byte more than allowed reveals a longer body.
            let room = (bytes_max + 1).saturating_sub(received.len());
            match stream.read(room as u64) {
                Ok(chunk) => received.extend(chunk),
                Err(StreamError::Closed) => return Ok(received),
                Err(StreamError::LastOperationFailed(_)) => return Err(broken),
            }
            if received.len() > bytes_max {
                return Err(Failure::TooLong);
            }
        }
    }
}

#[derive(Debug)]
struct Alarm(Pollable);

impl Alarm {
    fn set(limit: Duration) -> Self {
        Self(subscribe_duration(nanoseconds(limit)))
    }

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

/// Limits the host's own waits, so that it drops abandoned connections. A host may ignore it.
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
        .map_err(|()| Failure::Connection("cannot send the request"))?;
    match write_all(&stream, body, alarm) {
        // A server that stops reading may have responded already; its response says more.
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
