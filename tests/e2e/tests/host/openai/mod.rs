//! Requests to a provider and the stored vectors.

mod backfill;
mod backfill_program;
mod calls;
mod failures;
mod servers;
mod settings;

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::{Answer, KINDS, Setup, TestApp, record, remediation, unique};
use embedder::{Embedder, Reply, vector_of};
use serde_json::{Value, json};

use crate::database::fail_inserts;

pub(crate) const MODEL: &str = "text-embedding-ada-002";
pub(crate) const LOCAL_MODEL: &str = "static-v1";
const KEY: &str = "sk-a-key-that-nobody-may-see";

/// Deadline that suffices for all attempts on a busy machine.
pub(crate) const PATIENT: &str = "30000";

pub(crate) fn with(embedder: &Embedder, deadline: &str) -> Setup {
    Setup::default()
        .variable("embedding_provider", "openai")
        .variable("embedding_base_url", embedder.base_url())
        .variable("embedding_host", embedder.host())
        .variable("embedding_api_key", KEY)
        .variable("embedding_deadline_milliseconds", deadline)
}

pub(crate) fn alert(name: &str) -> Value {
    let mut record = remediation();
    record["signalName"] = json!(name);
    record
}

async fn embedding_of(app: &TestApp, stored: &Answer) -> (String, Vec<f32>) {
    let id = stored.json()["embeddingId"].as_i64().unwrap();
    let client = app.database.connect().await;
    let row = client
        .query_one(
            "SELECT model, embedding::text FROM embeddings
             WHERE id = (SELECT embedding_id FROM incident_records WHERE id = $1)",
            &[&id],
        )
        .await
        .unwrap();
    let components: String = row.get(1);
    let components = components.trim_matches(['[', ']']).split(',');
    (
        row.get(0),
        components.map(|text| text.parse().unwrap()).collect(),
    )
}

async fn model_for(app: &TestApp, name: &str) -> String {
    let stored = app.post_remediation(&alert(name)).await.expect(201);
    embedding_of(app, &stored).await.0
}

/// Returns the texts of each request to the provider.
pub(crate) fn asked(embedder: &Embedder) -> Vec<Vec<String>> {
    let received = embedder.received().into_iter();
    received.map(|request| request.texts().unwrap()).collect()
}

#[track_caller]
fn assert_same_direction(stored: &[f32], given: &[f32]) {
    assert_eq!(stored.len(), 1536);
    let length = given.iter().map(|c| c * c).sum::<f32>().sqrt();
    for (index, stored) in stored.iter().enumerate() {
        let given = given.get(index).map_or(0.0, |given| given / length);
        assert!((stored - given).abs() < 1e-5, "{index}: {stored} {given}");
    }
}

#[tokio::test]
async fn a_vector_is_asked_for_as_the_api_wants_it_and_stored_under_its_model() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let name = "Überlast \"node-7\"";
    let stored = app.post_remediation(&alert(name)).await.expect(201);
    let (model, vector) = embedding_of(&app, &stored).await;
    assert_eq!(model, MODEL);
    assert_same_direction(&vector, &vector_of(name, 1536));

    let received = embedder.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let request = &received[0];
    assert!(
        request.head.starts_with("POST /v1/embeddings HTTP/1.1\r\n"),
        "{request:?}"
    );
    let bearer = format!("Bearer {KEY}");
    assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, json!({"model": MODEL, "input": name}));
    let log = app.log();
    assert!(!log.contains("embedding provider failed"), "{log}");
}

#[tokio::test]
async fn every_kind_of_record_is_embedded_by_the_provider() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for kind in KINDS {
        embedder.reply_with([Reply::Base64(1536)]);
        let stored = app.post_record(kind, &record(kind)).await.expect(201);
        assert_eq!(embedding_of(&app, &stored).await.0, MODEL, "{kind}");
        let received = embedder.received();
        assert_eq!(received.len(), 1, "{kind}");
        let bearer = format!("Bearer {KEY}");
        assert_eq!(received[0].header("authorization"), Some(bearer.as_str()));
    }
}

#[tokio::test]
async fn a_vector_is_made_once_however_often_the_database_fails() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    fail_inserts(&app.database, "incident_records", "40001", 3).await;
    assert_eq!(model_for(&app, "HighMemoryUsage").await, MODEL);
    assert_eq!(embedder.received().len(), 1);
}

#[tokio::test]
async fn the_providers_time_is_not_the_databases() {
    let embedder = Embedder::start().await;
    // Longer than the retries of a failing database.
    let app = with(&embedder, "6000").start().await;
    fail_inserts(&app.database, "incident_records", "40001", 1).await;
    embedder.reply_with([Reply::Silence]);
    assert_eq!(model_for(&app, "HighMemoryUsage").await, LOCAL_MODEL);
}

