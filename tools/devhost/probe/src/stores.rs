//! Operations on key-value stores. `do` names the function.

use crate::{Outcome, debug, text};
use serde_json::{Value, json};
use spin_sdk::key_value::Store;
use spin_sdk::wit::wasi::keyvalue::{atomics, batch, store};

fn shown(value: Option<Vec<u8>>) -> Value {
    value.map_or(Value::Null, |bytes| match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => json!(text),
        Ok(text) => json!(text.as_bytes()),
        Err(error) => json!(error.as_bytes()),
    })
}

pub(crate) fn key_value(arguments: &Value) -> Outcome {
    let store = Store::open(text(arguments, "store")).map_err(debug)?;
    let key = text(arguments, "key");
    match text(arguments, "do") {
        "get" => store.get(key).map(shown).map_err(debug),
        "set" => {
            let value = text(arguments, "value").as_bytes();
            store.set(key, value).map_err(debug)?;
            Ok(Value::Null)
        }
        "delete" => {
            store.delete(key).map_err(debug)?;
            Ok(Value::Null)
        }
        "exists" => store.exists(key).map(|exists| json!(exists)).map_err(debug),
        "keys" => store.get_keys().map(|keys| json!(keys)).map_err(debug),
        _ => Err("no such function".to_owned()),
    }
}

pub(crate) fn wasi(arguments: &Value) -> Outcome {
    let bucket = store::open(text(arguments, "store")).map_err(debug)?;
    let key = text(arguments, "key");
    match text(arguments, "do") {
        "get" => bucket.get(key).map(shown).map_err(debug),
        "increment" => {
            let delta = arguments["delta"].as_i64().unwrap_or_default();
            let value = atomics::increment(&bucket, key, delta);
            value.map(|value| json!(value)).map_err(debug)
        }
        "set-many" => {
            let pairs = [
                ("a".to_owned(), b"1".to_vec()),
                ("b".to_owned(), b"2".to_vec()),
            ];
            batch::set_many(&bucket, &pairs).map_err(debug)?;
            Ok(Value::Null)
        }
        "get-many" => {
            let keys = ["a".to_owned(), "missing".to_owned(), "b".to_owned()];
            let pairs = batch::get_many(&bucket, &keys).map_err(debug)?;
            let pair = |(key, value)| json!([key, shown(value)]);
            Ok(pairs.into_iter().map(pair).collect())
        }
        "delete-many" => {
            batch::delete_many(&bucket, &["a".to_owned(), "b".to_owned()]).map_err(debug)?;
            Ok(Value::Null)
        }
        "swap" => swap(&bucket, key, text(arguments, "value")),
        _ => Err("no such function".to_owned()),
    }
}

/// Swaps after another client changed the value, then swaps again.
fn swap(bucket: &store::Bucket, key: &str, value: &str) -> Outcome {
    let cas = atomics::Cas::new(bucket, key).map_err(debug)?;
    let seen = cas.current().map_err(debug)?;
    bucket.set(key, b"another's").map_err(debug)?;
    let first = atomics::swap(cas, value.as_bytes());
    let Err(atomics::CasError::CasFailed(cas)) = first else {
        return Err(format!(
            "the first swap did not fail as it should: {first:?}"
        ));
    };
    let seen_then = cas.current().map_err(debug)?;
    atomics::swap(cas, value.as_bytes()).map_err(debug)?;
    let now = bucket.get(key).map_err(debug)?;
    Ok(json!([shown(seen), shown(seen_then), shown(now)]))
}
