//! Database faults: a record is stored completely, or the caller is told to retry.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Database, Proxy, Setup, TestApp, remediation};

/// Makes the next `times` inserts into a table fail with an SQLSTATE. A sequence counts them,
/// because it is not rolled back.
pub(crate) async fn fail_inserts(database: &Database, table: &str, sqlstate: &str, times: u32) {
    database
        .execute(&format!(
            "CREATE SEQUENCE failures;
             GRANT USAGE ON SEQUENCE failures TO data_storage_writer;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('failures') <= {times} THEN
                     RAISE EXCEPTION 'made to fail' USING ERRCODE = '{sqlstate}';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail();"
        ))
        .await;
}

async fn assert_nothing_stored(app: &TestApp) {
    for table in [
        "audit_records",
        "incidents",
        "incident_records",
        "embeddings",
    ] {
        let stored = app
            .database
            .count(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(stored, 0, "{table}");
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen_by_the_caller() {
    for sqlstate in [
        "40001", "40P01", "57P01", "57014", "53300", "08006", "53100",
    ] {
        let app = Setup::default().start().await;
        fail_inserts(&app.database, "incident_records", sqlstate, 3).await;
        let stored = app.post_remediation(&remediation()).await.expect(201);
        assert_eq!(stored.header("idempotent-replayed"), "", "{sqlstate}");
        assert_eq!(app.incident_of(&stored).await["record_count"], 1);
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_unavailable_and_leaves_nothing_behind() {
    for (sqlstate, table) in [
        ("40P01", "incidents"),
        ("53100", "incident_records"),
        ("25006", "embeddings"),
    ] {
        let app = Setup::default().start().await;
        fail_inserts(&app.database, table, sqlstate, u32::MAX).await;
        let answer = app
            .post_remediation(&remediation())
            .await
            .expect_problem(503, "unavailable");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        assert!(!answer.text.contains("made to fail"), "{answer:?}");
        assert_nothing_stored(&app).await;
        app.database
            .execute(&format!("DROP TRIGGER fail ON {table}"))
            .await;
        app.post_remediation(&remediation()).await.expect(201);
    }
}

#[tokio::test]
async fn a_failure_of_the_service_itself_shows_nothing_of_its_inside() {
    let app = Setup::default().start().await;
    fail_inserts(&app.database, "incidents", "22003", 100).await;
    let answer = app.post_remediation(&remediation()).await;
    let answer = answer.expect_problem(500, "internal");
    for inside in ["made to fail", "22003", "incidents", "SELECT", "127.0.0.1"] {
        let text = answer.text.replace("/api/v1/incidents", "");
        assert!(!text.contains(inside), "{answer:?}");
    }
    assert_nothing_stored(&app).await;
}

#[tokio::test]
async fn a_missing_schema_is_unavailable() {
    let database = Database::create_empty().await;
    let app = Setup::default().database(&database).start().await;
    app.post_remediation(&remediation())
        .await
        .expect_problem(503, "unavailable");
    app.get("/api/v1/incidents/1")
        .await
        .expect_problem(503, "unavailable");
    migrations::apply(database.url.as_str()).await.unwrap();
    app.post_remediation(&remediation()).await.expect(201);
}

#[tokio::test]
async fn a_database_that_is_down_is_unavailable_until_it_is_back() {
    let database = Database::create().await;
    let proxy = Proxy::start(database.host()).await;
    let app = Setup::default()
        .database(&database)
        .database_host(proxy.host())
        .start()
        .await;
    let record = remediation();
    let stored = app.post_remediation(&record).await.expect(201);

    proxy.cut();
    let answer = app
        .post_remediation(&remediation())
        .await
        .expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    app.get(stored.header("location"))
        .await
        .expect_problem(503, "unavailable");
    app.get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    app.get("/health/live").await.expect(200);

    proxy.mend();
    app.get("/health/ready").await.expect(200);
    let again = app.post_remediation(&record).await.expect(201);
    assert_eq!(again.stored(), stored.stored());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_in_the_middle_lose_and_double_nothing() {
    let database = Database::create().await;
    let proxy = Proxy::start(database.host()).await;
    let app = Setup::default()
        .database(&database)
        .database_host(proxy.host())
        .start()
        .await;
    let is_cutting = AtomicBool::new(true);
    let writers = (0..8).map(async |_| {
        let mut acknowledged = Vec::new();
        while is_cutting.load(Ordering::Relaxed) {
            let stored = app.store("remediation", &remediation()).await;
            acknowledged.push(stored.json()["id"].as_i64().unwrap());
        }
        acknowledged
    });
    let cutting = async {
        let mut cut = 0;
        while cut < 40 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cut += proxy.cut_once();
        }
        is_cutting.store(false, Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(futures::future::join_all(writers), cutting);

    let written: usize = acknowledged.iter().map(Vec::len).sum();
    let acknowledged: BTreeSet<_> = acknowledged.into_iter().flatten().collect();
    assert_eq!(
        acknowledged.len(),
        written,
        "every record has an id of its own"
    );
    for table in ["audit_records", "incidents", "incident_records"] {
        let stored = database
            .count(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(usize::try_from(stored).unwrap(), written, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_of_serializable_transactions_are_not_seen_by_the_caller() {
    let mut database = Database::create().await;
    let isolation = "options=-c%20default_transaction_isolation%3Dserializable";
    database.url.set_query(Some(isolation));
    let app = Setup::default().database(&database).start().await;
    let shared = remediation();
    let writers = (0..4).map(async |_| {
        for _ in 0..10 {
            let mut record = remediation();
            record["correlationId"] = shared["correlationId"].clone();
            // All four attempts may conflict; then the caller repeats the request.
            app.store("remediation", &record).await;
        }
    });
    futures::future::join_all(writers).await;
    let stored = app.post_remediation(&shared).await.expect(201);
    assert_eq!(app.incident_of(&stored).await["record_count"], 41);
    wait_until_counted(&app.database, "xact_rollback").await;
}

/// Waits until PostgreSQL publishes a non-zero per-database counter.
async fn wait_until_counted(database: &Database, counter: &str) {
    let query =
        format!("SELECT {counter} FROM pg_stat_database WHERE datname = current_database()");
    let counted = async {
        while database.count(&query).await == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(60), counted).await;
    counted.unwrap_or_else(|_| panic!("{counter} stays 0"));
}

#[tokio::test]
async fn a_deadlock_is_not_seen_by_the_caller() {
    let database = Database::create().await;
    let name = database.url.path().trim_start_matches('/');
    let timeout = format!("ALTER DATABASE {name} SET deadlock_timeout = '3s'");
    database.execute(&timeout).await;
    let app = Setup::default().database(&database).start().await;
    let mut newer = remediation();
    let stored = app.post_remediation(&newer).await.expect(201);
    newer["phase"] = "Completed".into();
    let correlation_id = newer["correlationId"].as_str().unwrap();

    // The writer waits for the incident, whose owner waits for the writer's record. The writer
    // finds the deadlock first, so PostgreSQL aborts its transaction.
    let mut client = app.database.connect().await;
    let transaction = client.transaction().await.unwrap();
    let later = "SET LOCAL deadlock_timeout = '1min'";
    transaction.batch_execute(later).await.unwrap();
    transaction
        .execute(
            "SELECT FROM incidents WHERE correlation_id = $1 FOR UPDATE",
            &[&correlation_id],
        )
        .await
        .unwrap();
    let other = async {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE datname = current_database() AND NOT granted";
        while app.database.count(waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        transaction
            .batch_execute("LOCK TABLE remediation_audit IN SHARE MODE")
            .await
            .unwrap();
        transaction.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(app.post_remediation(&newer), other);
    assert_eq!(answer.expect(201).header("idempotent-replayed"), "");
    wait_until_counted(&app.database, "deadlocks").await;
    let incident = app.incident_of(&stored).await;
    assert_eq!(incident["remediation"]["phase"], "Completed");
    assert_eq!(incident["record_count"], 2);
}

#[tokio::test]
async fn a_statement_that_hangs_is_ended_and_the_caller_told() {
    let app = Setup::default().start().await;
    let mut url = app.database.url.clone();
    url.set_query(Some("options=-c%20statement_timeout%3D300"));
    let impatient = Setup::default().database(&Database::at(url)).start().await;
    let client = app.database.connect().await;
    client
        .batch_execute("BEGIN; LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let record = remediation();
    impatient
        .post_remediation(&record)
        .await
        .expect_problem(503, "unavailable");
    client.batch_execute("ROLLBACK").await.unwrap();
    impatient.post_remediation(&record).await.expect(201);
}

#[tokio::test]
async fn the_log_has_a_line_per_request_and_no_secret() {
    let app = Setup::default().start().await;
    let record = remediation();
    app.post_remediation(&record).await.expect(201);
    app.post_remediation_bytes("{").await.expect(400);
    // The service logs a line after it sends the response.
    let (log, lines) = loop {
        let log = app.log();
        let lines: Vec<serde_json::Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
            .filter(|line: &serde_json::Value| line["route"] == "/api/v1/audit/remediation")
            .collect();
        if lines.len() >= 2 {
            break (log, lines);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [201, 400], "{log}");
    assert_eq!(lines[0]["correlation_id"], record["correlationId"], "{log}");
    assert_eq!(lines[0]["method"], "POST");
    let password = app
        .database
        .url
        .password()
        .expect("DATABASE_URL has a password");
    for secret in [password, "HighMemoryUsage", "postgres://"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
