//! The operations of the service.

use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, PathItem, Paths, PathsBuilder, Ref, Required};
use web::ProblemType::{
    self, Forbidden, Internal, MethodNotAllowed, NotFound, PayloadTooLarge, Unauthorized,
    Unavailable, UnsupportedMediaType, Validation,
};

use crate::record::RecordSchema;
use crate::{batch, hold, log, parameter, response};

/// The files below `/docs` and their content types.
const DOCS_FILES: [(&str, &str); 5] = [
    ("initialize.js", JAVASCRIPT),
    ("swagger-ui-bundle.js", JAVASCRIPT),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
    ("NOTICE", "text/plain; charset=utf-8"),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The name of the security scheme.
pub(crate) const BEARER_TOKEN: &str = "bearerToken";

pub(crate) const RECORDS: &str = "records";
pub(crate) const INCIDENTS: &str = "incidents";
pub(crate) const HOLDS: &str = "holds";
pub(crate) const LOG: &str = "log";
const EMBEDDINGS: &str = "embeddings";
const HEALTH: &str = "health";
const METRICS: &str = "metrics";
const DOCUMENT: &str = "document";

/// The groups of operations and their descriptions.
pub(crate) const TAGS: [(&str, &str); 8] = [
    (RECORDS, "Audit records, as controllers sent them."),
    (
        INCIDENTS,
        "Incidents: everything that the records of one correlation id say.",
    ),
    (HOLDS, "Holds, which keep records from retention."),
    (
        LOG,
        "The append-only log of everything that is stored, and proofs from it.",
    ),
    (EMBEDDINGS, "Vectors of the stored texts."),
    (HEALTH, "Probes."),
    (METRICS, "Metrics for Prometheus."),
    (DOCUMENT, "This API's documentation."),
];

/// All paths with their operations.
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
        ("/api/v1/incidents/{id}/similar", find_similar_incidents()),
        ("/api/v1/outcomes", find_outcomes()),
        (
            "/health",
            check_readiness("check_health", "Check the service's health"),
        ),
        (
            "/health/ready",
            check_readiness("check_readiness", "Check whether the service is ready"),
        ),
        (
            "/readyz",
            check_readiness("check_readyz", "Same as /health/ready"),
        ),
        (
            "/health/live",
            check_liveness("check_liveness", "Check whether the process responds"),
        ),
        (
            "/healthz",
            check_liveness("check_healthz", "Same as /health/live"),
        ),
        ("/metrics", read_metrics()),
        ("/openapi.json", read_document()),
        ("/docs", read_docs()),
        ("/docs/{file}", read_docs_file()),
    ] {
        paths = paths.path(path, PathItem::new(HttpMethod::Get, operation));
    }
    batch::paths(hold::paths(log::paths(paths)), kinds).build()
}

