//! Compares lists, outcomes and searches of 12,000 incidents with SQL that uses no index.

use std::sync::Arc;

use dataset::{Dataset, Model};
use e2e::{Database, Setup, TestApp};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use url::form_urlencoded::byte_serialize;

use crate::dataset::start_with_dense_model;

const SEED: u64 = 1;
/// More than the default counting limit.
const INCIDENTS: u64 = 12_000;

const FOUND: usize = 10;

/// Half a unit of the fourth decimal of similarities.
const ROUNDING: f64 = 0.000_05;

/// Filters as parameters and as SQL: common, rare and combined.
const FILTERS: [(&str, &str); 9] = [
    ("", "true"),
    ("&environment=production", "environment = 'production'"),
    ("&severity=LOW", "alert_severity = 'low'"),
    ("&status=rolled-back", "execution_status = 'rolled-back'"),
    (
        "&severity=critical&status=pending",
        "alert_severity = 'critical' AND execution_status = 'pending'",
    ),
    ("&action_type=restart", "'restart' = ANY (action_types)"),
    (
        "&namespace=&target_type=Node",
        "namespace = '' AND target_type = 'node'",
    ),
    (
        "&since=2026-03-01T12:00:00Z&until=2026-05-01T00:00:00Z",
        "opened_at BETWEEN '2026-03-01T12:00:00Z' AND '2026-05-01T00:00:00Z'",
    ),
    (
        "&severity=high&until=2025-11-15T00:00:00Z",
        "alert_severity = 'high' AND opened_at <= '2025-11-15T00:00:00Z'",
    ),
];

async fn start_with_dataset() -> TestApp {
    static LOADED: OnceCell<Database> = OnceCell::const_new();
    let database = LOADED.get_or_init(|| load(INCIDENTS, Model::Local)).await;
    Setup::default().database(database).start().await
}

async fn load(incidents: u64, model: Model) -> Database {
    let database = Database::create().await;
    let until = "2026-11-01".parse().expect("a date");
    let dataset = Dataset::new(SEED, incidents, until).expect("a data set");
    let config = database.url.as_str().parse().expect("a database URL");
    let loaded = dataset::load(&config, Arc::new(dataset), model, |_| {}).await;
    loaded.expect("the data set is loaded");
    database
}

async fn get(app: &TestApp, path: &str) -> Value {
    app.get(path).await.expect(200).json()
}

