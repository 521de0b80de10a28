//! Problem documents (RFC 9457), and the mapping of errors to them.

use http::{Method, StatusCode};
use records::{Rejection, Report, Violation};
use redis_client::RedisError;
use serde::Serialize;
use store::{LogError, StoreError};

use crate::answer::Answer;
use crate::audit::RefusedItem;

const RETRY_AFTER_SECONDS: u32 = 2;

/// `WWW-Authenticate` challenge (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"data-storage\"";

/// The type of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemType {
    /// 400: the request is invalid.
    Validation,
    /// 401: the caller is not authenticated.
    Unauthorized,
    /// 403: the caller lacks permission.
    Forbidden,
    /// 404: the resource does not exist.
    NotFound,
    /// 405: the path does not support the method.
    MethodNotAllowed,
    /// 413: the body is too large.
    PayloadTooLarge,
    /// 415: the body's media type or encoding is not supported.
    UnsupportedMediaType,
    /// 500: an internal error.
    Internal,
    /// 503: a dependency is unavailable.
    Unavailable,
}

impl ProblemType {
    /// Every type.
    pub const ALL: [Self; 9] = [
        Self::Validation,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The URI of the type.
    pub fn uri(self) -> String {
        let (_, slug, _) = self.describe();
        format!("https://kubernaut.io/errors/{slug}")
    }

    /// The status, the last segment of the URI, and the title.
    pub const fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Validation => (StatusCode::BAD_REQUEST, "validation", "Invalid Request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not Found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method Not Allowed",
            ),
            Self::PayloadTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload-too-large",
                "Payload Too Large",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported Media Type",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal Error",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Service Unavailable",
            ),
        }
    }
}

