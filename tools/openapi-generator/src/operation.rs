//! The operations: what can be asked of the service, and what it answers.

use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, PathItem, Paths, PathsBuilder, Ref, Required};
use web::ProblemType::{
    self, Forbidden, Internal, MethodNotAllowed, NotFound, PayloadTooLarge, Unauthorized,
    Unavailable, UnsupportedMediaType, Validation,
};

use crate::record::RecordSchema;
use crate::{parameter, response};

/// The files of `/docs`, and their types.
const DOCS_FILES: [(&str, &str); 5] = [
    ("initialize.js", JAVASCRIPT),
    ("swagger-ui-bundle.js", JAVASCRIPT),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
    ("NOTICE", "text/plain; charset=utf-8"),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The name of the way in which callers show who they are.
pub(crate) const BEARER_TOKEN: &str = "bearerToken";

const RECORDS: &str = "records";
const INCIDENTS: &str = "incidents";
const EMBEDDINGS: &str = "embeddings";
const HEALTH: &str = "health";
const METRICS: &str = "metrics";
const DOCUMENT: &str = "document";

/// The groups of operations, and what they are for.
pub(crate) const TAGS: [(&str, &str); 6] = [
    (
        RECORDS,
        "Audit records, as controllers report what they did.",
    ),
    (
        INCIDENTS,
        "Incidents: what the records of one correlation id say.",
    ),
    (EMBEDDINGS, "Vectors of the records' texts."),
    (HEALTH, "For probes."),
    (METRICS, "For Prometheus."),
    (DOCUMENT, "This document."),
];

/// Every path with its operations.
pub(crate) fn paths(kinds: &[RecordSchema]) -> Paths {
    let mut paths = PathsBuilder::new();
    for kind in kinds {
        let path = format!("/api/v1/audit/{}", kind.kind);
        paths = paths.path(path, PathItem::new(HttpMethod::Post, store_record(kind)));
    }
    paths = paths.path(
        "/api/v1/embeddings/backfill",
        PathItem::new(HttpMethod::Post, backfill_embeddings()),
    );
    for (path, operation) in [
        ("/api/v1/incidents", list_incidents()),
        ("/api/v1/incidents/search", search_incidents()),
        ("/api/v1/incidents/{id}", find_incident()),
        (
            "/health",
            check_readiness("check_health", "Whether the service is well"),
        ),
        (
            "/health/ready",
            check_readiness("check_readiness", "Whether the service is ready"),
        ),
        (
            "/readyz",
            check_readiness("check_readyz", "The same as /health/ready"),
        ),
        (
            "/health/live",
            check_liveness("check_liveness", "Whether the process answers"),
        ),
        (
            "/healthz",
            check_liveness("check_healthz", "The same as /health/live"),
        ),
        ("/metrics", read_metrics()),
        ("/openapi.json", read_document()),
        ("/docs", read_docs()),
        ("/docs/{file}", read_docs_file()),
    ] {
        paths = paths.path(path, PathItem::new(HttpMethod::Get, operation));
    }
    paths.build()
}

fn store_record(kind: &RecordSchema) -> OperationBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(kind.name)))
        .example(Some(kind.example.clone()));
    let body = RequestBodyBuilder::new()
        .description(Some("The record, of 256 KiB at most. It may be sent with `Content-Encoding: gzip`; its size is that of what is compressed."))
        .required(Some(Required::True))
        .content("application/json", content.build());
    let stored = json!({
        "id": 12345, "embeddingId": 12345, "createdAt": "2026-11-01T10:00:03.123456Z",
        "message": format!("{} audit record created", kind.title),
    });
    let stored = response::json(
        "The record is stored, now or since before.",
        "Recorded",
        Some(stored),
    );
    let stored = response::with(response::with(stored, "Location"), "Idempotent-Replayed");
    let operation_id = format!("store_{}_record", kind.kind);
    operation(
        RECORDS,
        &operation_id,
        &format!("Store a record: {}", kind.title),
    )
    .description(Some(
        "Stores the record and what its incident now says, together or not at all. The same \
             content may be sent again: it is the same record, and is answered with the ids that \
             it was given first. The same is what is equal as canonical JSON (RFC 8785): the order \
             of fields and the spelling of numbers do not matter. Anything different is a new \
             version; `\"message\": null` and no `message` say the same, and are two records.",
    ))
    .request_body(Some(body.build()))
    .response("201", stored.build())
    .problems(&[
        Validation,
        MethodNotAllowed,
        PayloadTooLarge,
        UnsupportedMediaType,
        Internal,
        Unavailable,
    ])
    .guarded()
}

