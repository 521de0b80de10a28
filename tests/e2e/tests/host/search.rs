//! Searching with a provider's embeddings.

use std::time::Duration;

use e2e::{Answer, TestApp, unique};
use embedder::{Embedder, Reply};
use serde_json::Value;

use crate::openai::{LOCAL_MODEL, MODEL, PATIENT, alert, with};

const REFUSAL: u16 = 400;

/// Stores an alert and returns its incident's id. The name is the embedded text.
async fn store(app: &TestApp, name: &str) -> String {
    let stored = app.post_remediation(&alert(name)).await.expect(201);
    let id = stored.header("location").rsplit('/').next();
    id.unwrap().to_owned()
}

async fn search(app: &TestApp, text: &str, filter: &str) -> Answer {
    let path = format!("/api/v1/incidents/search?q={text}{filter}");
    app.get(&path).await.expect(200)
}

#[track_caller]
fn assert_embedded_by(found: &Answer, model: &str) {
    assert_eq!(found.json()["embedding_model"], model, "{found:?}");
}

fn ids(found: &Answer) -> Vec<String> {
    let data = found.json()["data"].as_array().unwrap().clone();
    data.iter().map(|item| item["id"].to_string()).collect()
}

#[tokio::test]
async fn only_texts_that_the_querys_model_embedded_are_compared() {
    let embedder = Embedder::start().await;
    // Without a cache, the service asks the provider again for the same text.
    let app = with(&embedder, PATIENT)
        .variable("embedding_cache_ttl_seconds", "0")
        .start()
        .await;
    let texts = [unique("Alert"), unique("Alert")];
    let of_the_provider = store(&app, &texts[0]).await;
    embedder.reply_with([Reply::status(REFUSAL)]);
    let of_the_local_model = store(&app, &texts[1]).await;

    // A search without a filter uses the index; with few matches it compares all of them.
    for filter in ["", "&namespace=production"] {
        for text in &texts {
            // A stored text would need no provider.
            let text = &format!("{text}+again");
            embedder.reply_with([Reply::Base64(1536)]);
            let found = search(&app, text, filter).await;
            assert_embedded_by(&found, MODEL);
            assert_eq!(ids(&found), [of_the_provider.as_str()], "{found:?}");

            embedder.reply_with([Reply::status(REFUSAL)]);
            let found = search(&app, text, filter).await;
            assert_embedded_by(&found, LOCAL_MODEL);
            assert_eq!(ids(&found), [of_the_local_model.as_str()], "{found:?}");
        }
    }
}

#[tokio::test]
async fn a_text_that_is_searched_for_again_is_embedded_once() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let asked = || -> Vec<Value> {
        let received = embedder.received().into_iter();
        received
            .map(|request| request.body["input"].clone())
            .collect()
    };
    let [one, other] = [unique("pool"), unique("disk")];
    for _ in 0..2 {
        assert_embedded_by(&search(&app, &one, "").await, MODEL);
    }
    assert_eq!(asked(), [one.as_str()]);
    assert_embedded_by(&search(&app, &other, "").await, MODEL);
    assert_eq!(asked(), [one.as_str(), other.as_str()]);

    // The provider is no longer needed.
    drop(embedder);
    assert_embedded_by(&search(&app, &one, "").await, MODEL);
    assert_embedded_by(&search(&app, &unique("pod"), "").await, LOCAL_MODEL);
}

#[tokio::test]
async fn a_search_while_the_provider_is_down_is_answered_by_the_local_model_in_time() {
    const DEADLINE: Duration = Duration::from_secs(3);
    /// Allowance for everything but the embedding.
    const REST: Duration = Duration::from_secs(3);
    let embedder = Embedder::start().await;
    let app = with(&embedder, &DEADLINE.as_millis().to_string())
        .start()
        .await;
    embedder.reply_with([Reply::status(REFUSAL)]);
    let text = unique("Alert");
    let id = store(&app, &text).await;
    let assert_found_in_time = async |failure: &str| {
        let found = tokio::time::timeout(DEADLINE + REST, search(&app, &text, ""))
            .await
            .unwrap_or_else(|_| panic!("{failure}: no answer in time"));
        assert_embedded_by(&found, LOCAL_MODEL);
        assert_eq!(ids(&found), [id.as_str()], "{failure}: {found:?}");
        let similarity = &found.json()["data"][0]["similarity"];
        assert_eq!(similarity.as_f64(), Some(1.0), "{failure}: {found:?}");
    };
    for reply in [
        Reply::status(503),
        Reply::Close,
        Reply::Silence,
        Reply::Late(Duration::from_secs(60)),
    ] {
        embedder.reply_with([reply.clone()]);
        assert_found_in_time(&format!("{reply:?}")).await;
        assert!(!embedder.received().is_empty(), "{reply:?}");
    }
    drop(embedder);
    assert_found_in_time("nobody listens").await;
}
