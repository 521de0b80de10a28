//! Data that leaves with a detached month, and data that stays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Answer, Database, Setup, TestApp, record, set};
use futures::future::join_all;
use migrations::{Maintenance, Report, maintain};
use serde_json::{Value, json};

use super::{AUDIT_TABLES, Month, database_with_months};

const RETENTION: Maintenance = Maintenance {
    months_ahead: 1,
    retention_months: Some(1),
};

async fn run(database: &Database) -> Report {
    maintain(database.url.as_str(), RETENTION).await.unwrap()
}

fn report(kind: &'static str, incident: &str, month: Month, text: &str) -> Value {
    let mut report = record(kind);
    set(
        &mut report,
        json!({ "correlationId": incident, "createdAt": month.day(15), "name": incident }),
    );
    let text = match kind {
        "remediation" => json!({ "signalName": text }),
        _ => json!({ "actionType": text }),
    };
    set(&mut report, text);
    report
}

async fn store(
    app: &TestApp,
    kind: &'static str,
    incident: &str,
    month: Month,
    text: &str,
) -> Answer {
    app.store(kind, &report(kind, incident, month, text)).await
}

async fn texts(database: &Database, query: &str) -> Vec<String> {
    let rows = database.connect().await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Asserts that every record has a vector and an incident, and that no others exist.
async fn assert_linked(database: &Database) {
    for (what, query) in [
        (
            "records without a vector or an incident",
            "SELECT count(*) FROM audit_records AS record
             LEFT JOIN incident_records AS link USING (id, kind, created_at, content_hash)
             LEFT JOIN incidents AS incident ON incident.id = link.incident_id
                 AND incident.correlation_id = record.correlation_id
             LEFT JOIN embeddings AS text ON text.id = link.embedding_id
             WHERE incident.id IS NULL OR text.id IS NULL",
        ),
        (
            "links without a record",
            "SELECT count(*) FROM incident_records AS link
             WHERE NOT EXISTS (SELECT FROM audit_records WHERE id = link.id)",
        ),
        (
            "incidents without a record",
            "SELECT count(*) FROM incidents AS incident
             WHERE NOT EXISTS (SELECT FROM incident_records WHERE incident_id = incident.id)",
        ),
        (
            "vectors without a record",
            "SELECT count(*) FROM embeddings AS text
             WHERE NOT EXISTS (SELECT FROM incident_records WHERE embedding_id = text.id)",
        ),
    ] {
        assert_eq!(database.count(query).await, 0, "{what}");
    }
}

#[tokio::test]
async fn with_a_detached_month_leaves_what_no_other_record_refers_to() {
    let (database, this_month) = database_with_months(2).await;
    let app = Setup::default().database(&database).start().await;
    let ended = this_month.plus(-2);
    // One incident ended, one continues, one shares only a text, and one was deleted.
    let gone = store(&app, "remediation", "gone", ended, "OnlyThere").await;
    store(&app, "execution", "gone", ended, "only_there").await;
    let kept = store(&app, "remediation", "kept", ended, "OnlyThen").await;
    store(&app, "execution", "kept", this_month, "scale").await;
    store(&app, "execution", "gone", ended, "shared").await;
    store(&app, "execution", "young", this_month, "shared").await;
    store(&app, "execution", "deleted", ended, "scale").await;
    database
        .execute("DELETE FROM incidents WHERE correlation_id = 'deleted'")
        .await;
    let before = app.incident_of(&kept).await;
    let vectors = database.count("SELECT count(*) FROM embeddings").await;

    let report = run(&database).await;

    assert_eq!(report.postponed, Vec::<String>::new());
    assert_linked(&database).await;
    assert_eq!(
        texts(
            &database,
            "SELECT correlation_id FROM incidents ORDER BY id"
        )
        .await,
        ["kept", "young"]
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM incident_records")
            .await,
        2
    );
    // Three texts had no other record.
    let left = database.count("SELECT count(*) FROM embeddings").await;
    assert_eq!(left, vectors - 3);
    assert_eq!(
        database
            .count("SELECT count(*) FROM incident_actions")
            .await,
        2
    );

    app.get(gone.header("location"))
        .await
        .expect_problem(404, "not-found");
    let after = app.incident_of(&kept).await;
    assert_eq!(after["record_count"], 1);
    assert_eq!(after["records"][0], before["records"][1]);
    for field in ["alert_name", "actions", "opened_at", "execution_status"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["remediation"]["name"], "kept");
    let found = app.get("/api/v1/incidents/search?q=shared").await;
    assert_eq!(
        found.expect(200).json()["data"][0]["correlation_id"],
        "young"
    );
    let found = app.get("/api/v1/incidents/search?q=OnlyThen").await;
    let found = found.expect(200).json();
    assert_ne!(found["data"][0]["similarity"], 1.0, "{found}");

    // The detached partition has the records, and another run changes nothing.
    let ended = ended.partition_of("execution_audit");
    let records = format!("SELECT count(*) FROM {ended}");
    assert_eq!(database.count(&records).await, 3);
    assert_eq!(run(&database).await, Report::default());
    let cleared = "SELECT count(*) FROM detached_partitions WHERE cleared_at IS NOT NULL";
    let tables = i64::try_from(AUDIT_TABLES.len()).unwrap();
    assert_eq!(database.count(cleared).await, tables);
}

/// Runs the maintenance while another session holds a lock on links or an incident, and again
/// afterwards.
async fn clear_beside(lock: &str) {
    let (database, this_month) = database_with_months(2).await;
    let app = Setup::default().database(&database).start().await;
    let ended = this_month.plus(-2);
    let first = report("remediation", "late", ended, "Late");
    let stored = app.store("remediation", &first).await;
    store(&app, "execution", "late", ended, "scale").await;
    store(&app, "execution", "gone", ended, "restart").await;
    let other = database.connect().await;
    other
        .batch_execute(&format!("BEGIN; {lock}"))
        .await
        .unwrap();

    let report = run(&database).await;

    assert_eq!(report.postponed.len(), 1, "{report:?}");
    let warning = "the incidents are in use: what left with ";
    assert!(report.postponed[0].starts_with(warning), "{report:?}");
    let incidents = "SELECT count(*) FROM incidents";
    assert_eq!(database.count(incidents).await, 2);

    // More records of the month arrive. A repeated one is now new.
    let again = app.store("remediation", &first).await;
    assert_eq!(again.header("idempotent-replayed"), "");
    assert_ne!(again.json()["id"], stored.json()["id"]);
    assert_eq!(again.header("location"), stored.header("location"));
    store(&app, "remediation", "new", ended, "New").await;
    other.batch_execute("COMMIT").await.unwrap();

    for _ in 0..2 {
        let report = run(&database).await;
        assert_eq!(report.postponed, Vec::<String>::new());
        assert_linked(&database).await;
        let left = texts(
            &database,
            "SELECT correlation_id FROM incidents ORDER BY id",
        );
        assert_eq!(left.await, ["late", "new"]);
        let incident = app.incident_of(&again).await;
        assert_eq!(incident["record_count"], 1);
        assert_eq!(incident["records"][0]["id"], again.json()["id"]);
    }
}

#[tokio::test]
async fn a_lock_of_somebody_else_is_a_warning_and_the_next_run_finishes_but_for_what_came_late() {
    for lock in [
        "LOCK TABLE incident_records IN ROW EXCLUSIVE MODE",
        "SELECT FROM incidents WHERE correlation_id = 'gone' FOR UPDATE",
    ] {
        clear_beside(lock).await;
    }
}

#[tokio::test]
async fn a_vector_that_leaves_after_a_write_has_found_it_is_stored_again() {
    let (database, this_month) = database_with_months(2).await;
    let app = Setup::default().database(&database).start().await;
    store(&app, "remediation", "gone", this_month.plus(-2), "Text").await;
    store(&app, "remediation", "busy", this_month, "Other").await;
    let [linking, locking] = [database.connect().await, database.connect().await];
    linking
        .batch_execute("BEGIN; LOCK TABLE incident_records IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    // The month is detached; its incidents and texts remain for now.
    assert_eq!(run(&database).await.postponed.len(), 1);
    linking.batch_execute("COMMIT").await.unwrap();

    locking
        .batch_execute("BEGIN; SELECT FROM incidents WHERE correlation_id = 'busy' FOR UPDATE")
        .await
        .unwrap();
    let leaving = async {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND NOT granted";
        while database.count(waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let report = run(&database).await;
        locking.batch_execute("COMMIT").await.unwrap();
        report
    };
    let (stored, report) = tokio::join!(
        store(&app, "remediation", "busy", this_month, "Text"),
        leaving
    );

    assert_eq!(report.postponed, Vec::<String>::new());
    assert_linked(&database).await;
    assert_eq!(app.incident_of(&stored).await["record_count"], 2);
    let vectors = "SELECT count(*) FROM embeddings";
    assert_eq!(database.count(vectors).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_writers_of_the_same_texts_and_incidents_no_record_loses_its_own() {
    const MONTHS: i32 = 12;
    const WRITERS: i32 = 8;
    const INCIDENTS: i32 = 30;
    let (database, this_month) = database_with_months(MONTHS + 1).await;
    let app = Setup::default().database(&database).start().await;
    let months = (2..MONTHS + 2).map(|back| this_month.plus(-back));
    let months: Vec<_> = months.rev().collect();
    // Each month has its own incidents and texts, which leave with it.
    let name = |month: Month, number: i32| format!("i-{}-{number}", month.0);
    let text = |month: Month, number: i32| format!("Text{}of{}", number % 5, month.0);
    for month in &months {
        let stored = (0..INCIDENTS).map(|number| {
            let (name, text) = (name(*month, number), text(*month, number));
            let app = &app;
            async move { store(app, "remediation", &name, *month, &text).await }
        });
        join_all(stored).await;
    }

    let is_running = AtomicBool::new(true);
    let maintaining = async {
        for (place, month) in (0..).zip(&months) {
            let today = month.plus(2).day(1);
            let call = super::call_as_of(&today[..10], MONTHS - place, Some(1));
            loop {
                database.execute(&call).await;
                let left = "SELECT count(*) FROM detached_partitions WHERE cleared_at IS NULL";
                if database.count(left).await == 0 {
                    break;
                }
            }
        }
        is_running.store(false, Ordering::Relaxed);
    };
    let writing = (0..WRITERS).map(async |writer| {
        let mut written = 0;
        for turn in (writer..).step_by(7) {
            if !is_running.load(Ordering::Relaxed) {
                break;
            }
            let month = months[usize::try_from(turn).unwrap() / 3 % months.len()];
            let (name, text) = (name(month, turn % INCIDENTS), text(month, turn));
            let mut late = report("remediation", &name, this_month, &text);
            set(&mut late, json!({ "message": format!("{writer} {turn}") }));
            app.store("remediation", &late).await;
            written += 1;
        }
        written
    });
    let ((), written) = tokio::join!(maintaining, join_all(writing));

    println!(
        "{} records beside the maintenance",
        written.iter().sum::<i32>()
    );
    assert_linked(&database).await;
}
