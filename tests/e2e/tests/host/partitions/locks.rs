//! Maintenance during other runs, readers and writers that hold locks.

use migrations::{Maintenance, maintain};

use super::{AUDIT_TABLES, attached, call_as_of, database_without_partitions, insert_record};

const TWO_AHEAD: Maintenance = Maintenance {
    months_ahead: 2,
    retention_months: None,
};

#[tokio::test]
async fn a_table_in_use_is_left_to_the_next_run_and_can_be_written_to_meanwhile() {
    let database = database_without_partitions().await;
    let url = database.url.as_str();
    let mut holders = Vec::new();
    for hold in [
        "SELECT count(*) FROM aianalysis_audit",
        "INSERT INTO audit_records (
             kind, created_at, content_hash, content, correlation_id, namespace, name, phase,
             cluster, log_nonce)
         VALUES (
             'remediation', now(), sha256(''), '', '', '', '', '', '', uuid_send(gen_random_uuid()))",
        "SELECT count(*) FROM workflow_audit_default",
    ] {
        let holder = database.connect().await;
        holder
            .batch_execute(&format!("BEGIN; {hold}"))
            .await
            .unwrap();
        holders.push(holder);
    }

    let run = maintain(url, TWO_AHEAD);
    let write = async {
        let mut written = 0;
        loop {
            for kind in ["aianalysis", "remediation", "workflow"] {
                insert_record(&database, kind, "2027-01-01T00:00:00Z").await;
            }
            written += 3;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            if written >= 30 {
                return;
            }
        }
    };
    let (report, ()) = tokio::join!(run, write);
    let report = report.unwrap();
    assert_eq!(report.done.len(), 6, "{report:?}");
    assert_eq!(report.postponed.len(), 3, "{report:?}");
    for table in ["aianalysis_audit", "remediation_audit", "workflow_audit"] {
        assert!(attached(&database, table).await.is_empty(), "{table}");
        let is_named = report.postponed.iter().any(|line| line.starts_with(table));
        assert!(is_named, "{report:?}");
    }
    for table in ["execution_audit", "event_audit"] {
        assert_eq!(attached(&database, table).await.len(), 3, "{table}");
    }

    for holder in holders {
        holder.batch_execute("COMMIT").await.unwrap();
    }
    let report = maintain(url, TWO_AHEAD).await.unwrap();
    assert!(report.postponed.is_empty(), "{report:?}");
    for table in AUDIT_TABLES {
        assert!(attached(&database, table).await.len() >= 3, "{table}");
    }
}

#[tokio::test]
async fn a_second_run_says_so_and_leaves_the_work_to_the_first() {
    let database = database_without_partitions().await;
    let first = database.connect().await;
    first
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock('audit_records'::regclass::bigint)")
        .await
        .unwrap();
    let report = maintain(database.url.as_str(), TWO_AHEAD).await.unwrap();
    assert_eq!(report.done.len(), 1, "{report:?}");
    assert!(report.done[0].starts_with("another run"), "{report:?}");
    assert!(attached(&database, "workflow_audit").await.is_empty());
}

#[tokio::test]
async fn runs_at_the_same_time_do_each_step_once() {
    let database = database_without_partitions().await;
    for month in 1..=9 {
        let created_at = format!("2027-{month:02}-15T00:00:00Z");
        insert_record(&database, "execution", &created_at).await;
    }
    let run = async || {
        let client = database.connect().await;
        let call = call_as_of("2027-05-31", 12, Some(3));
        client.batch_execute(&call).await
    };
    for result in futures::future::join_all((0..4).map(|_| run())).await {
        result.unwrap();
    }
    for table in AUDIT_TABLES {
        let expected = if table == "execution_audit" { 16 } else { 13 };
        assert_eq!(attached(&database, table).await.len(), expected, "{table}");
    }
    let left = "SELECT count(*) FROM execution_audit_default";
    assert_eq!(
        database.count(left).await,
        1,
        "January is past the retention"
    );
}

#[tokio::test]
async fn a_run_in_a_transaction_with_an_older_snapshot_is_refused() {
    let database = database_without_partitions().await;
    let client = database.connect().await;
    client
        .batch_execute("SET default_transaction_isolation = 'repeatable read'")
        .await
        .unwrap();
    let refused = client
        .batch_execute("CALL maintain_audit_partitions()")
        .await
        .unwrap_err();
    assert!(
        format!("{refused:?}").contains("READ COMMITTED"),
        "{refused:?}"
    );
    assert!(attached(&database, "workflow_audit").await.is_empty());
}
