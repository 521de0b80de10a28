//! The guest of devhost's tests. The end of the request's path names an operation, the JSON body
//! has its arguments. The response is `{"ok": ...}` or `{"err": "..."}`, with errors and database
//! values in debug form.

#![allow(clippy::panic, clippy::expect_used)]

mod database;
mod network;
mod redis;
mod stores;

use serde_json::{Value, json};
use spin_sdk::http::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};
use spin_sdk::{http_component, variables};
use std::fmt::Debug;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

type Outcome = Result<Value, String>;

/// Number of calls of this instance. A value above 1 means that instances were reused.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let headers = request.headers().entries();
    let path = request.path_with_query().unwrap_or_default();
    let body = request.into_body().await.unwrap_or_default();
    let arguments: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let operation = path.rsplit('/').next().unwrap_or_default();

    let outcome = match operation {
        "headers" => Ok(header_list(headers)),
        "echo" => Ok(json!(String::from_utf8_lossy(&body))),
        "calls" => Ok(json!(CALLS.fetch_add(1, Ordering::Relaxed) + 1)),
        "environment" => Ok(json!(std::env::vars().collect::<Vec<_>>())),
        "variable" => variables::get(text(&arguments, "name"))
            .map(|value| json!(value))
            .map_err(debug),
        "print" => {
            print!("{}", text(&arguments, "out"));
            eprint!("{}", text(&arguments, "err"));
            // An instance does not exit, so nothing else flushes.
            std::io::stdout().flush().map_err(debug).map(Value::from)
        }
        "sleep" => {
            sleep(&arguments);
            Ok(Value::Null)
        }
        "trap" => panic!("as was asked"),
        "exit" => std::process::exit(1),
        "no-answer" => return,
        "answer-first" => return answer_first(out, &arguments).await,
        "stream" => return stream(out, &arguments).await,
        "outbound" => network::send(&arguments),
        "pg-open" => database::open(&arguments),
        "pg-query" => database::query(&arguments),
        "pg-execute" => database::execute(&arguments),
        "pg-types" => database::types(&arguments),
        "redis" => redis::run(&arguments),
        "kv" => stores::key_value(&arguments),
        "wasi-kv" => stores::wasi(&arguments),
        _ => Err(format!("no such operation: {operation}")),
    };
    answer(out, outcome).await;
}

async fn answer(out: ResponseOutparam, outcome: Outcome) {
    let body = match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "err": error }),
    };
    let response = OutgoingResponse::new(Fields::new());
    _ = out
        .set_with_body(response, body.to_string().into_bytes())
        .await;
}

async fn answer_first(out: ResponseOutparam, arguments: &Value) {
    answer(out, Ok(json!("first"))).await;
    sleep(arguments);
    println!("after the answer");
}

async fn stream(out: ResponseOutparam, arguments: &Value) {
    use spin_sdk::wit::wasi::http0_2_0::types::OutgoingBody;

    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body is not taken yet");
    out.set(response);
    let output = body.write().expect("the stream is not taken yet");
    for index in 0..arguments["chunks"].as_u64().unwrap_or_default() {
        if index > 0 {
            sleep(arguments);
        }
        if output.blocking_write_and_flush(b"chunk\n").is_err() {
            println!("the client is gone");
            return;
        }
    }
    drop(output);
    _ = OutgoingBody::finish(body, None);
}

fn header_list(entries: Vec<(String, Vec<u8>)>) -> Value {
    let text = |(name, value): (String, Vec<u8>)| json!([name, String::from_utf8_lossy(&value)]);
    entries.into_iter().map(text).collect()
}

fn sleep(arguments: &Value) {
    println!("sleeping");
    let time = arguments["milliseconds"].as_u64().unwrap_or_default();
    std::thread::sleep(Duration::from_millis(time));
}

fn text<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments[name].as_str().unwrap_or_default()
}

fn debug(error: impl Debug) -> String {
    format!("{error:?}")
}
