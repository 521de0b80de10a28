//! The responses of operations.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, Schema};
use web::ProblemType;

/// A problem's response and its name in the document.
pub(crate) fn problem(problem: ProblemType) -> (String, Response) {
    let (status, _, title) = problem.describe();
    let example = json!({
        "type": problem.uri(),
        "title": title,
        "status": status.as_u16(),
        "detail": detail(problem),
        "instance": "/api/v1/incidents/12345",
        "correlationId": "req-2026-11-01-abc123",
    });
    let mut response = ResponseBuilder::new().description(meaning(problem));
    for header in headers(problem) {
        response = response.header(*header, described_header(header));
    }
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ProblemDocument")))
        .example(Some(example));
    let response = response
        .header(CORRELATION_ID, described_header(CORRELATION_ID))
        .content("application/problem+json", content.build());
    (name(problem), response.build())
}

/// The name of a problem's response in the document.
pub(crate) fn name(problem: ProblemType) -> String {
    let (_, _, title) = problem.describe();
    title.replace(' ', "")
}

/// A JSON response with a schema and an example.
pub(crate) fn json(description: &str, schema: &str, example: Option<Value>) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(example);
    answer(description).content("application/json", content.build())
}

/// A response with a file.
pub(crate) fn file(description: &str, content_types: &[&str]) -> ResponseBuilder {
    let mut response = answer(description);
    for content_type in content_types {
        response = response.content(*content_type, ContentBuilder::new().build());
    }
    with(response, "ETag")
}

/// A 304 response.
pub(crate) fn not_modified() -> ResponseBuilder {
    let response = answer("The ETag in If-None-Match is current.");
    with(response, "ETag")
}

/// A response with the headers of all responses.
pub(crate) fn answer(description: &str) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(description);
    with(response, CORRELATION_ID)
}

/// Adds a header.
pub(crate) fn with(response: ResponseBuilder, header: &str) -> ResponseBuilder {
    response.header(header, described_header(header))
}

const CORRELATION_ID: &str = "X-Correlation-ID";

fn headers(problem: ProblemType) -> &'static [&'static str] {
    match problem {
        ProblemType::MethodNotAllowed => &["Allow"],
        ProblemType::Unauthorized => &["WWW-Authenticate"],
        ProblemType::Unavailable => &["Retry-After"],
        ProblemType::UnsupportedMediaType => &["Accept", "Accept-Encoding"],
        _ => &[],
    }
}

fn described_header(name: &str) -> Header {
    let (description, own, example) = match name {
        CORRELATION_ID => (
            "Correlation id of the request, else of the record or incident, else a new UUID.",
            Type::String,
            json!("req-2026-11-01-abc123"),
        ),
        "Location" => (
            "Path of the record's incident, or of the hold.",
            Type::String,
            json!("/api/v1/incidents/12345"),
        ),
        "Accept" => (
            "Supported content type. Absent if the encoding is wrong.",
            Type::String,
            json!("application/json"),
        ),
        "Accept-Encoding" => (
            "Supported encoding. Absent if the content type is wrong.",
            Type::String,
            json!("gzip"),
        ),
        "Idempotent-Replayed" => (
            "`true` for a replay, which gets the response of the first write. Absent otherwise.",
            Type::String,
            json!("true"),
        ),
        "Preference-Applied" => (
            "The preference that the service honored: `wait=SECONDS` or `handling=lenient`. Absent otherwise.",
            Type::String,
            json!("wait=5"),
        ),
        "Link" => (
            "Next page (RFC 8288, `rel=\"next\"`). At the end of the log, `rel=\"monitor\"` (RFC 5989): \
             where what is added later will be. Absent at the end of another list.",
            Type::String,
            json!("</api/v1/incidents?limit=100&cursor=...>; rel=\"next\""),
        ),
        "ETag" => (
            "Identifies the body, for If-None-Match.",
            Type::String,
            json!("\"0123456789abcdef\""),
        ),
        "Allow" => (
            "Methods that the path allows.",
            Type::String,
            json!("GET, HEAD"),
        ),
        "WWW-Authenticate" => (
            "How to authenticate (RFC 6750).",
            Type::String,
            json!("Bearer realm=\"data-storage\""),
        ),
        "Retry-After" => (
            "Seconds to wait before sending the request again.",
            Type::Integer,
            json!(2),
        ),
        _ => ("", Type::String, Value::Null),
    };
    let schema = ObjectBuilder::new().schema_type(own);
    let is_always_there = !matches!(
        name,
        "Accept" | "Accept-Encoding" | "Idempotent-Replayed" | "Link" | "Preference-Applied"
    );
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .example(Some(example))
        // utoipa has no setter for `required` on headers.
        .extensions(is_always_there.then(|| Extensions::from_iter([("required", true)])))
        .build()
}

fn meaning(problem: ProblemType) -> &'static str {
    match problem {
        ProblemType::Validation => {
            "The request breaks rules; `errors` lists the first 100, of a batch 5,000. Nothing was stored."
        }
        ProblemType::Unauthorized => {
            "The bearer token is missing, malformed, unknown, expired or for another audience. The \
             response does not say which."
        }
        ProblemType::Forbidden => "The token's user lacks permission.",
        ProblemType::NotFound => "The resource does not exist.",
        ProblemType::MethodNotAllowed => "The path does not allow this method.",
        ProblemType::PayloadTooLarge => {
            "The body exceeds 256 KiB, a batch 4 MiB, compressed or decompressed."
        }
        ProblemType::UnsupportedMediaType => {
            "The body is not of an accepted type in UTF-8, or its encoding is not gzip."
        }
        ProblemType::Internal => {
            "The service failed. Its log has details under the correlation id."
        }
        ProblemType::Unavailable => {
            "Something that the service needs is unavailable. The same request may be sent again."
        }
    }
}

fn detail(problem: ProblemType) -> &'static str {
    match problem {
        ProblemType::Validation => "phase: must be one of Pending, Processing, Completed, Failed",
        ProblemType::Unauthorized => {
            "the request must carry a bearer token of a user of the cluster"
        }
        ProblemType::Forbidden => {
            "the user of this token may not do this: see the service's documentation on access"
        }
        ProblemType::NotFound => "there is no incident 12345",
        ProblemType::MethodNotAllowed => "this path allows GET, HEAD",
        ProblemType::PayloadTooLarge => "the body is larger than 262144 bytes",
        ProblemType::UnsupportedMediaType => "the Content-Type must be application/json, in UTF-8",
        ProblemType::Internal => "the service failed; see its log for this correlation id",
        ProblemType::Unavailable => "the database is unavailable; retry the same request",
    }
}
