//! What retention keeps because of holds, and how it accounts for what it detaches.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Database, Setup, TestApp};
use migrations::{Maintenance, Report, maintain};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{place, release};
use crate::partitions::{AUDIT_TABLES, Month, attached, database_with_months, insert_record_of};

const RETENTION: Maintenance = Maintenance {
    months_ahead: 1,
    retention_months: Some(1),
};

const TABLE: &str = "workflow_audit";

async fn run(database: &Database) -> Report {
    let report = maintain(database.url.as_str(), RETENTION).await.unwrap();
    assert_eq!(report.postponed, Vec::<String>::new());
    report
}

async fn insert(database: &Database, month: Month, names: [&str; 3]) -> i64 {
    insert_record_of(database, "workflow", &month.day(15), names).await
}

/// A service, the month that ended last of those past retention, and one record in it.
async fn with_an_ended_month() -> (TestApp, Month) {
    let (database, this_month) = database_with_months(3).await;
    let ended = this_month.plus(-2);
    insert(&database, ended, ["req-1", "production", "wf-1"]).await;
    let app = Setup::default().database(&database).start().await;
    (app, ended)
}

async fn placed(app: &TestApp, hold: Value) -> Value {
    let mut hold = hold;
    hold["reason"] = json!("an inquiry");
    place(app, &hold).await.expect(201).json()["id"].clone()
}

/// The entries about months of workflow records, by month; canonical, pending or not.
async fn retention_entries(database: &Database) -> Vec<Value> {
    let client = database.connect().await;
    let query = "SELECT entry FROM log_entries UNION ALL SELECT entry FROM log_pending";
    let rows = client.query(query, &[]).await.unwrap();
    let mut entries: Vec<Value> = Vec::new();
    for row in rows {
        let text: &str = row.get(0);
        let entry: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json_canonicalizer::to_string(&entry).unwrap(), text);
        if entry["kind"] == "retention" && entry["record_kind"] == "workflow" {
            entries.push(entry);
        }
    }
    entries.sort_by_key(|entry| entry["month"].to_string());
    entries
}

fn month_of(month: Month) -> String {
    month.day(1)[..7].to_owned()
}

#[tokio::test]
async fn a_held_month_stays_until_its_hold_is_released_and_the_notice_names_the_hold() {
    let (app, ended) = with_an_ended_month().await;
    let database = app.database.clone();
    let partition = ended.partition_of(TABLE);
    let first = placed(&app, json!({"correlationId": "req-1"})).await;
    let second = placed(&app, json!({"namespace": "production"})).await;
    placed(&app, json!({"correlationId": "req-2"})).await;

    for (holds, released) in [
        (format!("{first}, {second}"), &first),
        (second.to_string(), &second),
    ] {
        // It says so every time.
        for _ in 0..2 {
            let report = run(&database).await;
            let kept = format!("kept {partition} because of the holds {holds}");
            assert!(report.done.contains(&kept), "{report:?}");
            assert!(attached(&database, TABLE).await.contains(&partition));
        }
        let months = retention_entries(&database).await;
        let months: Vec<_> = months.iter().map(|entry| &entry["month"]).collect();
        assert_eq!(months, [&json!(month_of(ended.plus(-1)))]);
        release(&app, released, "done").await.expect(201);
    }

    let report = run(&database).await;
    let detached = format!("detached {partition}, records in it: 1");
    assert!(report.done.contains(&detached), "{report:?}");
    assert!(!attached(&database, TABLE).await.contains(&partition));
    assert_eq!(retention_entries(&database).await.len(), 2);
    assert_eq!(run(&database).await, Report::default());
}

#[tokio::test]
async fn a_held_month_leaves_once_its_hold_has_expired() {
    let (app, ended) = with_an_ended_month().await;
    let database = app.database.clone();
    let partition = ended.partition_of(TABLE);
    let hold = json!({"correlationId": "req-1", "expiresAt": "9999-12-31T23:59:59Z"});
    placed(&app, hold).await;
    run(&database).await;
    assert!(attached(&database, TABLE).await.contains(&partition));
    database
        .execute("UPDATE holds SET content = jsonb_set(
                 content::jsonb, '{expiresAt}', to_jsonb(log_time(now() - interval '1 microsecond')))")
        .await;
    run(&database).await;
    assert!(!attached(&database, TABLE).await.contains(&partition));
}

#[tokio::test]
async fn a_hold_that_expires_soon_is_in_force_until_then() {
    let (app, ended) = with_an_ended_month().await;
    let database = app.database.clone();
    let client = database.connect().await;
    let row = client
        .query_one(
            "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 hour',
                 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
            &[],
        )
        .await
        .unwrap();
    let soon: String = row.get(0);
    placed(&app, json!({"correlationId": "req-1", "expiresAt": soon})).await;
    run(&database).await;
    let partition = ended.partition_of(TABLE);
    assert!(attached(&database, TABLE).await.contains(&partition));
}

