//! Successful responses.

use std::fmt;

use chrono::SecondsFormat;
use http::StatusCode;
use serde::Serialize;
use store::StoredRecord;
use url::form_urlencoded;

use crate::entity_tag::{entity_tag, names_tag};
use crate::log::Receipt;
use crate::request::Request;

/// Media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// Media type of a line of JSON for each item.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// A response with a body.
#[derive(Debug)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) entity_tag: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Used if the request has no correlation id.
    pub(crate) correlation_id: Option<String>,
    /// Whether clients may keep the response for ever.
    pub(crate) is_immutable: bool,
    pub(crate) after: Option<AfterResponse>,
}

/// What a request does after its response was sent.
pub(crate) struct AfterResponse(pub(crate) Box<dyn FnOnce()>);

impl fmt::Debug for AfterResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterResponse")
    }
}

/// Confirms that a record is stored.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Id of the record.
    pub id: i64,
    /// Id of the record's embedding; equal to `id`.
    pub embedding_id: i64,
    /// When the service stored the record, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Human-readable confirmation that names the kind of record.
    pub message: String,
    /// The record's place in the log.
    pub log: Receipt,
}

impl Recorded {
    /// `title` names the kind.
    pub(crate) fn new(title: &str, stored: &StoredRecord, log: Receipt) -> Self {
        Self {
            id: stored.id,
            embedding_id: stored.id,
            created_at: stored
                .recorded_at
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            message: format!("{title} audit record created"),
            log,
        }
    }
}

impl Answer {
    /// 200 with a JSON body.
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub fn ok(body: &impl Serialize) -> serde_json::Result<Self> {
        Self::json(StatusCode::OK, body)
    }

    /// 200 with a page as JSON, or, if the caller prefers that, with a line of JSON for each of its
    /// items (application/x-ndjson).
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub fn page(
        request: &Request,
        page: &impl Serialize,
        items: &[impl Serialize],
    ) -> serde_json::Result<Self> {
        if !request.prefers_lines() {
            return Self::ok(page);
        }
        let mut body = Vec::new();
        for item in items {
            serde_json::to_writer(&mut body, item)?;
            body.push(b'\n');
        }
        Ok(Self::new(StatusCode::OK, NDJSON, body))
    }

    /// 200 with text.
    pub fn text(content_type: &'static str, text: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, content_type, text)
    }

    /// 202: the response is not ready yet.
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub fn not_ready(body: &impl Serialize, retry_after_seconds: u32) -> serde_json::Result<Self> {
        let answer = Self::json(StatusCode::ACCEPTED, body)?;
        Ok(answer.with("retry-after", retry_after_seconds.to_string()))
    }

    /// 200 with a static file and an `ETag`.
    pub fn file(content_type: &'static str, body: &[u8]) -> Self {
        Self::new(StatusCode::OK, content_type, body.to_vec())
            .with("x-content-type-options", "nosniff")
            .tagged()
    }

    /// 201 for what is stored, now or earlier.
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub(crate) fn created(body: &impl Serialize, is_replayed: bool) -> serde_json::Result<Self> {
        let answer = Self::json(StatusCode::CREATED, body)?;
        Ok(match is_replayed {
            true => answer.with("idempotent-replayed", "true"),
            false => answer,
        })
    }

    /// 207: some items of a batch are refused.
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub(crate) fn partly_created(body: &impl Serialize) -> serde_json::Result<Self> {
        Self::json(StatusCode::MULTI_STATUS, body)
    }

    /// Sets the correlation id, for a request that has none.
    #[must_use]
    pub fn about(mut self, correlation_id: &str) -> Self {
        self.correlation_id = Some(correlation_id.to_owned());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// Adds an `ETag`, which enables 304 responses.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        self.entity_tag = Some(entity_tag(&self.body));
        self
    }

    /// Lets clients keep the response for ever: what is at this path never changes.
    #[must_use]
    pub fn immutable(mut self) -> Self {
        self.is_immutable = true;
        self
    }

    /// Does something after the response was sent.
    #[must_use]
    pub(crate) fn then(mut self, after: impl FnOnce() + 'static) -> Self {
        self.after = Some(AfterResponse(Box::new(after)));
        self
    }

    /// Adds a `Link` to the next page (RFC 8288) at `path` with `parameters`.
    #[must_use]
    pub fn linked_to_next(self, path: &str, parameters: &[(&str, String)]) -> Self {
        self.linked("next", path, parameters)
    }

    /// Adds a `Link` to where what is added later will be (RFC 5989).
    #[must_use]
    pub fn linked_to_updates(self, path: &str, parameters: &[(&str, String)]) -> Self {
        self.linked("monitor", path, parameters)
    }

    fn linked(self, relation: &str, path: &str, parameters: &[(&str, String)]) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        self.with("link", format!("<{path}?{query}>; rel=\"{relation}\""))
    }

    /// Turns the response into 304 if the caller has this version.
    pub(crate) fn unless_known(mut self, if_none_match: Option<&str>) -> Self {
        let is_known = self
            .entity_tag
            .as_deref()
            .zip(if_none_match)
            .is_some_and(|(tag, header)| names_tag(header, tag));
        if is_known {
            self.status = StatusCode::NOT_MODIFIED;
            self.body.clear();
        }
        self
    }

    fn json(status: StatusCode, body: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self::new(status, JSON, serde_json::to_vec(body)?))
    }

    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            entity_tag: None,
            body,
            correlation_id: None,
            is_immutable: false,
            after: None,
        }
    }
}
