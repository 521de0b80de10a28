//! Pages that hold few records or none, although more follow.

use e2e::{Setup, record, set};
use serde_json::{Value, json};

use super::{NONE, RECORDS, ids, next, walk};
use crate::audit_log::{checkpoint, id_of, store};

/// Leaves that a page with a filter reads.
const LEAVES_MAX: i64 = 10_000;

#[tokio::test]
async fn a_page_with_a_filter_reads_its_part_of_the_log_and_the_next_goes_on() {
    // The test writes the log: leaves without records, then one record at the last leaf that the
    // first page reads, and one past it.
    let app = Setup::default()
        .variable("log_signing_key", "")
        .start()
        .await;
    let mut stored = Vec::new();
    for _ in 0..2 {
        stored.push(store(&app).await);
    }
    let (last, past) = (LEAVES_MAX - 1, LEAVES_MAX);
    app.database
        .execute(&format!(
            "INSERT INTO log_entries (leaf_index, entry)
                 SELECT leaf_index, '{{}}' FROM generate_series(0, {last} - 1) AS leaf_index;
             INSERT INTO log_entries (leaf_index, record_id, entry)
                 SELECT CASE record_id WHEN {} THEN {last} ELSE {past} END, record_id, entry FROM log_pending;
             UPDATE log_head SET size = {past} + 1",
            stored[0]
        ))
        .await;
    let pages = walk(&app, &format!("{RECORDS}?kind=remediation")).await;
    assert_eq!(pages, [[stored[0]], [stored[1]]]);

    // Nothing matches on the first page, which has a next one all the same.
    let first = app
        .get(&format!("{RECORDS}?kind=workflow"))
        .await
        .expect(200);
    assert_eq!(ids(&first), NONE);
    let second = app.get(&next(&first).unwrap()).await.expect(200);
    assert_eq!(ids(&second), NONE);
    assert_eq!(second.json()["pagination"]["next_cursor"], Value::Null);

    // Records of few are found wherever they are.
    let path = format!("/api/v1/audit/records/{}", stored[1]);
    let found = app.get(&path).await.expect(200).json();
    let correlation_id = &found["record"]["correlationId"].as_str().unwrap();
    let pages = walk(&app, &format!("{RECORDS}?correlation_id={correlation_id}")).await;
    assert_eq!(pages, [[stored[1]]]);
}

#[tokio::test]
async fn what_has_left_is_passed_over_and_the_walk_goes_on() {
    let app = Setup::default().start().await;
    let mut stored = Vec::new();
    for _ in 0..5 {
        stored.push(store(&app).await);
    }
    checkpoint(&app).await;
    let gone = format!("WHERE id BETWEEN {} AND {}", stored[0], stored[2]);
    app.database
        .execute(&format!(
            "DELETE FROM audit_records {gone}; DELETE FROM incident_records {gone}"
        ))
        .await;
    let pages = walk(&app, &format!("{RECORDS}?limit=2")).await;
    assert_eq!(pages, [vec![], vec![stored[3]], vec![stored[4]]]);
}

#[tokio::test]
async fn a_page_of_large_records_ends_early_and_loses_none() {
    const RECORDS_COUNT: usize = 40;
    let app = Setup::default().start().await;
    let labels: Value = (0..50)
        .map(|number| (format!("label-{number}"), json!("x".repeat(4096))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut incident = String::new();
    let mut stored = Vec::new();
    for _ in 0..RECORDS_COUNT {
        let mut large = record("workflow");
        set(
            &mut large,
            json!({"labels": labels, "correlationId": "req-large"}),
        );
        let answer = app.post_record("workflow", &large).await.expect(201);
        answer.header("location").clone_into(&mut incident);
        stored.push(id_of(&answer));
    }
    checkpoint(&app).await;
    for path in [
        format!("{RECORDS}?limit=1000"),
        format!("{RECORDS}?limit=1000&kind=workflow"),
        format!("{RECORDS}?limit=1000&correlation_id=req-large"),
        format!("{incident}/records?limit=1000"),
        format!("{incident}/records?limit=1000&kind=workflow"),
    ] {
        let pages = walk(&app, &path).await;
        assert_eq!(pages.len(), 2, "{path}");
        assert_eq!(pages.concat(), stored, "{path}");
    }
}
