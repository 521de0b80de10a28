//! How the index is brought up to date, made anew, and kept from what it would not notice.

use std::time::Duration;

use e2e::{Setup, remediation};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{get, index, make_incidents};

/// How many incidents the bitmaps have.
const INDEXED: &str = "SELECT coalesce(sum(bit_count(incidents)), 0)::bigint
    FROM incident_bitmaps WHERE facet = 'all'";

/// A record whose writer brings the index up to date: one of 256 does, by the record's hash.
fn indexing_remediation() -> Value {
    loop {
        let record = remediation();
        let canonical = serde_json_canonicalizer::to_vec(&record).unwrap();
        if Sha256::digest(canonical)[0] == 0 {
            return record;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writes_bring_the_index_up_to_date() {
    let app = Setup::default().start().await;
    let stored = futures::future::join_all((0..8).map(async |_| {
        for _ in 0..70 {
            app.post_remediation(&remediation()).await.expect(201);
        }
    }));
    stored.await;
    // The answer comes before the index; and who finds another one at it leaves it to the next.
    let mut written = 560;
    while written < 570 && app.database.count(INDEXED).await < written {
        let record = indexing_remediation();
        app.post_remediation(&record).await.expect(201);
        written += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(app.database.count(INDEXED).await, written);
    assert_eq!(get(&app, "").await["pagination"]["total"], written);
}

#[tokio::test]
async fn bitmaps_made_anew_beside_writes_and_their_indexing_are_exact() {
    let app = Setup::default().start().await;
    make_incidents(&app.database, 0.1, 150).await;
    let mut client = app.database.connect().await;
    let rebuild = client.transaction().await.unwrap();
    let statement = "SELECT rebuild_incident_index()";
    rebuild.batch_execute(statement).await.unwrap();
    let write = make_incidents(&app.database, 0.2, 30);
    let written = tokio::time::timeout(Duration::from_secs(5), write).await;
    written.expect("nobody waits for it");
    assert_eq!(get(&app, "").await["pagination"]["total"], 180);

    let commit = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        rebuild.commit().await.unwrap();
    };
    tokio::join!(index(&app.database), commit);
    assert_eq!(get(&app, "").await["pagination"]["total"], 180);
    assert_eq!(app.database.count(INDEXED).await, 150);
    index(&app.database).await;
    assert_eq!(app.database.count(INDEXED).await, 180);
    assert_eq!(get(&app, "").await["pagination"]["total"], 180);
}

#[tokio::test]
async fn incidents_are_deleted_on_purpose_only() {
    let app = Setup::default().start().await;
    make_incidents(&app.database, 0.1, 50).await;
    index(&app.database).await;
    let client = app.database.connect().await;
    for statement in ["DELETE FROM incidents", "TRUNCATE incidents CASCADE"] {
        let refused = client.batch_execute(statement).await.unwrap_err();
        let hint = refused.as_db_error().and_then(|error| error.hint());
        assert!(
            hint.is_some_and(|hint| hint.contains("rebuild_incident_index()")),
            "{refused:?}"
        );
    }
    // As the hint says.
    let delete = "BEGIN;
        ALTER TABLE incidents DISABLE TRIGGER incident_deleted;
        DELETE FROM incidents WHERE id % 2 = 0;
        ALTER TABLE incidents ENABLE TRIGGER incident_deleted;
        SELECT rebuild_incident_index();
        COMMIT";
    app.database.execute(delete).await;
    assert_eq!(get(&app, "").await["pagination"]["total"], 25);
}

#[tokio::test]
async fn in_another_cluster_lists_are_exact_and_the_index_is_made_anew() {
    let app = Setup::default().start().await;
    make_incidents(&app.database, 0.3, 50).await;
    index(&app.database).await;
    let page = get(&app, "limit=1").await;
    let cursor = page["pagination"]["next_cursor"].as_str().unwrap();
    // As if the tables were restored in another cluster: the numbers of its transactions mean
    // nothing here.
    let restore = "UPDATE incident_bitmaps_state
        SET system_identifier = 1, included = '900000000:900000000:'";
    app.database.execute(restore).await;
    make_incidents(&app.database, 0.4, 5).await;

    assert_eq!(get(&app, "").await["pagination"]["total"], 55);
    // The writes leave it to the maintenance.
    index(&app.database).await;
    assert_eq!(get(&app, "").await["pagination"]["total"], 55);
    let options = migrations::Maintenance::default();
    migrations::maintain(app.database.url.as_str(), options)
        .await
        .unwrap();
    make_incidents(&app.database, 0.6, 5).await;
    assert_eq!(get(&app, "").await["pagination"]["total"], 60);
    assert_eq!(app.database.count(INDEXED).await, 55);
    let refused = app.get(&format!("/api/v1/incidents?cursor={cursor}")).await;
    refused.expect_problem(400, "validation");
}
