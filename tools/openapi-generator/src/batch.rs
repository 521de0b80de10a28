//! The operation on batches, and the schemas of their items.

use records::{BATCH_ITEMS_MAX, BATCH_VIOLATIONS_MAX};
use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::RefBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::openapi::{ContentBuilder, PathItem, PathsBuilder, Ref, Required};
use web::ProblemType::{
    Internal, MethodNotAllowed, PayloadTooLarge, Unavailable, UnsupportedMediaType, Validation,
};

use crate::operation::{RECORDS, Responses as _, operation};
use crate::parameter::{of, parameter};
use crate::record::RecordSchema;
use crate::response;

/// The schema's name of a batch that is sent.
const BATCH: &str = "Batch";
/// The schema's name of its items.
const ENTRY: &str = "BatchEntry";

/// Adds the path of batches.
pub(crate) fn paths(paths: PathsBuilder, kinds: &[RecordSchema]) -> PathsBuilder {
    let store = store_batch(kinds);
    paths.path(
        "/api/v1/audit/batch",
        PathItem::new(HttpMethod::Post, store),
    )
}

/// The schemas of a batch and its items, with their names.
pub(crate) fn schemas(kinds: &[RecordSchema]) -> Vec<(String, Schema)> {
    let items = ArrayBuilder::new()
        .description(Some("Records of any kinds."))
        .items(Ref::from_schema_name(ENTRY))
        .min_items(Some(1))
        .max_items(Some(BATCH_ITEMS_MAX));
    let mapping = kinds
        .iter()
        .map(|kind| (kind.kind, format!("#/components/schemas/{}", entry(kind))));
    let mut entries = OneOfBuilder::new()
        .description(Some("A record with its kind."))
        .discriminator(Some(Discriminator::with_mapping("kind", mapping)));
    let mut schemas = Vec::new();
    for kind in kinds {
        entries = entries.item(Ref::from_schema_name(entry(kind)));
        let schema = ObjectBuilder::new()
            .description(Some(format!("One {} of a batch.", kind.title)))
            .property(
                "kind",
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("The kind of the record."))
                    .enum_values(Some([kind.kind])),
            )
            .required("kind")
            .property(
                "record",
                RefBuilder::new()
                    .ref_location_from_schema_name(kind.name)
                    .description(Some("The record.")),
            )
            .required("record")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        schemas.push((entry(kind), Schema::Object(schema.build())));
    }
    schemas.push((ENTRY.to_owned(), Schema::OneOf(entries.build())));
    schemas.push((BATCH.to_owned(), Schema::Array(items.build())));
    schemas
}

fn entry(kind: &RecordSchema) -> String {
    format!("{}Entry", kind.name)
}

fn store_batch(kinds: &[RecordSchema]) -> OperationBuilder {
    let stored = "Every record is stored, now or by an earlier request.";
    let stored = response::json(stored, "BatchResult", Some(example()));
    let stored = response::with(stored, "Idempotent-Replayed");
    let partly = "With `handling=lenient`: the valid records are stored, the others refused.";
    let partly = response::json(partly, "BatchResult", None);
    operation(RECORDS, "store_batch", "Store many records")
        .description(Some(format!(
            "Stores up to {BATCH_ITEMS_MAX} records of any kinds in one transaction, and responds with \
             an item for each, in order: what the operation for a single record responds. A batch with \
             an invalid item is refused as a whole: `errors` then lists up to {BATCH_VIOLATIONS_MAX} \
             violations, each with the position of its item. `Prefer: handling=lenient` stores the valid \
             ones instead. A batch may be sent again, and may \
             overlap with others: each record is stored once."
        )))
        .parameter(handling())
        .request_body(Some(body(kinds)))
        .response("201", response::with(stored, "Preference-Applied").build())
        .response("207", response::with(partly, "Preference-Applied").build())
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

/// Only the array: generators of clients cannot tell two kinds of body apart.
fn body(kinds: &[RecordSchema]) -> RequestBody {
    let entries = kinds
        .iter()
        .map(|kind| json!({"kind": kind.kind, "record": kind.example}));
    let array = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(BATCH)))
        .example(Some(Value::from_iter(entries.take(1))));
    RequestBodyBuilder::new()
        .description(Some(
            "The records: a JSON array, or with the content type `application/x-ndjson` a line of \
             JSON for each; optionally with `Content-Encoding: gzip`. At most 4 MiB compressed and \
             decompressed, and 256 KiB per record.",
        ))
        .required(Some(Required::True))
        .content("application/json", array.build())
        .build()
}

fn handling() -> Parameter {
    parameter(
        ParameterIn::Header,
        "Prefer",
        "`handling=lenient` (RFC 7240): store the valid records of a batch that has invalid ones. \
         The service ignores other preferences.",
        of(Type::String),
        json!("handling=strict"),
    )
}

fn example() -> Value {
    json!({
        "stored": 1, "replayed": 0, "refused": 0,
        "items": [{
            "status": 201, "location": "/api/v1/incidents/12345", "replayed": false,
            "id": 12345, "embeddingId": 12345, "createdAt": "2026-11-01T10:00:03.123456Z",
            "message": "Remediation audit record created",
            "log": {
                "origin": "audit.example.com/7571233-1-16384",
                "commitment": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "status": "pending",
                "proof": "/api/v1/audit/records/12345/proof",
            },
        }],
    })
}
