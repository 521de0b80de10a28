//! A real embedding model as the provider: all-MiniLM-L6-v2, which `MINILM_MODEL` names the
//! folder of.

use std::sync::Arc;

use e2e::{Setup, record, set, unique};
use minilm::{Model, Options, Server};
use serde_json::json;

const OUT_OF_MEMORY: &str = "The container api-server was killed as it ran out of memory";
const OUT_OF_MEMORY_REWORDED: &str = "OOMKilled: api-server exceeded its memory limit";
const CERTIFICATE: &str = "The TLS certificate of the ingress expires in two days";

#[tokio::test(flavor = "multi_thread")]
async fn what_means_the_same_is_near_and_anything_else_is_far() {
    let folder = std::env::var_os("MINILM_MODEL")
        .expect("MINILM_MODEL is not set: run the tests with `cargo xtask test`");
    let model = Arc::new(Model::load(folder.as_ref()).unwrap());
    let server = Server::start(Arc::clone(&model), Options::default())
        .await
        .unwrap();
    let host = format!("http://{}", server.address());
    let app = Setup::default()
        .variable("embedding_provider", "openai")
        .variable("embedding_base_url", format!("{host}/v1"))
        .variable("embedding_host", host)
        .variable("embedding_model", minilm::NAME)
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
        assert_eq!(incident["records"][0]["embedding_model"], minilm::NAME);
    }

    let client = app.database.connect().await;
    let rows = client
        .query(
            "SELECT link.root_cause, embeddings.embedding::text, 1 - (embedding <=> (
                 SELECT embedding FROM incident_embeddings JOIN embeddings
                     ON embeddings.id = embedding_id
                 WHERE root_cause = $1))
             FROM incident_embeddings AS link JOIN embeddings ON embeddings.id = embedding_id
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
        let expected = model.embed(cause).unwrap().vector;
        let (own, padding) = stored.split_at(minilm::DIMENSIONS);
        for (stored, expected) in own.iter().zip(&expected) {
            assert!((stored - expected).abs() < 1e-6, "{cause}");
        }
        assert_eq!(padding.len(), 1536 - minilm::DIMENSIONS);
        assert!(padding.iter().all(|component| *component == 0.0), "{cause}");
    }
}
