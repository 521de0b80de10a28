//! Successful responses.

use chrono::SecondsFormat;
use http::StatusCode;
use serde::Serialize;
use store::StoredRecord;
use url::form_urlencoded;

use crate::entity_tag::{entity_tag, names_tag};

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
}

/// Confirms that a record is stored.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recorded<'a> {
    /// Id of the record.
    pub id: i64,
    /// Id of the record's embedding; equal to `id`.
    pub embedding_id: i64,
    /// When the service stored the record, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Human-readable confirmation that names the kind of record.
    pub message: &'a str,
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

    /// 200 with text.
    pub fn text(content_type: &'static str, text: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, content_type, text)
    }

    /// 200 with a static file and an `ETag`.
    pub fn file(content_type: &'static str, body: &[u8]) -> Self {
        Self::new(StatusCode::OK, content_type, body.to_vec())
            .with("x-content-type-options", "nosniff")
            .tagged()
    }

    /// 201 for a record that is stored, now or earlier.
    ///
    /// # Errors
    ///
    /// The body cannot be serialized.
    pub fn recorded(
        message: &str,
        stored: &StoredRecord,
        correlation_id: &str,
    ) -> serde_json::Result<Self> {
        let mut answer = Self::json(
            StatusCode::CREATED,
            &Recorded {
                id: stored.id,
                embedding_id: stored.id,
                created_at: stored
                    .recorded_at
                    .to_rfc3339_opts(SecondsFormat::Micros, true),
                message,
            },
        )?;
        answer.headers.push((
            "location",
            format!("/api/v1/incidents/{}", stored.incident_id),
        ));
        if stored.is_replayed {
            answer
                .headers
                .push(("idempotent-replayed", "true".to_owned()));
        }
        answer.correlation_id = Some(correlation_id.to_owned());
        Ok(answer)
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

    /// Adds a `Link` to the next page (RFC 8288) at `path` with `parameters`.
    #[must_use]
    pub fn linked_to_next(mut self, path: &str, parameters: &[(&str, String)]) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        self.headers
            .push(("link", format!("<{path}?{query}>; rel=\"next\"")));
        self
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
        Ok(Self::new(
            status,
            "application/json",
            serde_json::to_vec(body)?,
        ))
    }

    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            entity_tag: None,
            body,
            correlation_id: None,
        }
    }
}
