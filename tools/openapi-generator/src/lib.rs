//! The OpenAPI document of the service.
//!
//! The document is generated from the service's own code: record schemas from the parser's fields
//! ([`records::schema`]), response schemas from the serialized types. `cargo xtask openapi` writes
//! it to `openapi.json` at the top of the project; a test fails if that file is outdated. No
//! component depends on this crate: the component that serves the document embeds the file.

mod batch;
mod descriptions;
mod hold;
mod log;
mod operation;
mod parameter;
mod record;
mod response;

use anyhow::{Context as _, Result};
use incidents::{
    Action, ActionOutcome, Analysis, Backfill, HoldLog, HoldPage, HoldPagination, HoldReleaseView,
    HoldView, Incident, IncidentOutcomes, IncidentPage, IncidentRecord, IncidentSummary, Outcome,
    Outcomes, Pagination, RecordEmbedding, RecordEnvelope, RecordLog, RecordPage, RecordPagination,
    ReportedObject, SearchResult, SimilarIncident, SimilarIncidents, Step, StoredRecordView,
    TimelinePage, TimelinePagination, Total, TotalRelation, Workflow, WorkflowOutcome,
};
use records::Violation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, Info, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use web::{
    BatchItem, BatchResult, ConsistencyProof, Health, HealthStatus, HoldPlaced, LogView,
    PendingProof, ProblemDocument, ProblemType, Receipt, ReceiptStatus, Recorded, RefusedItem,
    StoredItem,
};

const DESCRIPTION: &str = "\
Stores the audit records of Kubernaut's controllers and serves the incidents that they describe.

Every path with GET also has HEAD. Every response carries `X-Correlation-ID`. Errors are problem \
documents (RFC 9457). After 503, send the same request again once `Retry-After` seconds have \
passed. Any request may be repeated: the same record is stored once.

Text must be UTF-8 without NUL. A body is at most 256 KiB of JSON, nested at most 32 levels, \
without repeated keys.";

const BEARER_TOKEN_DESCRIPTION: &str = "\
Token of a Kubernetes user or service account that may `get` (to read), `create` (to write) or \
`hold` (to place and release holds) services/data-storage in the service's namespace. Ignored if \
`auth_mode` is `none`.";

/// Builds the document.
///
/// # Errors
///
/// A record field has no description, or a description has no field.
pub fn document() -> Result<OpenApi> {
    let kinds = record::schemas()?;
    let paths = operation::paths(&kinds);
    let mut components = answers();
    for (name, schema) in batch::schemas(&kinds) {
        components = components.schema(name, schema);
    }
    for kind in kinds {
        components = components.schema(kind.name, kind.schema);
    }
    for (name, schema) in hold::schemas()? {
        components = components.schema(name, schema);
    }
    let tags = operation::TAGS.map(|(name, description)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(description)).build()
    });
    let document = OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .tags(Some(tags))
        .components(Some(components.build()));
    Ok(document.build())
}

/// Returns the document as the text that is checked in.
///
/// # Errors
///
/// The document cannot be built or written as JSON.
pub fn written() -> Result<String> {
    let mut text = document()?.to_pretty_json().context("write the document")?;
    text.push('\n');
    Ok(text)
}

fn info() -> Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("Kubernaut Data Storage")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build()
}

/// The schemas and responses of answers, and the security scheme.
fn answers() -> ComponentsBuilder {
    let mut components = ComponentsBuilder::new();
    for problem in ProblemType::ALL {
        let (name, response) = response::problem(problem);
        components = components.response(name, response);
    }
    let bearer_token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(BEARER_TOKEN_DESCRIPTION))
        .build();
    components
        .security_scheme(operation::BEARER_TOKEN, SecurityScheme::Http(bearer_token))
        .schema("Recorded", schema::<Recorded>())
        .schema("BatchResult", schema::<BatchResult>())
        .schema("BatchItem", schema::<BatchItem>())
        .schema("StoredItem", schema::<StoredItem>())
        .schema("RefusedItem", schema::<RefusedItem>())
        .schema("Receipt", with_required::<Receipt>("origin"))
        .schema("ReceiptStatus", schema::<ReceiptStatus>())
        .schema("ProblemDocument", schema::<ProblemDocument<'_>>())
        .schema("Violation", schema::<Violation>())
        .schema("Health", schema::<Health>())
        .schema("HealthStatus", schema::<HealthStatus>())
        .schema("IncidentSummary", complete::<IncidentSummary>())
        .schema("Incident", complete::<Incident>())
        .schema("ReportedObject", complete::<ReportedObject>())
        .schema("Analysis", complete::<Analysis>())
        .schema("Workflow", complete::<Workflow>())
        .schema("Step", complete::<Step>())
        .schema("Action", complete::<Action>())
        .schema("IncidentRecord", complete::<IncidentRecord>())
        .schema("IncidentPage", schema::<IncidentPage>())
        .schema("Pagination", schema::<Pagination>())
        .schema("TotalRelation", schema::<TotalRelation>())
        .schema("StoredRecordView", complete::<StoredRecordView>())
        .schema("RecordEmbedding", complete::<RecordEmbedding>())
        .schema("RecordLog", complete::<RecordLog>())
        .schema("RecordEnvelope", complete::<RecordEnvelope>())
        .schema("RecordPage", schema::<RecordPage>())
        .schema("RecordPagination", complete::<RecordPagination>())
        .schema("TimelinePage", schema::<TimelinePage>())
        .schema("TimelinePagination", complete::<TimelinePagination>())
        .schema("LogView", complete::<LogView>())
        .schema("ConsistencyProof", schema::<ConsistencyProof>())
        .schema("PendingProof", schema::<PendingProof>())
        .schema("HoldPlaced", schema::<HoldPlaced>())
        .schema("HoldView", complete::<HoldView>())
        .schema("HoldLog", complete::<HoldLog>())
        .schema("HoldReleaseView", complete::<HoldReleaseView>())
        .schema("HoldPage", schema::<HoldPage>())
        .schema("HoldPagination", complete::<HoldPagination>())
        .schema("Backfill", complete::<Backfill>())
        .schema("SearchResult", schema::<SearchResult>())
        .schema("SimilarIncident", schema::<SimilarIncident>())
        .schema("SimilarIncidents", complete::<SimilarIncidents>())
        .schema("IncidentOutcomes", schema::<IncidentOutcomes>())
        .schema("Total", schema::<Total>())
        .schema("Outcomes", schema::<Outcomes>())
        .schema("ActionOutcome", schema::<ActionOutcome>())
        .schema("WorkflowOutcome", schema::<WorkflowOutcome>())
        .schema("Outcome", complete::<Outcome>())
}

fn schema<T: ToSchema>() -> RefOr<Schema> {
    <T as PartialSchema>::schema()
}

/// The schema of a type whose fields are always present, null where unknown.
fn complete<T: ToSchema>() -> RefOr<Schema> {
    let mut schema = schema::<T>();
    if let RefOr::T(schema) = &mut schema {
        require_all(schema);
    }
    schema
}

/// The schema of a type with a field that is always present, null where unknown.
fn with_required<T: ToSchema>(field: &str) -> RefOr<Schema> {
    let mut schema = schema::<T>();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.push(field.to_owned());
    }
    schema
}

fn require_all(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => object.required = object.properties.keys().cloned().collect(),
        Schema::AllOf(parts) => {
            for part in &mut parts.items {
                if let RefOr::T(part) = part {
                    require_all(part);
                }
            }
        }
        _ => {}
    }
}
