//! Reads a request, within limits.

use std::fmt;
use std::io::Read as _;
use std::thread;
use std::time::{Duration, Instant};

use auth::UserName;
use flate2::bufread::MultiGzDecoder;
use futures::StreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use incidents::parse_incident_id;
use records::{BatchForm, RECORD_BYTES_MAX, Report, Violation};
use redis_client::Redis;
use spin_sdk::http::IncomingRequest;
use url::form_urlencoded;

use crate::answer::{JSON, NDJSON};
use crate::problem::{Problem, ProblemType};
use crate::settings;

/// Size limit of a batch, compressed and decompressed.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of an oversized body to discard: some clients read the response only after sending.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest time to discard the body of a caller refused before its body was read.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// How often to look for more of it.
const DISCARD_POLL: Duration = Duration::from_millis(5);

/// The body that a route reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None: a body is ignored.
    Ignored,
    /// A JSON document as large as a record.
    Json,
    /// A batch of records: a JSON array, or lines of JSON.
    Batch,
}

impl Body {
    /// Size limit, compressed and decompressed.
    fn bytes_max(self) -> usize {
        match self {
            Self::Batch => BATCH_BYTES_MAX,
            Self::Ignored | Self::Json => RECORD_BYTES_MAX,
        }
    }

    fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Batch => &[NDJSON, JSON],
            Self::Ignored | Self::Json => &[JSON],
        }
    }
}

/// A request: method, path, query, headers and body.
pub struct Request {
    pub(crate) method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
    redis: Redis,
    pub(crate) user: Option<UserName>,
}

impl fmt::Debug for Request {
    /// Shows the method only: the rest can contain a token or a record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request")
            .field(&self.known_method())
            .finish()
    }
}

impl Request {
    pub(crate) fn head(incoming: &IncomingRequest) -> Self {
        let method = incoming.method().to_string();
        let target = incoming.path_with_query().unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target, None),
        };
        let headers = incoming
            .headers()
            .entries()
            .into_iter()
            .filter_map(|(name, value)| {
                Some((
                    HeaderName::try_from(name).ok()?,
                    HeaderValue::try_from(value).ok()?,
                ))
            })
            .collect();
        Self {
            // No route supports TRACE, which stands in for unknown methods.
            method: Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE),
            path,
            query,
            headers,
            body: Vec::new(),
            redis: settings::redis(),
            user: None,
        }
    }

    /// Reads the body. Rejects other types only once read, for clients that send first.
    pub(crate) async fn read_body(
        &mut self,
        incoming: IncomingRequest,
        body: Body,
    ) -> Result<(), Problem> {
        let bytes_max = body.bytes_max();
        let announced = self.announced_bytes();
        // A caller that sent `Expect` waits for the refusal.
        if announced > bytes_max && self.headers.contains_key(EXPECT) {
            return Err(too_large(bytes_max));
        }
        let mut stream = std::pin::pin!(incoming.into_body_stream());
        let mut received = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| {
                Problem::validation(Violation::new(
                    "body",
                    "incomplete",
                    "the body ended before it was complete",
                ))
            })?;
            received += chunk.len();
            if received <= bytes_max {
                self.body.extend(chunk);
            } else if received > DISCARDED_BYTES_MAX || announced > DISCARDED_BYTES_MAX {
                break;
            }
        }
        if received > bytes_max {
            return Err(too_large(bytes_max));
        }
        self.require_media_type(body.media_types())?;
        if self.is_compressed()? {
            self.body = decompress(&self.body, bytes_max)?;
        }
        Ok(())
    }

    fn is_compressed(&self) -> Result<bool, Problem> {
        let mut encodings = self.headers.get_all(CONTENT_ENCODING).iter();
        match (encodings.next(), encodings.next()) {
            (None, _) => return Ok(false),
            (Some(only), None) => {
                let is = |name: &str| only.as_bytes().eq_ignore_ascii_case(name.as_bytes());
                if is("identity") || only.is_empty() {
                    return Ok(false);
                }
                // An alias of gzip (RFC 9110, section 8.4.1.3).
                if is("gzip") || is("x-gzip") {
                    return Ok(true);
                }
            }
            _ => {}
        }
        let detail = "the only supported Content-Encoding is gzip";
        Err(Problem::unsupported(detail, ("accept-encoding", "gzip")))
    }

    /// Discards a refused body for clients that send first; briefly, as it holds an instance.
    pub(crate) fn discard_body(&self, incoming: &IncomingRequest) {
        if self.headers.contains_key(EXPECT) || self.announced_bytes() > DISCARDED_BYTES_MAX {
            return;
        }
        let Ok(body) = incoming.consume() else { return };
        let Ok(stream) = body.stream() else { return };
        let until = Instant::now() + DISCARD_TIME_MAX;
        let mut received = 0;
        while received <= DISCARDED_BYTES_MAX && Instant::now() < until {
            // It does not wait for the caller.
            match stream.read(DISCARDED_BYTES_MAX as u64) {
                Ok(chunk) if chunk.is_empty() => thread::sleep(DISCARD_POLL),
                Ok(chunk) => received += chunk.len(),
                Err(_) => return,
            }
        }
    }

    fn announced_bytes(&self) -> usize {
        self.headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
            .map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn require_media_type(&self, accepted: &[&str]) -> Result<(), Problem> {
        if accepted
            .iter()
            .any(|accepted| self.has_media_type(accepted))
        {
            return Ok(());
        }
        let detail = format!(
            "the Content-Type must be {}, in UTF-8",
            accepted.join(" or ")
        );
        Err(Problem::unsupported(
            &detail,
            ("accept", &accepted.join(", ")),
        ))
    }

    fn has_media_type(&self, media_type: &str) -> bool {
        let mut types = self.headers.get_all(CONTENT_TYPE).iter();
        match (types.next(), types.next()) {
            (Some(only), None) => only.to_str().is_ok_and(|only| names(only, media_type)),
            _ => false,
        }
    }

    /// How a batch separates its items.
    pub(crate) fn batch_form(&self) -> BatchForm {
        match self.has_media_type(NDJSON) {
            true => BatchForm::Lines,
            false => BatchForm::Array,
        }
    }

    /// The value of a preference (RFC 7240).
    pub(crate) fn preference(&self, name: &str) -> Option<String> {
        let preferences = self.list("prefer")?;
        let (_, value) = preferences
            .split([',', ';'])
            .filter_map(|preference| preference.split_once('='))
            .find(|(given, _)| given.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim().trim_matches('"').to_owned())
    }

    /// The method; `OTHER` if not standard, so that callers cannot choose what the log says.
    pub(crate) fn known_method(&self) -> &str {
        let known = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
            Method::CONNECT,
        ];
        match known.contains(&self.method) {
            true => self.method.as_str(),
            false => "OTHER",
        }
    }

    /// The path as sent, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last segment of the path, not decoded.
    pub fn last_segment(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The query string as sent, without the question mark.
    pub fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// The authenticated user; `None` if authentication is disabled.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(UserName::as_str)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The value of a header; `None` if it is absent or repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        }
    }

    /// All lines of a list header, joined (RFC 9110, section 5.2), without non-ASCII lines.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    }

    /// Whether the caller prefers a line of JSON for each item to a JSON document.
    pub(crate) fn prefers_lines(&self) -> bool {
        let Some(accepted) = self.list("accept") else {
            return false;
        };
        let types = accepted
            .split(',')
            .filter_map(|range| range.split(';').next());
        let named: Vec<_> = types.map(|name| name.trim().to_ascii_lowercase()).collect();
        let names = |name: &str| named.iter().any(|own| own == name);
        names(NDJSON) && !names(JSON)
    }

    /// The shared Redis. The first command opens the connection.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// Rejects query parameters on a route without any: ignoring one would suggest that it filters.
    ///
    /// # Errors
    ///
    /// A problem that names each parameter.
    pub fn refuse_parameters(&self) -> Result<(), Problem> {
        let mut report = Report::default();
        for (name, _) in form_urlencoded::parse(self.query().as_bytes()) {
            report.add(name, "unknown", "no such parameter");
        }
        if report.is_empty() {
            Ok(())
        } else {
            Err(Problem::validation(report))
        }
    }
}