#[tokio::test]
async fn no_connection_to_the_database_is_held_while_the_provider_is_asked() {
    // More than a component's database connections.
    const RECORDS: usize = 70;
    let embedder = Embedder::start().await;
    let app = with(&embedder, "60000").start().await;
    embedder.reply_with([Reply::Silence]);
    let texts: Vec<_> = (0..RECORDS).map(|_| unique("Alert")).collect();
    let posts = texts
        .iter()
        .map(async |text| app.post_remediation(&alert(text)).await);
    let all_are_asked_for = async {
        let asked = || -> BTreeSet<String> {
            let received = embedder.received().into_iter();
            received
                .map(|request| request.body["input"].to_string())
                .collect()
        };
        while asked().len() < RECORDS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(25), all_are_asked_for);
    tokio::select! {
        _ = futures::future::join_all(posts) => panic!("answered before the provider"),
        asked = in_time => asked.expect("all vectors are asked for at once"),
    }
}

#[tokio::test]
async fn decimals_and_vectors_of_fewer_dimensions_are_taken_too() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for (reply, width) in [
        (Reply::Decimals(1536), 1536),
        (Reply::Base64(384), 384),
        (Reply::Decimals(384), 384),
        (Reply::Base64(1), 1),
    ] {
        embedder.reply_with([reply]);
        let name = unique("Alert");
        let stored = app.post_remediation(&alert(&name)).await.expect(201);
        let (model, vector) = embedding_of(&app, &stored).await;
        assert_eq!(model, MODEL, "{width}");
        assert_same_direction(&vector, &vector_of(&name, width));
        assert_eq!(embedder.received().len(), 1, "{width}");
    }
}

#[tokio::test]
async fn components_as_small_as_a_float_can_be_are_stored() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    for zeros in [0, 1400] {
        let mut components = vec![0.5; 1536 - zeros];
        components.splice(..3, [1e-30, -1e-38, 1e-45]);
        components.resize(1536, 0.0);
        embedder.reply_with([Reply::components(&components)]);
        let name = unique("Alert");
        let stored = app.post_remediation(&alert(&name)).await.expect(201);
        let (model, vector) = embedding_of(&app, &stored).await;
        assert_eq!(model, MODEL, "{zeros}");
        assert_same_direction(&vector, &components);
        let found = app.get(&format!("/api/v1/incidents/search?q={name}")).await;
        found.expect(200);
    }
}

#[tokio::test]
async fn a_server_that_asks_for_no_key_gets_none() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_api_key", "")
        .variable("embedding_model", "all-MiniLM-L6-v2")
        .start()
        .await;
    assert_eq!(model_for(&app, "HighMemoryUsage").await, "all-MiniLM-L6-v2");
    let received = embedder.received();
    assert_eq!(received[0].header("authorization"), None, "{received:?}");
    assert_eq!(received[0].body["model"], "all-MiniLM-L6-v2");
}

#[tokio::test]
async fn a_vector_that_was_made_is_not_asked_for_again() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let name = unique("Alert");
    let record = alert(&name);
    app.post_remediation(&record).await.expect(201);
    let again = app.post_remediation(&record).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(model_for(&app, &name).await, MODEL);
    assert_eq!(embedder.received().len(), 1, "the database has it");

    app.database.execute("DELETE FROM embeddings").await;
    let stored = app.post_remediation(&alert(&name)).await.expect(201);
    let (model, vector) = embedding_of(&app, &stored).await;
    assert_eq!(model, MODEL);
    assert_same_direction(&vector, &vector_of(&name, 1536));
    assert_eq!(embedder.received().len(), 1, "the cache has it");
}

#[tokio::test]
async fn the_local_models_vector_is_never_taken_for_the_providers() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let name = unique("Alert");
    embedder.reply_with([Reply::status(401)]);
    assert_eq!(model_for(&app, &name).await, LOCAL_MODEL);
    let record = alert(&name);
    let stored = app.post_remediation(&record).await.expect(201);
    assert_eq!(embedder.received().len(), 2, "a failure is not remembered");

    embedder.reply_with([Reply::Base64(1536)]);
    let again = app.post_remediation(&record).await.expect(201);
    assert_eq!(again.stored(), stored.stored());
    assert_eq!(
        embedder.received().len(),
        0,
        "a stored record stays as it is"
    );
    assert_eq!(model_for(&app, &name).await, MODEL);
    let models = "SELECT count(*) FROM embeddings";
    assert_eq!(app.database.count(models).await, 2);
}

#[tokio::test]
async fn nothing_is_asked_for_a_record_that_is_refused() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let mut record = alert("HighMemoryUsage");
    record["phase"] = json!("Unknown");
    app.post_remediation(&record).await.expect(400);
    assert_eq!(embedder.received().len(), 0);
}

#[tokio::test]
async fn no_secret_address_or_text_is_shown() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let host = embedder.host().replace("http://", "");
    for reply in [
        Reply::Base64(1536),
        Reply::status(401),
        Reply::status(500),
        Reply::body(format!("{KEY} SecretAlert")),
        Reply::Cut,
    ] {
        embedder.reply_with([reply]);
        let record = alert(&unique("SecretAlert"));
        let answer = app.post_remediation(&record).await.expect(201);
        let shown = format!("{:?} {}", answer.headers, answer.text);
        for secret in [KEY, "SecretAlert", &host] {
            assert!(!shown.contains(secret), "{secret}: {answer:?}");
        }
    }
    let log = app.log();
    for secret in [KEY, "SecretAlert", &host, "made to fail"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
