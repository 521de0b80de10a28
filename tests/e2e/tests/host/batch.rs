//! Batches of many clients, with failing dependencies and with a provider.

use std::collections::BTreeSet;

use e2e::{Answer, Database, KINDS, Setup, TestApp, record, set, unique};
use embedder::{DENSE_DIMENSIONS, Embedder, Reply};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::database::fail_inserts;
use crate::openai::{PATIENT, alert, asked, with};

const CLIENTS: usize = 8;
const INCIDENTS: usize = 12;
const TARGETS: usize = 3;

/// Records of incidents that share targets and texts, a version of each kind in each.
fn records() -> Vec<(&'static str, Value)> {
    let mut records = Vec::new();
    for number in 0..INCIDENTS {
        let correlation_id = unique("req");
        for kind in KINDS {
            let mut record = record(kind);
            record["correlationId"] = json!(correlation_id);
            if record.get("targetName").is_some() {
                record["targetName"] = json!(format!("api-{}", number % TARGETS));
            }
            records.push((kind, record.clone()));
            set(
                &mut record,
                json!({"phase": "Processing", "message": "again"}),
            );
            records.push((kind, record));
        }
    }
    records
}

async fn count(database: &Database, table: &str) -> usize {
    let counted = database
        .count(&format!("SELECT count(*) FROM {table}"))
        .await;
    usize::try_from(counted).unwrap()
}

