//! Faults of the database server: down, restarting, full, or a standby.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Database, KINDS, Server, Setup, Shutdown, TestApp, record, remediation};
use tokio::time::sleep;

/// Writes records of these kinds concurrently until `goes_on` completes, and returns their ids.
async fn write_during(
    app: &TestApp,
    callers: usize,
    kinds: &[&str],
    goes_on: impl Future<Output = ()>,
) -> Vec<i64> {
    let is_over = AtomicBool::new(false);
    let writers = (0..callers).map(async |caller| {
        let mut ids = Vec::new();
        let kinds = kinds.iter().cycle().skip(caller);
        for kind in kinds {
            let stored = app.store(kind, &record(kind)).await;
            ids.push(stored.json()["id"].as_i64().unwrap());
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        ids
    });
    let going_on = async {
        goes_on.await;
        is_over.store(true, Ordering::Relaxed);
    };
    let (ids, ()) = tokio::join!(futures::future::join_all(writers), going_on);
    ids.into_iter().flatten().collect()
}

/// Asserts that exactly the acknowledged records are stored, once and completely.
async fn assert_stored_once(database: &Database, acknowledged: &[i64]) {
    let distinct: BTreeSet<_> = acknowledged.iter().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "an id for each record");
    for query in [
        "SELECT count(*) FROM audit_records",
        "SELECT count(*) FROM incidents",
        "SELECT count(*) FROM audit_records AS audit
         JOIN incident_records AS link USING (id, kind, created_at, content_hash)
         JOIN embeddings ON embeddings.id = link.embedding_id
         JOIN incidents ON (incidents.id, incidents.correlation_id)
                = (link.incident_id, audit.correlation_id)",
    ] {
        let stored = usize::try_from(database.count(query).await).unwrap();
        assert_eq!(stored, acknowledged.len(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_and_crashes_in_the_middle_loses_and_doubles_nothing() {
    let server = Server::start(100).await;
    let database = server.create_database().await;
    let app = Setup::default().database(&database).start().await;
    let acknowledged = write_during(&app, 8, &KINDS, async {
        for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
            sleep(Duration::from_millis(500)).await;
            server.stop(shutdown).await;
            server.start_again().await;
        }
        sleep(Duration::from_millis(500)).await;
    })
    .await;
    assert_stored_once(&database, &acknowledged).await;
}

#[tokio::test]
async fn a_service_that_starts_before_its_database_is_ready_when_that_is() {
    let server = Server::start(100).await;
    let database = server.create_database().await;
    server.stop(Shutdown::Fast).await;
    let app = Setup::default().database(&database).start().await;
    let unready = app.get("/health/ready").await;
    unready.expect_problem(503, "unavailable");
    app.get("/health/live").await.expect(200);
    let answer = app.post_remediation(&remediation()).await;
    let answer = answer.expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");

    server.start_again().await;
    app.get("/health/ready").await.expect(200);
    app.post_remediation(&remediation()).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_is_unavailable_until_it_has_one() {
    const CONNECTIONS: u32 = 6;
    let server = Server::start(CONNECTIONS).await;
    let database = server.create_database().await;
    let app = Setup::default().database(&database).start().await;
    let mut others = Vec::new();
    for _ in 0..CONNECTIONS {
        others.push(database.connect().await);
    }
    let answer = app.post_remediation(&remediation()).await;
    let answer = answer.expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");

    drop(others);
    // Use one kind: each component keeps its connections, so with fewer connections than components
    // one could wait forever.
    let kinds = ["remediation"];
    let acknowledged = write_during(&app, 24, &kinds, sleep(Duration::from_secs(2))).await;
    server.stop(Shutdown::Fast).await;
    server.start_again().await;
    assert_stored_once(&database, &acknowledged).await;
}

#[tokio::test]
async fn a_standby_is_read_and_refuses_records_until_it_is_promoted() {
    let server = Server::start(100).await;
    let database = server.create_database().await;
    let app = Setup::default().database(&database).start().await;
    let known = remediation();
    let stored = app.post_remediation(&known).await.expect(201);
    server.stop(Shutdown::Fast).await;
    server.make_standby();
    server.start_again().await;

    assert_eq!(app.incident_of(&stored).await["record_count"], 1);
    let refused = remediation();
    let answer = app.post_remediation(&refused).await;
    let answer = answer.expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");

    server.promote().await;
    app.post_remediation(&refused).await.expect(201);
    let again = app.post_remediation(&known).await.expect(201);
    assert_eq!(again.stored(), stored.stored());
}
