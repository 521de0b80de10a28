//! Responses in the API server's format.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn created(object: &Value) -> Answer {
    answer(StatusCode::CREATED, "application/json", object.to_string())
}

/// Returns an error as a `Status`.
pub(crate) fn failure(code: StatusCode, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code.as_u16(),
    });
    let mut answer = answer(code, "application/json", status.to_string());
    if code == StatusCode::TOO_MANY_REQUESTS {
        let seconds = http::HeaderValue::from_static("1");
        answer.headers_mut().insert("retry-after", seconds);
    }
    answer
}

pub(crate) fn failure_of(code: StatusCode) -> Answer {
    let (reason, message) = match code {
        StatusCode::BAD_REQUEST => ("BadRequest", "the body of the request was not expected"),
        StatusCode::UNAUTHORIZED => ("Unauthorized", "Unauthorized"),
        StatusCode::FORBIDDEN => ("Forbidden", "forbidden: not allowed"),
        StatusCode::NOT_FOUND => (
            "NotFound",
            "the server could not find the requested resource",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "UnsupportedMediaType",
            "the body of the request was in an unknown format",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => ("Invalid", "the object is invalid"),
        StatusCode::TOO_MANY_REQUESTS => (
            "TooManyRequests",
            "Too many requests, please try again later.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => ("ServiceUnavailable", "the server is unavailable"),
        StatusCode::GATEWAY_TIMEOUT => ("Timeout", "request did not complete within the time"),
        _ => ("InternalError", "Internal error occurred: made to fail"),
    };
    failure(code, reason, message)
}

pub(crate) fn answer(code: StatusCode, content_type: &str, body: String) -> Answer {
    Response::builder()
        .status(code)
        .header("content-type", content_type)
        .body(Full::new(Bytes::from(body)))
        .expect("an answer")
}
