//! The operations on holds, and the schemas of their bodies.

use anyhow::{Context as _, Result};
use records::{Field, Hold, Release};
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{ContentBuilder, PathItem, PathsBuilder, Ref, Required, Schema};
use web::ProblemType::{
    Internal, MethodNotAllowed, NotFound, PayloadTooLarge, Unavailable, UnsupportedMediaType,
    Validation,
};

use crate::descriptions::FieldDescription;
use crate::operation::{HOLDS, Responses as _, operation};
use crate::{parameter, record, response};

/// The schema's name of a hold that is sent.
const HOLD: &str = "Hold";
/// The schema's name of a release that is sent.
const RELEASE: &str = "HoldRelease";

/// Adds the paths of the holds.
pub(crate) fn paths(paths: PathsBuilder) -> PathsBuilder {
    paths
        .path(
            "/api/v1/holds",
            PathItem::new(HttpMethod::Get, list_holds()),
        )
        .path(
            "/api/v1/holds",
            PathItem::new(HttpMethod::Post, place_hold()),
        )
        .path(
            "/api/v1/holds/{id}",
            PathItem::new(HttpMethod::Get, find_hold()),
        )
        .path(
            "/api/v1/holds/{id}/release",
            PathItem::new(HttpMethod::Post, release_hold()),
        )
}

/// The schemas of the bodies, with their names.
pub(crate) fn schemas() -> Result<[(&'static str, Schema); 2]> {
    let hold = "Keeps the records that match everything that it names from retention. Sets at \
                least one of `correlationId`, `namespace`, `since`, `until`. Unlisted fields are \
                refused. An optional field that is null, an empty text or Go's zero time \
                (0001-01-01T00:00:00Z) counts as absent. The hold is kept as sent.";
    let release = "Ends a hold. Unlisted fields are refused.";
    Ok([
        (HOLD, body_schema(&Hold::schema(), &of_hold(), hold)?),
        (
            RELEASE,
            body_schema(&Release::schema(), &of_release(), release)?,
        ),
    ])
}

fn body_schema(
    fields: &[Field],
    descriptions: &[FieldDescription],
    description: &str,
) -> Result<Schema> {
    let schema = record::object(fields, descriptions).context("describe the fields of a hold")?;
    Ok(Schema::Object(
        schema.description(Some(description)).build(),
    ))
}

fn place_hold() -> OperationBuilder {
    let placed = json!({
        "id": 12345, "createdAt": "2026-11-01T10:00:03.123456Z", "message": "Hold placed",
        "log": {
            "origin": "audit.example.com/7571233-1-16384",
            "commitment": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "status": "pending",
            "proof": "/api/v1/audit/records/12345/proof",
        },
    });
    let placed = response::json(
        "The hold is placed, now or by an earlier request.",
        "HoldPlaced",
        Some(placed),
    );
    let placed = response::with(response::with(placed, "Location"), "Idempotent-Replayed");
    operation(HOLDS, "place_hold", "Place a hold")
        .description(Some(
            "Keeps records from retention: a month with a record that matches everything that the \
             hold names stays. A hold cannot bring back what has left. Sending the same hold \
             again, as canonical JSON (RFC 8785), is a replay until it is released. Needs the \
             permission `hold`.",
        ))
        .request_body(Some(body(HOLD, &of_hold(), "The hold.")))
        .response("201", placed.build())
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

fn release_hold() -> OperationBuilder {
    let released = response::json(
        "The hold is released, now or by an earlier request.",
        "HoldView",
        None,
    );
    operation(HOLDS, "release_hold", "Release a hold")
        .description(Some(
            "Ends a hold. Releasing it again is a replay, whatever the reason: the response has \
             the first release. Needs the permission `hold`.",
        ))
        .parameter(parameter::id("hold"))
        .request_body(Some(body(RELEASE, &of_release(), "The release.")))
        .response(
            "201",
            response::with(released, "Idempotent-Replayed").build(),
        )
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            PayloadTooLarge,
            UnsupportedMediaType,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn list_holds() -> OperationBuilder {
    let page = response::json("A page of holds.", "HoldPage", None)
        .content("application/x-ndjson", ContentBuilder::new().build());
    operation(HOLDS, "list_holds", "List holds")
        .description(Some(
            "Returns holds by ascending id, released ones included. With `Accept: \
             application/x-ndjson`, each line is a hold. Each parameter may be given once.",
        ))
        .parameters(Some(parameter::page_of("holds")))
        .response("200", response::with(page, "Link").build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn find_hold() -> OperationBuilder {
    let hold = response::json("The hold.", "HoldView", None);
    operation(HOLDS, "find_hold", "Read one hold")
        .description(Some("Returns a hold with its release, if it was released."))
        .parameter(parameter::id("hold"))
        .tagged(hold)
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn body(schema: &str, fields: &[FieldDescription], description: &str) -> RequestBody {
    let example: Map<_, _> = fields
        .iter()
        .map(|(name, _, example)| ((*name).to_owned(), example.clone()))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(Some(Value::Object(example)));
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True))
        .content("application/json", content.build())
        .build()
}

/// The fields of holds.
fn of_hold() -> Vec<FieldDescription> {
    vec![
        (
            "correlationId",
            "Correlation id of the records to keep.",
            json!("req-2026-11-01-abc123"),
        ),
        (
            "namespace",
            "Namespace of the objects whose records to keep.",
            json!("kubernaut-system"),
        ),
        (
            "name",
            "Name of the object whose records to keep. Needs `namespace`.",
            json!("rr-web-memory-1"),
        ),
        (
            "since",
            "Earliest `createdAt` of the records to keep, inclusive; not after `until`.",
            json!("2026-11-01T00:00:00Z"),
        ),
        (
            "until",
            "Latest `createdAt` of the records to keep, inclusive.",
            json!("2026-11-30T23:59:59Z"),
        ),
        (
            "reason",
            "Why the records must be kept.",
            json!("inquiry 2026-17"),
        ),
        (
            "expiresAt",
            "When the hold ends by itself. In the future when the hold is placed.",
            json!("2036-12-01T00:00:00Z"),
        ),
    ]
}

/// The fields of a hold's release.
fn of_release() -> Vec<FieldDescription> {
    vec![(
        "reason",
        "Why the records need not be kept any more.",
        json!("inquiry 2026-17 is closed"),
    )]
}
