//! Operations on Redis.

// The probe exists to open connections, which the service may only do in its shared store.
#![allow(clippy::disallowed_methods)]

use crate::{Outcome, debug, text};
use serde_json::{Value, json};
use spin_sdk::redis::{Connection, RedisParameter};

/// Opens `open` connections (default 1) to `url`, and runs `calls` on them in turn. A call is a
/// list of a function's name and its arguments. Returns the list of results.
pub(crate) fn run(arguments: &Value) -> Outcome {
    let open = arguments["open"].as_u64().unwrap_or(1);
    let open = (0..open).map(|_| Connection::open(text(arguments, "url")));
    let connections: Vec<_> = open.collect::<Result<_, _>>().map_err(debug)?;
    let calls = arguments["calls"].as_array().into_iter().flatten();
    let results = calls.zip(connections.iter().cycle());
    let results = results.map(|(call_, connection)| match call(connection, call_) {
        Ok(value) => value,
        Err(error) => json!({ "err": error }),
    });
    Ok(results.collect())
}

fn call(connection: &Connection, call: &Value) -> Outcome {
    let argument = |index: usize| call[index].as_str().unwrap_or_default();
    let arguments = call.as_array().into_iter().flatten().skip(2);
    let texts: Vec<_> = arguments
        .clone()
        .map(|argument| argument.as_str().unwrap_or_default().to_owned())
        .collect();
    let (key, value) = (argument(1), argument(2));
    match argument(0) {
        "publish" => done(connection.publish(key, value.as_bytes())),
        "get" => connection
            .get(key)
            .map(debug)
            .map(Value::from)
            .map_err(debug),
        "set" => done(connection.set(key, value.as_bytes())),
        "incr" => connection.incr(key).map(Value::from).map_err(debug),
        "del" => connection
            .del(&[vec![key.to_owned()], texts].concat())
            .map(Value::from)
            .map_err(debug),
        "sadd" => connection.sadd(key, &texts).map(Value::from).map_err(debug),
        "smembers" => connection.smembers(key).map(Value::from).map_err(debug),
        "srem" => connection.srem(key, &texts).map(Value::from).map_err(debug),
        "execute" => {
            let parameter = |argument: &Value| match argument.as_i64() {
                Some(number) => RedisParameter::Int64(number),
                None => RedisParameter::Binary(argument.as_str().unwrap_or_default().into()),
            };
            let parameters: Vec<_> = arguments.map(parameter).collect();
            let results = connection.execute(key, &parameters).map_err(debug)?;
            Ok(results.into_iter().map(debug).collect())
        }
        other => Err(format!("no such function: {other}")),
    }
}

fn done<E: std::fmt::Debug>(result: Result<(), E>) -> Outcome {
    result.map(|()| Value::Null).map_err(debug)
}