async fn deadlocks(database: &Database) -> i64 {
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    database.count(deadlocks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_batches_and_single_writes_at_once_double_and_deadlock_nothing() {
    let database = Database::create().await;
    let one = Setup::default().database(&database).start().await;
    let other = Setup::default().database(&database).start().await;
    let records = records();
    // Two thirds of the records each, in different orders.
    let overlapping: Vec<_> = (0..CLIENTS * 2)
        .map(|number| {
            let mut own = records.clone();
            own.rotate_left(number * 5);
            own.truncate(records.len() * 2 / 3);
            if number % 2 == 0 {
                own.reverse();
            }
            own
        })
        .collect();
    let batches = overlapping.iter().enumerate().map(|(number, batch)| {
        let app = if number % 2 == 0 { &one } else { &other };
        async move { app.post_batch(batch).await.expect(201) }
    });
    // Every other record, so that only batches store the rest, whoever is faster.
    let singles = records
        .iter()
        .step_by(2)
        .map(|(kind, record)| async { one.post_record(kind, record).await.expect(201) });
    let (stored, singles) = tokio::join!(join_all(batches), join_all(singles));

    let is_first = |answer: &&Answer| answer.header("idempotent-replayed").is_empty();
    let mut firsts = singles.iter().filter(is_first).count();
    for answer in &stored {
        let answer = answer.json();
        let items = answer["items"].as_array().unwrap().iter();
        firsts += items.filter(|item| item["replayed"] == false).count();
    }
    assert_eq!(firsts, records.len(), "each record was new to one caller");
    for table in ["audit_records", "incident_records"] {
        assert_eq!(count(&database, table).await, records.len(), "{table}");
    }
    assert_eq!(count(&database, "incidents").await, INCIDENTS);
    assert_eq!(count(&database, "action_histories").await, TARGETS);
    let leaves: BTreeSet<_> = leaves(&one, records.len()).await.into_iter().collect();
    assert_eq!(leaves.len(), records.len(), "each record has one leaf");
    assert_eq!(deadlocks(&database).await, 0);
}

/// The ids of the records in the log, once it has that many.
async fn leaves(app: &TestApp, expected: usize) -> Vec<i64> {
    app.get("/log/v1/checkpoint").await.expect(200);
    let page = app
        .get("/api/v1/audit/records?limit=1000")
        .await
        .expect(200);
    let page = page.json();
    let data = page["data"].as_array().unwrap();
    assert_eq!(data.len(), expected);
    data.iter()
        .map(|record| record["id"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn of_versions_that_nothing_else_orders_the_last_of_a_batch_shows() {
    const VERSIONS: usize = 40;
    let app = Setup::default().start().await;
    let incidents: Vec<_> = (0..7).map(|_| record("remediation")).collect();
    let mut batch = Vec::new();
    for number in 0..VERSIONS {
        for incident in &incidents {
            let mut version = incident.clone();
            version["message"] = json!(number.to_string());
            batch.push(("remediation", version));
        }
    }
    app.post_batch(&batch).await.expect(201);
    for incident in &incidents {
        let correlation_id = incident["correlationId"].as_str().unwrap();
        let path = format!("/api/v1/incidents?correlation_id={correlation_id}");
        let id = app.get(&path).await.expect(200).json()["data"][0]["id"].clone();
        let shown = app
            .get(&format!("/api/v1/incidents/{id}"))
            .await
            .expect(200)
            .json();
        let last = (VERSIONS - 1).to_string();
        assert_eq!(shown["remediation"]["message"], last, "{correlation_id}");
    }
}

/// Targets that are new, and incidents that exist already: writers that lock both must do so in one
/// order.
#[tokio::test(flavor = "multi_thread")]
async fn writers_of_known_incidents_and_new_targets_wait_for_each_other_in_one_order() {
    const ROUNDS: usize = 10;
    let database = Database::create().await;
    let app = Setup::default().database(&database).start().await;
    for _ in 0..ROUNDS {
        let target = unique("api");
        let mut executions = Vec::new();
        for _ in 0..4 {
            let event = record("event");
            app.post_record("event", &event).await.expect(201);
            let mut execution = record("execution");
            execution["correlationId"] = event["correlationId"].clone();
            execution["targetName"] = json!(target);
            executions.push(("execution", execution));
        }
        let reversed: Vec<_> = executions.iter().rev().cloned().collect();
        let singles = executions
            .iter()
            .map(|(kind, record)| async { app.post_record(kind, record).await.expect(201) });
        tokio::join!(
            async { app.post_batch(&executions).await.expect(201) },
            async { app.post_batch(&reversed).await.expect(201) },
            join_all(singles),
        );
    }
    assert_eq!(deadlocks(&database).await, 0);
}

#[tokio::test]
async fn a_batch_that_fails_at_its_last_table_stores_nothing() {
    for table in ["embeddings", "incidents", "incident_records", "log_pending"] {
        let app = Setup::default().start().await;
        fail_inserts(&app.database, table, "40001", 100).await;
        let records = records();
        app.post_batch(&records)
            .await
            .expect_problem(503, "unavailable");
        for table in ["audit_records", "embeddings", "incidents", "log_pending"] {
            assert_eq!(count(&app.database, table).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_stored_for_the_sender_and_read_back_in_order() {
    let app = Setup::default().start().await;
    let records = records();
    let stored = app.post_batch(&records).await.expect(201).json();
    app.get("/log/v1/checkpoint").await.expect(200);
    let page = app
        .get("/api/v1/audit/records?limit=1000")
        .await
        .expect(200);
    let page = page.json();
    let listed = page["data"].as_array().unwrap();
    assert_eq!(listed.len(), records.len());
    for (((kind, record), item), listed) in records
        .iter()
        .zip(stored["items"].as_array().unwrap())
        .zip(listed)
    {
        assert_eq!((&listed["kind"], &listed["record"]), (&json!(kind), record));
        assert_eq!(listed["id"], item["id"]);
    }
}

/// Everything that a service says of its incidents, but the ids and the time of recording.
async fn incidents(app: &TestApp) -> Vec<Value> {
    let list = app
        .get("/api/v1/incidents?limit=1000")
        .await
        .expect(200)
        .json();
    let mut incidents = Vec::new();
    for listed in list["data"].as_array().unwrap() {
        let path = format!("/api/v1/incidents/{}", listed["id"]);
        let mut incident = app.get(&path).await.expect(200).json();
        set(
            &mut incident,
            json!({"id": null, "action_history_id": null}),
        );
        for record in incident["records"].as_array_mut().unwrap() {
            set(record, json!({"id": null, "recorded_at": null}));
        }
        incidents.push(incident);
    }
    incidents.sort_by_key(|incident| incident["correlation_id"].to_string());
    incidents
}

#[tokio::test]
async fn what_was_exported_can_be_loaded_into_an_empty_service() {
    let app = Setup::default().start().await;
    for (kind, record) in records() {
        app.post_record(kind, &record).await.expect(201);
    }
    app.get("/log/v1/checkpoint").await.expect(200);
    let export = app
        .request(Method::GET, "/api/v1/audit/records?limit=1000")
        .header("accept", "application/x-ndjson");
    let export = app.send(export).await.expect(200).text;
    let batch: Vec<_> = export
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let kind = KINDS.into_iter().find(|kind| line["kind"] == *kind);
            (kind.unwrap(), line["record"].clone())
        })
        .collect();
    let other = Setup::default().start().await;
    other.post_batch(&batch).await.expect(201);
    let exported = incidents(&app).await;
    assert_eq!(exported.len(), INCIDENTS);
    assert_eq!(incidents(&other).await, exported);
}

#[tokio::test]
async fn the_new_texts_of_a_batch_share_calls_and_known_ones_need_none() {
    let embedder = Embedder::start().await;
    embedder.reply_with([Reply::Base64(DENSE_DIMENSIONS)]);
    let app = with(&embedder, PATIENT).start().await;
    let names: Vec<_> = (0..40).map(|_| unique("Alert")).collect();
    let batch: Vec<_> = names
        .iter()
        .chain(&names)
        .map(|name| ("remediation", alert(name)))
        .collect();
    app.post_batch(&batch).await.expect(201);
    let calls = asked(&embedder);
    assert_eq!(calls.len(), 1, "{calls:?}");
    let texts: BTreeSet<_> = calls.iter().flatten().collect();
    assert_eq!((texts.len(), calls[0].len()), (40, 40));
    assert_eq!(count(&app.database, "embeddings").await, 40);

    let known: Vec<_> = names
        .iter()
        .map(|name| ("remediation", alert(name)))
        .collect();
    app.post_batch(&known).await.expect(201);
    app.post_batch(&batch).await.expect(201);
    assert_eq!(asked(&embedder).len(), 1, "known texts need no call");

    let mut more = known;
    more.push(("remediation", alert(&unique("Alert"))));
    app.post_batch(&more).await.expect(201);
    assert_eq!(
        asked(&embedder).iter().map(Vec::len).collect::<Vec<_>>(),
        [40, 1]
    );
}

#[tokio::test]
async fn a_batch_is_stored_although_the_provider_is_down() {
    let embedder = Embedder::start().await;
    embedder.reply_with([Reply::status(401)]);
    let app = with(&embedder, PATIENT).start().await;
    let batch: Vec<_> = (0..20)
        .map(|_| ("remediation", alert(&unique("Alert"))))
        .collect();
    app.post_batch(&batch).await.expect(201);
    let local = "embeddings WHERE model = 'static-v1'";
    assert_eq!(count(&app.database, local).await, 20);
}

/// The replay needs no vector under the provider's model; the other record of its text does.
#[tokio::test]
async fn a_text_that_a_replay_shares_with_a_new_record_is_embedded() {
    let embedder = Embedder::start().await;
    embedder.reply_with([Reply::status(401)]);
    let app = with(&embedder, PATIENT).start().await;
    let first = alert(&unique("Alert"));
    app.post_remediation(&first).await.expect(201);
    embedder.reply_with([Reply::Base64(DENSE_DIMENSIONS)]);
    let mut second = first.clone();
    second["message"] = json!("again");
    let batch = [("remediation", first), ("remediation", second)];
    let stored = app.post_batch(&batch).await.expect(201).json();
    assert_eq!(
        (&stored["stored"], &stored["replayed"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(count(&app.database, "embeddings").await, 2);
}
