//! Content of the log, and secrets that it must not contain.

use e2e::{Setup, TestApp, record, remediation, set, unique};
use embedder::{Embedder, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::openai::{PATIENT, with};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID: &str = "00f067aa0ba902b7";

fn lines_of(app: &TestApp, correlation_id: &str) -> Vec<Value> {
    app.log()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["correlation_id"] == correlation_id)
        .collect()
}

/// Waits for the only line of a request, which follows its response.
async fn line_of(app: &TestApp, correlation_id: &str) -> Value {
    for _ in 0..200 {
        let mut lines = lines_of(app, correlation_id);
        if let Some(line) = lines.pop() {
            assert!(lines.is_empty(), "{lines:?}");
            return line;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no line of {correlation_id}: {}", app.log());
}

#[tokio::test]
async fn a_request_has_one_line_that_says_what_it_was() {
    let app = Setup::default().start().await;
    let name = unique("Alert");
    for cache in ["miss", "hit"] {
        let mut sent = remediation();
        set(&mut sent, json!({"signalName": name}));
        let answer = app.post_remediation(&sent).await.expect(201);
        let line = line_of(&app, sent["correlationId"].as_str().unwrap()).await;
        let object = line.as_object().unwrap();
        let mut names: Vec<_> = object.keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut expected = vec![
            "time",
            "level",
            "correlation_id",
            "route",
            "method",
            "status",
            "duration_ms",
            "request_bytes",
            "response_bytes",
            "retries",
            "model",
            "cache",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        let expected = json!({
            "level": "info", "route": "/api/v1/audit/remediation", "method": "POST",
            "status": 201, "request_bytes": sent.to_string().len(),
            "response_bytes": answer.text.len(), "retries": 0, "model": "static-v1",
            "cache": cache,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&line[name], value, "{name}");
        }
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-11-01T10:00:00.000Z".len());
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    }
}

#[tokio::test]
async fn every_line_is_json_with_a_time_and_a_level() {
    let app = Setup::default().start().await;
    app.post_bytes("workflow", "{").await.expect(400);
    app.get("/nothing").await.expect(404);
    app.get("/health/ready").await.expect(200);
    app.get("/api/v1/incidents/search?q=memory")
        .await
        .expect(200);
    let id = unique("req");
    let last = app.request(Method::GET, "/health/live");
    app.send(last.header("x-correlation-id", &id))
        .await
        .expect(200);
    line_of(&app, &id).await;
    for line in app.log().lines().filter(|line| line.contains('{')) {
        let line: Value = serde_json::from_str(line).expect(line);
        assert!(
            line["time"].is_string() && line["level"].is_string(),
            "{line}"
        );
        assert!(line["correlation_id"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_trace_is_taken_over_and_handed_on_to_the_provider() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let sent = record("workflow");
    let request = app
        .request(Method::POST, "/api/v1/audit/workflow")
        .header("traceparent", format!("00-{TRACE_ID}-{PARENT_ID}-01"))
        .header("tracestate", "congo=t61rcWkgMzE")
        .header("content-type", "application/json")
        .body(sent.to_string());
    app.send(request).await.expect(201);
    let line = line_of(&app, sent["correlationId"].as_str().unwrap()).await;
    assert_eq!(line["trace_id"], TRACE_ID);
    assert_eq!(line["parent_id"], PARENT_ID);
    let span_id = line["span_id"].as_str().unwrap();
    let received = embedder.received();
    assert_eq!(received.len(), 1);
    assert_eq!(
        received[0].header("traceparent"),
        Some(format!("00-{TRACE_ID}-{span_id}-01").as_str())
    );
    assert_eq!(received[0].header("tracestate"), Some("congo=t61rcWkgMzE"));
}

#[tokio::test]
async fn a_malformed_trace_is_none_and_none_is_made_up() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let sent = record("workflow");
    let request = app
        .request(Method::POST, "/api/v1/audit/workflow")
        .header("traceparent", format!("00-{TRACE_ID}-0000000000000000-01"))
        .header("content-type", "application/json")
        .body(sent.to_string());
    app.send(request).await.expect(201);
    let line = line_of(&app, sent["correlationId"].as_str().unwrap()).await;
    assert_eq!(line.get("trace_id"), None);
    assert_eq!(embedder.received()[0].header("traceparent"), None);
}

#[tokio::test]
async fn lines_about_trouble_name_the_request_and_its_retries_are_counted() {
    let embedder = Embedder::start().await;
    embedder.reply_with([Reply::status(503), Reply::status(500), Reply::Base64(1536)]);
    let app = with(&embedder, PATIENT).start().await;
    let sent = record("workflow");
    app.post_record("workflow", &sent).await.expect(201);
    let id = sent["correlationId"].as_str().unwrap();
    let mut lines = lines_of(&app, id);
    while lines.len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        lines = lines_of(&app, id);
    }
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str()).collect();
    assert_eq!(levels, [Some("warn"), Some("warn"), Some("info")]);
    assert_eq!(lines[2]["retries"], 2);
    assert!(lines.iter().all(|line| line["time"].is_string()));
}
