//! Many texts in few requests, as a backfill sends them.

use e2e::{Answer, TestApp, record, unique};
use embedder::{DENSE_DIMENSIONS, Embedder, Reply, SERVERS, vector_of};
use serde_json::json;

use super::backfill::{STEP_TEXTS, backfill};
use super::{LOCAL_MODEL, MODEL, PATIENT, alert, asked, assert_same_direction, embedding_of, with};

/// Stores records of these texts with the local model.
async fn store_locally(app: &TestApp, embedder: &Embedder, texts: &[String]) -> Vec<Answer> {
    embedder.reply_with([Reply::status(401)]);
    let mut stored = Vec::new();
    for text in texts {
        stored.push(app.post_remediation(&alert(text)).await.expect(201));
    }
    stored
}

fn unique_texts(count: usize) -> Vec<String> {
    (0..count).map(|_| unique("Alert")).collect()
}

fn sizes(embedder: &Embedder) -> Vec<usize> {
    asked(embedder).iter().map(Vec::len).collect()
}

async fn assert_own_vectors(app: &TestApp, stored: &[Answer], texts: &[String]) {
    for (answer, text) in stored.iter().zip(texts) {
        let (model, vector) = embedding_of(app, answer).await;
        assert_eq!(model, MODEL, "{text}");
        assert_same_direction(&vector, &vector_of(text, DENSE_DIMENSIONS));
    }
}

#[tokio::test]
async fn the_texts_of_a_step_share_a_request() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let texts = unique_texts(STEP_TEXTS + 2);
    let stored = store_locally(&app, &embedder, &texts).await;
    embedder.reply_with([Reply::Base64(DENSE_DIMENSIONS)]);
    let done = backfill(&app, "").await;
    assert_eq!((&done["embedded"], &done["left"]), (&json!(22), &json!(0)));
    let received = embedder.received();
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!(
        received[0].body,
        json!({"model": MODEL, "input": texts[..STEP_TEXTS]})
    );
    assert_own_vectors(&app, &stored, &texts).await;
}

#[tokio::test]
async fn every_server_embeds_many_texts_and_each_gets_its_own_vector() {
    for server in SERVERS {
        let embedder = Embedder::start().await;
        let mut setup = with(&embedder, PATIENT);
        if let Some(query) = server.query {
            let base_url = format!("{}?{query}", embedder.base_url());
            setup = setup.variable("embedding_base_url", base_url);
        }
        let app = setup.start().await;
        let texts = unique_texts(8);
        let stored = store_locally(&app, &embedder, &texts).await;
        embedder.reply_with([Reply::As(server)]);
        let done = backfill(&app, "").await;
        assert_eq!(done["embedded"], 8, "{}: {done}", server.name);
        assert_own_vectors(&app, &stored, &texts).await;
        let expected = match server.name {
            "Azure OpenAI" => vec![8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1],
            _ => vec![8],
        };
        assert_eq!(sizes(&embedder), expected, "{}", server.name);
    }
}

#[tokio::test]
async fn a_server_that_takes_fewer_texts_gets_as_many_as_it_takes() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let texts = unique_texts(15);
    let stored = store_locally(&app, &embedder, &texts).await;
    embedder.reply_with([Reply::Bounded(4)]);
    let done = backfill(&app, "").await;
    assert_eq!(
        (&done["embedded"], &done["failed"]),
        (&json!(15), &json!(0))
    );
    assert_eq!(sizes(&embedder), [15, 7, 3, 3, 3, 3, 3]);
    assert_own_vectors(&app, &stored, &texts).await;
    let log = app.log();
    let halved = log.matches("texts refused together").count();
    assert_eq!(halved, 2, "{log}");
    assert!(!log.contains("maximum allowed batch size"), "{log}");
}

#[tokio::test]
async fn vectors_in_another_order_are_those_of_their_texts() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let texts = unique_texts(5);
    let stored = store_locally(&app, &embedder, &texts).await;
    embedder.reply_with([Reply::Shuffled]);
    assert_eq!(backfill(&app, "").await["embedded"], 5);
    assert_eq!(sizes(&embedder), [5]);
    assert_own_vectors(&app, &stored, &texts).await;
}

#[tokio::test]
async fn texts_are_asked_for_again_in_smaller_requests_if_a_vector_is_missing() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let texts = unique_texts(5);
    let stored = store_locally(&app, &embedder, &texts).await;
    embedder.reply_with([Reply::Incomplete, Reply::Base64(DENSE_DIMENSIONS)]);
    assert_eq!(backfill(&app, "").await["embedded"], 5);
    assert_eq!(sizes(&embedder), [5, 2, 2, 1]);
    assert_own_vectors(&app, &stored, &texts).await;
    let log = app.log();
    assert!(log.contains("not exactly one embedding per text"), "{log}");
}

#[tokio::test]
async fn only_the_text_that_is_too_long_is_cut() {
    for server in SERVERS {
        if server.query.is_some() {
            continue;
        }
        let embedder = Embedder::start().await;
        let app = with(&embedder, PATIENT).start().await;
        let texts = unique_texts(4);
        let stored = store_locally(&app, &embedder, &texts).await;
        let mut analysis = record("aianalysis");
        analysis["rootCause"] = json!(unique("cause ").repeat(240));
        analysis["recommendedAction"] = analysis["rootCause"].clone();
        let long = app.post_record("aianalysis", &analysis).await.expect(201);
        embedder.reply_with([Reply::As(server)]);
        let done = backfill(&app, "").await;
        assert_eq!(done["embedded"], 5, "{}: {done}", server.name);
        assert_own_vectors(&app, &stored, &texts).await;
        assert_eq!(embedding_of(&app, &long).await.0, MODEL, "{}", server.name);
        for text in asked(&embedder).concat() {
            let is_whole = texts.contains(&text);
            assert!(
                is_whole || text.starts_with("cause "),
                "{}: {text}",
                server.name
            );
        }
    }
}

#[tokio::test]
async fn what_was_embedded_before_a_failure_is_not_asked_for_again() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let texts = unique_texts(4);
    let stored = store_locally(&app, &embedder, &texts).await;
    // All, then the first two, then the others and the service's own text.
    embedder.reply_with([
        Reply::status(422),
        Reply::Base64(DENSE_DIMENSIONS),
        Reply::status(401),
    ]);
    let done = backfill(&app, "").await;
    assert_eq!((&done["embedded"], &done["left"]), (&json!(2), &json!(2)));
    assert_eq!(embedding_of(&app, &stored[2]).await.0, LOCAL_MODEL);

    app.database
        .execute("UPDATE embeddings SET model = 'another'")
        .await;
    embedder.reply_with([Reply::Base64(DENSE_DIMENSIONS)]);
    let done = backfill(&app, "").await;
    assert_eq!((&done["embedded"], &done["left"]), (&json!(4), &json!(0)));
    assert_eq!(asked(&embedder), [&texts[2..]], "the cache has the others");
    assert_own_vectors(&app, &stored, &texts).await;
}
