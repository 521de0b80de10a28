//! The answers of operations.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, Schema};
use web::ProblemType;

/// The answer of a problem, under the name it has in the document.
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

/// The name of a problem's answer in the document.
pub(crate) fn name(problem: ProblemType) -> String {
    let (_, _, title) = problem.describe();
    title.replace(' ', "")
}

/// 200 with a body that has a schema, and an example of it.
pub(crate) fn json(description: &str, schema: &str, example: Option<Value>) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(example);
    answer(description).content("application/json", content.build())
}

/// 200 with a file.
pub(crate) fn file(description: &str, content_types: &[&str]) -> ResponseBuilder {
    let mut response = answer(description);
    for content_type in content_types {
        response = response.content(*content_type, ContentBuilder::new().build());
    }
    with(response, "ETag")
}

/// 304.
pub(crate) fn not_modified() -> ResponseBuilder {
    let response = answer("The caller has the current body already, as If-None-Match says.");
    with(response, "ETag")
}

/// An answer with what all answers have.
pub(crate) fn answer(description: &str) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(description);
    with(response, CORRELATION_ID)
}

/// The same with one more header.
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
            "The request's own, else the record's or incident's, else a new UUID.",
            Type::String,
            json!("req-2026-11-01-abc123"),
        ),
        "Location" => (
            "Where the record's incident is.",
            Type::String,
            json!("/api/v1/incidents/12345"),
        ),
        "Accept" => (
            "What type is read. Absent where the encoding is what is wrong.",
            Type::String,
            json!("application/json"),
        ),
        "Accept-Encoding" => (
            "What encoding is read. Absent where the type is what is wrong.",
            Type::String,
            json!("gzip"),
        ),
        "Idempotent-Replayed" => (
            "`true` where the same record was stored before: the answer is the one of that time. \
             Absent where it was not.",
            Type::String,
            json!("true"),
        ),
        "Link" => (
            "The next page (RFC 8288, `rel=\"next\"`). Absent at the end of the list.",
            Type::String,
            json!("</api/v1/incidents?limit=100&cursor=...>; rel=\"next\""),
        ),
        "ETag" => (
            "Names the body, for If-None-Match.",
            Type::String,
            json!("\"0123456789abcdef\""),
        ),
        "Allow" => (
            "The methods that the path has.",
            Type::String,
            json!("GET, HEAD"),
        ),
        "WWW-Authenticate" => (
            "How to show who one is (RFC 6750).",
            Type::String,
            json!("Bearer realm=\"data-storage\""),
        ),
        "Retry-After" => (
            "After how many seconds to try again.",
            Type::Integer,
            json!(2),
        ),
        _ => ("", Type::String, Value::Null),
    };
    let schema = ObjectBuilder::new().schema_type(own);
    let is_always_there = !matches!(
        name,
        "Accept" | "Accept-Encoding" | "Idempotent-Replayed" | "Link"
    );
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .example(Some(example))
        // utoipa has no other way to say it.
        .extensions(is_always_there.then(|| Extensions::from_iter([("required", true)])))
        .build()
}

fn meaning(problem: ProblemType) -> &'static str {
    match problem {
        ProblemType::Validation => {
            "The request breaks rules, all of which are listed. Nothing was stored."
        }
        ProblemType::Unauthorized => {
            "The request carries no bearer token that is good: it is missing, malformed, unknown, \
             expired or for others. Which of these is not said."
        }
        ProblemType::Forbidden => "The user of the token may not do this.",
        ProblemType::NotFound => "There is no such thing.",
        ProblemType::MethodNotAllowed => "The path is not for this method.",
        ProblemType::PayloadTooLarge => {
            "The body, or what is compressed in it, is larger than 256 KiB."
        }
        ProblemType::UnsupportedMediaType => {
            "The body is not `application/json` in UTF-8, or in another encoding than gzip."
        }
        ProblemType::Internal => "The service failed. Its log says more under the correlation id.",
        ProblemType::Unavailable => {
            "Something that the service needs is not there now. The same request may be sent again."
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
        ProblemType::Internal => "the service failed; the log has more under the correlation id",
        ProblemType::Unavailable => {
            "the database is not available; the same request may be sent again"
        }
    }
}
