//! Deleting incidents with SQL.

use e2e::{Answer, Setup, TestApp, record, set};
use serde_json::{Value, json};

async fn store(app: &TestApp, name: &str) -> [(Answer, &'static str, Value); 2] {
    let mut stored = Vec::new();
    for kind in ["remediation", "execution"] {
        let mut record = record(kind);
        set(&mut record, json!({ "correlationId": name }));
        let answer = app.store(kind, &record).await;
        stored.push((answer, kind, record));
    }
    stored.try_into().expect("two records")
}

async fn correlation_ids(app: &TestApp, path: &str) -> Vec<String> {
    let found = app.get(path).await.expect(200).json();
    let data = found["data"].as_array().unwrap();
    let mut ids: Vec<_> = data
        .iter()
        .map(|incident| incident["correlation_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_deleted_incident_is_gone_and_begun_anew_by_a_record_that_is_sent_again() {
    let app = Setup::default().start().await;
    let [(stored, kind, remediation), (_, other_kind, execution)] = store(&app, "req-1").await;
    store(&app, "req-2").await;
    store(&app, "req-3").await;
    let first_page = app.get("/api/v1/incidents?limit=1").await.expect(200);
    let cursor = first_page.json()["pagination"]["next_cursor"].clone();
    let list = "/api/v1/incidents";
    let searches = [
        "/api/v1/incidents/search?q=HighMemoryUsage",
        "/api/v1/incidents/search?q=HighMemoryUsage&namespace=production",
    ];

    app.database
        .execute("DELETE FROM incidents WHERE correlation_id = 'req-1'")
        .await;

    let location = stored.header("location").to_owned();
    app.get(&location).await.expect_problem(404, "not-found");
    assert_eq!(correlation_ids(&app, list).await, ["req-2", "req-3"]);
    for search in searches {
        assert_eq!(correlation_ids(&app, search).await, ["req-2", "req-3"]);
    }
    let rest = format!("{list}?cursor={}", cursor.as_str().unwrap());
    assert_eq!(correlation_ids(&app, &rest).await, ["req-2"]);

    let again = app.post_record(kind, &remediation).await.expect(201);
    assert_eq!(again.stored(), stored.stored());
    assert_ne!(again.header("location"), location);
    let incident = app.incident_of(&again).await;
    assert_eq!(incident["record_count"], 1);
    assert_eq!(incident["execution_status"], "pending");
    assert_eq!(incident["target_name"], remediation["targetName"]);
    assert_eq!(incident["actions"], json!([]));
    let again = app.post_record(other_kind, &execution).await.expect(201);
    let incident = app.incident_of(&again).await;
    assert_eq!(incident["record_count"], 2);
    assert_eq!(incident["actions"][0]["name"], execution["name"]);
    for path in [list, searches[0], searches[1]] {
        let found = correlation_ids(&app, path).await;
        assert_eq!(found, ["req-1", "req-2", "req-3"], "{path}");
    }
}

#[tokio::test]
async fn an_incident_whose_records_have_left_is_similar_to_none() {
    let app = Setup::default().start().await;
    let [(stored, ..), _] = store(&app, "req-1").await;
    store(&app, "req-2").await;
    let path = format!("{}/similar", stored.header("location"));
    assert_eq!(correlation_ids(&app, &path).await, ["req-2"]);

    app.database
        .execute(
            "DELETE FROM incident_records WHERE incident_id =
                 (SELECT id FROM incidents WHERE correlation_id = 'req-1')",
        )
        .await;

    let similar = app.get(&path).await.expect(200).json();
    let expected = json!({
        "data": [], "embedding_model": null, "unknown_texts": 0,
        "outcomes": { "actions": [], "workflows": [] },
    });
    assert_eq!(similar, expected);
}

#[tokio::test]
async fn all_incidents_can_be_deleted_beside_the_writes() {
    let app = Setup::default().start().await;
    let mut stored = Vec::new();
    for _ in 0..10 {
        let written = (0..8).map(async |number| store(&app, &format!("req-{number}")).await);
        let written = futures::future::join_all(written);
        let deleted = app.database.execute("DELETE FROM incidents");
        let (written, ()) = tokio::join!(written, deleted);
        stored.extend(written.into_iter().flatten());
    }
    for (answer, kind, record) in &stored {
        let again = app.store(kind, record).await;
        assert_eq!(again.stored(), answer.stored());
    }
    let lost = "SELECT count(*) FROM audit_records AS record
        LEFT JOIN incident_embeddings AS link ON link.record_id = record.id
        LEFT JOIN incidents AS incident ON incident.id = link.incident_id
        WHERE incident.correlation_id IS DISTINCT FROM record.correlation_id";
    assert_eq!(app.database.count(lost).await, 0);
    assert_eq!(correlation_ids(&app, "/api/v1/incidents").await.len(), 8);
}
