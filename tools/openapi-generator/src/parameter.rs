//! The parameters of operations.

use incidents::{
    BACKFILL_DEFAULT, BACKFILL_MAX, COUNTS, FILTER_CHARACTERS_MAX, FOUND_DEFAULT, FOUND_MAX,
    LIMIT_DEFAULT, LIMIT_MAX, OUTCOME_COUNTS, QUERY_CHARACTERS_MAX, SEVERITY_CHARACTERS_MAX,
    STATUSES,
};
use records::{CORRELATION_ID, KIND_NAMES, Text};
use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, Schema};

use crate::record::{integer, text, timestamp};

/// Highest level in the path of a tile (c2sp.org/tlog-tiles).
const PATH_LEVEL_MAX: i64 = 63;

const TILE_INDEX: &str = r"^(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$";

/// The id in a path.
pub(crate) fn id(of_what: &str) -> Parameter {
    let schema = integer(of(Type::Integer), 1, i64::MAX);
    parameter(
        ParameterIn::Path,
        "id",
        &format!("Id of the {of_what}."),
        schema,
        json!(12345),
    )
}

/// The parameters that select a page of a list that only grows.
pub(crate) fn page_of(items: &str) -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 1, LIMIT_MAX).default(Some(json!(LIMIT_DEFAULT)));
    let cursor = text(of(Type::String), &Text::Characters(1, usize::MAX));
    vec![
        query(
            "limit",
            &format!("Maximum number of {items} to return."),
            limit,
            json!(100),
        ),
        query(
            "cursor",
            "Cursor of an earlier response, unchanged.",
            cursor,
            Value::Null,
        ),
    ]
}

/// The size of an earlier tree of the log.
pub(crate) fn earlier_size() -> Parameter {
    let mut from = query(
        "from",
        "Size of the earlier tree.",
        integer(of(Type::Integer), 0, i64::MAX),
        json!(0),
    );
    from.required = Required::True;
    from
}

/// The level in the path of a tile.
pub(crate) fn tile_level() -> Parameter {
    let schema = integer(of(Type::Integer), 0, PATH_LEVEL_MAX);
    parameter(
        ParameterIn::Path,
        "level",
        "Level of the tile, from 0 at the leaves.",
        schema,
        json!(0),
    )
}

/// The index in the path of a tile or a bundle of entries.
pub(crate) fn tile_index() -> Parameter {
    let description = "Index within the level, in groups of three digits with `x` before all but                        the last, as `x001/x234/067`; then `.p/WIDTH` for the first 1 to 255.";
    let schema = of(Type::String).pattern(Some(TILE_INDEX));
    parameter(
        ParameterIn::Path,
        "index",
        description,
        schema,
        json!("000"),
    )
}

/// How long a caller prefers to wait.
pub(crate) fn prefer_header() -> Parameter {
    let description = "`wait=SECONDS` (RFC 7240): how long to wait, at most 10 seconds, until the                        record is in the log. If it is by then, `log` has `index` and `inclusion`.                        The service ignores other preferences.";
    let schema = of(Type::String);
    parameter(
        ParameterIn::Header,
        "Prefer",
        description,
        schema,
        json!("wait=5"),
    )
}

/// The file name in a path below `/docs`.
pub(crate) fn file(names: &[&str]) -> Parameter {
    let schema = of(Type::String).enum_values(Some(names.iter().copied()));
    let example = names.first().copied().unwrap_or_default();
    parameter(
        ParameterIn::Path,
        "file",
        "Name of the file.",
        schema,
        json!(example),
    )
}

/// The caller's correlation id for a request.
pub(crate) fn correlation_id_header() -> Parameter {
    let description = "Identifies the request in its response and the log: 1 to 128 characters \
                       of A-Z a-z 0-9 . _ : -. The service ignores other values.";
    let schema = of(Type::String);
    parameter(
        ParameterIn::Header,
        "X-Correlation-ID",
        description,
        schema,
        json!("req-2026-11-01-abc123"),
    )
}

