use e2e::{Database, Setup, TestApp, remediation};
use futures::future::join_all;

pub(crate) async fn write_on_both(one: &TestApp, other: &TestApp, records: usize) {
    for _ in 0..records {
        let record = remediation();
        let (first, second) = tokio::join!(
            one.post_remediation(&record),
            other.post_remediation(&record)
        );
        assert_eq!(first.expect(201).stored(), second.expect(201).stored());
    }
}

#[tokio::test]
async fn identical_records_on_two_replicas_are_stored_once() {
    let database = Database::create().await;
    let one = Setup::default().database(&database).start().await;
    let two = Setup::default().database(&database).start().await;
    for _ in 0..20 {
        let record = remediation();
        let (first, second) =
            tokio::join!(one.post_remediation(&record), two.post_remediation(&record));
        let (first, second) = (first.expect(201), second.expect(201));
        assert_eq!(first.stored(), second.stored());
        let replayed = [first, second].map(|answer| answer.header("idempotent-replayed") == "true");
        assert!(
            replayed[0] ^ replayed[1],
            "one of them is the first: {replayed:?}"
        );
    }
    for table in ["remediation_audit", "incidents", "incident_records"] {
        let stored = database
            .count(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(stored, 20, "{table}");
    }
    assert_eq!(database.count("SELECT count(*) FROM embeddings").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_at_full_load_store_each_record_once() {
    const WRITERS: usize = 64;
    const RECORDS: usize = 25;
    let database = Database::create().await;
    let one = Setup::default().database(&database).start().await;
    let other = Setup::default().database(&database).start().await;
    let write = |_| write_on_both(&one, &other, RECORDS);
    join_all((0..WRITERS).map(write)).await;

    let written = WRITERS * RECORDS;
    for table in ["remediation_audit", "incidents", "incident_records"] {
        let stored = format!("SELECT count(*) FROM {table}");
        let stored = usize::try_from(database.count(&stored).await).unwrap();
        assert_eq!(stored, written, "{table}");
    }
    assert_eq!(database.count("SELECT count(*) FROM embeddings").await, 1);
}

#[tokio::test]
async fn no_state_is_kept_but_in_the_database() {
    let database = Database::create().await;
    let record = remediation();
    let one = Setup::default().database(&database).start().await;
    let stored = one.post_remediation(&record).await.expect(201);
    drop(one);
    let two = Setup::default().database(&database).start().await;
    let again = two.post_remediation(&record).await.expect(201);
    assert_eq!(again.stored(), stored.stored());
    assert_eq!(two.incident_of(&stored).await["record_count"], 1);
}