/// Why a request failed.
#[derive(Debug)]
pub struct Problem {
    problem_type: ProblemType,
    /// Shown to the caller.
    detail: String,
    /// Logged only.
    pub(crate) cause: Option<String>,
    errors: Vec<Violation>,
    headers: Vec<(&'static str, String)>,
    pub(crate) correlation_id: Option<String>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProblemDocument<'a> {
    /// URI of the problem type.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// Title of the problem type.
    pub title: &'a str,
    /// HTTP status code.
    pub status: u16,
    /// What is wrong with this request and how to correct it.
    pub detail: &'a str,
    /// Path of the request.
    pub instance: &'a str,
    /// Correlation id of the response, which is also in the log.
    pub correlation_id: &'a str,
    /// Each violated rule or failed check; absent if there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [Violation],
}

impl Problem {
    /// A problem with a detail for the caller.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            problem_type,
            detail: detail.into(),
            cause: None,
            errors: Vec::new(),
            headers: Vec::new(),
            correlation_id: None,
        }
    }

    /// An internal error, whose cause is logged but not shown to the caller.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            ProblemType::Internal,
            "the service failed; see its log for this correlation id",
        );
        problem.cause = Some(cause.into());
        problem
    }

    /// A dependency is unavailable.
    pub fn unavailable(detail: impl Into<String>, errors: Vec<Violation>) -> Self {
        let mut problem = Self::new(ProblemType::Unavailable, detail);
        let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        problem.cause = Some(messages.join("; ")).filter(|cause| !cause.is_empty());
        problem.errors = errors;
        problem
            .headers
            .push(("retry-after", RETRY_AFTER_SECONDS.to_string()));
        problem
    }

    /// The request violates rules.
    pub fn validation(report: impl Into<Report>) -> Self {
        let report = report.into();
        let count = report.count();
        let errors = report.into_violations();
        let detail = match errors.as_slice() {
            [only] => match only.item {
                Some(item) => format!("item {item}, {}: {}", only.field, only.message),
                None => format!("{}: {}", only.field, only.message),
            },
            _ => format!("the request breaks {count} rules, see errors"),
        };
        let mut problem = Self::new(ProblemType::Validation, detail);
        problem.errors = errors;
        problem
    }

    /// The path does not exist.
    pub fn no_such_path() -> Self {
        Self::new(ProblemType::NotFound, "there is nothing at this path")
    }

    /// Never says why authentication failed, so that guessing tokens reveals nothing.
    pub(crate) fn unauthorized() -> Self {
        let mut problem = Self::new(
            ProblemType::Unauthorized,
            "the request must carry a bearer token of a user of the cluster",
        );
        problem
            .headers
            .push(("www-authenticate", CHALLENGE.to_owned()));
        problem
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(
            ProblemType::Forbidden,
            "the user of this token may not do this: see the service's documentation on access",
        )
    }

    /// The caller's permission cannot be determined. The cause is only logged.
    pub(crate) fn no_verdict(cause: &str) -> Self {
        let mut problem = Self::unavailable(
            "cannot determine the caller's permission; retry the same request",
            Vec::new(),
        );
        problem.cause = Some(cause.to_owned());
        problem
    }

    /// The media type or encoding is not supported; a header lists the accepted ones.
    pub(crate) fn unsupported(detail: &str, accepted: (&'static str, &str)) -> Self {
        let mut problem = Self::new(ProblemType::UnsupportedMediaType, detail);
        let (name, value) = accepted;
        problem.headers.push((name, value.to_owned()));
        problem
    }

    pub(crate) fn method_not_allowed(allowed: &[Method]) -> Self {
        let allowed: Vec<_> = allowed.iter().map(Method::as_str).collect();
        let allowed = allowed.join(", ");
        let mut problem = Self::new(
            ProblemType::MethodNotAllowed,
            format!("this path allows {allowed}"),
        );
        problem.headers.push(("allow", allowed));
        problem
    }

    /// Adds the correlation id of the record concerned.
    #[must_use]
    pub fn about(mut self, correlation_id: &str) -> Self {
        self.correlation_id = Some(correlation_id.to_owned());
        self
    }

    /// The problem as an item of a batch.
    pub(crate) fn into_item(self) -> RefusedItem {
        let (status, _, title) = self.problem_type.describe();
        RefusedItem {
            problem_type: self.problem_type.uri(),
            title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        }
    }

    pub(crate) fn into_answer(self, instance: &str, correlation_id: &str) -> Answer {
        let (status, _, title) = self.problem_type.describe();
        let document = ProblemDocument {
            problem_type: self.problem_type.uri(),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            correlation_id,
            errors: &self.errors,
        };
        // Serializing strings and numbers cannot fail.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        Answer {
            headers: self.headers,
            correlation_id: self.correlation_id,
            ..Answer::new(status, "application/problem+json", body)
        }
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("cannot serialize the response: {error}"))
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let mut problem = Self::validation(rejection.report);
        problem.correlation_id = rejection.correlation_id;
        problem
    }
}

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        let mut problem = Self::unavailable(
            match error {
                RedisError::Absent => "there are no metrics: the variable redis_url is empty",
                _ => "cannot read the metrics from Redis; retry the same request",
            },
            Vec::new(),
        );
        problem.cause = Some(error.to_string());
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string();
        let mut problem = if error.may_pass_later() {
            Self::unavailable(
                "the database is unavailable; retry the same request",
                Vec::new(),
            )
        } else {
            Self::internal("")
        };
        problem.cause = Some(cause);
        problem
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => error.into(),
            LogError::Head(_) | LogError::Damaged(_) => {
                let mut problem = Self::unavailable(
                    "the stored log is not what was signed; the operator must repair it",
                    Vec::new(),
                );
                problem.cause = Some(error.to_string());
                problem
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(problem: Problem) -> Value {
        serde_json::from_slice(&problem.into_answer("/path", "c-1").body).unwrap()
    }

    #[test]
    fn a_problem_names_what_is_wrong() {
        let violation = Violation::new("phase", "enum", "must be one of Pending");
        assert_eq!(
            document(Problem::validation(violation)),
            json!({
                "type": "https://kubernaut.io/errors/validation",
                "title": "Invalid Request",
                "status": 400,
                "detail": "phase: must be one of Pending",
                "instance": "/path",
                "correlationId": "c-1",
                "errors": [
                    {"field": "phase", "rule": "enum", "message": "must be one of Pending"}
                ]
            })
        );
    }

    #[test]
    fn rules_that_are_not_listed_are_counted() {
        for count in [2, 100, 101, 102] {
            let mut report = Report::default();
            for number in 0..count {
                report.add(number.to_string(), "unknown", "no such field");
            }
            let document = document(Problem::validation(report));
            let detail = format!("the request breaks {count} rules, see errors");
            assert_eq!(document["detail"], detail);
            assert_eq!(document["errors"].as_array().unwrap().len(), count.min(101));
        }
    }

    #[test]
    fn the_cause_of_an_internal_error_is_not_answered() {
        let answered = document(Problem::internal("secret")).to_string();
        assert!(!answered.contains("secret"), "{answered}");
    }

    #[test]
    fn unavailable_says_when_to_come_back() {
        let answer = Problem::unavailable("down", Vec::new()).into_answer("/", "c");
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            answer
                .headers
                .iter()
                .any(|(name, _)| *name == "retry-after")
        );
    }
}
