//! The maintenance of a database that is older than it.

use migrations::{Maintenance, apply, maintain};

use super::{AUDIT_TABLES, attached, insert_record, partition_of, records};
use crate::migrations::database_at;

#[tokio::test]
async fn a_database_with_records_is_brought_up_to_date_and_loses_none() {
    let database = database_at(3).await;
    let this_month = insert_record(&database, "remediation", "now").await;
    let row = database.connect().await;
    let row = row.query_one("SELECT (now() - interval '3 months')::text", &[]);
    let three_months_ago: String = row.await.unwrap().get(0);
    let past = insert_record(&database, "remediation", &three_months_ago).await;
    let far = insert_record(&database, "workflow", "9999-12-31T00:00:00Z").await;
    let before = records(&database).await;
    let place = partition_of(&database, this_month).await;
    assert_eq!(
        partition_of(&database, past).await,
        "remediation_audit_default"
    );

    apply(database.url.as_str()).await.unwrap();
    let options = Maintenance {
        months_ahead: 24,
        retention_months: None,
    };
    let report = maintain(database.url.as_str(), options).await.unwrap();

    assert!(report.postponed.is_empty(), "{report:?}");
    let moved = "out of the default partition: 1";
    let moves = report.done.iter().filter(|line| line.ends_with(moved));
    assert_eq!(moves.count(), 1, "{report:?}");
    assert_eq!(records(&database).await, before);
    assert_eq!(partition_of(&database, this_month).await, place);
    assert_ne!(
        partition_of(&database, past).await,
        "remediation_audit_default"
    );
    assert_eq!(partition_of(&database, far).await, "workflow_audit_default");
    for table in AUDIT_TABLES {
        assert!(attached(&database, table).await.len() >= 25, "{table}");
    }
    assert_eq!(
        maintain(database.url.as_str(), options).await.unwrap(),
        migrations::Report::default(),
        "there is nothing left to do"
    );
}
