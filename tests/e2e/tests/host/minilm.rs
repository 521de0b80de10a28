//! all-MiniLM-L6-v2 as the provider, served by `tools/minilm` at `MINILM_URL`.

use e2e::{Setup, record, set, unique};
use serde_json::{Value, json};

const MODEL: &str = "all-MiniLM-L6-v2";
const DIMENSIONS: usize = 384;

const OUT_OF_MEMORY: &str = "The container api-server was killed as it ran out of memory";
const OUT_OF_MEMORY_REWORDED: &str = "OOMKilled: api-server exceeded its memory limit";
const CERTIFICATE: &str = "The TLS certificate of the ingress expires in two days";

async fn ask(host: &str, key: &str, text: &str) -> Vec<f32> {
    let answer = reqwest::Client::new()
        .post(format!("{host}/v1/embeddings"))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(json!({"model": MODEL, "input": text}).to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let components = answer["data"][0]["embedding"].as_array().unwrap();
    components
        .iter()
        .map(|component| component.as_f64().unwrap() as f32)
        .collect()
}

#[tokio::test]
async fn what_means_the_same_is_near_and_anything_else_is_far() {
    let host = std::env::var("MINILM_URL")
        .expect("MINILM_URL is not set: run the tests with `cargo xtask test`");
    let key = std::env::var("MINILM_API_KEY").unwrap_or_default();
    let app = Setup::default()
        .variable("embedding_provider", "openai")
        .variable("embedding_base_url", format!("{host}/v1"))
        .variable("embedding_host", &host)
        .variable("embedding_api_key", &key)
        .variable("embedding_model", MODEL)
        .variable("embedding_deadline_milliseconds", "30000")
        .start()
        .await;
    let run = unique("req");
    for (number, cause) in [OUT_OF_MEMORY, OUT_OF_MEMORY_REWORDED, CERTIFICATE]
        .into_iter()
        .enumerate()
    {
        let mut analysis = record("aianalysis");
        let id = format!("{run}-{number}");
        set(
            &mut analysis,
            json!({"rootCause": cause, "correlationId": id}),
        );
        let stored = app.post_record("aianalysis", &analysis).await.expect(201);
        let incident = app.incident_of(&stored).await;
        assert_eq!(incident["records"][0]["embedding_model"], MODEL);
    }

    let found = app
        .get("/api/v1/incidents/search?q=ran+into+its+RAM+quota+and+got+terminated&min_similarity=0.2")
        .await
        .expect(200)
        .json();
    assert_eq!(found["embedding_model"], MODEL);
    let mut ids: Vec<_> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["correlation_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [format!("{run}-0"), format!("{run}-1")], "{found}");

    let client = app.database.connect().await;
    let rows = client
        .query(
            "SELECT root_cause, embedding::text, 1 - (embedding <=> (
                 SELECT embedding FROM incident_embeddings WHERE root_cause = $1))
             FROM incident_embeddings
             ORDER BY 3 DESC",
            &[&OUT_OF_MEMORY],
        )
        .await
        .unwrap();
    let causes: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(causes, [OUT_OF_MEMORY, OUT_OF_MEMORY_REWORDED, CERTIFICATE]);
    let similarities: Vec<f64> = rows.iter().map(|row| row.get(2)).collect();
    assert!(
        similarities[1] > 0.6 && similarities[2] < 0.3,
        "{similarities:?}"
    );

    for row in rows {
        let (cause, stored): (&str, &str) = (row.get(0), row.get(1));
        let stored = stored.trim_matches(['[', ']']).split(',');
        let stored: Vec<f32> = stored.map(|text| text.parse().unwrap()).collect();
        let expected = ask(&host, &key, cause).await;
        let (own, padding) = stored.split_at(DIMENSIONS);
        for (stored, expected) in own.iter().zip(&expected) {
            assert!((stored - expected).abs() < 1e-6, "{cause}");
        }
        assert_eq!(padding.len(), 1536 - DIMENSIONS);
        assert!(padding.iter().all(|component| *component == 0.0), "{cause}");
    }
}
