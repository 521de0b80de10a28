//! The OpenAPI document of the service.
//!
//! It is made of what the service itself goes by: the schemas of records come from the fields
//! that their parser asks for ([`records::schema`]), those of answers from the types that are
//! written as answers. `openapi.json` at the top of the project is the document as it was last
//! written (`cargo xtask openapi`); a test fails when it is another one. No component depends on
//! this crate: the one that serves the document has that file in it.

mod descriptions;
mod operation;
mod parameter;
mod record;
mod response;

use anyhow::{Context as _, Result};
use incidents::{
    Action, Analysis, Backfill, Incident, IncidentPage, IncidentRecord, IncidentSummary,
    Pagination, ReportedObject, SearchResult, SimilarIncident, Step, TotalRelation, Workflow,
};
use records::Violation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, Info, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use web::{Health, HealthStatus, ProblemDocument, ProblemType, Recorded};

const DESCRIPTION: &str = "\
Kubernaut's controllers report what they did; this service keeps the record of it, and answers \
the incidents that the records describe.

Every path that has GET has HEAD, too. Every answer carries `X-Correlation-ID`. Errors are \
problem documents (RFC 9457). 503 means: send the same again, after as many seconds as \
`Retry-After` says. Any request may be sent again: a record that is stored already is not stored \
twice.

Text must be UTF-8 and without NUL. A body is at most 256 KiB of JSON, nested at most 32 levels, \
without repeated keys.";

const BEARER_TOKEN_DESCRIPTION: &str = "\
A token of a user or service account of the Kubernetes cluster, who must be allowed to `get` (to \
read) or `create` (to write) services/data-storage in the service's namespace. Not looked at where \
the service is set to let everybody in (`auth_mode` is `none`).";

/// The document.
///
/// # Errors
///
/// A field of a record has no description, or a description no field.
pub fn document() -> Result<OpenApi> {
    let kinds = record::schemas()?;
    let paths = operation::paths(&kinds);
    let mut components = answers();
    for kind in kinds {
        components = components.schema(kind.name, kind.schema);
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

/// The document as it is checked in.
///
/// # Errors
///
/// There is none, or it cannot be written as JSON.
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

/// What is answered.
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
        .schema("Recorded", schema::<Recorded<'_>>())
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
        .schema("Backfill", complete::<Backfill>())
        .schema("SearchResult", schema::<SearchResult>())
        .schema("SimilarIncident", schema::<SimilarIncident>())
}

fn schema<T: ToSchema>() -> RefOr<Schema> {
    <T as PartialSchema>::schema()
}

/// A type whose fields are always there, null where nothing is known.
fn complete<T: ToSchema>() -> RefOr<Schema> {
    let mut schema = schema::<T>();
    if let RefOr::T(schema) = &mut schema {
        require_all(schema);
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
