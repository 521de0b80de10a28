//! Reads from a standby that follows the primary.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::{Answer, Database, Server, Setup, TestApp, record, set, unique};
use serde_json::{Value, json};

const WAIT_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn wait_for(standby: &Database, primary: &Database) {
    let client = primary.connect().await;
    let row = client.query_one("SELECT pg_current_wal_lsn()::text", &[]);
    let written: String = row.await.unwrap().get(0);
    let begun = Instant::now();
    let replayed = format!(
        "SELECT count(*) FROM pg_last_wal_replay_lsn() AS lsn WHERE lsn >= '{written}'::pg_lsn"
    );
    while standby.count(&replayed).await == 0 {
        assert!(begun.elapsed() < WAIT_MAX, "the standby does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn store(app: &TestApp, namespace: &str) -> Answer {
    let mut remediation = record("remediation");
    set(&mut remediation, json!({ "targetNamespace": namespace }));
    app.post_remediation(&remediation).await.expect(201)
}

fn ids(page: &Value) -> Vec<i64> {
    let data = page["data"].as_array().unwrap();
    data.iter()
        .map(|incident| incident["id"].as_i64().unwrap())
        .collect()
}

async fn get(app: &TestApp, path: &str) -> Value {
    app.get(path).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_answered_by_a_standby_while_the_primary_writes() {
    const INCIDENTS: usize = 25;
    let primary = Server::start(100).await;
    let database = primary.create_database().await;
    let server = primary.start_standby().await;
    let standby = server.database();
    let app = Setup::default()
        .database(&database)
        .reader(&standby)
        .start()
        .await;
    app.get("/health/ready").await.expect(200);
    let mut expected = BTreeSet::new();
    let mut single = None;
    for _ in 0..INCIDENTS {
        let stored = store(&app, "here").await;
        let id = stored.header("location").rsplit('/').next().unwrap();
        expected.insert(id.parse().unwrap());
        single = Some(stored);
    }
    wait_for(&standby, &database).await;

    let list = "/api/v1/incidents?namespace=here&limit=2";
    let mut page = get(&app, list).await;
    assert_eq!(page["pagination"]["total"], INCIDENTS);
    let mut walked = ids(&page);
    while let Some(cursor) = page["pagination"]["next_cursor"].as_str() {
        let next = format!("{list}&cursor={cursor}");
        let (next, _) = tokio::join!(get(&app, &next), store(&app, "here"));
        page = next;
        walked.extend(ids(&page));
    }
    assert!(
        walked
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .is_superset(&expected)
    );
    let incident = app.incident_of(&single.unwrap()).await;
    assert_eq!(incident["record_count"], 1);
    for filter in ["", "&namespace=here"] {
        let search = format!("/api/v1/incidents/search?q=HighMemoryUsage{filter}");
        let found = get(&app, &search).await;
        assert_eq!(found["data"][0]["similarity"], 1.0, "{found}");
    }

    // The standby answers: changes that it has not replayed are absent.
    standby.execute("SELECT pg_wal_replay_pause()").await;
    let namespace = unique("later");
    let stored = store(&app, &namespace).await;
    let list = format!("/api/v1/incidents?namespace={namespace}");
    assert_eq!(get(&app, &list).await["pagination"]["total"], 0);
    app.get(stored.header("location"))
        .await
        .expect_problem(404, "not-found");
    standby.execute("SELECT pg_wal_replay_resume()").await;
    wait_for(&standby, &database).await;
    assert_eq!(get(&app, &list).await["pagination"]["total"], 1);
    app.incident_of(&stored).await;
}

#[tokio::test]
async fn a_standby_that_is_gone_takes_the_reads_with_it_and_not_the_writes() {
    let primary = Server::start(100).await;
    let database = primary.create_database().await;
    let server = primary.start_standby().await;
    let app = Setup::default()
        .database(&database)
        .reader(&server.database())
        .start()
        .await;
    drop(server);
    let stored = store(&app, "here").await;
    app.get(stored.header("location"))
        .await
        .expect_problem(503, "unavailable");
    app.get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
}