fn store_record(kind: &RecordSchema) -> OperationBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(kind.name)))
        .example(Some(kind.example.clone()));
    let body = RequestBodyBuilder::new()
        .description(Some("The record, optionally with `Content-Encoding: gzip`; at most 256 KiB compressed and decompressed."))
        .required(Some(Required::True))
        .content("application/json", content.build());
    let stored = json!({
        "id": 12345, "embeddingId": 12345, "createdAt": "2026-11-01T10:00:03.123456Z",
        "message": format!("{} audit record created", kind.title),
        "log": {
            "origin": "audit.example.com/7571233-1-16384",
            "commitment": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "status": "pending",
            "proof": "/api/v1/audit/records/12345/proof",
        },
    });
    let stored = response::json(
        "The record is stored, now or by an earlier request.",
        "Recorded",
        Some(stored),
    );
    let stored = response::with(response::with(stored, "Location"), "Idempotent-Replayed");
    let stored = response::with(stored, "Preference-Applied");
    let operation_id = format!("store_{}_record", kind.kind);
    operation(
        RECORDS,
        &operation_id,
        &format!("Store a record: {}", kind.title),
    )
    .description(Some(
        "Stores the record and updates its incident atomically. Sending the same record again is \
             a replay: the response has the ids of the first write. Records of one kind are the \
             same if their canonical JSON (RFC 8785) is equal; the order of fields and the spelling \
             of numbers do not matter. Any other difference makes a new version, even \
             `\"message\": null` instead of no `message`. `log` says whether the log has the record \
             yet.",
    ))
    .parameter(parameter::prefer_header())
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
    let page = response::json("A page of incidents.", "IncidentPage", None);
    let page = response::with(page, "Link");
    operation(INCIDENTS, "list_incidents", "List incidents")
        .description(Some(
            "Returns the incidents that match every filter, the newest `opened_at` first, then the \
             greatest id. A walk by `next_cursor` skips no incident that existed when it began \
             and matched throughout. Each parameter may be given once.",
        ))
        .parameters(Some(parameter::filters()))
        .parameters(Some(parameter::paging()))
        .response("200", page.build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn search_incidents() -> OperationBuilder {
    let found = response::json("The incidents found.", "SearchResult", None);
    operation(INCIDENTS, "search_incidents", "Search incidents by meaning")
        .description(Some(
            "Returns the incidents that match every filter and are nearest in meaning to a text, \
             most similar first. Each parameter may be given once.",
        ))
        .parameters(Some(parameter::search()))
        .parameters(Some(parameter::filters()))
        .response("200", found.build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn find_similar_incidents() -> OperationBuilder {
    let found = response::json("The incidents found.", "SimilarIncidents", None);
    operation(
        INCIDENTS,
        "find_similar_incidents",
        "Find incidents like one, and how they ended",
    )
    .description(Some(
        "Returns the incidents that match every filter and are nearest in meaning to this one, \
         without itself, most similar first, and how their executions ended. Compares the text of \
         the incident's analysis; without findings, of its signal, else of its workflow or action. \
         `until` restricts to earlier incidents. Each parameter may be given once.",
    ))
    .parameter(parameter::id("incident"))
    .parameters(Some(parameter::nearest()))
    .parameters(Some(parameter::filters()))
    .tagged(found)
    .problems(&[
        Validation,
        NotFound,
        MethodNotAllowed,
        Internal,
        Unavailable,
    ])
    .guarded()
}

fn find_outcomes() -> OperationBuilder {
    let found = response::json("The outcomes.", "IncidentOutcomes", None);
    operation(
        INCIDENTS,
        "find_outcomes",
        "Find which actions and workflows worked",
    )
    .description(Some(
        "Counts per action type and per workflow how the executions ended of the incidents that \
         match every filter. Each parameter may be given once.",
    ))
    .parameter(parameter::outcome_count())
    .parameters(Some(parameter::filters()))
    .tagged(found)
    .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
    .guarded()
}

fn backfill_embeddings() -> OperationBuilder {
    let done = json!({
        "model": "text-embedding-3-small", "embedded": 99, "failed": 1, "left": 12043, "next": 4711,
    });
    let done = response::json("The result of the backfill.", "Backfill", Some(done));
    operation(
        EMBEDDINGS,
        "backfill_embeddings",
        "Embed stored texts again with the configured model",
    )
    .description(Some(
        "Embeds stored texts whose vector is from another model: the local model, used while the \
         provider was down, or one configured earlier. Repeat with `after` set to `next` until \
         `next` is null. Requests start no text after ten seconds and may run beside others and \
         beside writes; finished texts stay embedded. A text that the provider refuses keeps its \
         vector.",
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
            "Returns everything known about an incident. Unknown values are null.",
        ))
        .parameter(parameter::id("incident"))
        .tagged(incident)
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
            "The service is ready if it can use its database (version, pgvector, encoding, \
             migrations) and settings. Otherwise `errors` names each failed check or setting. \
             `warnings` names what works less well, such as a log without a signing key.",
        ))
        .response("200", ready.build())
        .problems(&[MethodNotAllowed, Internal, Unavailable])
}

fn check_liveness(operation_id: &str, summary: &str) -> OperationBuilder {
    let alive = response::json(
        "The process responds.",
        "Health",
        Some(json!({"status": "alive"})),
    );
    operation(HEALTH, operation_id, summary)
        .description(Some("Checks no dependencies."))
        .response("200", alive.build())
        .problems(&[MethodNotAllowed])
}

fn read_metrics() -> OperationBuilder {
    let text = response::answer("The metrics.");
    let text = text.content(telemetry::CONTENT_TYPE, ContentBuilder::new().build());
    operation(METRICS, "read_metrics", "Read the metrics")
        .description(Some(
            "Returns the totals of all replicas in the text format of Prometheus. They are kept in \
             Redis; without Redis there are none.",
        ))
        .response("200", text.build())
        .problems(&[MethodNotAllowed, Unavailable])
        .guarded()
}

fn read_document() -> OperationBuilder {
    operation(DOCUMENT, "read_openapi_document", "Read this document")
        .description(Some("Returns the OpenAPI document."))
        .tagged(response::file("The document.", &["application/json"]))
        .problems(&[MethodNotAllowed])
}

fn read_docs() -> OperationBuilder {
    let page = response::file("The page.", &["text/html; charset=utf-8"]);
    operation(DOCUMENT, "read_docs", "Read this document as a page")
        .description(Some(
            "Returns a page that shows this document and can send requests.",
        ))
        .tagged(page)
        .problems(&[MethodNotAllowed])
}

fn read_docs_file() -> OperationBuilder {
    let names = DOCS_FILES.map(|(name, _)| name);
    let mut content_types = DOCS_FILES.map(|(_, content_type)| content_type).to_vec();
    content_types.dedup();
    operation(DOCUMENT, "read_docs_file", "Read a file of the page")
        .description(Some("Returns a file that the page /docs loads."))
        .parameter(parameter::file(&names))
        .tagged(response::file("The file.", &content_types))
        .problems(&[NotFound, MethodNotAllowed])
}

pub(crate) fn operation(tag: &str, operation_id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(operation_id))
        .summary(Some(summary))
        .parameter(parameter::correlation_id_header())
}

/// Adds the usual responses to an operation.
pub(crate) trait Responses {
    /// Adds the responses for these problems.
    fn problems(self, problems: &[ProblemType]) -> Self;

    /// Adds the response 200 with an `ETag`, and what comes with one.
    fn tagged(self, found: ResponseBuilder) -> Self;

    /// Adds access control.
    fn guarded(self) -> Self;
}

impl Responses for OperationBuilder {
    fn problems(mut self, problems: &[ProblemType]) -> Self {
        for problem in problems {
            let (status, ..) = problem.describe();
            let answer = Ref::from_response_name(response::name(*problem));
            self = self.response(status.as_str(), answer);
        }
        self
    }

    fn tagged(self, found: ResponseBuilder) -> Self {
        self.parameter(parameter::if_none_match_header())
            .response("200", response::with(found, "ETag").build())
            .response("304", response::not_modified().build())
    }

    /// The token is optional, as the service ignores it if `auth_mode` is `none`.
    fn guarded(self) -> Self {
        let token = SecurityRequirement::new(BEARER_TOKEN, [""; 0]);
        self.problems(&[Unauthorized, Forbidden, Unavailable])
            .securities(Some([token, SecurityRequirement::default()]))
    }
}
