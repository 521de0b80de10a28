//! `spin:postgres`: addresses, the pool, types and errors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe, required_url};
use serde_json::{Value, json};

/// Starts a probe that may reach the tests' database. Returns it with the database's URL.
async fn start() -> (Probe, String) {
    let url = required_url("DATABASE_URL");
    let parsed = url::Url::parse(&url).unwrap();
    let (host, port) = (parsed.host_str().unwrap(), parsed.port().unwrap_or(5432));
    let manifest = format!(
        "{ONE_COMPONENT}allowed_outbound_hosts = [\"postgres://{{{{ host }}}}\", \
         \"postgres://127.0.0.1:9\"]\n[variables]\nhost = {{ required = true }}\n"
    );
    let probe = Probe::start_with(&manifest, |options| {
        options.variables = [("host".to_owned(), format!("{host}:{port}"))].into();
    })
    .await;
    (probe, url)
}

fn url_with(url: &str, parameters: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameters}")
}

async fn single_value(probe: &Probe, arguments: Value) -> String {
    let rows = probe.ok("/pg-query", arguments).await;
    rows["rows"][0][0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_is_refused() {
    let (probe, _) = start().await;
    for (url, refused) in [
        ("postgres://u:p@127.0.0.1:1/d", "127.0.0.1:1"),
        ("postgres://u:p@db.example/d", "db.example:5432"),
        ("host=db.example port=5433 user=u", "db.example:5433"),
        ("postgres://u@127.0.0.1:9,b.example:9/d", "b.example:9"),
    ] {
        let error = probe.err("/pg-open", json!({ "url": url })).await;
        let expected =
            format!("Error::ConnectionFailed(\"address postgres://{refused} is not permitted\")");
        assert_eq!(error, expected);
    }
    let error = probe
        .err("/pg-open", json!({ "url": "host=/tmp user=u" }))
        .await;
    assert!(error.contains("Unix sockets are not supported"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_failed_connection() {
    let (probe, _) = start().await;
    let error = probe
        .err("/pg-open", json!({ "url": "postgres://u@127.0.0.1:9/d" }))
        .await;
    assert!(error.starts_with("Error::ConnectionFailed("), "{error}");
    assert!(error.contains("error connecting to server"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_with_their_columns() {
    let (probe, url) = start().await;
    let sql = "SELECT n::int4 AS number, 'x' || n AS word FROM generate_series(1, 2) n";
    let rows = probe
        .ok("/pg-query", json!({ "url": url, "sql": sql }))
        .await;
    assert_eq!(
        rows,
        json!({
            "columns": ["number DbDataType::Int32", "word DbDataType::Str"],
            "rows": [
                ["DbValue::Int32(1)", "DbValue::Str(\"x1\")"],
                ["DbValue::Int32(2)", "DbValue::Str(\"x2\")"],
            ],
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_rows_is_refused_where_spin_would_wait_for_ever() {
    let (probe, url) = start().await;
    let query = json!({ "url": url, "sql": "SELECT 1 WHERE false" });
    let error = probe.err("/pg-query", query).await;
    assert!(error.contains("answered no rows"), "{error}");
    let execute = json!({ "url": url, "sql": "SELECT 1 WHERE false" });
    assert_eq!(probe.ok("/pg-execute", execute).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn execute_counts_rows() {
    let (probe, url) = start().await;
    let arguments = json!({
        "url": url,
        "before": ["CREATE TEMP TABLE t (n int8)"],
        "sql": "INSERT INTO t SELECT generate_series(1::int8, $1)",
        "parameters": [3],
    });
    assert_eq!(probe.ok("/pg-execute", arguments).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_without_what_its_last_user_set() {
    let (probe, url) = start().await;
    let url = url_with(&url, "options=-c%20statement_timeout%3D5432");
    let pid = json!({ "url": url, "sql": "SELECT pg_backend_pid()" });
    let first = single_value(&probe, pid.clone()).await;

    let set = json!({
        "url": url,
        "before": ["SET lock_timeout = 1234", "SET statement_timeout = 98765", "CREATE TEMP TABLE mine ()"],
        "sql": "SHOW lock_timeout",
    });
    assert_eq!(single_value(&probe, set).await, "DbValue::Str(\"1234ms\")");

    assert_eq!(
        single_value(&probe, pid).await,
        first,
        "the same connection"
    );
    let show = |name: &str| json!({ "url": url, "sql": format!("SHOW {name}") });
    assert_eq!(
        single_value(&probe, show("lock_timeout")).await,
        "DbValue::Str(\"0\")"
    );
    // The clean-up resets settings to those of the URL.
    let timeout = single_value(&probe, show("statement_timeout")).await;
    assert_eq!(timeout, "DbValue::Str(\"5432ms\")");
    let table = json!({ "url": url, "sql": "SELECT to_regclass('mine') IS NULL" });
    assert_eq!(single_value(&probe, table).await, "DbValue::Boolean(true)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_left_open_is_still_open_for_the_next_user() {
    let (probe, url) = start().await;
    let current = "SELECT pg_current_xact_id()::text";
    let left = json!({ "url": url, "before": ["BEGIN"], "sql": current });
    let left = single_value(&probe, left).await;
    let found = json!({ "url": url, "sql": current });
    assert_eq!(single_value(&probe, found).await, left);
    probe
        .ok("/pg-execute", json!({ "url": url, "sql": "ROLLBACK" }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_while_preparing_or_binding_has_its_structure() {
    let (probe, url) = start().await;
    let cases = [
        ("SELECT no_such_column", "42703"),
        ("SELECT FROM WHERE", "42601"),
        // Planning, which is part of binding, folds constants.
        ("SELECT 1 / 0", "22012"),
    ];
    for (sql, state) in cases {
        let error = probe
            .err("/pg-query", json!({ "url": url, "sql": sql }))
            .await;
        let structured = error.starts_with("Error::QueryFailed(QueryError::DbError(");
        assert!(
            structured && error.contains(&format!("code: \"{state}\"")),
            "{sql}: {error}"
        );
        assert!(error.contains("severity: \"ERROR\""), "{error}");
        assert!(error.contains("(\"routine\", "), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_while_rows_are_read_is_text() {
    let (probe, url) = start().await;
    let duplicate = "INSERT INTO t VALUES (1) RETURNING n";
    let before = json!([
        "CREATE TEMP TABLE t (n int8 UNIQUE)",
        "INSERT INTO t VALUES (1)"
    ]);
    let cases = [
        (
            "SELECT 1 / (n - 2) FROM generate_series(1, 3) n",
            "SqlState(E22012)",
        ),
        (duplicate, "SqlState(E23505)"),
    ];
    for (sql, state) in cases {
        let arguments = json!({ "url": url, "before": before, "sql": sql });
        let error = probe.err("/pg-query", arguments).await;
        let text = error.starts_with("Error::QueryFailed(QueryError::Text(");
        assert!(text && error.contains(state), "{sql}: {error}");
    }
    let arguments = json!({ "url": url, "before": before, "sql": duplicate });
    let error = probe.err("/pg-execute", arguments).await;
    assert!(
        error.starts_with("Error::QueryFailed(QueryError::DbError("),
        "{error}"
    );
    for expected in [
        "code: \"23505\"",
        "(\"constraint\", \"t_n_key\")",
        "(\"table\", \"t\")",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_of_the_wrong_type_is_an_error() {
    let (probe, url) = start().await;
    let arguments = json!({ "url": url, "sql": "SELECT $1::int4", "parameters": ["1"] });
    let error = probe.err("/pg-query", arguments).await;
    assert!(
        error.starts_with("Error::QueryFailed(QueryError::Text("),
        "{error}"
    );
    assert!(
        error.contains("kind: ToSql(0), cause: Some(WrongType"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_is_refused() {
    let (probe, url) = start().await;
    let sql = "SELECT repeat('x', 10000000) FROM generate_series(1, 14)";
    let error = probe
        .err("/pg-query", json!({ "url": url, "sql": sql }))
        .await;
    assert!(
        error.contains("query result exceeds limit of 134217728 bytes"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_are_not_known_are_passed_as_bytes() {
    let (probe, url) = start().await;
    let sql = "SELECT 'a'::\"char\", '{1.5}'::float8[], '1'::json, NULL::inet";
    let rows = probe
        .ok("/pg-query", json!({ "url": url, "sql": sql }))
        .await;
    assert_eq!(
        rows["columns"],
        json!([
            "char DbDataType::Other(\"char\")",
            "float8 DbDataType::Other(\"_float8\")",
            "json DbDataType::Other(\"json\")",
            "inet DbDataType::Other(\"inet\")",
        ])
    );
    let row = &rows["rows"][0];
    assert_eq!(row[0], "DbValue::Unsupported([97])");
    assert_eq!(row[2], "DbValue::Unsupported([49])");
    assert_eq!(row[3], "DbValue::DbNull");

    let sql = "SELECT now()";
    let error = probe
        .err("/pg-query", json!({ "url": url, "sql": sql }))
        .await;
    assert!(error.contains("timestamptz"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_to_the_database_and_back() {
    let (probe, url) = start().await;
    let results = probe.ok("/pg-types", json!({ "url": url })).await;
    let uuid = "00000000-0000-4000-8000-00000000abcd";
    let expected = [
        ("boolean", "Boolean", "Boolean(true)".to_owned()),
        (
            "\"char\"",
            "Other(\"char\")",
            "Unsupported([248])".to_owned(),
        ),
        ("int2", "Int16", "Int16(-16)".to_owned()),
        ("int4", "Int32", "Int32(-32)".to_owned()),
        ("int8", "Int64", "Int64(-64)".to_owned()),
        ("float4", "Floating32", "Floating32(0.5)".to_owned()),
        ("float8", "Floating64", "Floating64(-0.25)".to_owned()),
        ("text", "Str", "Str(\"täxt\")".to_owned()),
        ("varchar", "Str", "Str(\"v\")".to_owned()),
        ("bytea", "Binary", "Binary([0, 255])".to_owned()),
        ("date", "Date", "Date((2024, 2, 29))".to_owned()),
        ("time", "Time", "Time((23, 59, 58, 123456000))".to_owned()),
        (
            "timestamp",
            "Datetime",
            "Datetime((2024, 2, 29, 1, 2, 3, 456000))".to_owned(),
        ),
        ("timestamptz", "", "timestamptz".to_owned()),
        ("uuid", "Uuid", format!("Uuid(\"{uuid}\")")),
        (
            "jsonb",
            "Jsonb",
            format!("Jsonb({:?})", br#"{"a":[null],"bb":1.5}"#),
        ),
        (
            "numeric",
            "Decimal",
            "Decimal(\"-12345.678900\")".to_owned(),
        ),
        (
            "int4range",
            "RangeInt32",
            "RangeInt32((Some((2, RangeBoundKind::Inclusive)), \
             Some((6, RangeBoundKind::Exclusive))))"
                .to_owned(),
        ),
        (
            "int8range",
            "RangeInt64",
            "RangeInt64((None, Some((5, RangeBoundKind::Exclusive))))".to_owned(),
        ),
        (
            "numrange",
            "RangeDecimal",
            "RangeDecimal((Some((\"1.5\", RangeBoundKind::Exclusive)), None))".to_owned(),
        ),
        (
            "int4[]",
            "ArrayInt32",
            "ArrayInt32([Some(1), None])".to_owned(),
        ),
        (
            "int8[]",
            "ArrayInt64",
            "ArrayInt64([Some(-1), None])".to_owned(),
        ),
        (
            "numeric[]",
            "ArrayDecimal",
            "ArrayDecimal([Some(\"1.10\"), None])".to_owned(),
        ),
        (
            "text[]",
            "ArrayStr",
            "ArrayStr([Some(\"a\"), None])".to_owned(),
        ),
        (
            "interval",
            "Interval",
            "Interval(Interval { micros: 1, days: -2, months: 3 })".to_owned(),
        ),
        ("int4", "Int32", "DbNull".to_owned()),
        (
            "numeric",
            "",
            "Error::BadParameter(\"invalid decimal no number".to_owned(),
        ),
        (
            "uuid",
            "",
            "Error::BadParameter(\"invalid UUID no uuid".to_owned(),
        ),
        (
            "date",
            "",
            "Error::BadParameter(\"invalid date y=2023, m=2, d=29".to_owned(),
        ),
        (
            "int4",
            "",
            "kind: ToSql(0), cause: Some(WrongType".to_owned(),
        ),
    ];
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), expected.len());
    for (result, (kind, data_type, value)) in results.iter().zip(expected) {
        assert_eq!(result[0], kind);
        if data_type.is_empty() {
            let error = result[1].as_str().unwrap_or_else(|| panic!("{result}"));
            assert!(error.contains(&value), "{kind}: {error}");
        } else {
            assert_eq!(
                result[1]["columns"][0],
                format!("v DbDataType::{data_type}")
            );
            assert_eq!(result[1]["rows"][0][0], format!("DbValue::{value}"));
        }
    }
}
