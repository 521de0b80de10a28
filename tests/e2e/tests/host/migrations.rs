//! A database that an earlier version of the service wrote is brought up to date.

use e2e::{Database, Setup, remediation};
use refinery::{Runner, Target, load_sql_migrations};

/// A database as it was after an earlier migration.
pub(crate) async fn database_at(version: i32) -> Database {
    let database = Database::create_empty().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let all = load_sql_migrations(folder).unwrap();
    let mut client = database.connect().await;
    let mut runner = Runner::new(&all).set_target(Target::Version(version));
    runner.set_migration_table_name(migrations::HISTORY_TABLE);
    runner.run_async(&mut client).await.unwrap();
    database
}

#[tokio::test]
async fn a_record_of_the_second_version_is_read_and_repeated_as_it_was_stored() {
    let database = database_at(2).await;
    let mut record = remediation();
    record["createdAt"] = "2026-11-30T23:59:59.999999Z".into();
    let content = serde_json_canonicalizer::to_string(&record).unwrap();
    let text = |field: &str| record[field].as_str().unwrap();
    let row = database
        .connect()
        .await
        .query_one(
            "SELECT stored_record_id, stored_embedding_id, stored_incident_id
             FROM write_remediation(
                sha256(convert_to($1, 'UTF8')), $1, '\\x01', $2, $3, $4, 'Pending', NULL, NULL,
                '2026-11-30 23:59:59.999999', NULL, NULL, 'HighMemoryUsage', 'prometheus-alert',
                'high', 'local', 'production', 'deployment', $5, NULL, NULL, NULL, 'pending',
                'local-hash-v1', sha256('HighMemoryUsage'), '{1:1}/1536')",
            &[
                &content,
                &text("correlationId"),
                &text("namespace"),
                &text("name"),
                &text("targetName"),
            ],
        )
        .await
        .unwrap();

    migrations::apply(database.url.as_str()).await.unwrap();

    let app = Setup::default().database(&database).start().await;
    app.get("/health/ready").await.expect(200);
    let again = app.post_remediation(&record).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true", "{again:?}");
    assert_eq!(again.json()["id"].as_i64(), row.get(0));
    assert_eq!(again.json()["embeddingId"].as_i64(), row.get(1));
    let incident = app.incident_of(&again).await;
    assert_eq!(incident["id"].as_i64(), row.get(2));
    assert_eq!(incident["target_name"], record["targetName"]);
    assert_eq!(incident["records"][0]["kind"], "remediation");

    record["phase"] = "Completed".into();
    let newer = app.post_remediation(&record).await.expect(201);
    assert_eq!(newer.header("location"), again.header("location"));
    let incident = app.incident_of(&newer).await;
    assert_eq!(incident["execution_status"], "completed");
    assert_eq!(incident["record_count"], 2);
}
