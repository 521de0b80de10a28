//! Rights of the service's two roles. All tests of this suite run the service as their members;
//! these tests check what the roles must not do.

use e2e::{Database, KINDS, Setup, connect, record};
use tokio_postgres::error::SqlState;

async fn tables(database: &Database) -> Vec<String> {
    let query = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')
        AND relnamespace = 'public'::regnamespace ORDER BY relname";
    let rows = database.connect().await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_reader_may_not_change_anything() {
    let database = Database::create().await;
    let tables = tables(&database).await;
    assert!(tables.len() > 50, "{tables:?}");
    let reader = connect(&database.reader_url()).await;
    for table in tables {
        for statement in [
            format!("INSERT INTO {table} DEFAULT VALUES"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("DROP TABLE {table}"),
            format!("ALTER TABLE {table} ADD COLUMN more text"),
        ] {
            let refused = reader.batch_execute(&statement).await.unwrap_err();
            let code = refused.code();
            assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
        }
    }
    for statement in [
        "UPDATE incidents SET cluster = ''",
        "SELECT nextval('audit_record_ids')",
        "SELECT * FROM detached_partitions",
        "SELECT renew_embedding(1, 'm', '[1]', 1)",
        "SELECT remove_unused_embedding(1)",
        "CALL maintain_audit_partitions(1)",
        "CREATE TABLE mine ()",
    ] {
        let refused = reader.batch_execute(statement).await.unwrap_err();
        let code = refused.code();
        assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

#[tokio::test]
async fn the_writer_may_add_records_of_every_month_and_not_change_them() {
    let app = Setup::default().start().await;
    for kind in KINDS {
        for created_at in ["2026-11-01T10:00:00Z", "0001-01-02T00:00:00Z"] {
            let mut record = record(kind);
            record["createdAt"] = created_at.into();
            app.post_record(kind, &record).await.expect(201);
        }
    }
    let writer = connect(&app.database.writer_url()).await;
    for statement in [
        "UPDATE audit_records SET content = ''",
        "DELETE FROM audit_records",
        "DELETE FROM remediation_audit_default",
        "TRUNCATE audit_records",
        "DELETE FROM incidents",
        "DELETE FROM incident_versions",
        "DELETE FROM incident_actions",
        "UPDATE incident_records SET root_cause = ''",
        "DELETE FROM incident_records",
        "UPDATE embeddings SET model = ''",
        "DELETE FROM embeddings",
        "DROP TABLE incidents",
        "UPDATE refinery_schema_history SET version = 0",
        "CALL maintain_audit_partitions(1)",
        "CREATE TABLE mine ()",
    ] {
        let refused = writer.batch_execute(statement).await.unwrap_err();
        let code = refused.code();
        assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

#[tokio::test]
async fn the_reading_components_read_as_the_reader() {
    let app = Setup::default().start().await;
    let stored = app.post_record("remediation", &record("remediation")).await;
    let stored = stored.expect(201);
    let database = &app.database;
    // The writer cannot log in; the reader can.
    let other = "postgres://nobody:x@127.0.0.1:9/none";
    let app = Setup::default()
        .database(database)
        .variable("database_url", other)
        .start()
        .await;
    app.post_record("remediation", &record("remediation"))
        .await
        .expect_problem(503, "unavailable");
    app.get(stored.header("location")).await.expect(200);
    app.get("/api/v1/incidents").await.expect(200);
    app.get("/api/v1/incidents/search?q=memory")
        .await
        .expect(200);
    app.get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    // The reader cannot log in; the writer can.
    let app = Setup::default()
        .database(database)
        .variable("database_reader_url", other)
        .start()
        .await;
    app.post_record("remediation", &record("remediation"))
        .await
        .expect(201);
    for path in [
        stored.header("location"),
        "/api/v1/incidents",
        "/api/v1/incidents/search?q=memory",
        "/health/ready",
    ] {
        app.get(path).await.expect_problem(503, "unavailable");
    }
}
