//! Request bodies that are refused before they are parsed.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::{TestApp, remediation};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::json;

const BODY_BYTES_MAX: usize = 256 * 1024;

fn padded(length: usize) -> String {
    let mut body = remediation().to_string();
    body.insert_str(1, &" ".repeat(length - body.len()));
    body
}

#[tokio::test]
async fn a_body_is_accepted_at_the_limit_and_refused_one_byte_past_it() {
    let app = TestApp::start().await;
    app.post_remediation_bytes(padded(BODY_BYTES_MAX))
        .await
        .expect(201);
    for length in [BODY_BYTES_MAX + 1, 1_000_000] {
        app.post_remediation_bytes(padded(length))
            .await
            .expect_problem(413, "payload-too-large");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let app = TestApp::start().await;
    for (length, status) in [(BODY_BYTES_MAX, 201), (BODY_BYTES_MAX + 1, 413)] {
        let chunks: Vec<Result<_, std::io::Error>> = padded(length)
            .into_bytes()
            .chunks(10_000)
            .map(|chunk| Ok(chunk.to_vec()))
            .collect();
        let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        app.post_remediation_bytes(body).await.expect(status);
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let app = TestApp::start().await;
    let post = |headers: &[(&str, &str)]| {
        let mut request = app
            .request(Method::POST, "/api/v1/audit/remediation")
            .body(remediation().to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request)
    };
    for content_type in [
        "application/json",
        "application/json; charset=UTF-8",
        "application/json; charset=utf8",
        "application/json; charset=us-ascii",
        "APPLICATION/JSON",
    ] {
        post(&[("content-type", content_type)]).await.expect(201);
    }
    for content_type in [
        "text/plain",
        "application/json; charset=latin1",
        "application/xml",
        "",
    ] {
        let refused = post(&[("content-type", content_type)]).await;
        let refused = refused.expect_problem(415, "unsupported-media-type");
        assert_eq!(refused.header("accept"), "application/json");
    }
    post(&[])
        .await
        .expect_problem(415, "unsupported-media-type");
    for encoding in ["deflate", "br", "gzip, gzip"] {
        let refused = post(&[
            ("content-type", "application/json"),
            ("content-encoding", encoding),
        ]);
        let refused = refused.await.expect_problem(415, "unsupported-media-type");
        assert_eq!(refused.header("accept-encoding"), "gzip");
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_in_gzip_is_read_and_no_more_of_it_is_unpacked_than_a_body_may_have() {
    let app = TestApp::start().await;
    let post = |encoding: &'static str, body: Vec<u8>| {
        let request = app
            .request(Method::POST, "/api/v1/audit/remediation")
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(body);
        app.send(request)
    };
    let record = remediation();
    let plain = app.post_remediation(&record).await.expect(201);
    for encoding in ["gzip", "x-gzip", "GZIP"] {
        let again = post(encoding, gzip(record.to_string().as_bytes())).await;
        assert_eq!(again.expect(201).json()["id"], plain.json()["id"]);
    }

    let padded = |length| gzip(padded(length).as_bytes());
    post("gzip", padded(BODY_BYTES_MAX)).await.expect(201);
    post("gzip", padded(BODY_BYTES_MAX + 1))
        .await
        .expect_problem(413, "payload-too-large");
    let bomb = gzip(&vec![b' '; 100 * 1024 * 1024]);
    post("gzip", bomb)
        .await
        .expect_problem(413, "payload-too-large");

    let whole = gzip(record.to_string().as_bytes());
    let cut = whole.get(..whole.len() / 2).unwrap().to_vec();
    for body in [record.to_string().into_bytes(), Vec::new(), cut] {
        let refused = post("gzip", body).await.expect_problem(400, "validation");
        assert_eq!(
            refused.violations(),
            [("body".to_owned(), "encoding".to_owned())]
        );
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let app = TestApp::start().await;
    let record = remediation();
    let stored = app.post_remediation(&record).await.expect(201);

    let marked = format!("\u{feff}{record}");
    let again = app.post_remediation_bytes(marked).await.expect(201);

    assert_eq!(again.json()["id"], stored.json()["id"]);
    app.post_remediation_bytes("\u{feff}\u{feff}{}")
        .await
        .expect_problem(400, "validation");
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_with_its_reason() {
    let app = TestApp::start().await;
    for (body, field, rule) in [
        (&b""[..], "body", "required"),
        (b"{", "body", "json"),
        (b"[]", "body", "type"),
        (b"\xff\xfe", "body", "utf-8"),
        (b"{\"name\":\"\\ud800\"}", "name", "json"),
        (
            br#"{"labels":{"app":"\ud83d \udc00"}}"#,
            "labels[\"app\"]",
            "json",
        ),
        (b"<html>", "body", "json"),
    ] {
        let answer = app
            .post_remediation_bytes(body)
            .await
            .expect_problem(400, "validation");
        let expected = [(field.to_owned(), rule.to_owned())];
        assert_eq!(answer.violations(), expected);
    }
    let deep = format!("{{\"labels\":{}{}}}", "[".repeat(32), "]".repeat(32));
    let answer = app
        .post_remediation_bytes(deep)
        .await
        .expect_problem(400, "validation");
    assert!(answer.text.contains("32 levels"), "{answer:?}");
}

#[tokio::test]
async fn nul_is_refused_where_it_stands() {
    let app = TestApp::start().await;
    let mut record = remediation();
    record["labels"] = json!({"a": "x\u{0}y"});
    let answer = app
        .post_remediation(&record)
        .await
        .expect_problem(400, "validation");
    assert_eq!(
        answer.violations(),
        [("labels[\"a\"]".to_owned(), "nul".to_owned())]
    );
}

/// Sends raw bytes and returns everything until the connection closes.
fn raw(app: &TestApp, request: &[u8], shut: bool) -> String {
    let address = app.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    if shut {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(more: &str) -> String {
    format!(
        "POST /api/v1/audit/remediation HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nConnection: close\r\n{more}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upload_stores_nothing() {
    let app = TestApp::start().await;
    let record = remediation();
    let body = record.to_string();
    let (half, _) = body.split_at(body.len() / 2);
    let request = head(&format!("Content-Length: {}\r\n", body.len())) + half;
    let answer = raw(&app, request.as_bytes(), true);
    assert!(!answer.contains(" 201 "), "{answer}");
    let correlation_id = record["correlationId"].as_str().unwrap();
    let stored =
        format!("SELECT count(*) FROM incidents WHERE correlation_id = '{correlation_id}'");
    assert_eq!(app.database.count(&stored).await, 0);
    app.post_remediation(&record).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_expects_100_continue_is_told_to_continue() {
    let app = TestApp::start().await;
    let body = remediation().to_string();
    let more = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let answer = raw(&app, (head(&more) + body.as_str()).as_bytes(), false);
    assert!(answer.contains(" 201 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_asks_first_whether_to_send_too_much_is_told_at_once() {
    let app = TestApp::start().await;
    let more = format!(
        "Expect: 100-continue\r\nContent-Length: {}\r\n",
        BODY_BYTES_MAX + 1
    );
    let answer = raw(&app, head(&more).as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_content_type_is_refused() {
    let app = TestApp::start().await;
    let body = remediation().to_string();
    let more = format!(
        "Content-Type: text/plain\r\nContent-Length: {}\r\n",
        body.len()
    );
    let answer = raw(&app, (head(&more) + body.as_str()).as_bytes(), false);
    assert!(answer.contains(" 415 "), "{answer}");
}
