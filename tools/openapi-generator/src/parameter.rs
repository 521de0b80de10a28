//! The parameters of operations.

use incidents::{
    BACKFILL_DEFAULT, BACKFILL_MAX, COUNTS, FILTER_CHARACTERS_MAX, FOUND_DEFAULT, FOUND_MAX,
    LIMIT_DEFAULT, LIMIT_MAX, QUERY_CHARACTERS_MAX, SEVERITY_CHARACTERS_MAX, STATUSES,
};
use records::{CORRELATION_ID, Text};
use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, Schema};

use crate::record::{integer, text, timestamp};

/// The id in an incident's path.
pub(crate) fn incident_id() -> Parameter {
    let schema = integer(of(Type::Integer), 1, i64::MAX);
    parameter(
        ParameterIn::Path,
        "id",
        "Names the incident.",
        schema,
        json!(12345),
    )
}

/// The file in the path of one of the files of `/docs`.
pub(crate) fn file(names: &[&str]) -> Parameter {
    let schema = of(Type::String).enum_values(Some(names.iter().copied()));
    let example = names.first().copied().unwrap_or_default();
    parameter(
        ParameterIn::Path,
        "file",
        "Names the file.",
        schema,
        json!(example),
    )
}

/// What a caller names a request by.
pub(crate) fn correlation_id_header() -> Parameter {
    let description = "Names the request in its answer and in the log, if it is 1 to 128 \
                       characters of A-Z a-z 0-9 . _ : -; anything else says nothing.";
    let schema = of(Type::String);
    parameter(
        ParameterIn::Header,
        "X-Correlation-ID",
        description,
        schema,
        json!("req-2026-11-01-abc123"),
    )
}

/// What a caller has already.
pub(crate) fn if_none_match_header() -> Parameter {
    let description = "The ETag of an earlier answer: as long as it is the same, the answer is \
                       304 without a body.";
    let schema = of(Type::String);
    parameter(
        ParameterIn::Header,
        "If-None-Match",
        description,
        schema,
        json!("\"0123456789abcdef\""),
    )
}

/// What incidents are filtered by, in a list and in a search.
pub(crate) fn filters() -> Vec<Parameter> {
    let up_to = |characters| text(of(Type::String), &Text::Characters(1, characters));
    let exact = || up_to(FILTER_CHARACTERS_MAX);
    let texts = [
        ("cluster", "Only of targets in this cluster.", "eu-1"),
        ("alert_name", "Only of this alert.", "HighMemoryUsage"),
        (
            "environment",
            "Only of targets that are used for this.",
            "production",
        ),
        (
            "workflow_name",
            "Only where the latest workflow execution is of this workflow.",
            "restart-and-scale",
        ),
        (
            "remediation_name",
            "Only of this remediation request.",
            "rr-web-memory-1",
        ),
        (
            "fingerprint",
            "Only of alerts with this fingerprint, as it was sent.",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        (
            "target_type",
            "Only of targets of this type, without regard to case.",
            "deployment",
        ),
        ("target_name", "Only of targets of this name.", "api-server"),
        (
            "action_type",
            "Only those where any execution does this.",
            "scale",
        ),
    ];
    let texts =
        texts.map(|(name, description, example)| query(name, description, exact(), json!(example)));
    let namespace = query(
        "namespace",
        "Only of targets in this namespace; empty, only of targets that have none, as nodes.",
        exact().min_length(None),
        json!("production"),
    );
    let moment = || timestamp(of(Type::String));
    let others = [
        query(
            "severity",
            "Only of this severity, without regard to case.",
            up_to(SEVERITY_CHARACTERS_MAX),
            json!("critical"),
        ),
        query(
            "status",
            "Only with this `execution_status`.",
            of(Type::String).enum_values(Some(STATUSES)),
            json!("completed"),
        ),
        query(
            "correlation_id",
            "Only the incident of these records.",
            text(of(Type::String), &CORRELATION_ID),
            json!("req-2026-11-01-abc123"),
        ),
        query(
            "action_history_id",
            "Only of the target with this history.",
            integer(of(Type::Integer), 1, i64::MAX),
            json!(1),
        ),
        query(
            "since",
            "Only with an `opened_at` at this moment or later; not after `until`. A plus sign is \
             written %2B.",
            moment(),
            json!("2026-11-01T00:00:00Z"),
        ),
        query(
            "until",
            "Only with an `opened_at` at this moment or earlier.",
            moment(),
            json!("2026-12-01T00:00:00Z"),
        ),
    ];
    [namespace].into_iter().chain(texts).chain(others).collect()
}

/// Which part of a list is answered.
pub(crate) fn paging() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 1, LIMIT_MAX).default(Some(json!(LIMIT_DEFAULT)));
    let offset = integer(of(Type::Integer), 0, i64::MAX).default(Some(json!(0)));
    let cursor = text(of(Type::String), &Text::Characters(1, usize::MAX));
    vec![
        query("limit", "The most incidents to answer.", limit, json!(100)),
        query(
            "offset",
            "How many of the first incidents to leave out. A cursor is the better way through a long list.",
            offset,
            json!(0),
        ),
        query(
            "count",
            "How exactly `total` is counted for the first page: `bounded` up to 10,000, `exact` \
             however many there are, which takes longer, `none` not at all.",
            of(Type::String)
                .enum_values(Some(COUNTS))
                .default(Some(json!("bounded"))),
            json!("bounded"),
        ),
        query(
            "cursor",
            "Where an earlier answer ended: its `next_cursor`, as it is. Not together with `offset`.",
            cursor,
            Value::Null,
        ),
    ]
}

/// What is searched for.
pub(crate) fn search() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 1, FOUND_MAX).default(Some(json!(FOUND_DEFAULT)));
    let similarity = of(Type::Number).minimum(Some(0)).maximum(Some(1));
    let words = text(of(Type::String), &Text::Characters(1, QUERY_CHARACTERS_MAX));
    let mut q = query(
        "q",
        "What is searched for, in any words; not blank.",
        words,
        json!("memory runs out after a deployment"),
    );
    q.required = Required::True;
    vec![
        q,
        query("limit", "The most incidents to answer.", limit, json!(10)),
        query(
            "min_similarity",
            "Only those that are at least so similar.",
            similarity,
            json!(0.5),
        ),
    ]
}

/// Which texts are embedded again.
pub(crate) fn backfill() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 0, BACKFILL_MAX).default(Some(json!(BACKFILL_DEFAULT)));
    let after = integer(of(Type::Integer), 0, i64::MAX).default(Some(json!(0)));
    vec![
        query(
            "limit",
            "The most texts to embed; 0 only counts what is left.",
            limit,
            json!(100),
        ),
        query(
            "after",
            "Where an earlier answer ended: its `next`.",
            after,
            json!(0),
        ),
    ]
}

fn of(own: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(own)
}

fn query(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    parameter(ParameterIn::Query, name, description, schema, example)
}

fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: ObjectBuilder,
    example: Value,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        // One in a path is required all the same.
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .example(Some(example).filter(|example| !example.is_null()))
        .build()
}
