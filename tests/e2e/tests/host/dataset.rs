//! A loaded data set is what the service would have written itself.

use std::sync::Arc;

use dataset::Dataset;
use e2e::{Database, Setup, TestApp, remediation};
use serde_json::Value;

const SEED: u64 = 1;
const INCIDENTS: u64 = 60;

/// What is the same however the rows were numbered and whenever they were written.
const COMPARED: [(&str, &str); 5] = [
    (
        "records",
        "SELECT to_jsonb(r) - '{id, recorded_at, incident_embedding_id}'::text[]
         FROM audit_records AS r ORDER BY correlation_id, kind",
    ),
    (
        "incidents",
        "SELECT to_jsonb(i) - '{id, action_history_id}'::text[]
             || jsonb_build_object('history', to_jsonb(h) - 'id')
         FROM incidents AS i LEFT JOIN action_histories AS h ON h.id = action_history_id
         ORDER BY correlation_id",
    ),
    (
        "embeddings",
        "SELECT jsonb_build_array(model, text_hash, embedding::text)
         FROM embeddings ORDER BY model, text_hash",
    ),
    (
        "incident_embeddings",
        "SELECT to_jsonb(e) - '{id, incident_id, embedding_id, record_id}'::text[]
             || jsonb_build_object(
                 'incident', i.correlation_id, 'text_hash', v.text_hash, 'record', r.content,
                 'is_of_record', r.incident_embedding_id = e.id)
         FROM incident_embeddings AS e
         LEFT JOIN incidents AS i ON i.id = e.incident_id
         LEFT JOIN embeddings AS v ON v.id = e.embedding_id
         LEFT JOIN audit_records AS r ON r.kind = e.record_kind AND r.id = e.record_id
         ORDER BY i.correlation_id, e.record_kind",
    ),
    (
        "schema",
        "SELECT jsonb_build_array(indexdef, obj_description(indexrelid, 'pg_class'), indisvalid)
         FROM pg_indexes JOIN pg_index ON indexrelid = format('%I.%I', schemaname, indexname)::regclass
         WHERE schemaname = 'public' AND tablename !~ '_[0-9]{4}_[0-9]{2}$'
         UNION ALL
         SELECT jsonb_build_array(tgname, tgrelid::regclass, tgenabled) FROM pg_trigger
         WHERE NOT tgisinternal AND tgrelid::regclass::text !~ '_[0-9]{4}_[0-9]{2}$'
         ORDER BY 1",
    ),
];

fn dataset() -> Dataset {
    let until = "2026-11-01".parse().expect("a date");
    Dataset::new(SEED, INCIDENTS, until).expect("a data set")
}

async fn load(database: &Database) {
    let config = database.url.as_str().parse().expect("a database URL");
    let loaded = dataset::load(&config, Arc::new(dataset()), |_| {}).await;
    loaded.expect("the data set is loaded");
}

/// Posts all records; how many there are.
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
    load(&loaded).await;
    let app = Setup::default().start().await;
    let records = post_all(&app, "").await;

    for (what, query) in COMPARED {
        let (loaded, written) = (read(&loaded, query).await, read(&app.database, query).await);
        for (loaded, written) in loaded.iter().zip(&written) {
            assert_eq!(loaded, written, "{what}");
        }
        assert_eq!(loaded.len(), written.len(), "{what}");
        match what {
            "records" | "incident_embeddings" => assert_eq!(loaded.len(), records),
            "incidents" => assert_eq!(loaded.len() as u64, INCIDENTS),
            _ => assert!(!loaded.is_empty(), "{what}"),
        }
    }
}

#[tokio::test]
async fn the_service_goes_on_with_what_was_loaded() {
    let database = Database::create().await;
    load(&database).await;
    let app = Setup::default().database(&database).start().await;
    app.get("/health/ready").await.expect(200);

    let records = post_all(&app, "true").await;

    let new = app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(new.header("idempotent-replayed"), "");
    // Records that are repeated use numbers up.
    let last = i64::try_from(records).expect("few records");
    assert!(new.json()["id"].as_i64() > Some(last), "{new:?}");
    assert!(new.json()["embeddingId"].as_i64() > Some(last), "{new:?}");
    let incident = app.incident_of(&new).await;
    assert_eq!(incident["id"], INCIDENTS + 1);
    assert_eq!(incident["record_count"], 1);
}

#[tokio::test]
async fn nothing_is_loaded_beside_what_is_there() {
    let app = Setup::default().start().await;
    app.post_remediation(&remediation()).await.expect(201);
    let config = app.database.url.as_str().parse().expect("a database URL");

    let refused = dataset::load(&config, Arc::new(dataset()), |_| {}).await;

    let error = format!("{:#}", refused.expect_err("it is refused"));
    assert!(error.contains("has rows already"), "{error}");
    let records = "SELECT count(*) FROM audit_records";
    assert_eq!(app.database.count(records).await, 1);
}
