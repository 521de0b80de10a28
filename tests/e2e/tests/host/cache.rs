use e2e::{Database, Setup, TestApp, remediation, unique};
use embedder::Embedder;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::openai::{PATIENT, with};

/// The tests share a Redis with one cache slot per hash, so they run one at a time.
static REDIS: Mutex<()> = Mutex::const_new(());

fn redis_url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`")
}

async fn redis() -> MultiplexedConnection {
    let client = redis::Client::open(redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for key in entries(&mut connection).await {
        let () = connection.del(key).await.unwrap();
    }
    connection
}

fn alert(name: &str) -> Value {
    let mut record = remediation();
    record["signalName"] = json!(name);
    record
}

async fn entries(redis: &mut MultiplexedConnection) -> Vec<String> {
    redis.keys("embedding-cache/*").await.unwrap()
}

async fn only_entry(redis: &mut MultiplexedConnection) -> (String, Vec<u8>) {
    let keys = entries(redis).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let value = redis.get(&keys[0]).await.unwrap();
    (keys[0].clone(), value)
}

async fn forget_vectors(database: &Database) {
    database.execute("DELETE FROM embeddings").await;
}

async fn stored_vector(app: &TestApp) -> String {
    let client = app.database.connect().await;
    let row = client
        .query_one("SELECT embedding::text FROM embeddings", &[])
        .await;
    row.unwrap().get(0)
}

/// Returns an entry with a vector along the first axis, which no model produces.
fn with_marked_vector(entry: &[u8]) -> Vec<u8> {
    let mut marked = entry[..40].to_vec();
    marked.extend(1.0_f32.to_le_bytes());
    marked.resize(entry.len(), 0);
    marked
}

fn is_marked(vector: &str) -> bool {
    vector.starts_with("[1,0,0,")
}

#[tokio::test]
async fn a_vector_is_taken_from_the_cache_of_another_replica() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    let one = with(&embedder, PATIENT).redis(&redis_url()).start().await;
    let two = with(&embedder, PATIENT)
        .database(&one.database)
        .redis(&redis_url())
        .start()
        .await;
    let name = unique("Alert");
    one.post_remediation(&alert(&name)).await.expect(201);
    let (key, entry) = only_entry(&mut redis).await;
    assert!(!is_marked(&stored_vector(&one).await));

    // The other replica can get this vector only from the cache.
    let () = redis.set(&key, with_marked_vector(&entry)).await.unwrap();
    forget_vectors(&one.database).await;
    two.post_remediation(&alert(&name)).await.expect(201);
    assert!(is_marked(&stored_vector(&one).await));
}

#[tokio::test]
async fn the_cache_is_not_asked_for_a_vector_that_the_database_has() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).redis(&redis_url()).start().await;
    let name = unique("Alert");
    app.post_remediation(&alert(&name)).await.expect(201);
    let (key, _) = only_entry(&mut redis).await;
    let () = redis.del(&key).await.unwrap();
    app.post_remediation(&alert(&name)).await.expect(201);
    let keys = entries(&mut redis).await;
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn an_entry_that_is_expired_corrupt_or_of_another_text_is_a_miss() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).redis(&redis_url()).start().await;
    let name = unique("Alert");
    app.post_remediation(&alert(&name)).await.expect(201);
    let (key, entry) = only_entry(&mut redis).await;
    let marked = with_marked_vector(&entry);

    let mut expired = marked.clone();
    expired[32..40].copy_from_slice(&1_000_000_000_u64.to_le_bytes());
    let mut other_text = marked.clone();
    other_text[31] ^= 1;
    let mut no_number = marked.clone();
    no_number[44..48].copy_from_slice(&f32::NAN.to_le_bytes());
    for value in [
        expired,
        other_text,
        no_number,
        marked[..99].to_vec(),
        vec![],
        b"{}".to_vec(),
    ] {
        let () = redis.set(&key, &value).await.unwrap();
        forget_vectors(&app.database).await;
        app.post_remediation(&alert(&name)).await.expect(201);
        assert!(
            !is_marked(&stored_vector(&app).await),
            "{} bytes",
            value.len()
        );
        let written: Vec<u8> = redis.get(&key).await.unwrap();
        assert_eq!(written[40..], entry[40..], "the entry is put right");
    }
}

#[tokio::test]
async fn entries_live_as_long_as_the_variable_says() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .redis(&redis_url())
        .variable("embedding_cache_ttl_seconds", "1")
        .start()
        .await;
    let name = unique("Alert");
    app.post_remediation(&alert(&name)).await.expect(201);
    let (key, entry) = only_entry(&mut redis).await;
    let () = redis.set(&key, with_marked_vector(&entry)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    forget_vectors(&app.database).await;
    app.post_remediation(&alert(&name)).await.expect(201);
    assert!(!is_marked(&stored_vector(&app).await));
}

#[tokio::test]
async fn a_time_to_live_that_is_no_number_is_named_and_none_keeps_nothing() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    for (seconds, kept, is_logged) in [("0", 0, false), ("hidden", 1, true), (" 9\n", 1, false)] {
        let app = with(&embedder, PATIENT)
            .redis(&redis_url())
            .variable("embedding_cache_ttl_seconds", seconds)
            .start()
            .await;
        app.post_remediation(&alert("HighMemoryUsage"))
            .await
            .expect(201);
        assert_eq!(entries(&mut redis).await.len(), kept, "{seconds:?}");
        let log = app.log();
        assert_eq!(
            log.contains("embedding_cache_ttl_seconds"),
            is_logged,
            "{log}"
        );
        assert!(!log.contains("hidden"), "{log}");
    }
}

#[tokio::test]
async fn the_local_models_vectors_are_not_cached() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let app = Setup::default().redis(&redis_url()).start().await;
    app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(entries(&mut redis).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_cache_never_holds_more_than_its_slots() {
    let _guard = REDIS.lock().await;
    let mut redis = redis().await;
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).redis(&redis_url()).start().await;
    for _ in 0..30 {
        app.post_remediation(&alert(&unique("Alert")))
            .await
            .expect(201);
    }
    let keys = entries(&mut redis).await;
    assert!((20..=30).contains(&keys.len()), "{}", keys.len());
    for key in keys {
        let slot = key.strip_prefix("embedding-cache/").unwrap();
        assert!(u16::from_str_radix(slot, 16).unwrap() < 4096, "{key}");
    }
}

#[tokio::test]
async fn a_cache_that_is_down_is_a_miss_and_a_log_line() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .redis("redis://127.0.0.1:1")
        .start()
        .await;
    app.post_remediation(&remediation()).await.expect(201);
    let log = app.log();
    assert!(log.contains("embedding cache unusable"), "{log}");
    assert!(!log.contains("127.0.0.1:1\""), "{log}");
}
