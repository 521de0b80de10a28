//! HTTP requests and responses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe, get, none, wait_for_log};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUTES: &str = r#"
spin_manifest_version = 2
[application]
name = "test"

[[trigger.http]]
route = "/exact/headers"
component = "exact"
[[trigger.http]]
route = "/exact/environment"
component = "exact"
[[trigger.http]]
route = "/items/:item_id/headers"
component = "item"
[[trigger.http]]
route = "/:any/environment"
component = "item"
[[trigger.http]]
route = "/rest/..."
component = { source = "PROBE", environment = { NAME = "rest" } }

[component.exact]
source = "PROBE"
environment = { NAME = "exact" }
[component.item]
source = "PROBE"
environment = { NAME = "item" }
"#;

fn values<'a>(headers: &'a Value, name: &str) -> Vec<&'a str> {
    let pairs = headers.as_array().unwrap().iter();
    pairs
        .filter(|pair| pair[0] == name)
        .map(|pair| pair[1].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_answers() {
    let probe = Probe::start(ROUTES).await;
    for (path, name) in [
        ("/exact/environment", "exact"),
        ("/other/environment", "item"),
        ("/rest/a/environment", "rest"),
    ] {
        let environment = probe.ok(path, none()).await;
        assert_eq!(environment, json!([["NAME", name]]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_told_its_route_in_headers() {
    let probe = Probe::start(ROUTES).await;

    let headers = probe.ok("/items/42/headers?a=b&c", none()).await;
    for (name, value) in [
        ("spin-path-info", ""),
        (
            "spin-full-url",
            "http://probe.example/items/42/headers?a=b&c",
        ),
        ("spin-matched-route", "/items/:item_id/headers"),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", "/items/:item_id/headers"),
        ("spin-component-route", "/items/:item_id/headers"),
        ("spin-path-match-item-id", "42"),
    ] {
        assert_eq!(values(&headers, name), [value], "{name}");
    }
    assert!(
        values(&headers, "host").is_empty(),
        "WASI has it apart from the headers"
    );
    let client = values(&headers, "spin-client-addr")[0];
    assert!(client.starts_with("127.0.0.1:"), "{client}");

    let headers = probe.ok("/rest/a/headers", none()).await;
    for (name, value) in [
        ("spin-path-info", "/a/headers"),
        ("spin-matched-route", "/rest/..."),
        ("spin-raw-component-route", "/rest/..."),
        ("spin-component-route", "/rest"),
    ] {
        assert_eq!(values(&headers, name), [value], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_client_are_kept_even_those_that_look_like_the_hosts() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let request = Request::post("/headers")
        .header("host", "probe.example")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .header("spin-path-info", "/forged")
        .body(Full::default())
        .unwrap();
    let body = probe
        .send(request)
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&body.to_bytes()).unwrap();

    assert_eq!(values(&answer["ok"], "x-twice"), ["1", "2"]);
    assert_eq!(
        values(&answer["ok"], "spin-path-info"),
        ["/forged", "/headers"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_route_is_404_without_a_body() {
    let probe = Probe::start(ROUTES).await;
    let response = probe.send(get("/nowhere/at/all")).await;
    assert_eq!(response.status(), 404);
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_paths_go_before_all_routes() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let health = probe.send(get("/.well-known/spin/health")).await;
    assert_eq!(health.status(), 200);
    assert_eq!(health.into_body().collect().await.unwrap().to_bytes(), "OK");

    let info = probe.send(get("/.well-known/spin/info")).await;
    assert_eq!(info.headers()["content-type"], "application/json");
    let info = info.into_body().collect().await.unwrap().to_bytes();
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info, json!({ "name": "test", "version": "1.2.3" }));

    assert_eq!(probe.status("/.well-known/spin/other").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_fails_before_its_answer_is_500_without_a_body() {
    let probe = Probe::start(ONE_COMPONENT).await;
    for path in ["/trap", "/exit", "/no-answer"] {
        let response = probe.send(get(path)).await;
        assert_eq!(response.status(), 500, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{path}");
    }
    wait_for_log(&probe, "as was asked").await;
    assert_eq!(probe.status("/calls").await, 200, "the host goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_sent_before_the_guest_ends() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let began = Instant::now();
    let answer = probe
        .ok("/answer-first", json!({ "milliseconds": 3000 }))
        .await;
    assert_eq!(answer, "first");
    assert!(
        began.elapsed() < Duration::from_millis(2500),
        "{:?}",
        began.elapsed()
    );
    assert!(!probe.host.log().contains("after the answer"));
    wait_for_log(&probe, "after the answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_goes_on_when_its_client_is_gone() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let mut stream = TcpStream::connect(probe.host.address()).await.unwrap();
    let body = json!({ "milliseconds": 300 }).to_string();
    let length = body.len();
    let request =
        format!("POST /answer-first HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    wait_for_log(&probe, "after the answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_state_between_requests() {
    let probe = Probe::start(ONE_COMPONENT).await;
    for _ in 0..5 {
        assert_eq!(probe.ok("/calls", none()).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_prints_is_logged() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let printed = json!({ "out": "to stdout\nwithout an end", "err": "to stderr\n" });
    probe.ok("/print", printed).await;
    wait_for_log(&probe, "without an end\n").await;
    let log = probe.host.log();
    assert!(
        log.contains("to stdout\n") && log.contains("to stderr\n"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_as_it_is_written() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let request = Request::post("/stream")
        .header("host", "a")
        .body(Full::from(r#"{"chunks": 3, "milliseconds": 700}"#))
        .unwrap();
    let mut body = probe.send(request).await.into_body();

    let began = Instant::now();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "chunk\n");
    assert!(began.elapsed() < Duration::from_millis(600));
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(rest, "chunk\nchunk\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_passes_both_ways() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let text = "0123456789".repeat(200_000);
    let request = Request::post("/echo")
        .header("host", "a")
        .body(Full::from(text.clone()));
    let response = probe.send(request.unwrap()).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert!(answer["ok"] == text.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let mut stream = TcpStream::connect(probe.host.address()).await.unwrap();
    let head =
        "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// Sends raw bytes and returns everything until the connection closes.
async fn answer_to(probe: &Probe, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(probe.host.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_no_usable_host_ends_the_connection() {
    let probe = Probe::start(ONE_COMPONENT).await;
    for request in [
        &b"GET /calls HTTP/1.0\r\n\r\n"[..],
        b"GET /calls HTTP/1.1\r\nhost: a b\r\n\r\n",
        b"GET /calls HTTP/1.1\r\nhost: \xff\r\n\r\n",
        b"GET http://b/calls HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        assert_eq!(answer_to(&probe, request).await, "", "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_utf_8_is_answered_with_a_bare_500() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let request = b"GET /calls HTTP/1.1\r\nhost: a\r\nx-odd: \xff\r\nconnection: close\r\n\r\n";
    let answer = answer_to(&probe, request).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}
