//! Detached partitions and late records.

use super::{
    AUDIT_TABLES, Month, attached, call_as_of, database_without_partitions, insert_record,
    partition_of, partitions, records,
};

#[tokio::test]
async fn what_ended_the_retention_ago_is_detached_and_nothing_younger() {
    let database = database_without_partitions().await;
    let first = Month::of("2024-01-01");
    let last = Month::of("2029-01-01");
    database.execute(&call_as_of("2024-01-01", 60, None)).await;
    for (today, retention_months) in [
        ("2024-01-31", 1),
        ("2024-02-29", 1),
        ("2024-03-01", 1),
        ("2024-03-31", 1),
        ("2025-12-31", 20),
        ("2026-01-01", 20),
        ("2028-02-29", 36),
        ("2027-08-31", 24),
        ("2027-12-31", 24),
        ("2028-01-01", 1),
    ] {
        let before = attached(&database, "workflow_audit").await.len();
        database
            .execute(&call_as_of(today, 1, Some(retention_months)))
            .await;
        // A partition stays while the month after it is younger than the retention.
        let kept = (first.0..=last.0)
            .map(Month)
            .filter(|month| Month::of(today).0 - month.plus(1).0 < retention_months)
            .map(|month| month.partition_of("workflow_audit"));
        let kept: Vec<_> = kept.collect();
        let found = attached(&database, "workflow_audit").await;
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            kept.iter().collect::<Vec<_>>(),
            "{today} and {retention_months} months, {before} before"
        );
    }
    let all = partitions("workflow_audit", first, last);
    for partition in &all {
        assert_eq!(
            database
                .count(&format!("SELECT count(*) FROM {partition}"))
                .await,
            0
        );
    }
}

#[tokio::test]
async fn nothing_is_detached_where_no_retention_is_given() {
    let database = database_without_partitions().await;
    database.execute(&call_as_of("2024-01-31", 2, None)).await;
    database.execute(&call_as_of("2029-01-31", 2, None)).await;
    for table in AUDIT_TABLES {
        assert_eq!(attached(&database, table).await.len(), 6, "{table}");
    }
}

#[tokio::test]
async fn a_detached_month_stays_as_it_is_and_its_late_records_stay_in_the_default_partition() {
    let database = database_without_partitions().await;
    database.execute(&call_as_of("2027-01-31", 1, None)).await;
    insert_record(&database, "aianalysis", "2027-01-31T00:00:00Z").await;
    let young = insert_record(&database, "aianalysis", "2027-02-28T00:00:00Z").await;
    database
        .execute(&call_as_of("2027-03-31", 1, Some(1)))
        .await;
    let detached = "SELECT count(*) FROM aianalysis_audit_2027_01";
    assert_eq!(database.count(detached).await, 1);
    assert_eq!(
        records(&database).await.len(),
        1,
        "it is no partition any more"
    );

    let late = insert_record(&database, "aianalysis", "2027-01-31T00:00:01Z").await;
    for retention_months in [Some(1), None, Some(1)] {
        database
            .execute(&call_as_of("2027-03-31", 1, retention_months))
            .await;
        assert_eq!(
            partition_of(&database, late).await,
            "aianalysis_audit_default"
        );
        assert_eq!(
            partition_of(&database, young).await,
            "aianalysis_audit_2027_02"
        );
        assert_eq!(database.count(detached).await, 1);
    }

    // Archive and drop it as in docs/maintenance.md.
    database
        .execute("DROP TABLE aianalysis_audit_2027_01")
        .await;
    database
        .execute(&call_as_of("2027-03-31", 1, Some(1)))
        .await;
    assert_eq!(
        partition_of(&database, late).await,
        "aianalysis_audit_default"
    );
}
