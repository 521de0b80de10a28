//! Operations on PostgreSQL.

// The probe exists to open connections, which the service may only do in its store.
#![allow(clippy::disallowed_methods)]

use crate::{Outcome, debug, text};
use serde_json::{Value, json};
use spin_sdk::pg4::{Connection, DbValue, Interval, ParameterValue, RangeBoundKind, RowSet};

pub(crate) fn open(arguments: &Value) -> Outcome {
    Connection::open(text(arguments, "url")).map_err(debug)?;
    Ok(Value::Null)
}

/// Runs the statements of `before`, then `sql` with the texts in `parameters`, on one connection.
pub(crate) fn query(arguments: &Value) -> Outcome {
    let connection = prepared(arguments)?;
    let rows = connection.query(text(arguments, "sql"), &texts(arguments));
    Ok(described(&rows.map_err(debug)?))
}

pub(crate) fn execute(arguments: &Value) -> Outcome {
    let connection = prepared(arguments)?;
    let rows = connection.execute(text(arguments, "sql"), &texts(arguments));
    Ok(json!(rows.map_err(debug)?))
}

fn prepared(arguments: &Value) -> Result<Connection, String> {
    let connection = Connection::open(text(arguments, "url")).map_err(debug)?;
    for statement in arguments["before"].as_array().into_iter().flatten() {
        let statement = statement.as_str().unwrap_or_default();
        connection.execute(statement, &[]).map_err(debug)?;
    }
    Ok(connection)
}

fn texts(arguments: &Value) -> Vec<ParameterValue> {
    let parameters = arguments["parameters"].as_array().into_iter().flatten();
    let parameter = |value: &Value| match value {
        Value::String(text) => ParameterValue::Str(text.clone()),
        Value::Number(number) => ParameterValue::Int64(number.as_i64().unwrap_or_default()),
        Value::Bool(bool) => ParameterValue::Boolean(*bool),
        _ => ParameterValue::DbNull,
    };
    parameters.map(parameter).collect()
}

fn described(rows: &RowSet) -> Value {
    let columns: Vec<_> = rows
        .columns
        .iter()
        .map(|column| format!("{} {:?}", column.name, column.data_type))
        .collect();
    let row = |row: &Vec<DbValue>| row.iter().map(debug).collect::<Vec<_>>();
    let rows: Vec<_> = rows.rows.iter().map(row).collect();
    json!({ "columns": columns, "rows": rows })
}

pub(crate) fn types(arguments: &Value) -> Outcome {
    use ParameterValue as P;
    use RangeBoundKind::{Exclusive, Inclusive};

    let connection = Connection::open(text(arguments, "url")).map_err(debug)?;
    let interval = Interval {
        micros: 1,
        days: -2,
        months: 3,
    };
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        ("boolean", P::Boolean(true)),
        ("\"char\"", P::Int8(-8)),
        ("int2", P::Int16(-16)),
        ("int4", P::Int32(-32)),
        ("int8", P::Int64(-64)),
        ("float4", P::Floating32(0.5)),
        ("float8", P::Floating64(-0.25)),
        ("text", P::Str("täxt".to_owned())),
        ("varchar", P::Str("v".to_owned())),
        ("bytea", P::Binary(vec![0, 255])),
        ("date", P::Date((2024, 2, 29))),
        ("time", P::Time((23, 59, 58, 123_456_000))),
        ("timestamp", P::Datetime((2024, 2, 29, 1, 2, 3, 456_000))),
        ("timestamptz", P::Timestamp(3_723)),
        (
            "uuid",
            P::Uuid("00000000-0000-4000-8000-00000000abcd".to_owned()),
        ),
        ("jsonb", P::Jsonb(br#"{"bb": 1.50, "a": [null]}"#.to_vec())),
        ("numeric", P::Decimal("-12345.678900".to_owned())),
        (
            "int4range",
            P::RangeInt32((Some((1, Exclusive)), Some((5, Inclusive)))),
        ),
        ("int8range", P::RangeInt64((None, Some((5, Exclusive))))),
        (
            "numrange",
            P::RangeDecimal((Some(("1.5".to_owned(), Exclusive)), None)),
        ),
        ("int4[]", P::ArrayInt32(vec![Some(1), None])),
        ("int8[]", P::ArrayInt64(vec![Some(-1), None])),
        ("numeric[]", P::ArrayDecimal(vec![some("1.10"), None])),
        ("text[]", P::ArrayStr(vec![some("a"), None])),
        ("interval", P::Interval(interval)),
        ("int4", P::DbNull),
        ("numeric", P::Decimal("no number".to_owned())),
        ("uuid", P::Uuid("no uuid".to_owned())),
        ("date", P::Date((2023, 2, 29))),
        ("int4", P::Str("1".to_owned())),
    ];
    let mut results = Vec::new();
    for (kind, parameter) in cases {
        let sql = format!("SELECT $1::{kind} AS v");
        let result = match connection.query(&sql, &[parameter]) {
            Ok(rows) => described(&rows),
            Err(error) => json!(debug(error)),
        };
        results.push(json!([kind, result]));
    }
    Ok(json!(results))
}
