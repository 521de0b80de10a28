//! `GET /metrics` and the Redis that stores the metrics.

use std::time::{Duration, Instant};

use e2e::{Answer, KINDS, Proxy, Setup, TestApp, record, remediation, set};
use embedder::{Embedder, Reply};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::openai::{LOCAL_MODEL, MODEL, PATIENT, with};
use crate::own_redis::own_redis;

/// Longest wait for the metrics of a request, which follow its response.
const WAIT_MAX: Duration = Duration::from_secs(20);

const HITS: &str = "datastorage_embedding_cache_hits_total";
const MISSES: &str = "datastorage_embedding_cache_misses_total";
const REUSED: &str = "datastorage_embedding_reused_total";

async fn start(redis_url: &str) -> TestApp {
    Setup::default()
        .variable("redis_url", redis_url)
        .start()
        .await
}

fn value(metrics: &Answer, series: &str) -> Option<f64> {
    let (_, value) = metrics
        .text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .find(|(name, _)| *name == series)?;
    Some(value.parse().unwrap())
}

async fn metrics_with(app: &TestApp, series: &str, expected: f64) -> Answer {
    let begun = Instant::now();
    loop {
        let metrics = app.get("/metrics").await.expect(200);
        if value(&metrics, series) == Some(expected) {
            return metrics;
        }
        assert!(begun.elapsed() < WAIT_MAX, "{series}: {}", metrics.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn writes(kind: &str, status: &str) -> String {
    format!("datastorage_audit_writes_total{{type=\"{kind}\",status=\"{status}\"}}")
}

/// Series of the vectors that a model made.
fn made(model: &str) -> String {
    format!("datastorage_embedding_generation_duration_seconds_count{{model=\"{model}\"}}")
}

#[tokio::test]
async fn writes_are_counted_by_kind_and_by_what_became_of_them() {
    let app = start(&own_redis().await.0).await;
    for (index, kind) in KINDS.into_iter().enumerate() {
        let sent = record(kind);
        for _ in 0..=index {
            app.post_record(kind, &sent).await.expect(201);
        }
        app.post_bytes(kind, "{}").await.expect(400);
        app.post_bytes(kind, "{").await.expect(400);
    }
    let expected = KINDS.into_iter().enumerate().flat_map(|(index, kind)| {
        let path = format!("/api/v1/audit/{kind}");
        [
            (writes(kind, "created"), 1),
            (writes(kind, "replayed"), index),
            (writes(kind, "refused"), 2),
            (writes(kind, "failed"), 0),
            (
                format!("datastorage_audit_write_duration_seconds_count{{type=\"{kind}\"}}"),
                index + 1,
            ),
            (
                format!("http_requests_total{{method=\"POST\",path=\"{path}\",status=\"201\"}}"),
                index + 1,
            ),
            (
                format!("http_request_duration_seconds_count{{method=\"POST\",path=\"{path}\"}}"),
                index + 3,
            ),
        ]
    });
    let expected: Vec<_> = expected.collect();
    for (series, expected) in &expected {
        metrics_with(&app, series, *expected as f64).await;
    }
    let metrics = app.get("/metrics").await.expect(200);
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for (series, expected) in expected {
        let found = value(&metrics, &series);
        assert_eq!(found, Some(expected as f64), "{series}\n{}", metrics.text);
    }
}

#[tokio::test]
async fn paths_are_templates_and_methods_are_known_ones() {
    let app = start(&own_redis().await.0).await;
    app.get("/api/v1/incidents/4711").await.expect(404);
    app.get("/api/v1/incidents?namespace=secret-tenant").await;
    app.get("/nothing/at/secret-tenant").await.expect(404);
    let odd = Method::from_bytes(b"SECRET-TENANT").unwrap();
    app.send(app.request(odd, "/health/live")).await.expect(405);
    let series = "http_requests_total{method=\"OTHER\",path=\"/health\",status=\"405\"}";
    let metrics = metrics_with(&app, series, 1.0).await;
    for series in [
        "http_requests_total{method=\"GET\",path=\"/api/v1/incidents/{id}\",status=\"404\"}",
        "http_requests_total{method=\"GET\",path=\"/api/v1/incidents\",status=\"200\"}",
        "http_requests_total{method=\"GET\",path=\"/...\",status=\"404\"}",
    ] {
        assert_eq!(value(&metrics, series), Some(1.0), "{}", metrics.text);
    }
    assert!(!metrics.text.contains("4711"), "{}", metrics.text);
    assert!(!metrics.text.to_lowercase().contains("secret-tenant"));
}

#[tokio::test]
async fn vectors_are_counted_by_where_they_come_from() {
    let embedder = Embedder::start().await;
    let (redis_url, _) = own_redis().await;
    let app = with(&embedder, PATIENT)
        .variable("redis_url", &redis_url)
        .start()
        .await;
    let post = async |app: &TestApp, name: &str| {
        let mut sent = remediation();
        set(&mut sent, json!({"signalName": name}));
        app.post_remediation(&sent).await.expect(201);
    };
    // The cache lacks it, then the database has it, then only the cache.
    post(&app, "HighMemoryUsage").await;
    post(&app, "HighMemoryUsage").await;
    metrics_with(&app, REUSED, 1.0).await;
    app.database.execute("DELETE FROM embeddings").await;
    post(&app, "HighMemoryUsage").await;
    metrics_with(&app, HITS, 1.0).await;
    metrics_with(&app, MISSES, 1.0).await;

    // Of four texts to embed again, the cache has one; the other three share a call.
    app.database
        .execute("UPDATE embeddings SET model = 'another'")
        .await;
    embedder.reply_with([Reply::status(401)]);
    for _ in 0..3 {
        post(&app, &e2e::unique("Alert")).await;
    }
    metrics_with(&app, MISSES, 4.0).await;
    embedder.reply_with([Reply::Base64(1536)]);
    let path = "/api/v1/embeddings/backfill";
    app.send(app.request(Method::POST, path)).await.expect(200);
    assert_eq!(embedder.received().len(), 1);
    for (series, expected) in [
        (HITS, 2.0),
        (MISSES, 7.0),
        (made(MODEL).as_str(), 4.0),
        (made(LOCAL_MODEL).as_str(), 3.0),
    ] {
        metrics_with(&app, series, expected).await;
    }

    // The local model needs no cache.
    let local = start(&redis_url).await;
    post(&local, "HighMemoryUsage").await;
    let metrics = metrics_with(&local, &made(LOCAL_MODEL), 4.0).await;
    for (series, expected) in [(HITS, 2.0), (MISSES, 7.0), (REUSED, 1.0)] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}");
    }
}

#[tokio::test]
async fn totals_are_those_of_all_replicas_and_never_run_backwards() {
    const WRITES: usize = 60;
    let (redis_url, _) = own_redis().await;
    let one = start(&redis_url).await;
    let two = Setup::default()
        .database(&one.database)
        .variable("redis_url", redis_url)
        .start()
        .await;
    let writers = (0..WRITES).map(|number| {
        let app = if number % 2 == 0 { &one } else { &two };
        async move {
            app.post_remediation(&remediation()).await.expect(201);
        }
    });
    let created = writes("remediation", "created");
    let reader = async {
        let mut last = 0.0;
        while last < WRITES as f64 {
            for app in [&one, &two] {
                let now = value(&app.get("/metrics").await.expect(200), &created).unwrap();
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
        }
        last
    };
    let (_, last) =
        tokio::time::timeout(WAIT_MAX, async { tokio::join!(join_all(writers), reader) })
            .await
            .expect("every write is counted");
    assert_eq!(last, WRITES as f64);
    for app in [&one, &two] {
        metrics_with(app, &created, WRITES as f64).await;
    }
}

#[tokio::test]
async fn failed_statements_are_counted_by_their_class() {
    let (redis_url, _) = own_redis().await;
    let database = e2e::Database::create().await;
    let proxy = Proxy::start(database.host()).await;
    let app = Setup::default()
        .database(&database)
        .database_host(proxy.host())
        .variable("redis_url", redis_url)
        .start()
        .await;
    proxy.cut();
    let answer = app.post_remediation(&remediation()).await;
    answer.expect_problem(503, "unavailable");
    let metrics = metrics_with(&app, &writes("remediation", "failed"), 1.0).await;
    let errors = "datastorage_database_write_errors_total{sqlstate_class=\"connection\"}";
    // The first attempt and three retries.
    assert_eq!(value(&metrics, errors), Some(4.0), "{}", metrics.text);
    assert!(app.log().contains("\"retries\":3"), "{}", app.log());
}

#[tokio::test]
async fn a_redis_that_is_down_costs_metrics_only() {
    let (redis_url, _) = own_redis().await;
    let address = redis_url.trim_start_matches("redis://");
    let (server, number) = address.rsplit_once('/').unwrap();
    let proxy = Proxy::start(server.rsplit('@').next().unwrap().to_owned()).await;
    let app = Setup::default()
        .variable("redis_url", format!("redis://{}/{number}", proxy.host()))
        // A write that ran a round could be counted after the proxy is mended.
        .variable("log_signing_key", "")
        .start()
        .await;
    let created = writes("remediation", "created");
    app.post_remediation(&remediation()).await.expect(201);
    metrics_with(&app, &created, 1.0).await;

    proxy.cut();
    let begun = Instant::now();
    for _ in 0..20 {
        app.post_remediation(&remediation()).await.expect(201);
    }
    app.get("/api/v1/incidents").await.expect(200);
    app.get("/health/ready").await.expect(200);
    assert!(begun.elapsed() < WAIT_MAX, "{:?}", begun.elapsed());
    let answer = app.get("/metrics").await.expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    let log = app.log();
    assert!(log.contains("not counted in the metrics"), "{log}");
    assert!(!log.contains(&proxy.host()), "an address is logged: {log}");

    proxy.mend();
    app.post_remediation(&remediation()).await.expect(201);
    metrics_with(&app, &created, 2.0).await;
}

#[tokio::test]
async fn a_redis_that_never_answers_delays_no_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = start(&format!("redis://{}", silent.local_addr().unwrap())).await;
    let answers = join_all((0..20).map(|_| async {
        app.post_remediation(&remediation()).await.expect(201);
        app.get("/api/v1/incidents").await.expect(200);
    }));
    tokio::time::timeout(WAIT_MAX, answers)
        .await
        .expect("answers do not wait for Redis");
}

#[tokio::test]
async fn without_a_redis_there_are_no_metrics_and_all_else_works() {
    let app = start("").await;
    app.post_remediation(&remediation()).await.expect(201);
    let answer = app.get("/metrics").await.expect_problem(503, "unavailable");
    assert!(answer.text.contains("redis_url"), "{answer:?}");
    assert!(!app.log().contains("not counted"), "{}", app.log());
}

#[tokio::test]
async fn what_is_no_number_in_redis_is_not_told_as_a_metric() {
    let (redis_url, mut redis) = own_redis().await;
    let app = start(&redis_url).await;
    let hash = "data-storage:metrics";
    for field in ["of another version", "{\"cache\":true}"] {
        let () = redis::cmd("HSET")
            .arg((hash, field, 3))
            .query_async(&mut redis)
            .await
            .unwrap();
    }
    let metrics = metrics_with(&app, HITS, 3.0).await;
    assert!(!metrics.text.contains("another version"));
    let () = redis::cmd("HSET")
        .arg((hash, "{\"cache\":true}", "many"))
        .query_async(&mut redis)
        .await
        .unwrap();
    let () = redis::cmd("HSET")
        .arg((hash, b"\xff", b"\xff"))
        .query_async(&mut redis)
        .await
        .unwrap();
    let metrics = metrics_with(&app, HITS, 0.0).await;
    assert!(!metrics.text.contains("many"), "{}", metrics.text);

    let name = e2e::unique("Alert");
    for _ in 0..2 {
        let mut sent = remediation();
        set(&mut sent, json!({"signalName": name}));
        app.post_remediation(&sent).await.expect(201);
    }
    metrics_with(&app, &writes("remediation", "created"), 2.0).await;
}
