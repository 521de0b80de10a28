use std::sync::atomic::{AtomicU8, Ordering};

use redis::aio::MultiplexedConnection;

/// Default number of databases of a Redis. All other tests use the first.
const DATABASES: u8 = 16;

static NEXT: AtomicU8 = AtomicU8::new(1);

/// Empties a Redis database that no other test uses. Returns its URL and a connection.
pub(crate) async fn own_redis() -> (String, MultiplexedConnection) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < DATABASES, "there are more tests than databases");
    let url = std::env::var("REDIS_URL")
        .expect("REDIS_URL is not set: run the tests with `cargo xtask test`");
    let url = format!("{}/{number}", url.trim_end_matches('/'));
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("FLUSHDB")
        .query_async(&mut connection)
        .await
        .unwrap();
    (url, connection)
}