#[tokio::test]
async fn a_hold_keeps_the_months_with_a_record_that_matches_all_that_it_names() {
    const BACK: [i32; 3] = [4, 3, 2];
    const RECORDS: [[&str; 3]; 3] = [
        ["req-1", "ns-1", "wf-1"],
        ["req-2", "ns-1", "wf-2"],
        ["req-1", "ns-2", "wf-1"],
    ];
    type Hold = fn(&str) -> Value;
    // Each gets the middle record's createdAt.
    let cases: [(Hold, &[i32]); 12] = [
        (|_| json!({"correlationId": "req-1"}), &[4, 2]),
        (|_| json!({"correlationId": "req-3"}), &[]),
        (|_| json!({"namespace": "ns-1"}), &[4, 3]),
        (|_| json!({"namespace": "ns-1", "name": "wf-2"}), &[3]),
        (|_| json!({"namespace": "ns-2", "name": "wf-2"}), &[]),
        (
            |_| json!({"correlationId": "req-1", "namespace": "ns-2"}),
            &[2],
        ),
        (
            |_| json!({"correlationId": "req-2", "namespace": "ns-2"}),
            &[],
        ),
        (|at| json!({ "since": at }), &[3, 2]),
        (|at| json!({ "until": at }), &[4, 3]),
        (|at| json!({"since": at, "until": at}), &[3]),
        (|at| json!({"since": at.replace('Z', ".000001Z")}), &[2]),
        (|at| json!({"correlationId": "req-1", "until": at}), &[4]),
    ];
    for (hold, kept) in cases {
        let (database, this_month) = database_with_months(4).await;
        let month = |back: i32| this_month.plus(-back);
        for (back, names) in BACK.into_iter().zip(RECORDS) {
            insert(&database, month(back), names).await;
        }
        let app = Setup::default().database(&database).start().await;
        let hold = hold(&month(3).day(15));
        let id = placed(&app, hold.clone()).await;
        let report = run(&database).await;
        for table in AUDIT_TABLES {
            let attached = attached(&database, table).await;
            let ended = BACK.map(|back| (back, month(back).partition_of(table)));
            let left: BTreeSet<_> = ended
                .iter()
                .filter(|(_, partition)| attached.contains(partition))
                .map(|(back, _)| *back)
                .collect();
            let expected = kept.iter().copied().filter(|_| table == TABLE);
            assert_eq!(left, expected.collect(), "{table}: {hold}");
        }
        for back in kept {
            let partition = month(*back).partition_of(TABLE);
            let notice = format!("kept {partition} because of the holds {id}");
            assert!(report.done.contains(&notice), "{hold}: {report:?}");
        }
        let accounted = retention_entries(&database).await;
        let accounted: Vec<_> = accounted.iter().map(|entry| &entry["month"]).collect();
        let expected = BACK.iter().filter(|back| !kept.contains(back));
        let expected: Vec<_> = expected.map(|back| json!(month_of(month(*back)))).collect();
        assert_eq!(accounted, expected.iter().collect::<Vec<_>>(), "{hold}");
    }
}

#[tokio::test]
async fn the_entry_of_a_detached_month_accounts_for_its_records() {
    let (database, this_month) = database_with_months(3).await;
    let [empty, full] = [this_month.plus(-3), this_month.plus(-2)];
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(insert(&database, full, ["req-1", "production", "wf-1"]).await);
    }
    // A record of another month or kind is none of them.
    insert(&database, this_month, ["req-1", "production", "wf-1"]).await;
    let names = ["req-1", "production", "wf-1"];
    insert_record_of(&database, "execution", &full.day(15), names).await;
    run(&database).await;

    ids.sort_unstable();
    let digest = |ids: &[i64]| {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        // Such small ids are one block, and none are no block.
        match ids {
            [] => STANDARD.encode(Sha256::digest([])),
            _ => STANDARD.encode(Sha256::digest(Sha256::digest(bytes))),
        }
    };
    let user = database.connect().await;
    let user = user.query_one("SELECT session_user::text", &[]).await;
    let user: String = user.unwrap().get(0);
    let entries = retention_entries(&database).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    for (entry, month, ids) in [(&entries[0], empty, &[][..]), (&entries[1], full, &ids)] {
        let recorded_at = entry["recorded_at"].as_str().unwrap();
        assert_eq!(recorded_at.len(), "2026-11-01T10:00:00.000000Z".len());
        let expected = json!({
            "kind": "retention", "record_kind": "workflow", "month": month_of(month),
            "records": ids.len(), "digest": digest(ids), "policy": "retention_months=1",
            "recorded_by": user, "recorded_at": recorded_at, "version": 1,
        });
        assert_eq!(*entry, expected);
    }
    let partition = full.partition_of(TABLE);
    let records = format!("SELECT count(*) FROM {partition}");
    assert_eq!(database.count(&records).await, 3);
    let all = "SELECT count(*) FROM log_pending WHERE record_id IS NULL";
    let tables = i64::try_from(AUDIT_TABLES.len()).unwrap();
    assert_eq!(database.count(all).await, 2 * tables);
}

#[tokio::test]
async fn a_hold_that_is_placed_while_its_month_is_being_detached_waits_for_the_end() {
    let (app, ended) = with_an_ended_month().await;
    let database = app.database.clone();
    let detaching = database.connect().await;
    let partition = ended.partition_of(TABLE);
    let detach = format!(
        "BEGIN;
         SELECT detach_month_partition('{TABLE}', '{partition}', 'infinity', 'by hand')"
    );
    detaching.batch_execute(&detach).await.unwrap();
    let waiting = async {
        let locks = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND NOT granted";
        while database.count(locks).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(database.count("SELECT count(*) FROM holds").await, 0);
        detaching.batch_execute("COMMIT").await.unwrap();
    };
    let (id, ()) = tokio::join!(placed(&app, json!({"correlationId": "req-1"})), waiting);
    // It cannot bring back what is detached.
    assert!(!attached(&database, TABLE).await.contains(&partition));
    let report = run(&database).await;
    let is_kept = report.done.iter().any(|line| line.starts_with("kept"));
    assert!(!is_kept, "{report:?}");
    app.get(&format!("{}/{id}", super::HOLDS)).await.expect(200);
}
