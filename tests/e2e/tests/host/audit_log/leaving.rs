//! The log after retention, and after the restore of a backup.

use e2e::{Database, KINDS, Server, Setup, make_users, postgresql_program, record, set};
use serde_json::json;
use tlog::audit::FindingKind;

use super::verifying::{Auditor, assert_intact, names};
use super::{checkpoint, entries, store};

const OLD: &str = "2024-01-10T10:00:00Z";

async fn maintain(database: &Database, today: &str) {
    let call = format!("CALL maintain_audit_partitions_as_of('{today}', 12, 12)");
    database.connect().await.batch_execute(&call).await.unwrap();
}

/// Makes the month of [`OLD`] a partition, as maintenance does while it is within retention.
async fn add_month(database: &Database) {
    let add = "SELECT add_month_partition(oid::regclass, '2024-01-01') FROM pg_class
        WHERE relname = ANY ('{remediation_audit,aianalysis_audit,workflow_audit,execution_audit,event_audit}')";
    database.connect().await.query(add, &[]).await.unwrap();
}

#[tokio::test]
async fn what_left_by_retention_is_accounted_for_and_what_was_deleted_is_not() {
    let app = Setup::default().start().await;
    add_month(&app.database).await;
    for number in 0..12 {
        let kind = KINDS[number % KINDS.len()];
        let mut old = record(kind);
        set(&mut old, json!({"createdAt": OLD}));
        app.post_record(kind, &old).await.expect(201);
        app.post_record(kind, &record(kind)).await.expect(201);
    }
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&app).await);

    // Records that are still pending leave too.
    let unsigned = Setup::default()
        .database(&app.database)
        .variable("log_signing_key", "")
        .start()
        .await;
    let mut pending = record("workflow");
    set(&mut pending, json!({"createdAt": OLD}));
    unsigned.post_record("workflow", &pending).await.expect(201);
    maintain(&app.database, "2026-11-29").await;

    let report = auditor.check(&app).await;
    assert_intact(&report);
    assert_eq!((report.removed, report.records), (13, 12));
    assert_eq!(report.leaves, 25 + 5, "each kind has an entry");
    // A late record of a month that has left stays, and is missed if it is deleted.
    let mut late = record("execution");
    set(&mut late, json!({"createdAt": OLD}));
    app.post_record("execution", &late).await.expect(201);
    assert_intact(&auditor.check(&app).await);
    let delete = "DELETE FROM audit_records WHERE created_at < '2025-01-01'";
    app.database
        .connect()
        .await
        .batch_execute(delete)
        .await
        .unwrap();
    assert_eq!(names(&auditor.check(&app).await), [FindingKind::Missing]);
}

#[tokio::test]
async fn a_record_that_was_deleted_before_its_month_left_is_noticed() {
    let app = Setup::default().start().await;
    add_month(&app.database).await;
    for _ in 0..3 {
        let mut old = record("workflow");
        set(&mut old, json!({"createdAt": OLD}));
        app.post_record("workflow", &old).await.expect(201);
    }
    checkpoint(&app).await;
    let delete = "DELETE FROM audit_records WHERE id = (SELECT max(id) FROM audit_records)";
    app.database
        .connect()
        .await
        .batch_execute(delete)
        .await
        .unwrap();
    maintain(&app.database, "2026-11-29").await;
    assert_eq!(
        names(&Auditor::new().check(&app).await),
        [FindingKind::Miscounted]
    );
}

#[tokio::test]
async fn a_month_that_is_attached_again_leaves_a_second_time_and_nothing_is_found() {
    let app = Setup::default().start().await;
    add_month(&app.database).await;
    let mut old = record("workflow");
    set(&mut old, json!({"createdAt": OLD}));
    app.post_record("workflow", &old).await.expect(201);
    checkpoint(&app).await;
    maintain(&app.database, "2026-11-29").await;
    // Late: a new record, and the first one again, which is stored anew.
    let mut late = record("workflow");
    set(&mut late, json!({"createdAt": OLD}));
    for record in [&late, &old] {
        app.post_record("workflow", record).await.expect(201);
    }
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&app).await);

    // As docs/maintenance.md says.
    let attach = "
        WITH late AS (DELETE FROM ONLY workflow_audit_default
            WHERE created_at >= '2024-01-01 00:00:00+00' AND created_at < '2024-02-01 00:00:00+00'
            RETURNING *)
        INSERT INTO workflow_audit_2024_01 SELECT * FROM late ON CONFLICT (created_at, content_hash) DO UPDATE
            SET (id, recorded_at, recorded_by, cluster, log_nonce)
                = (EXCLUDED.id, EXCLUDED.recorded_at, EXCLUDED.recorded_by, EXCLUDED.cluster, EXCLUDED.log_nonce);
        ALTER TABLE workflow_audit ATTACH PARTITION workflow_audit_2024_01
            FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00')";
    app.database
        .connect()
        .await
        .batch_execute(attach)
        .await
        .unwrap();
    let report = auditor.check(&app).await;
    assert_intact(&report);
    assert_eq!(report.records, 2);
    maintain(&app.database, "2026-11-29").await;
    let report = auditor.check(&app).await;
    assert_intact(&report);
    assert_eq!((report.records, report.removed), (0, 3));
}

