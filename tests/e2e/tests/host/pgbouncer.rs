//! PgBouncer in transaction mode between the service and PostgreSQL.

mod program;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Database, KINDS, Server, Setup, Shutdown, TestApp, record, remediation};
use futures::future::join_all;
use serde_json::Value;
use tokio::time::sleep;

use self::program::PgBouncer;
use crate::replicas::write_on_both;

/// PostgreSQL connections per user, far fewer than concurrent requests.
const POOL_SIZE: usize = 4;

const MAX_CONNECTIONS: u32 = 20;

/// Returns the user settings of docs/capacity.md, which replace connection options.
fn settings_of_users() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/capacity.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, settings) = page.split_once("[pgbouncer.ini]").expect("the chapter");
    let (_, settings) = settings.split_once("```sql\n").expect("statements");
    let (settings, _) = settings.split_once("```").expect("their end");
    assert!(settings.contains("audit_writer") && settings.contains("audit_reader"));
    settings.replace("audit_", "e2e_")
}

struct Pooled {
    server: Server,
    database: Database,
    pooler: PgBouncer,
}

impl Pooled {
    async fn start() -> Self {
        let server = Server::start(MAX_CONNECTIONS).await;
        let database = server.create_database().await;
        database.execute(&settings_of_users()).await;
        let pooler = PgBouncer::start(&database.host(), POOL_SIZE).await;
        Self {
            server,
            database,
            pooler,
        }
    }

    async fn service(&self) -> TestApp {
        Setup::default()
            .database(&self.database)
            .database_host(self.pooler.host())
            .start()
            .await
    }

    async fn assert_stored(&self, count: usize) {
        for table in ["remediation_audit", "incidents", "incident_records"] {
            let stored = format!("SELECT count(*) FROM {table}");
            let stored = usize::try_from(self.database.count(&stored).await).unwrap();
            assert_eq!(stored, count, "{table}");
        }
    }
}

#[tokio::test]
async fn everything_works_through_it() {
    let pooled = Pooled::start().await;
    let app = pooled.service().await;
    app.get("/health/ready").await.expect(200);
    // Repeat more often than there are connections: each statement must be prepared where it runs.
    for _ in 0..2 * POOL_SIZE {
        for kind in KINDS {
            let record = record(kind);
            let stored = app.post_record(kind, &record).await.expect(201);
            let again = app.post_record(kind, &record).await.expect(201);
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.stored(), stored.stored());
            assert_eq!(app.incident_of(&stored).await["record_count"], 1);
        }
        let list = app.get("/api/v1/incidents?limit=3&count=exact").await;
        let list = list.expect(200).json();
        assert_eq!(list["data"].as_array().unwrap().len(), 3, "{list}");
        let found = app.get("/api/v1/incidents/search?q=memory").await;
        assert!(found.expect(200).json()["data"].as_array().is_some());
    }
    app.get("/health/ready").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_writers_than_connections_are_all_answered_by_two_replicas() {
    const WRITERS: usize = 64;
    const RECORDS: usize = 10;
    let pooled = Pooled::start().await;
    let replicas = [pooled.service().await, pooled.service().await];
    let [one, other] = &replicas;
    let write = |_| write_on_both(one, other, RECORDS);
    join_all((0..WRITERS).map(write)).await;
    pooled.assert_stored(WRITERS * RECORDS).await;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'e2e%'";
    let sessions = usize::try_from(pooled.database.count(sessions).await).unwrap();
    assert!(sessions <= 2 * POOL_SIZE, "{sessions}");
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_ended() {
    let pooled = Pooled::start().await;
    let app = pooled.service().await;
    let mut client = pooled.database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE incidents").await.unwrap();
    let record = remediation();
    let answer = app.post_remediation(&record).await;
    answer.expect_problem(503, "unavailable");
    lock.rollback().await.unwrap();
    app.post_remediation(&record).await.expect(201);
    pooled.assert_stored(1).await;
}

async fn write_until(is_over: &AtomicBool, app: &TestApp) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        app.store("remediation", &remediation()).await;
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_it_or_the_server_is_restarted_under_writes() {
    const WRITERS: usize = 8;
    const PAUSE: Duration = Duration::from_millis(500);
    let mut pooled = Pooled::start().await;
    let app = Arc::new(pooled.service().await);
    let is_over = Arc::<AtomicBool>::default();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (app, is_over) = (app.clone(), is_over.clone());
            tokio::spawn(async move { write_until(&is_over, &app).await })
        })
        .collect();
    for _ in 0..2 {
        sleep(PAUSE).await;
        pooled.pooler.stop();
        sleep(PAUSE).await;
        pooled.pooler.start_again().await;
    }
    sleep(PAUSE).await;
    pooled.server.stop(Shutdown::Fast).await;
    pooled.server.start_again().await;
    sleep(PAUSE).await;
    is_over.store(true, Ordering::Relaxed);
    let written: usize = join_all(writers)
        .await
        .into_iter()
        .map(|written| written.unwrap())
        .sum();
    pooled.assert_stored(written).await;
    let first = app.get("/api/v1/incidents?limit=1").await;
    let first: Value = first.expect(200).json();
    assert_eq!(first["data"].as_array().unwrap().len(), 1, "{first}");
}
