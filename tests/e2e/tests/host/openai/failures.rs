use std::time::{Duration, SystemTime};

use e2e::{TestApp, record, unique};
use embedder::{Embedder, Reply};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{LOCAL_MODEL, MODEL, PATIENT, model_for, with};

const HASTY: &str = "3000";

fn failures(app: &TestApp) -> Vec<Value> {
    app.log()
        .lines()
        .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
        .filter(|line: &Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("embedding provider failed")
        })
        .collect()
}

/// Returns faults that a retry can cure.
fn passing_failures() -> Vec<(&'static str, Reply)> {
    let mut no_number = vec![1.0; 1536];
    no_number[1535] = f32::NAN;
    vec![
        ("status 429", Reply::status(429)),
        ("status 408", Reply::status(408)),
        ("status 500", Reply::status(500)),
        ("status 503", Reply::status_with(503, "retry-after: 0\r\n")),
        ("status 204", Reply::status(204)),
        ("the response ended early", Reply::Cut),
        ("the connection broke", Reply::Close),
        ("all zeros or not finite", Reply::components(&[])),
        ("all zeros or not finite", Reply::components(&[0.0; 1536])),
        ("all zeros or not finite", Reply::components(&no_number)),
        ("the database stores at most", Reply::Base64(1537)),
        ("the database stores at most", Reply::Decimals(3072)),
        (
            "not a list of embeddings",
            Reply::body(r#"{"data":[{"embedding":[NaN]}]}"#),
        ),
        (
            "not a list of embeddings",
            Reply::body("<!doctype html><title>Welcome</title>"),
        ),
        (
            "not a list of embeddings",
            Reply::body(r#"{"object":"list"}"#),
        ),
        ("not a list of embeddings", Reply::body("")),
        ("not exactly one embedding", Reply::body(r#"{"data":[]}"#)),
        (
            "larger than the size limit",
            Reply::body(format!(
                r#"{{"data":[{{"embedding":[1]}}]{}}}"#,
                " ".repeat(1024 * 1024)
            )),
        ),
    ]
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for (error, reply) in passing_failures() {
        let before = failures(&app).len();
        embedder.reply_with([reply, Reply::Base64(1536)]);
        assert_eq!(model_for(&app, &unique("Alert")).await, MODEL, "{error}");
        assert_eq!(embedder.received().len(), 2, "{error}");
        let logged = failures(&app).split_off(before);
        assert_eq!(logged.len(), 1, "{error}: {logged:?}");
        let text = logged[0]["error"].as_str().unwrap();
        assert!(text.contains(error), "{error}: {logged:?}");
    }
}

#[tokio::test]
async fn something_that_took_too_long_is_no_text_that_is_too_long() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let text = unique("Alert ").repeat(4);
    for status in [408, 429, 500, 502, 503, 504] {
        let busy = Reply::Answer {
            status,
            headers: String::new(),
            body: "the upstream took too long to respond".to_owned(),
        };
        embedder.reply_with([busy, Reply::Base64(1536)]);
        let mut analysis = record("aianalysis");
        analysis["rootCause"] = json!(format!("{status} {}", text.repeat(10)));
        app.post_record("aianalysis", &analysis).await.expect(201);
        let received = embedder.received();
        assert_eq!(received.len(), 2, "{status}");
        assert_eq!(received[0].body, received[1].body, "{status}");
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_tried_four_times_and_then_the_local_model_embeds() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for reply in [
        Reply::status(500),
        Reply::Close,
        Reply::Base64(3072),
        Reply::body("<!doctype html>"),
    ] {
        let before = failures(&app).len();
        embedder.reply_with([reply.clone()]);
        let model = model_for(&app, &unique("Alert")).await;
        assert_eq!(model, LOCAL_MODEL, "{reply:?}");
        assert_eq!(embedder.received().len(), 4, "{reply:?}");
        let logged = failures(&app).split_off(before);
        let attempts: Vec<_> = logged.iter().map(|line| line["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 2, 3, 4], "{logged:?}");
        let is_retried: Vec<_> = logged.iter().map(|l| !l["retry_in_ms"].is_null()).collect();
        assert_eq!(is_retried, [true, true, true, false], "{logged:?}");
    }
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_tried_once() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let elsewhere = format!("location: {}/v2/embeddings\r\n", embedder.host());
    for reply in [
        Reply::status(400),
        Reply::status(401),
        Reply::status_with(403, "retry-after: 1\r\n"),
        Reply::status(404),
        Reply::status(413),
        Reply::status(422),
        Reply::status_with(301, elsewhere.as_str()),
        Reply::status_with(307, elsewhere.as_str()),
    ] {
        embedder.reply_with([reply.clone(), Reply::Base64(1536)]);
        let model = model_for(&app, &unique("Alert")).await;
        assert_eq!(model, LOCAL_MODEL, "{reply:?}");
        assert_eq!(embedder.received().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn the_next_attempt_waits_as_long_as_the_server_asks() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for (is_date, delay_ms) in [(false, 1000..=1000), (true, 400..=5000)] {
        let before = failures(&app).len();
        let soon = SystemTime::now() + Duration::from_secs(5);
        let wait = if is_date {
            httpdate::fmt_http_date(soon)
        } else {
            "1".to_owned()
        };
        let busy = Reply::status_with(429, format!("retry-after: {wait}\r\n"));
        embedder.reply_with([busy, Reply::Base64(1536)]);
        assert_eq!(model_for(&app, &unique("Alert")).await, MODEL, "{wait}");
        assert_eq!(embedder.received().len(), 2, "{wait}");
        let logged = failures(&app).split_off(before);
        let delay = logged[0]["retry_in_ms"].as_u64().unwrap();
        assert!(delay_ms.contains(&delay), "{wait}: {logged:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    for wait in ["31", "99999999999999999999999", &later] {
        let busy = Reply::status_with(429, format!("retry-after: {wait}\r\n"));
        embedder.reply_with([busy, Reply::Base64(1536)]);
        let model = model_for(&app, &unique("Alert")).await;
        assert_eq!(model, LOCAL_MODEL, "{wait}");
        assert_eq!(embedder.received().len(), 1, "{wait}");
    }
}

#[tokio::test]
async fn a_server_that_is_slow_is_waited_for() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::Late(Duration::from_millis(300))]);
    assert_eq!(model_for(&app, &unique("Alert")).await, MODEL);
    assert_eq!(embedder.received().len(), 1);
}

#[tokio::test]
async fn a_server_that_never_ends_its_answer_is_left_at_the_deadline() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, HASTY).start().await;
    for reply in [
        Reply::Silence,
        Reply::Late(Duration::from_secs(60)),
        Reply::Dribble(Duration::from_millis(20)),
    ] {
        let before = failures(&app).len();
        embedder.reply_with([reply.clone()]);
        let model = model_for(&app, &unique("Alert")).await;
        assert_eq!(model, LOCAL_MODEL, "{reply:?}");
        // An attempt gets half of the deadline, less the wait between attempts.
        let logged = failures(&app).split_off(before);
        assert_eq!(logged.len(), 2, "{reply:?}: {logged:?}");
        assert!(embedder.received().len() <= 2, "{reply:?}");
        for line in logged {
            assert_eq!(line["error"], "no response in time", "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_silent_once_is_asked_again() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, "6000").start().await;
    embedder.reply_with([Reply::Silence, Reply::Base64(1536)]);
    assert_eq!(model_for(&app, &unique("Alert")).await, MODEL);
    assert_eq!(embedder.received().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_no_record() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_base_url", format!("{host}/v1"))
        .variable("embedding_host", &host)
        .start()
        .await;
    assert_eq!(model_for(&app, "HighMemoryUsage").await, LOCAL_MODEL);
    let logged = failures(&app);
    assert_eq!(logged.len(), 4, "{logged:?}");
    assert_eq!(logged[3]["error"], "connection refused");
}

#[tokio::test]
async fn a_server_that_is_not_granted_is_not_reached() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_host", "http://127.0.0.1:1")
        .start()
        .await;
    assert_eq!(model_for(&app, "HighMemoryUsage").await, LOCAL_MODEL);
    assert_eq!(embedder.received().len(), 0);
    let logged = failures(&app);
    assert_eq!(logged.len(), 1, "{logged:?}");
    let error = logged[0]["error"].as_str().unwrap();
    assert!(error.contains("embedding_host"), "{logged:?}");
}