#[tokio::test]
async fn entries_that_nobody_could_verify_are_not_signed() {
    let app = Setup::default().start().await;
    let insert = "INSERT INTO log_pending (entry) VALUES ('x'), ('{\"kind\":\"origin\"}'), ('{}')";
    app.database
        .connect()
        .await
        .batch_execute(insert)
        .await
        .unwrap();
    for _ in 0..3 {
        store(&app).await;
    }
    let report = Auditor::new().check(&app).await;
    assert_intact(&report);
    assert_eq!((report.leaves, report.pending), (3, Some(3)));
    assert!(app.log().contains("entries that nobody could verify"));
    app.get("/api/v1/log").await.expect(200);
    app.get("/metrics").await;
}

#[tokio::test]
async fn an_export_made_before_retention_and_one_made_after_are_both_intact() {
    let app = Setup::default().start().await;
    add_month(&app.database).await;
    let mut old = record("workflow");
    set(&mut old, json!({"createdAt": OLD}));
    app.post_record("workflow", &old).await.expect(201);
    let auditor = Auditor::new();
    assert_intact(&auditor.export(&app, "before").await);
    maintain(&app.database, "2026-11-29").await;
    assert_intact(&auditor.export(&app, "after").await);
    let (before, after) = (
        auditor.check_folder("before").await,
        auditor.check_folder("after").await,
    );
    assert_intact(&after);
    assert_eq!((before.records, after.records, after.removed), (1, 0, 1));
}

async fn restore(from: &Database, to: &Database) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let mut dump = postgresql_program("pg_dump").await;
    dump.args(["--format=custom", "--no-owner"])
        .arg("--file")
        .arg(&file);
    dump.arg(format!("--dbname={}", from.url));
    assert!(dump.status().await.unwrap().success());
    load(&file, to).await;
}

async fn load(file: &std::path::Path, to: &Database) {
    make_users(&to.connect().await).await;
    let mut restore = postgresql_program("pg_restore").await;
    restore
        .args(["--exit-on-error", "--no-owner"])
        .arg(format!("--dbname={}", to.url))
        .arg(file);
    assert!(restore.status().await.unwrap().success());
}

#[tokio::test]
async fn a_restored_backup_goes_on_under_another_origin_and_nothing_is_found() {
    let before = Setup::default().start().await;
    for _ in 0..4 {
        store(&before).await;
    }
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&before).await);
    let server = Server::start(100).await;
    let database = server.database();
    restore(&before.database, &database).await;

    let after = Setup::default().database(&database).start().await;
    store(&after).await;
    let (old, new) = (checkpoint(&before).await, checkpoint(&after).await);
    assert_ne!(old.origin, new.origin, "no second history under one origin");
    let entries = entries(&after, new.size).await;
    assert_eq!(entries.len(), 6);
    let origin: serde_json::Value = serde_json::from_str(&entries[4]).unwrap();
    assert_eq!(origin["kind"], "origin");
    assert_eq!(origin["previous"]["origin"], old.origin);
    assert_eq!(origin["previous"]["size"], 4);
    let report = auditor.check(&after).await;
    assert_intact(&report);
    assert_eq!(report.records, 5);
    store(&after).await;
    assert_intact(&auditor.check(&after).await);
}

#[tokio::test]
async fn what_a_restore_lost_is_named_by_who_has_seen_it() {
    let before = Setup::default().start().await;
    store(&before).await;
    checkpoint(&before).await;
    let server = Server::start(100).await;
    let database = server.database();
    restore(&before.database, &database).await;
    store(&before).await;
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&before).await);

    let after = Setup::default().database(&database).start().await;
    for _ in 0..3 {
        store(&after).await;
    }
    assert_eq!(names(&auditor.check(&after).await), [FindingKind::Lost]);
    assert_intact(&Auditor::new().check(&after).await);
}