/// The ETag of the body that a caller has.
pub(crate) fn if_none_match_header() -> Parameter {
    let description = "The ETag of an earlier response. If it is still current, the response is \
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

/// The filters of lists and searches.
pub(crate) fn filters() -> Vec<Parameter> {
    let up_to = |characters| text(of(Type::String), &Text::Characters(1, characters));
    let exact = || up_to(FILTER_CHARACTERS_MAX);
    let texts = [
        ("cluster", "Cluster of the target.", "eu-1"),
        ("alert_name", "Name of the alert.", "HighMemoryUsage"),
        ("environment", "Environment of the target.", "production"),
        (
            "workflow_name",
            "Workflow of the latest workflow execution.",
            "restart-and-scale",
        ),
        (
            "remediation_name",
            "Name of the remediation request.",
            "rr-web-memory-1",
        ),
        (
            "fingerprint",
            "Fingerprint of the alert, as it was sent.",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        (
            "target_type",
            "Type of the target; ignores ASCII case.",
            "deployment",
        ),
        ("target_name", "Name of the target.", "api-server"),
        ("action_type", "Type of at least one action.", "scale"),
    ];
    let texts =
        texts.map(|(name, description, example)| query(name, description, exact(), json!(example)));
    let namespace = query(
        "namespace",
        "Namespace of the target. Empty matches cluster-scoped targets such as nodes.",
        exact().min_length(None),
        json!("production"),
    );
    let moment = || timestamp(of(Type::String));
    let others = [
        query(
            "severity",
            "Severity; ignores ASCII case.",
            up_to(SEVERITY_CHARACTERS_MAX),
            json!("critical"),
        ),
        query(
            "status",
            "Value of `execution_status`.",
            of(Type::String).enum_values(Some(STATUSES)),
            json!("completed"),
        ),
        query(
            "correlation_id",
            "Correlation id of the incident's records.",
            text(of(Type::String), &CORRELATION_ID),
            json!("req-2026-11-01-abc123"),
        ),
        query(
            "action_history_id",
            "Action history of the target.",
            integer(of(Type::Integer), 1, i64::MAX),
            json!(1),
        ),
        query(
            "since",
            "Earliest `opened_at`, inclusive; not after `until`. Encode a plus sign as %2B.",
            moment(),
            json!("2026-11-01T00:00:00Z"),
        ),
        query(
            "until",
            "Latest `opened_at`, inclusive.",
            moment(),
            json!("2026-12-01T00:00:00Z"),
        ),
    ];
    [namespace].into_iter().chain(texts).chain(others).collect()
}

/// The kind that records must be of.
pub(crate) fn record_kind() -> Parameter {
    let kinds = of(Type::String).enum_values(Some(KIND_NAMES));
    query("kind", "Kind of the records.", kinds, json!("workflow"))
}

/// The filters of lists of records.
pub(crate) fn record_filters() -> Vec<Parameter> {
    let exact = || {
        text(
            of(Type::String),
            &Text::Characters(1, FILTER_CHARACTERS_MAX),
        )
    };
    vec![
        record_kind(),
        query(
            "namespace",
            "Namespace of the reported object.",
            exact(),
            json!("kubernaut-system"),
        ),
        query(
            "name",
            "Name of the reported object.",
            exact(),
            json!("rr-web-memory-1"),
        ),
        query(
            "correlation_id",
            "The records' `correlationId`.",
            text(of(Type::String), &CORRELATION_ID),
            json!("req-2026-11-01-abc123"),
        ),
        query(
            "since",
            "Earliest `recorded_at`, inclusive; not after `until`. Encode a plus sign as %2B.",
            timestamp(of(Type::String)),
            json!("2026-11-01T00:00:00Z"),
        ),
        query(
            "until",
            "Latest `recorded_at`, inclusive.",
            timestamp(of(Type::String)),
            json!("2026-12-01T00:00:00Z"),
        ),
    ]
}

/// The parameters that select a page of a list.
pub(crate) fn paging() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 1, LIMIT_MAX).default(Some(json!(LIMIT_DEFAULT)));
    let offset = integer(of(Type::Integer), 0, i64::MAX).default(Some(json!(0)));
    let cursor = text(of(Type::String), &Text::Characters(1, usize::MAX));
    vec![
        query(
            "limit",
            "Maximum number of incidents to return.",
            limit,
            json!(100),
        ),
        query(
            "offset",
            "Number of incidents to skip. Prefer `cursor` for long lists.",
            offset,
            json!(0),
        ),
        query(
            "count",
            "How to count `total` for the first page: `bounded` counts up to 10,000, `exact` counts \
             all and takes longer, `none` omits it.",
            of(Type::String)
                .enum_values(Some(COUNTS))
                .default(Some(json!("bounded"))),
            json!("bounded"),
        ),
        query(
            "cursor",
            "`next_cursor` of an earlier response, unchanged. Not allowed with `offset`.",
            cursor,
            Value::Null,
        ),
    ]
}

/// How many incidents to consider for outcomes.
pub(crate) fn outcome_count() -> Parameter {
    query(
        "count",
        "Incidents to consider: `bounded` takes the 10,000 with the newest `opened_at`, `exact` \
         takes all and takes longer.",
        of(Type::String)
            .enum_values(Some(OUTCOME_COUNTS))
            .default(Some(json!("bounded"))),
        json!("bounded"),
    )
}

/// The parameters of a search, except the filters.
pub(crate) fn search() -> Vec<Parameter> {
    let words = text(of(Type::String), &Text::Characters(1, QUERY_CHARACTERS_MAX));
    let mut q = query(
        "q",
        "Text to search for; must not be blank.",
        words,
        json!("memory runs out after a deployment"),
    );
    q.required = Required::True;
    [q].into_iter().chain(nearest()).collect()
}

/// The parameters that select the nearest incidents, except the filters.
pub(crate) fn nearest() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 1, FOUND_MAX).default(Some(json!(FOUND_DEFAULT)));
    let similarity = of(Type::Number).minimum(Some(0)).maximum(Some(1));
    vec![
        query(
            "limit",
            "Maximum number of incidents to return.",
            limit,
            json!(10),
        ),
        query(
            "min_similarity",
            "Minimum similarity of a result.",
            similarity,
            json!(0.5),
        ),
    ]
}

/// The parameters that select texts to backfill.
pub(crate) fn backfill() -> Vec<Parameter> {
    let limit = integer(of(Type::Integer), 0, BACKFILL_MAX).default(Some(json!(BACKFILL_DEFAULT)));
    let after = integer(of(Type::Integer), 0, i64::MAX).default(Some(json!(0)));
    vec![
        query(
            "limit",
            "Maximum number of texts to embed; 0 only counts those left.",
            limit,
            json!(100),
        ),
        query("after", "`next` of an earlier response.", after, json!(0)),
    ]
}

pub(crate) fn of(own: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(own)
}

fn query(name: &str, description: &str, schema: ObjectBuilder, example: Value) -> Parameter {
    parameter(ParameterIn::Query, name, description, schema, example)
}

pub(crate) fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: ObjectBuilder,
    example: Value,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        // The builder requires path parameters regardless.
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .example(Some(example).filter(|example| !example.is_null()))
        .build()
}