/// The path of a request that is not read yet, without the query.
pub fn path_of(incoming: &IncomingRequest) -> String {
    let target = incoming.path_with_query().unwrap_or_default();
    target.split('?').next().unwrap_or_default().to_owned()
}

/// Parses the id of a record, hold or incident in a path.
///
/// # Errors
///
/// It is not a whole number from 1, without leading zeros.
pub fn parse_id(text: &str) -> Result<i64, Problem> {
    parse_incident_id(text).ok_or_else(|| {
        let message = "must be a whole number from 1 to 9223372036854775807";
        Problem::validation(Violation::new("id", "format", message))
    })
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        ProblemType::PayloadTooLarge,
        format!("the body is larger than {bytes_max} bytes"),
    )
}

fn decompress(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    MultiGzDecoder::new(body)
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|_| {
            Problem::validation(Violation::new(
                "body",
                "encoding",
                "the Content-Encoding is gzip, but the body is not valid gzip",
            ))
        })?;
    if content.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(content)
}

/// Whether a content type is this one, with no charset other than UTF-8 or US-ASCII.
fn names(content_type: &str, media_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_named = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(media_type));
    is_named
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let charset = value.trim().trim_matches('"').to_ascii_lowercase();
                ["utf-8", "utf8", "us-ascii", "ascii"].contains(&charset.as_str())
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_does_not_print_what_was_sent() {
        let token = ("authorization", "Bearer secret");
        let request = Request {
            method: Method::POST,
            path: "/secret".to_owned(),
            query: Some("secret".to_owned()),
            headers: HeaderMap::from_iter([(
                HeaderName::from_static(token.0),
                HeaderValue::from_static(token.1),
            )]),
            body: b"secret".to_vec(),
            redis: Redis::new("redis://:secret@host"),
            user: UserName::new("secret"),
        };
        assert_eq!(format!("{request:?}"), "Request(\"POST\")");
    }

    #[test]
    fn json_may_name_its_charset_if_it_is_utf_8() {
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=utf8",
            "application/json; charset=US-ASCII",
            "application/json; profile=x",
            "application/json;",
        ] {
            assert!(names(content_type, JSON), "{content_type}");
        }
        for content_type in [
            "",
            "text/json",
            "application/jsonx",
            "application/problem+json",
            "application/json; charset=latin1",
            "text/plain; application/json",
            "application/json, text/plain",
        ] {
            assert!(!names(content_type, JSON), "{content_type}");
        }
    }
}
