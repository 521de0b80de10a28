//! Lists and searches of 20,000 incidents, beside what SQL without any index answers.

use std::sync::Arc;
use std::time::Duration;

use dataset::Dataset;
use e2e::{Setup, TestApp};
use embedding::{EmbeddingCache, EmbeddingRequest, Model};
use serde_json::Value;
use tokio_postgres::Client;
use url::form_urlencoded::byte_serialize;

const SEED: u64 = 1;
const INCIDENTS: u64 = 20_000;

/// How many incidents a search finds unless it is told.
const FOUND: usize = 10;

/// An answer has similarities to four decimals.
const ROUNDING: f64 = 0.000_05;

/// Filters as parameters and as conditions: what many incidents have, what few have, and both.
const FILTERS: [(&str, &str); 6] = [
    ("", "true"),
    ("&severity=low", "alert_severity = 'low'"),
    ("&status=rolled-back", "execution_status = 'rolled-back'"),
    (
        "&severity=critical&status=pending",
        "alert_severity = 'critical' AND execution_status = 'pending'",
    ),
    (
        "&since=2026-03-01T12:00:00Z&until=2026-05-01T00:00:00Z",
        "action_timestamp BETWEEN '2026-03-01T12:00:00Z' AND '2026-05-01T00:00:00Z'",
    ),
    (
        "&severity=high&until=2025-11-08T00:00:00Z",
        "alert_severity = 'high' AND action_timestamp <= '2025-11-08T00:00:00Z'",
    ),
];

async fn start_with_dataset() -> TestApp {
    let app = Setup::default().start().await;
    let until = "2026-11-01".parse().expect("a date");
    let dataset = Dataset::new(SEED, INCIDENTS, until).expect("a data set");
    let config = app.database.url.as_str().parse().expect("a database URL");
    dataset::load(&config, Arc::new(dataset), |_| {})
        .await
        .expect("the data set is loaded");
    app
}

async fn get(app: &TestApp, path: &str) -> Value {
    app.get(path).await.expect(200).json()
}

/// The similarities of the best incidents, compared with all that there are.
async fn search_exactly(client: &Client, text: &str, condition: &str) -> Vec<f64> {
    let request = EmbeddingRequest::new(Model::Local, text.to_owned());
    let embedding = request.embed(|| EmbeddingCache::open(Duration::ZERO));
    let query = format!(
        "WITH texts AS MATERIALIZED (
             SELECT id, 1 - (embedding <=> read_embedding($1)) AS cosine FROM embeddings
         )
         SELECT greatest(max(cosine), 0) AS similarity
         FROM incident_embeddings AS link
         JOIN texts ON texts.id = link.embedding_id
         JOIN incidents AS incident ON incident.id = link.incident_id
         WHERE {}
         GROUP BY incident.id ORDER BY similarity DESC LIMIT {FOUND}",
        condition.replace("action_timestamp", "incident.action_timestamp")
    );
    let rows = client.query(&query, &[&embedding.vector.to_text()]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn search(app: &TestApp, text: &str, parameters: &str) -> Vec<f64> {
    let text: String = byte_serialize(text.as_bytes()).collect();
    let path = format!("/api/v1/incidents/search?q={text}{parameters}");
    let found = get(app, &path).await["data"].as_array().unwrap().clone();
    let ids: Vec<_> = found.iter().map(|item| item["id"].as_i64()).collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    found
        .iter()
        .map(|item| item["similarity"].as_f64().unwrap())
        .collect()
}

/// What people search for: causes as they were found, and every other word of them.
async fn texts(client: &Client) -> Vec<String> {
    let query = "SELECT root_cause FROM (
            SELECT DISTINCT root_cause FROM incident_embeddings WHERE root_cause IS NOT NULL
        ) AS causes ORDER BY md5(root_cause) LIMIT 15";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| row.get::<_, String>(0))
        .flat_map(|cause| {
            let words: Vec<_> = cause.split(' ').step_by(2).collect();
            [words.join(" "), cause]
        })
        .collect()
}

#[tokio::test]
async fn lists_and_searches_of_many_incidents_are_those_of_sql_without_an_index() {
    let app = start_with_dataset().await;
    let client = app.database.connect().await;

    // Lists: the total, and the first and the last page.
    for (parameters, condition) in FILTERS {
        let query = format!(
            "SELECT id FROM incidents WHERE {condition} ORDER BY action_timestamp DESC, id"
        );
        let rows = client.query(&query, &[]).await.unwrap();
        let expected: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert!(expected.len() > 20, "{condition}: {}", expected.len());
        for offset in [0, expected.len() - 20] {
            let path = format!("/api/v1/incidents?limit=20&offset={offset}{parameters}");
            let page = get(&app, &path).await;
            assert_eq!(page["pagination"]["total"], expected.len(), "{path}");
            let data = page["data"].as_array().unwrap();
            let ids: Vec<_> = data.iter().filter_map(|item| item["id"].as_i64()).collect();
            assert_eq!(ids, expected[offset..offset + 20], "{path}");
        }
    }

    // Searches: as many as there can be, and as near as any.
    let mut near = 0;
    let mut found = 0;
    for text in texts(&client).await {
        for (parameters, condition) in FILTERS {
            let exact = search_exactly(&client, &text, condition).await;
            let similarities = search(&app, &text, parameters).await;
            assert_eq!(similarities.len(), FOUND, "{text} {parameters}");
            assert!(similarities.is_sorted_by(|one, next| one >= next));
            found += FOUND;
            near += similarities
                .iter()
                .filter(|similarity| **similarity >= exact[FOUND - 1] - ROUNDING)
                .count();
        }
    }
    assert!(near * 100 >= found * 95, "recall: {near} of {found}");
}

#[tokio::test]
async fn a_walk_through_many_incidents_shows_each_once() {
    let app = start_with_dataset().await;
    let mut path = "/api/v1/incidents?limit=1000".to_owned();
    let mut ids = Vec::new();
    loop {
        let page = get(&app, &path).await;
        assert_eq!(page["pagination"]["total"], INCIDENTS);
        let data = page["data"].as_array().unwrap();
        ids.extend(data.iter().filter_map(|item| item["id"].as_u64()));
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/incidents?limit=1000&cursor={cursor}");
    }
    ids.sort_unstable();
    assert_eq!(ids, Vec::from_iter(1..=INCIDENTS));
}
