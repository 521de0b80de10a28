//! What a route answers when all is well.

use chrono::SecondsFormat;
use http::StatusCode;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use store::StoredRecord;

use crate::problem::Problem;
use crate::request::Request;

/// What nobody may keep.
const NOT_KEPT: &str = "no-store";

/// What may be kept, and asked for again by its entity tag.
const KEPT: &str = "no-cache";

/// An answer with a body.
#[derive(Debug)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    /// Names the body: as long as it is the same, a caller who has it need not get it again.
    pub(crate) etag: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The correlation id of what is answered, for a request that brought none.
    pub(crate) correlation_id: Option<String>,
}

/// What is answered of a record that is stored.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recorded<'a> {
    /// Names the record among those of its kind.
    pub id: i64,
    /// Names the record's row among the embeddings.
    pub embedding_id: i64,
    /// When the service stored it, in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Names the kind, for a person.
    pub message: &'a str,
}

impl Answer {
    /// 200 with a JSON body.
    ///
    /// # Errors
    ///
    /// The body cannot be written as JSON.
    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, body)
    }

    /// 200 with a file that came with the service.
    pub fn file(content_type: &'static str, body: &[u8]) -> Self {
        Self::new(StatusCode::OK, content_type, body.to_vec())
            .with("x-content-type-options", "nosniff")
            .tagged()
    }

    /// 201 for a record that is stored now, or was before.
    ///
    /// # Errors
    ///
    /// The body cannot be written as JSON.
    pub fn recorded(
        message: &str,
        stored: &StoredRecord,
        correlation_id: &str,
    ) -> Result<Self, Problem> {
        let mut answer = Self::json(
            StatusCode::CREATED,
            &Recorded {
                id: stored.id,
                embedding_id: stored.embedding_id,
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

    /// The same answer, about what has this correlation id.
    #[must_use]
    pub fn about(mut self, correlation_id: &str) -> Self {
        self.correlation_id = Some(correlation_id.to_owned());
        self
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// The same answer with an entity tag made of its body, so that a caller who has it already
    /// is told that.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        let hash = Sha256::digest(&self.body);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.etag = Some(format!("\"{digits}\""));
        self
    }

    /// What is answered to a caller who has the body already.
    pub(crate) fn without_what_is_known(mut self, request: &Request) -> Self {
        let is_known = self.etag.as_deref().is_some_and(|etag| request.has(etag));
        if self.status == StatusCode::OK && is_known {
            self.status = StatusCode::NOT_MODIFIED;
            self.body.clear();
        }
        self
    }

    pub(crate) fn cache_control(&self) -> &'static str {
        match self.etag {
            Some(_) => KEPT,
            None => NOT_KEPT,
        }
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Problem::internal(format!("cannot write the answer: {error}")))?;
        Ok(Self::new(status, "application/json", body))
    }

    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type,
            etag: None,
            headers: Vec::new(),
            body,
            correlation_id: None,
        }
    }
}
