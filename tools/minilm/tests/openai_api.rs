//! The server as an OpenAI client sees it.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod common;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{model, similarity};
use minilm::{BODY_BYTES_MAX, Options, Server, TEXTS_MAX};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const MODEL: &str = "all-MiniLM-L6-v2";

async fn start() -> Server {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> Server {
    Server::start(model(), options).await.expect("it starts")
}

fn request(server: &Server, method: Method, path: &str) -> RequestBuilder {
    let url = format!("http://{}{path}", server.address());
    Client::new().request(method, url)
}

fn post(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request(server, Method::POST, "/v1/embeddings").body(body)
}

async fn send(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body = answer.bytes().await.expect("a body");
    let body = serde_json::from_slice(&body).expect("a body of JSON");
    (status, body)
}

async fn ask(server: &Server, body: &Value) -> Value {
    let (status, answer) = send(post(server, body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

async fn refusal(request: RequestBuilder, expected: StatusCode) -> Value {
    let (status, mut answer) = send(request).await;
    assert_eq!(status, expected, "{answer}");
    let error = answer["error"].take();
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{error}"
    );
    for member in ["type", "param", "code"] {
        assert!(error.get(member).is_some(), "{member}: {error}");
    }
    assert_eq!(error["type"], "invalid_request_error");
    error
}

fn floats(item: &Value) -> Vec<f32> {
    let numbers = item["embedding"].as_array().expect("an array").iter();
    numbers
        .map(|number| number.as_f64().expect("a number") as f32)
        .collect()
}

#[tokio::test]
async fn a_single_text_is_answered_in_openais_form() {
    let server = start().await;
    let answer = ask(
        &server,
        &json!({"model": MODEL, "input": "OOMKilled", "user": "me"}),
    )
    .await;
    assert_eq!(answer["object"], "list");
    assert_eq!(answer["model"], MODEL);
    let data = answer["data"].as_array().expect("an array");
    assert_eq!(data.len(), 1);
    assert_eq!(data[0]["object"], "embedding");
    assert_eq!(data[0]["index"], 0);
    let embedding = model().embed("OOMKilled").expect("an embedding");
    assert_eq!(floats(&data[0]), embedding.vector);
    let usage = json!({"prompt_tokens": embedding.tokens, "total_tokens": embedding.tokens});
    assert_eq!(answer["usage"], usage);
}

#[tokio::test]
async fn a_batch_has_the_vectors_of_its_texts_alone_in_their_order() {
    let server = start().await;
    let texts = [
        "OOMKilled",
        "The disk of node worker-3 is full, so pods are evicted",
        "é",
    ];
    let batch = ask(&server, &json!({"model": MODEL, "input": texts})).await;
    let data = batch["data"].as_array().expect("an array");
    assert_eq!(data.len(), texts.len());
    let mut tokens = 0;
    for (index, text) in texts.iter().enumerate() {
        let single = ask(&server, &json!({"model": MODEL, "input": text})).await;
        assert_eq!(data[index]["index"], index);
        assert_eq!(
            data[index]["embedding"], single["data"][0]["embedding"],
            "{text}"
        );
        tokens += single["usage"]["total_tokens"].as_u64().expect("a number");
    }
    assert_eq!(batch["usage"]["total_tokens"], tokens);
}

#[tokio::test]
async fn base64_has_the_floats_bit_for_bit() {
    let server = start().await;
    let answer = |format: &'static str| {
        let body = json!({"model": MODEL, "input": "OOMKilled", "encoding_format": format});
        let server = &server;
        async move { ask(server, &body).await["data"][0].take() }
    };
    let floats = floats(&answer("float").await);
    let encoded = answer("base64").await;
    let bytes = BASE64_STANDARD
        .decode(encoded["embedding"].as_str().expect("a string"))
        .expect("standard base64");
    let (parts, rest) = bytes.as_chunks::<4>();
    let decoded: Vec<f32> = parts.iter().copied().map(f32::from_le_bytes).collect();
    assert!(rest.is_empty());
    let bits = |vector: &[f32]| vector.iter().map(|part| part.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&decoded), bits(&floats));
}

#[tokio::test]
async fn requests_at_the_same_time_get_their_own_answers() {
    let server = start().await;
    let asked = (0..16).map(|number| {
        let text = format!("incident number {number}");
        let request = post(&server, json!({"model": MODEL, "input": text}).to_string());
        tokio::spawn(async move { (text, send(request).await) })
    });
    for task in asked.collect::<Vec<_>>() {
        let (text, (status, answer)) = task.await.expect("no panic");
        assert_eq!(status, StatusCode::OK, "{answer}");
        let expected = model().embed(&text).expect("an embedding").vector;
        let found = similarity(&floats(&answer["data"][0]), &expected);
        assert!(found > 0.999_99, "{text}: {found}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_with_the_name_of_the_member() {
    let server = start().await;
    let many = vec!["x"; TEXTS_MAX + 1];
    for (body, param) in [
        (json!([]), None),
        (json!({"input": "x"}), Some("model")),
        (json!({"model": 1, "input": "x"}), Some("model")),
        (json!({"model": MODEL}), Some("input")),
        (json!({"model": MODEL, "input": null}), Some("input")),
        (json!({"model": MODEL, "input": 1}), Some("input")),
        (json!({"model": MODEL, "input": ""}), Some("input")),
        (json!({"model": MODEL, "input": []}), Some("input")),
        (json!({"model": MODEL, "input": ["x", ""]}), Some("input")),
        (json!({"model": MODEL, "input": [1, 2]}), Some("input")),
        (json!({"model": MODEL, "input": many}), Some("input")),
        (
            json!({"model": MODEL, "input": "x", "dimensions": 1536}),
            Some("dimensions"),
        ),
        (
            json!({"model": MODEL, "input": "x", "encoding_format": "f16"}),
            Some("encoding_format"),
        ),
    ] {
        let body = body.to_string();
        let error = refusal(post(&server, body.clone()), StatusCode::BAD_REQUEST).await;
        assert_eq!(error["param"].as_str(), param, "{body:.100}: {error}");
    }
    for body in ["", "{", "{\"model\":\"\u{0}\"}"] {
        refusal(post(&server, body), StatusCode::BAD_REQUEST).await;
    }
    let not_utf8 = b"{\"model\":\"all-MiniLM-L6-v2\",\"input\":\"\xff\"}";
    refusal(post(&server, not_utf8.to_vec()), StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn another_model_and_another_path_are_not_found() {
    let server = start().await;
    let body = json!({"model": "text-embedding-ada-002", "input": "x"}).to_string();
    let error = refusal(post(&server, body), StatusCode::NOT_FOUND).await;
    assert_eq!(error["code"], "model_not_found");
    for path in ["/", "/v1", "/v1/embeddings/", "/embeddings"] {
        let error = refusal(request(&server, Method::POST, path), StatusCode::NOT_FOUND).await;
        assert_eq!(error["code"], "unknown_url", "{path}");
    }
}

#[tokio::test]
async fn another_method_is_refused_with_the_one_that_is_allowed() {
    let server = start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let wrong = || request(&server, method.clone(), "/v1/embeddings");
        refusal(wrong(), StatusCode::METHOD_NOT_ALLOWED).await;
        let answer = wrong().send().await.expect("an answer");
        assert_eq!(answer.headers()["allow"], "POST", "{method}");
    }
}

#[tokio::test]
async fn a_key_is_asked_for_where_there_is_one() {
    let server = start_with(Options {
        api_key: Some("right".to_owned()),
        ..Options::default()
    })
    .await;
    let body = json!({"model": MODEL, "input": "x"}).to_string();
    for header in [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("right"),
        Some("Basic right"),
    ] {
        let mut asked = post(&server, body.clone());
        if let Some(header) = header {
            asked = asked.header("authorization", header);
        }
        let error = refusal(asked, StatusCode::UNAUTHORIZED).await;
        assert_eq!(error["code"], "invalid_api_key", "{header:?}");
    }
    let asked = post(&server, body).header("authorization", "Bearer right");
    assert_eq!(send(asked).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_longest_body_is_taken_and_one_byte_more_is_not() {
    let server = start().await;
    let body = json!({"model": MODEL, "input": "x"}).to_string();
    let longest = body.clone() + &" ".repeat(BODY_BYTES_MAX - body.len());
    let longer = format!("{longest} ");
    assert_eq!(send(post(&server, longest)).await.0, StatusCode::OK);
    refusal(post(&server, longer), StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn a_dropped_server_answers_no_more_on_connections_that_are_open() {
    let server = start().await;
    let client = Client::new();
    let url = format!("http://{}/v1/embeddings", server.address());
    let asked = || {
        client
            .post(&url)
            .body(json!({"model": MODEL, "input": "x"}).to_string())
    };
    assert_eq!(send(asked()).await.0, StatusCode::OK);
    drop(server);
    let answer = asked().send().await;
    assert!(answer.is_err(), "{answer:?}");
}