/// Returns the ids of matching incidents in list order.
async fn list_exactly(client: &Client, condition: &str) -> Vec<i64> {
    let query =
        format!("SELECT id FROM incidents WHERE {condition} ORDER BY opened_at DESC, id DESC");
    let rows = client.query(&query, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn ids_of(page: &Value) -> Vec<i64> {
    let data = page["data"].as_array().unwrap();
    data.iter().filter_map(|item| item["id"].as_i64()).collect()
}

/// Returns the similarities of the best matching incidents by a full scan.
async fn search_exactly(client: &Client, model: Model, text: &str, condition: &str) -> Vec<f64> {
    let vector = model.embed(text).unwrap().vector.to_text();
    let query = format!(
        "WITH texts AS MATERIALIZED (
             SELECT id, 1 - (embedding <=> read_embedding($1)) AS cosine FROM embeddings
         )
         SELECT greatest(max(cosine), 0) AS similarity
         FROM incident_records AS link
         JOIN texts ON texts.id = embedding_id
         WHERE incident_id IN (SELECT id FROM incidents WHERE {condition})
         GROUP BY incident_id ORDER BY similarity DESC LIMIT {FOUND}"
    );
    let rows = client.query(&query, &[&vector]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn search(app: &TestApp, text: &str, parameters: &str) -> Vec<f64> {
    let text: String = byte_serialize(text.as_bytes()).collect();
    let path = format!("/api/v1/incidents/search?q={text}{parameters}");
    let found = get(app, &path).await;
    let mut ids = ids_of(&found);
    ids.sort_unstable();
    ids.dedup();
    let data = found["data"].as_array().unwrap();
    assert_eq!(ids.len(), data.len(), "{found}");
    data.iter()
        .map(|item| item["similarity"].as_f64().unwrap())
        .collect()
}

async fn texts(client: &Client) -> Vec<String> {
    let query = "SELECT root_cause FROM (
            SELECT DISTINCT root_cause FROM incident_records WHERE root_cause IS NOT NULL
        ) AS causes ORDER BY md5(root_cause) LIMIT 10";
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
async fn lists_of_many_incidents_are_those_of_sql_without_an_index() {
    let app = start_with_dataset().await;
    let client = app.database.connect().await;
    for (parameters, condition) in FILTERS {
        let expected = list_exactly(&client, condition).await;
        assert!(expected.len() > 20, "{condition}: {}", expected.len());
        for offset in [0, expected.len() - 20] {
            let path =
                format!("/api/v1/incidents?count=exact&limit=20&offset={offset}{parameters}");
            let page = get(&app, &path).await;
            assert_eq!(page["pagination"]["total"], expected.len(), "{path}");
            assert_eq!(ids_of(&page), expected[offset..offset + 20], "{path}");
        }
    }
    let bounded = get(&app, "/api/v1/incidents?limit=1").await;
    assert_eq!(bounded["pagination"]["total"], 10_000);
    assert_eq!(bounded["pagination"]["total_relation"], "gte");
}

/// Returns the outcomes of the latest matching incidents, without rates.
async fn count_exactly(client: &Client, condition: &str, considered: i64) -> Value {
    let query = format!(
        "WITH considered AS MATERIALIZED (
             SELECT * FROM incidents WHERE {condition}
             ORDER BY opened_at DESC, id DESC LIMIT {considered}
         ), ended (list, name, status, started_at, completed_at) AS (
             SELECT 'actions', action.action_type, status, (version).started_at, (version).completed_at
             FROM incident_actions AS action JOIN considered ON id = incident_id
             WHERE status NOT IN ('pending', 'executing')
             UNION ALL
             SELECT 'workflows', workflow_name,
                 CASE WHEN execution_status = 'rolled-back' THEN execution_status
                     WHEN (workflow).phase = 'Completed' THEN 'completed' ELSE 'failed' END,
                 (workflow).started_at, (workflow).completed_at
             FROM incident_versions JOIN considered ON id = incident_id
             WHERE (workflow).phase IN ('Completed', 'Failed')
         ), counted AS (
             SELECT list, json_build_array(name, count(*), count(*) FILTER (WHERE status = 'completed'),
                 count(*) FILTER (WHERE status = 'failed'),
                 count(*) FILTER (WHERE status = 'rolled-back'),
                 round(percentile_cont(0.5) WITHIN GROUP (
                     ORDER BY extract(epoch FROM completed_at - started_at)::double precision)::numeric, 3)
             ) AS item, row_number() OVER (ORDER BY count(*) DESC, name) AS place
             FROM ended GROUP BY list, name
         )
         SELECT json_build_object(
             'actions', json_agg(item ORDER BY place) FILTER (WHERE list = 'actions'),
             'workflows', json_agg(item ORDER BY place) FILTER (WHERE list = 'workflows')) FROM counted"
    );
    let row = client.query_one(&query, &[]).await;
    row.unwrap_or_else(|error| panic!("{query}: {error:?}"))
        .get(0)
}

fn counts_of(outcomes: &Value, list: &str, name: &str) -> Value {
    let items = outcomes[list].as_array().unwrap().iter();
    let fields = [
        "total",
        "completed",
        "failed",
        "rolled_back",
        "duration_seconds",
    ];
    let counts = items.map(|item| {
        let counts = fields.iter().map(|field| item[field].clone());
        [item[name].clone()]
            .into_iter()
            .chain(counts)
            .collect::<Value>()
    });
    counts.collect()
}

#[tokio::test]
async fn outcomes_of_many_incidents_are_those_of_all_or_of_the_latest() {
    let app = start_with_dataset().await;
    let client = app.database.connect().await;
    client.execute("SET work_mem = '64MB'", &[]).await.unwrap();
    for (parameters, condition) in FILTERS {
        let passing = list_exactly(&client, condition).await.len();
        for (count, considered) in [("bounded", 10_000), ("exact", passing)] {
            let outcomes = get(&app, &format!("/api/v1/outcomes?count={count}{parameters}")).await;
            let considered = considered.min(passing);
            let relation = if considered < passing { "gte" } else { "eq" };
            let expected = json!({ "total": considered, "total_relation": relation });
            assert_eq!(outcomes["incidents"], expected, "{count} {condition}");
            let considered = considered.try_into().unwrap();
            let expected = count_exactly(&client, condition, considered).await;
            for (list, name) in [("actions", "action_type"), ("workflows", "workflow_name")] {
                let found = counts_of(&outcomes, list, name);
                let expected = expected[list].as_array().cloned().unwrap_or_default();
                assert_eq!(found, Value::from(expected), "{list} {count} {condition}");
            }
        }
    }
}

/// Returns the recall against exact searches for several texts with every filter.
async fn recall(app: &TestApp, model: Model) -> f64 {
    let client = app.database.connect().await;
    let mut near = 0;
    let mut found = 0;
    for text in texts(&client).await {
        for (parameters, condition) in FILTERS {
            let exact = search_exactly(&client, model, &text, condition).await;
            let similarities = search(app, &text, parameters).await;
            assert!(similarities.is_sorted_by(|one, next| one >= next));
            // Searches omit incidents with nothing in common.
            let least = exact[FOUND - 1] - ROUNDING;
            found += exact
                .iter()
                .filter(|cosine| **cosine >= 2.0 * ROUNDING)
                .count();
            near += similarities
                .iter()
                .filter(|cosine| **cosine >= least)
                .count();
        }
    }
    f64::from(u32::try_from(near).unwrap()) / f64::from(u32::try_from(found).unwrap())
}

#[tokio::test]
async fn searches_of_many_incidents_find_as_many_as_there_are_and_as_near_as_any() {
    let app = start_with_dataset().await;

    let recall = recall(&app, Model::Local).await;

    assert!(recall >= 0.95, "{recall}");
}

#[tokio::test]
async fn searches_by_the_index_find_what_passes_the_filter() {
    let database = load(INCIDENTS / 4, Model::Dense).await;
    let (_embedder, app) = start_with_dense_model(&database).await;
    let freeze_statistics = "ALTER TABLE incidents SET (autovacuum_enabled = off)";
    database.execute(freeze_statistics).await;
    // Repeat counts that make the planner expect few, many and very many matches.
    for times in [1, 100, 1000] {
        database
            .execute(&format!(
                "UPDATE pg_class SET reltuples = {} WHERE oid = 'incidents'::regclass",
                INCIDENTS / 4 * times
            ))
            .await;

        let recall = recall(&app, Model::Dense).await;

        assert!(recall >= 0.95, "{times}: {recall}");
    }
}

#[tokio::test]
async fn a_walk_through_many_incidents_shows_each_once_and_in_order() {
    let app = start_with_dataset().await;
    let expected = list_exactly(&app.database.connect().await, "true").await;
    let mut path = "/api/v1/incidents?limit=1000".to_owned();
    let mut ids = Vec::new();
    loop {
        let page = get(&app, &path).await;
        assert_eq!(page["pagination"]["total"], 10_000);
        ids.extend(ids_of(&page));
        let Some(cursor) = page["pagination"]["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/incidents?limit=1000&cursor={cursor}");
    }
    assert_eq!(ids, expected);
}
