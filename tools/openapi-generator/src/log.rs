//! The operations on stored records and the log.

use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{ContentBuilder, PathItem, PathsBuilder};
use web::ProblemType::{Internal, MethodNotAllowed, NotFound, Unavailable, Validation};

use crate::operation::{INCIDENTS, LOG, RECORDS, Responses as _, operation};
use crate::{parameter, response};

const TEXT: &str = "text/plain; charset=utf-8";

/// Adds the paths of stored records and the log.
pub(crate) fn paths(mut paths: PathsBuilder) -> PathsBuilder {
    for (path, operation) in [
        ("/api/v1/audit/records", list_records()),
        ("/api/v1/audit/records/{id}", find_record()),
        ("/api/v1/incidents/{id}/records", list_incident_records()),
        ("/api/v1/audit/records/{id}/proof", prove_inclusion()),
        ("/api/v1/log", read_log()),
        ("/api/v1/log/consistency", prove_consistency()),
        ("/log/v1/checkpoint", read_checkpoint()),
        ("/log/v1/tile/{level}/{index}", read_tile()),
        ("/log/v1/tile/entries/{index}", read_entries()),
    ] {
        paths = paths.path(path, PathItem::new(HttpMethod::Get, operation));
    }
    paths
}

fn list_records() -> OperationBuilder {
    let page = response::json("A page of records.", "RecordPage", None)
        .content("application/x-ndjson", ContentBuilder::new().build());
    operation(
        RECORDS,
        "list_records",
        "List records in the order of the log",
    )
    .description(Some(
        "Returns the records that are in the log and match every filter, by ascending index. What \
             has left by retention is not listed, and a page reads a limited part of the log, so it \
             may have few records or none although more follow. Whoever goes on at `resume_cursor`, \
             or at the `Link` with `rel=\"monitor\"`, gets each record that is added later once. \
             With `Accept: application/x-ndjson`, each line is a record. Each parameter may be given \
             once.",
    ))
    .parameters(Some(parameter::record_filters()))
    .parameters(Some(parameter::page_of("records")))
    .response("200", response::with(page, "Link").build())
    .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
    .guarded()
}

fn list_incident_records() -> OperationBuilder {
    let page = response::json("A page of the incident's records.", "TimelinePage", None)
        .content("application/x-ndjson", ContentBuilder::new().build());
    operation(
        INCIDENTS,
        "list_incident_records",
        "List the records of one incident",
    )
    .description(Some(
        "Returns the incident's records as they were sent, by ascending id, which is the order in \
             which they were recorded. Those that are not in the log yet have the index null. What \
             has left by retention is not listed, and a page reads a limited number of records, so it \
             may have few or none although more follow. With `Accept: application/x-ndjson`, each \
             line is a record. Each parameter may be given once.",
    ))
    .parameter(parameter::id("incident"))
    .parameter(parameter::record_kind())
    .parameters(Some(parameter::page_of("records")))
    .tagged(response::with(page, "Link"))
    .problems(&[
        Validation,
        NotFound,
        MethodNotAllowed,
        Internal,
        Unavailable,
    ])
    .guarded()
}

fn find_record() -> OperationBuilder {
    let record = response::json("The record.", "StoredRecordView", None);
    operation(RECORDS, "find_record", "Read one record")
        .description(Some(
            "Returns a record as it was sent, with its place in the log and what its leaf commits \
             to. The index is null until the record has a leaf.",
        ))
        .parameter(parameter::id("record"))
        .tagged(record)
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn prove_inclusion() -> OperationBuilder {
    let pending = json!({"status": "pending"});
    let pending = response::json(
        "The record has no leaf yet: send the same request again.",
        "PendingProof",
        Some(pending),
    );
    operation(LOG, "prove_inclusion", "Prove that a record is in the log")
        .description(Some(
            "Returns a proof (c2sp.org/tlog-proof) that the log has a leaf for a record or hold; \
             its extra data is the leaf's entry. Signs a checkpoint first if the record is \
             pending. Without a signing key, the response for a pending record is 503.",
        ))
        .parameter(parameter::id("record or hold"))
        .response("200", body("The proof.", TEXT).build())
        .response("202", response::with(pending, "Retry-After").build())
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn read_log() -> OperationBuilder {
    let state = json!({
        "origin": "audit.example.com/7571233-1-16384", "size": 12345,
        "root": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "checkpoint_at": "2026-11-01T10:00:03.123456Z", "pending": 2,
    });
    let state = response::json("The state of the log.", "LogView", Some(state));
    operation(LOG, "read_log", "Read the state of the log")
        .description(Some(
            "Returns what the last checkpoint says and how many entries wait for the next one. \
             Signs nothing.",
        ))
        .response("200", state.build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn prove_consistency() -> OperationBuilder {
    let proof = response::json("The proof.", "ConsistencyProof", None);
    operation(
        LOG,
        "prove_consistency",
        "Prove that the log contains an earlier one",
    )
    .description(Some(
        "Returns a proof (RFC 9162, section 2.1.4) that the log begins with its first `from` \
         leaves, and the checkpoint that it leads to. `from` is at most the checkpoint's size. \
         Signs a checkpoint first if entries are pending. Without a signing key, the response is \
         503.",
    ))
    .parameter(parameter::earlier_size())
    .response("200", proof.build())
    .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
    .guarded()
}

fn read_checkpoint() -> OperationBuilder {
    operation(LOG, "read_checkpoint", "Read the signed checkpoint")
        .description(Some(
            "Returns the latest checkpoint (c2sp.org/tlog-checkpoint). Signs one first if entries \
             are pending. Without a signing key, the response is 503.",
        ))
        .response("200", body("The checkpoint.", TEXT).build())
        .problems(&[Validation, MethodNotAllowed, Internal, Unavailable])
        .guarded()
}

fn read_tile() -> OperationBuilder {
    tile("read_tile", "Read a tile", "Returns hashes of the tree")
        .parameter(parameter::tile_level())
        .parameter(parameter::tile_index())
}

fn read_entries() -> OperationBuilder {
    let content = "Returns entries, each after its length in two bytes";
    tile("read_entries", "Read a bundle of entries", content).parameter(parameter::tile_index())
}

fn tile(operation_id: &str, summary: &str, content: &str) -> OperationBuilder {
    let description = format!(
        "{content} (c2sp.org/tlog-tiles): 256, or fewer of a partial one. What a path names never \
         changes. An index with slashes is several segments of the path: a client that encodes \
         them reads only full ones below 1000."
    );
    let bytes = body("The hashes or entries.", "application/octet-stream");
    operation(LOG, operation_id, summary)
        .description(Some(description))
        .response("200", bytes.build())
        .problems(&[
            Validation,
            NotFound,
            MethodNotAllowed,
            Internal,
            Unavailable,
        ])
        .guarded()
}

fn body(description: &str, content_type: &str) -> ResponseBuilder {
    response::answer(description).content(content_type, ContentBuilder::new().build())
}
