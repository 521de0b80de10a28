//! A loaded data set equals what the service would have written.

use std::sync::Arc;

use dataset::{Dataset, Model};
use e2e::{Database, Setup, TestApp, remediation};
use embedder::{DENSE_DIMENSIONS, DENSE_MODEL, Embedder, Reply};
use serde_json::Value;

use crate::openai::{PATIENT, with};

const SEED: u64 = 1;
const INCIDENTS: u64 = 60;

/// Queries that depend neither on ids nor on the time of writing.
const COMPARED: [(&str, &str); 4] = [
    (
        "records",
        "SELECT to_jsonb(record) - '{id, recorded_at, log_nonce}'::text[]
         FROM audit_records AS record ORDER BY correlation_id, kind",
    ),
    (
        "incidents",
        "SELECT jsonb_build_array(
             to_jsonb(summary) - '{id, action_history_id}'::text[],
             to_jsonb(remediation) - 'record_id', to_jsonb(aianalysis) - 'record_id',
             to_jsonb(workflow) - 'record_id', to_jsonb(execution) - 'record_id')
         FROM incident_summaries AS summary JOIN incident_versions ON incident_id = id
         ORDER BY summary.correlation_id",
    ),
    (
        "embeddings",
        "SELECT to_jsonb(link) - '{id, incident_id, embedding_id, record_id}'::text[]
         FROM incident_embeddings AS link JOIN incidents ON incidents.id = incident_id
         ORDER BY correlation_id, record_kind",
    ),
    (
        "indexes",
        "SELECT jsonb_build_array(indexdef, obj_description(indexrelid, 'pg_class'), indisvalid)
         FROM pg_indexes JOIN pg_index ON indexrelid = format('%I.%I', schemaname, indexname)::regclass
         WHERE schemaname = 'public' AND tablename !~ '_[0-9]{4}_[0-9]{2}$'
         ORDER BY indexdef",
    ),
];

fn dataset() -> Dataset {
    let until = "2026-11-01".parse().expect("a date");
    Dataset::new(SEED, INCIDENTS, until).expect("a data set")
}

async fn load(database: &Database, model: Model) {
    let config = database.url.as_str().parse().expect("a database URL");
    let loaded = dataset::load(&config, Arc::new(dataset()), model, |_| {}).await;
    loaded.expect("the data set is loaded");
}

/// Starts a service with the stand-in provider, whose model the data set also uses.
pub(crate) async fn start_with_dense_model(database: &Database) -> (Embedder, TestApp) {
    let embedder = Embedder::start().await;
    embedder.reply_with([Reply::Base64(DENSE_DIMENSIONS)]);
    let app = with(&embedder, PATIENT)
        .database(database)
        .variable("embedding_model", DENSE_MODEL)
        .start()
        .await;
    (embedder, app)
}

async fn post_all(app: &TestApp, is_replayed: &str) -> usize {
    let dataset = dataset();
    let reports = (0..INCIDENTS).flat_map(|number| dataset.reports(number).expect("records"));
    let mut posted = 0;
    for report in reports {
        let answer = app
            .post_record(report.kind, &report.record)
            .await
            .expect(201);
        assert_eq!(
            answer.header("idempotent-replayed"),
            is_replayed,
            "{answer:?}"
        );
        posted += 1;
    }
    posted
}

async fn read(database: &Database, query: &str) -> Vec<Value> {
    let rows = database.connect().await.query(query, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_loaded_incident_cannot_be_told_from_one_that_was_written() {
    let loaded = Database::create().await;
    load(&loaded, Model::Local).await;
    let app = Setup::default().start().await;
    let records = post_all(&app, "").await;

    for (what, query) in COMPARED {
        let (loaded, written) = (read(&loaded, query).await, read(&app.database, query).await);
        for (loaded, written) in loaded.iter().zip(&written) {
            assert_eq!(loaded, written, "{what}");
        }
        assert_eq!(loaded.len(), written.len(), "{what}");
        match what {
            "records" | "embeddings" => assert_eq!(loaded.len(), records),
            "incidents" => assert_eq!(loaded.len() as u64, INCIDENTS),
            _ => assert!(!loaded.is_empty(), "{what}"),
        }
    }
}

#[tokio::test]
async fn the_service_goes_on_with_what_was_loaded() {
    let database = Database::create().await;
    load(&database, Model::Local).await;
    let app = Setup::default().database(&database).start().await;
    app.get("/health/ready").await.expect(200);

    post_all(&app, "true").await;

    let new = app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(new.header("idempotent-replayed"), "");
    assert_eq!(app.incident_of(&new).await["record_count"], 1);
    let incidents = "SELECT count(*) FROM incidents";
    assert_eq!(app.database.count(incidents).await, INCIDENTS as i64 + 1);
}

#[tokio::test]
async fn dense_vectors_are_those_of_the_stand_in_provider() {
    let database = Database::create().await;
    load(&database, Model::Dense).await;
    let (_embedder, app) = start_with_dense_model(&database).await;
    let first = dataset().reports(0).expect("records").swap_remove(0);
    let text = first.record["signalName"].as_str().expect("a signal");

    let path = format!("/api/v1/incidents/search?q={text}");
    let found = app.get(&path).await.expect(200).json();

    assert_eq!(found["embedding_model"], DENSE_MODEL);
    assert_eq!(found["data"][0]["similarity"], 1.0, "{found}");
    assert_eq!(found["data"][0]["alert_name"], text);
}

#[tokio::test]
async fn nothing_is_loaded_beside_what_is_there() {
    let app = Setup::default().start().await;
    app.post_remediation(&remediation()).await.expect(201);
    let config = app.database.url.as_str().parse().expect("a database URL");

    let refused = dataset::load(&config, Arc::new(dataset()), Model::Local, |_| {}).await;

    let error = format!("{:#}", refused.expect_err("it is refused"));
    assert!(error.contains("has rows already"), "{error}");
    let records = "SELECT count(*) FROM audit_records";
    assert_eq!(app.database.count(records).await, 1);
}
