//! The guest's own connections to Redis.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe, required_url};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

async fn probe() -> Probe {
    let grant = "allowed_outbound_hosts = [\"redis://*:*\"]";
    Probe::start(&format!("{ONE_COMPONENT}{grant}")).await
}

async fn run(probe: &Probe, connections: usize, calls: Value) -> Value {
    let url = required_url("REDIS_URL");
    let arguments = json!({ "url": url, "open": connections, "calls": calls });
    probe.ok("/redis", arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_does_what_it_is_called() {
    let probe = probe().await;
    let calls = json!([
        ["del", "f:text", "f:number", "f:set"],
        ["get", "f:text"],
        ["set", "f:text", "täxt"],
        ["get", "f:text"],
        ["incr", "f:number"],
        ["incr", "f:number"],
        ["sadd", "f:set", "a", "b", "a"],
        ["smembers", "f:set"],
        ["srem", "f:set", "b", "c"],
        ["smembers", "f:set"],
        ["publish", "f:channel", "nobody listens"],
        ["del", "f:text", "f:number", "f:set", "f:missing"],
    ]);
    let mut results = run(&probe, 1, calls).await;
    let mut members: Vec<_> = results[7].as_array().unwrap().clone();
    members.sort_by_key(ToString::to_string);
    results[7] = json!(members);
    let text: Vec<u8> = "täxt".into();
    let expected = json!([
        results[0],
        "None",
        null,
        format!("Some({text:?})"),
        1,
        2,
        2,
        ["a", "b"],
        1,
        ["a"],
        null,
        3,
    ]);
    assert_eq!(results, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_command_is_executed_and_its_answer_is_flat() {
    let probe = probe().await;
    let calls = json!([
        ["execute", "SET", "x:text", "v", "PX", 60_000],
        ["execute", "PTTL", "x:missing"],
        ["execute", "GET", "x:missing"],
        ["execute", "MGET", "x:text", "x:missing"],
        [
            "execute",
            "EVAL",
            "return {1, {'a', {2}}, redis.status_reply('S')}",
            0
        ],
        ["execute", "HINCRBYFLOAT", "x:hash", "f", "0.5"],
        ["execute", "DEL", "x:text", "x:hash"],
        ["execute", "PING"],
    ]);
    let expected = json!([
        ["RedisResult::Status(\"OK\")"],
        ["RedisResult::Int64(-2)"],
        ["RedisResult::Nil"],
        ["RedisResult::Binary([118])", "RedisResult::Nil"],
        [
            "RedisResult::Int64(1)",
            "RedisResult::Binary([97])",
            "RedisResult::Int64(2)",
            "RedisResult::Status(\"S\")"
        ],
        ["RedisResult::Binary([48, 46, 53])"],
        ["RedisResult::Int64(2)"],
        ["RedisResult::Status(\"PONG\")"],
    ]);
    assert_eq!(run(&probe, 1, calls).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_in_the_words_that_spin_has() {
    let probe = probe().await;
    let calls = json!([
        ["set", "e:text", "v"],
        ["incr", "e:text"],
        ["sadd", "e:text", "v"],
        ["smembers", "e:text"],
        ["execute", "NO-SUCH-COMMAND"],
        ["execute", "MULTI"],
        ["sadd", "e:set", "v"],
        ["execute", "DISCARD"],
        ["del", "e:text"],
    ]);
    let wrong_type =
        r#"Error::Other("WRONGTYPE: Operation against a key holding the wrong kind of value")"#;
    let results = run(&probe, 1, calls).await;
    assert_eq!(
        results[1]["err"],
        "Error::Other(\"An error was signalled by the server - ResponseError: \
         value is not an integer or out of range\")"
    );
    assert_eq!(results[2]["err"], wrong_type);
    assert_eq!(results[3]["err"], wrong_type);
    let unknown = results[4]["err"].as_str().unwrap();
    let start = "Error::Other(\"An error was signalled by the server - ResponseError: unknown";
    assert!(unknown.starts_with(start), "{unknown}");
    assert_eq!(results[6]["err"], "Error::TypeError");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_open_is_a_connection_of_its_own_and_ends_with_the_request() {
    let probe = probe().await;
    let ids = run(
        &probe,
        2,
        json!([["execute", "CLIENT", "ID"], ["execute", "CLIENT", "ID"]]),
    )
    .await;
    assert_ne!(ids[0], ids[1]);

    // A name tells these connections from those of other tests.
    let name = ["execute", "CLIENT", "SETNAME", "of-its-own"];
    let list = ["execute", "CLIENT", "LIST"];
    let named = run(&probe, 2, json!([name, name, list])).await;
    assert_eq!(count(&named[2][0]), 2);
    let began = Instant::now();
    while count(&run(&probe, 1, json!([list])).await[0][0]) > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "they stay open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts the connections of that name in a client list, which arrives as the text of its bytes.
fn count(list: &Value) -> usize {
    let bytes = list.as_str().unwrap().replace("RedisResult::Binary(", "");
    let bytes: Vec<u8> = serde_json::from_str(bytes.trim_end_matches(')')).unwrap();
    let list = String::from_utf8(bytes).unwrap();
    list.matches("name=of-its-own ").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_hold_1024_connections() {
    let probe = probe().await;
    let url = required_url("REDIS_URL");
    let arguments = json!({ "url": url, "open": 1025, "calls": [] });
    let error = probe.err("/redis", arguments).await;
    assert_eq!(error, "Error::TooManyConnections");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_or_none_at_all_is_invalid() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = |url: String| json!({ "url": url, "calls": [] });

    // Another scheme or port does not count.
    for allowed in [
        format!("http://{address}"),
        format!("postgres://{address}"),
        "redis://127.0.0.1".to_owned(),
        "redis://127.0.0.2:*".to_owned(),
    ] {
        let grant = format!("allowed_outbound_hosts = [{allowed:?}]");
        let probe = Probe::start(&format!("{ONE_COMPONENT}{grant}")).await;
        let error = probe
            .err("/redis", open(format!("redis://{address}")))
            .await;
        assert_eq!(error, "Error::InvalidAddress", "{allowed}");
    }

    let probe = probe().await;
    for url in [
        // Allowed, but not a Redis URL.
        format!("{address}"),
        format!("redis://{address}/not-a-number"),
        // A Unix socket, which passes for an allowed host named `unix`.
        "unix:///redis.sock".to_owned(),
        "redis+unix:///redis.sock".to_owned(),
        format!("rediss://{address}"),
        format!("http://{address}"),
        "redis://".to_owned(),
        String::new(),
    ] {
        let error = probe.err("/redis", open(url.clone())).await;
        assert_eq!(error, "Error::InvalidAddress", "{url}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "something connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_fails_at_once() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let probe = probe().await;
    let began = Instant::now();
    let arguments = json!({ "url": format!("redis://{closed}"), "calls": [] });
    let error = probe.err("/redis", arguments).await;
    assert!(error.contains("Connection refused"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let probe = probe().await;
    let arguments = json!({ "url": format!("redis://{address}"), "calls": [] });
    // The client's own limits would be 1 s and 0.5 s.
    let waited = tokio::time::timeout(Duration::from_secs(2), probe.call("/redis", arguments));
    assert!(waited.await.is_err());
}