fn list_incidents() -> OperationBuilder {
    let page = response::json("A page of the list.", "IncidentPage", None);
    let page = response::with(page, "Link");
    operation(INCIDENTS, "list_incidents", "List incidents")
        .description(Some(
            "The incidents that every filter lets through, the newest `opened_at` first, then the \
             greatest id. A walk by `next_cursor` skips no incident that existed when it began \
             and passed the filter throughout. A parameter may be given once.",
        ))
        .parameters(Some(parameter::filters()))
        .parameters(Some(parameter::paging()))
        .response("200", page.build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn search_incidents() -> OperationBuilder {
    let found = response::json("What was found.", "SearchResult", None);
    operation(INCIDENTS, "search_incidents", "Search incidents by meaning")
        .description(Some(
            "The incidents nearest in meaning to a text, the most similar first, of those that \
             every filter lets through. A parameter may be given once.",
        ))
        .parameters(Some(parameter::search()))
        .parameters(Some(parameter::filters()))
        .response("200", found.build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn backfill_embeddings() -> OperationBuilder {
    let done = json!({
        "model": "text-embedding-3-small", "embedded": 99, "failed": 1, "left": 12043, "next": 4711,
    });
    let done = response::json("What was done, and what is left.", "Backfill", Some(done));
    operation(
        EMBEDDINGS,
        "backfill_embeddings",
        "Embed texts again with the configured model",
    )
    .description(Some(
        "Embeds texts that another model embedded: the local one, while the provider was down, or \
         the one that was configured before. Send it again with `after` as `next` until that is \
         null. No text is begun after ten seconds. It may be sent beside others and beside writes; \
         what is done stays done. A text that the provider refuses keeps its vector.",
    ))
    .parameters(Some(parameter::backfill()))
    .response("200", done.build())
    .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
    .guarded()
}

fn find_incident() -> OperationBuilder {
    let incident = response::json("The incident.", "Incident", None);
    operation(INCIDENTS, "find_incident", "Read one incident")
        .description(Some(
            "All that is known of an incident. What is not known yet is null.",
        ))
        .parameter(parameter::incident_id())
        .parameter(parameter::if_none_match_header())
        .response("200", response::with(incident, "ETag").build())
        .response("304", response::not_modified().build())
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn check_readiness(operation_id: &str, summary: &str) -> OperationBuilder {
    let ready = response::json(
        "The service is ready.",
        "Health",
        Some(json!({"status": "ready"})),
    );
    operation(HEALTH, operation_id, summary)
        .description(Some(
            "Ready is a service whose database can be worked with (its version, pgvector's, its \
             encoding, the migrations) and whose settings can be used. `errors` names what is not \
             so: a check, or a variable.",
        ))
        .response("200", ready.build())
        .problems(&[MethodNotAllowed, Internal, Unavailable])
}

fn check_liveness(operation_id: &str, summary: &str) -> OperationBuilder {
    let alive = response::json(
        "The process answers.",
        "Health",
        Some(json!({"status": "alive"})),
    );
    operation(HEALTH, operation_id, summary)
        .description(Some("Depends on nothing else."))
        .response("200", alive.build())
        .problems(&[MethodNotAllowed])
}

fn read_metrics() -> OperationBuilder {
    let text = response::answer("The metrics.");
    let text = text.content(telemetry::CONTENT_TYPE, ContentBuilder::new().build());
    operation(METRICS, "read_metrics", "Read the metrics")
        .description(Some(
            "Totals of all replicas together, in the text format of Prometheus. They are kept in \
             Redis; where there is none, there are no metrics.",
        ))
        .response("200", text.build())
        .problems(&[MethodNotAllowed, Unavailable])
        .guarded()
}

fn read_document() -> OperationBuilder {
    operation(DOCUMENT, "read_openapi_document", "Read this document")
        .description(Some("The OpenAPI document of this service."))
        .parameter(parameter::if_none_match_header())
        .response(
            "200",
            response::file("The document.", &["application/json"]).build(),
        )
        .response("304", response::not_modified().build())
        .problems(&[MethodNotAllowed])
}

fn read_docs() -> OperationBuilder {
    let page = response::file("The page.", &["text/html; charset=utf-8"]);
    operation(DOCUMENT, "read_docs", "Read this document as a page")
        .description(Some(
            "A page for a browser, which shows this document and can send requests.",
        ))
        .parameter(parameter::if_none_match_header())
        .response("200", page.build())
        .response("304", response::not_modified().build())
        .problems(&[MethodNotAllowed])
}

fn read_docs_file() -> OperationBuilder {
    let names = DOCS_FILES.map(|(name, _)| name);
    let mut content_types = DOCS_FILES.map(|(_, content_type)| content_type).to_vec();
    content_types.dedup();
    operation(DOCUMENT, "read_docs_file", "Read a file of the page")
        .description(Some("What the page /docs is made of."))
        .parameter(parameter::file(&names))
        .parameter(parameter::if_none_match_header())
        .response("200", response::file("The file.", &content_types).build())
        .response("304", response::not_modified().build())
        .problems(&[NotFound, MethodNotAllowed])
}

fn operation(tag: &str, operation_id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(operation_id))
        .summary(Some(summary))
        .parameter(parameter::correlation_id_header())
}

/// An operation that may answer problems.
trait Problems {
    /// The same operation, with the answers of these problems.
    fn problems(self, problems: &[ProblemType]) -> Self;

    /// The same operation, for those who may.
    fn guarded(self) -> Self;
}

impl Problems for OperationBuilder {
    fn problems(mut self, problems: &[ProblemType]) -> Self {
        for problem in problems {
            let (status, ..) = problem.describe();
            let answer = Ref::from_response_name(response::name(*problem));
            self = self.response(status.as_str(), answer);
        }
        self
    }

    /// Without a token, too: where everybody may, none is looked at.
    fn guarded(self) -> Self {
        let token = SecurityRequirement::new(BEARER_TOKEN, [""; 0]);
        self.problems(&[Unauthorized, Forbidden, Unavailable])
            .securities(Some([token, SecurityRequirement::default()]))
    }
}
