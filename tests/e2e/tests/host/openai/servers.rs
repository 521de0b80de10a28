//! Servers with different behaviour.

use e2e::{TestApp, record, unique};
use embedder::{Embedder, Reply, SERVERS, Server};
use serde_json::json;

use super::{KEY, MODEL, PATIENT, embedding_of, model_for, with};

async fn app_with(embedder: &Embedder, server: Server) -> TestApp {
    let base_url = match server.query {
        Some(query) => format!("{}?{query}", embedder.base_url()),
        None => embedder.base_url(),
    };
    let app = with(embedder, PATIENT)
        .variable("embedding_base_url", base_url)
        .start()
        .await;
    embedder.reply_with([Reply::As(server)]);
    app
}

#[tokio::test]
async fn every_server_is_asked_in_its_own_way_and_once() {
    for server in SERVERS {
        let embedder = Embedder::start().await;
        let app = app_with(&embedder, server).await;
        let model = model_for(&app, &unique("HighMemoryUsage")).await;
        assert_eq!(model, MODEL, "{}", server.name);

        let received = embedder.received();
        assert_eq!(received.len(), 1, "{}: {received:?}", server.name);
        let path = match server.query {
            Some(query) => format!("POST /v1/embeddings?{query} HTTP/1.1\r\n"),
            None => "POST /v1/embeddings HTTP/1.1\r\n".to_owned(),
        };
        assert!(received[0].head.starts_with(&path), "{received:?}");
        for (header, key) in [
            ("authorization", format!("Bearer {KEY}")),
            ("api-key", KEY.to_owned()),
        ] {
            let expected = (header == server.key_header).then_some(key.as_str());
            assert_eq!(received[0].header(header), expected, "{}", server.name);
        }
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_for_the_model_is_cut_and_found_by_its_beginning() {
    for server in SERVERS {
        let embedder = Embedder::start().await;
        let app = app_with(&embedder, server).await;
        let mut analysis = record("aianalysis");
        let cause = format!("Überlast in {} ", unique("shop"));
        // As long as a record allows, without a partial character.
        analysis["rootCause"] = json!(cause.repeat(10_240 / cause.len()));
        analysis["recommendedAction"] = json!("ä".repeat(5_120));
        let stored = app.post_record("aianalysis", &analysis).await.expect(201);
        assert_eq!(
            embedding_of(&app, &stored).await.0,
            MODEL,
            "{}",
            server.name
        );

        let received = embedder.received();
        let texts: Vec<_> = received
            .iter()
            .map(|r| r.body["input"].as_str().unwrap())
            .collect();
        assert!(texts.len() <= 5, "{}: {}", server.name, texts.len());
        for pair in texts.windows(2) {
            let [whole, cut] = pair else { unreachable!() };
            assert!(whole.starts_with(cut) && cut.len() < whole.len());
            assert!(
                cut.len() + 3 > whole.len() / 2,
                "no more is cut than need be"
            );
        }
        let query: String = cause.repeat(2);
        let path = format!(
            "/api/v1/incidents/search?q={}&correlation_id={}",
            query.replace(' ', "+"),
            analysis["correlationId"].as_str().unwrap()
        );
        let found = app.get(&path).await.expect(200).json().clone();
        assert_eq!(found["embedding_model"], MODEL, "{}", server.name);
        let similarity = found["data"][0]["similarity"].as_f64().unwrap();
        assert!(similarity > 0.5, "{}: {found}", server.name);
    }
}

#[tokio::test]
async fn a_server_that_refuses_every_length_is_not_asked_for_ever() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(413)]);
    let mut analysis = record("aianalysis");
    analysis["rootCause"] = json!(unique("cause ").repeat(200));
    app.post_record("aianalysis", &analysis).await.expect(201);
    assert!((2..10).contains(&embedder.received().len()));
}

#[tokio::test]
async fn a_wait_in_milliseconds_is_kept_before_one_in_seconds() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let headers = "retry-after-ms: 20.5\r\nretry-after: 3600\r\n";
    embedder.reply_with([Reply::status_with(429, headers), Reply::Base64(1536)]);
    assert_eq!(model_for(&app, &unique("Alert")).await, MODEL);
    assert_eq!(embedder.received().len(), 2);
}
