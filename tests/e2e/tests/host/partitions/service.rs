//! Writes, replays and reads while months leave the default partition.

use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Setup, TestApp, remediation};
use serde_json::Value;

use super::{Month, call_as_of, database_without_partitions};

const FIRST_MONTH: &str = "2024-01-31";
const MONTHS: i32 = 24;

async fn store(app: &TestApp, record: &Value) -> (Value, bool) {
    let answer = app.store("remediation", record).await;
    let is_replayed = answer.header("idempotent-replayed") == "true";
    (answer.stored(), is_replayed)
}

/// Writes records of all months twice and replays earlier ones. Returns their number.
async fn write(app: &TestApp, writer: i32, is_moving: &AtomicBool) -> usize {
    let mut stored = Vec::new();
    let mut number = writer;
    while is_moving.load(Ordering::Relaxed) {
        number += 7;
        let mut record = remediation();
        record["createdAt"] = Month::of(FIRST_MONTH).plus(number % MONTHS).day(15).into();
        let (first, _) = store(app, &record).await;
        stored.push((record, first));
        for (record, first) in stored.iter().rev().take(1).chain(stored.iter().step_by(9)) {
            let (again, is_replayed) = store(app, record).await;
            assert!(is_replayed, "{record}");
            assert_eq!(again, *first, "{record}");
        }
    }
    stored.len()
}

/// Reads one record and all records repeatedly: each exists once.
async fn read(app: &TestApp, is_moving: &AtomicBool) {
    let client = app.database.connect().await;
    let of_one = client
        .prepare(
            "SELECT count(*) FROM audit_records
             WHERE kind = 'remediation' AND created_at = $1::text::timestamptz",
        )
        .await
        .unwrap();
    let of_all = client
        .prepare("SELECT count(*), count(DISTINCT id) FROM audit_records")
        .await
        .unwrap();
    let mut last = 0;
    while is_moving.load(Ordering::Relaxed) {
        for month in 0..MONTHS {
            let created_at = Month::of(FIRST_MONTH).plus(month).day(1);
            let found: i64 = client
                .query_one(&of_one, &[&created_at])
                .await
                .unwrap()
                .get(0);
            assert_eq!(found, 1, "{created_at}");
        }
        let row = client.query_one(&of_all, &[]).await.unwrap();
        let (all, distinct): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(all, distinct);
        assert!(all >= last, "{all} after {last}");
        last = all;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_missed_or_doubled_while_its_month_is_moved() {
    let database = database_without_partitions().await;
    let app = Setup::default().database(&database).start().await;
    for month in 0..MONTHS {
        let mut record = remediation();
        record["createdAt"] = Month::of(FIRST_MONTH).plus(month).day(1).into();
        store(&app, &record).await;
    }
    let is_moving = AtomicBool::new(true);
    let maintain = async {
        for month in 0..MONTHS {
            let today = Month::of(FIRST_MONTH).plus(month).day(28);
            database.execute(&call_as_of(&today, 1, None)).await;
        }
        is_moving.store(false, Ordering::Relaxed);
    };
    let writers = (0..6).map(|writer| write(&app, writer, &is_moving));
    let (written, (), (), ()) = tokio::join!(
        futures::future::join_all(writers),
        read(&app, &is_moving),
        read(&app, &is_moving),
        maintain
    );

    let expected = written.into_iter().sum::<usize>() + usize::try_from(MONTHS).unwrap();
    for table in ["audit_records", "incidents", "incident_records"] {
        let stored = database
            .count(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(usize::try_from(stored).unwrap(), expected, "{table}");
    }
    let left = "SELECT count(*) FROM remediation_audit_default";
    assert_eq!(database.count(left).await, 0);
}
