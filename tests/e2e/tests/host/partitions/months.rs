//! Months that get a partition, and the records that move there.

use e2e::Database;

use super::{
    AUDIT_TABLES, Month, attached, call_as_of, database_without_partitions, insert_record,
    partition_of, partitions, records,
};

#[tokio::test]
async fn every_month_from_this_one_to_the_last_ahead_has_a_partition() {
    for today in [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-08-31",
        "2026-12-31",
        "2027-12-01",
        "2028-02-29",
    ] {
        let database = database_without_partitions().await;
        for months_ahead in [1, 3, 14] {
            database
                .execute(&call_as_of(today, months_ahead, None))
                .await;
            let this_month = Month::of(today);
            for table in AUDIT_TABLES {
                assert_eq!(
                    attached(&database, table).await,
                    partitions(table, this_month, this_month.plus(months_ahead)),
                    "{today} and {months_ahead} months"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_month_is_that_of_utc_to_the_microsecond_whatever_the_session_is_set_to() {
    for (time_zone, date_style) in [
        ("Pacific/Kiritimati", "SQL, DMY"),
        ("America/Los_Angeles", "German"),
        ("Asia/Kolkata", "Postgres, MDY"),
    ] {
        let database = database_without_partitions().await;
        let february = insert_record(&database, "workflow", "2028-02-29 23:59:59.999999+00").await;
        let march = insert_record(&database, "workflow", "2028-03-01 00:00:00+00").await;
        let client = database.connect().await;
        client
            .batch_execute(&format!(
                "SET timezone = '{time_zone}'; SET datestyle = '{date_style}'"
            ))
            .await
            .unwrap();
        // The second run finds the bounds that the first one wrote.
        for _ in 0..2 {
            client
                .batch_execute(&call_as_of("2028-02-10", 1, Some(1)))
                .await
                .unwrap();
        }
        for (id, month) in [(february, "2028_02"), (march, "2028_03")] {
            let expected = format!("workflow_audit_{month}");
            assert_eq!(partition_of(&database, id).await, expected, "{time_zone}");
        }
        for (created_at, place) in [
            ("2028-01-31 23:59:59.999999+00", "default"),
            ("2028-02-01 00:00:00+00", "2028_02"),
            ("2028-03-31 23:59:59.999999+00", "2028_03"),
            ("2028-04-01 00:00:00+00", "default"),
        ] {
            let id = insert_record(&database, "workflow", created_at).await;
            let expected = format!("workflow_audit_{place}");
            assert_eq!(partition_of(&database, id).await, expected, "{created_at}");
        }
    }
}

#[tokio::test]
async fn records_leave_the_default_partition_when_their_month_gets_its_own() {
    let database = database_without_partitions().await;
    let today = "2027-03-31";
    let this_month = Month::of(today);
    let mut expected = Vec::new();
    for table in AUDIT_TABLES {
        let kind = table.trim_end_matches("_audit");
        for months in [-60, -1, 0, 2] {
            for day in [1, 28] {
                let month = this_month.plus(months);
                let id = insert_record(&database, kind, &month.day(day)).await;
                expected.push((id, month.partition_of(table)));
            }
        }
        let odd = [
            this_month.plus(-61).day(28),
            this_month.plus(3).day(1),
            "1970-01-01T00:00:00Z".to_owned(),
            "0001-01-01T00:00:00Z".to_owned(),
            "9999-12-31T23:59:59Z".to_owned(),
        ];
        for created_at in odd {
            let id = insert_record(&database, kind, &created_at).await;
            expected.push((id, format!("{table}_default")));
        }
    }
    let before = records(&database).await;

    database.execute(&call_as_of(today, 2, None)).await;

    assert_eq!(records(&database).await, before);
    for (id, partition) in expected {
        assert_eq!(partition_of(&database, id).await, partition);
    }
    for table in AUDIT_TABLES {
        // This month, two future ones, and two past ones with records.
        assert_eq!(attached(&database, table).await.len(), 5, "{table}");
    }
}

#[tokio::test]
async fn months_whose_retention_ended_are_not_taken_out_of_the_default_partition() {
    let database = database_without_partitions().await;
    let ended = insert_record(&database, "execution", "2027-01-31T23:59:59.999999Z").await;
    let kept = insert_record(&database, "execution", "2027-02-01T00:00:00Z").await;
    database
        .execute(&call_as_of("2027-04-30", 1, Some(2)))
        .await;
    assert_eq!(
        partition_of(&database, ended).await,
        "execution_audit_default"
    );
    assert_eq!(
        partition_of(&database, kept).await,
        "execution_audit_2027_02"
    );
}

#[tokio::test]
async fn a_kind_that_is_added_later_is_maintained_without_a_change() {
    let database = database_without_partitions().await;
    database
        .execute(
            "CREATE TABLE approval_audit PARTITION OF audit_records
                 (PRIMARY KEY (created_at, content_hash))
                 FOR VALUES IN ('approval') PARTITION BY RANGE (created_at);
             CREATE TABLE approval_audit_default PARTITION OF approval_audit DEFAULT;
             CREATE TABLE strict_audit PARTITION OF audit_records
                 (PRIMARY KEY (created_at, content_hash))
                 FOR VALUES IN ('strict') PARTITION BY RANGE (created_at);",
        )
        .await;
    let id = insert_record(&database, "approval", "2027-12-31T23:00:00Z").await;
    database.execute(&call_as_of("2027-12-31", 1, None)).await;
    for table in ["approval_audit", "strict_audit"] {
        let december = Month::of("2027-12-31");
        assert_eq!(
            attached(&database, table).await,
            partitions(table, december, december.plus(1))
        );
    }
    assert_eq!(partition_of(&database, id).await, "approval_audit_2027_12");
}

#[tokio::test]
async fn arguments_out_of_range_are_refused_by_name_and_nothing_is_done() {
    let database = database_without_partitions().await;
    let refused = async |database: &Database, arguments: &str| {
        let call = format!("CALL maintain_audit_partitions({arguments})");
        let error = database.connect().await.batch_execute(&call).await;
        let error = error.expect_err(arguments);
        let error = error
            .as_db_error()
            .expect("an error of the database")
            .clone();
        (error.code().code().to_owned(), error.message().to_owned())
    };
    for (name, values) in [
        (
            "months_ahead",
            ["-1", "0", "121", "2147483647", "NULL"].as_slice(),
        ),
        (
            "retention_months",
            ["-1", "0", "1201", "2147483647"].as_slice(),
        ),
    ] {
        for value in values {
            let (code, message) = refused(&database, &format!("{name} => {value}")).await;
            assert_eq!(code, "22023", "{message}");
            let said = format!("{name} must be 1 to ");
            assert!(message.starts_with(&said), "{message}");
            assert!(message.ends_with(&value.to_lowercase()), "{message}");
        }
    }
    assert!(attached(&database, "workflow_audit").await.is_empty());
    for arguments in ["1, 1200", "120, 1"] {
        database
            .execute(&format!("CALL maintain_audit_partitions({arguments})"))
            .await;
    }
    assert_eq!(attached(&database, "workflow_audit").await.len(), 121);
}
