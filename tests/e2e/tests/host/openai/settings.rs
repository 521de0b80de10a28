use e2e::{Answer, TestApp, unique};
use embedder::{Embedder, Reply};

use super::{LOCAL_MODEL, MODEL, PATIENT, model_for, with};

async fn unready(app: &TestApp) -> (Vec<String>, Answer) {
    let answer = app
        .get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    let named = answer.violations().into_iter();
    (named.map(|(field, _)| field).collect(), answer)
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_named_and_loses_no_record() {
    let embedder = Embedder::start().await;
    let with_credentials = embedder.host().replace("://", "://user:hidden@");
    let without_scheme = embedder.base_url().replace("http://", "");
    for (variable, value) in [
        ("embedding_provider", "hidden"),
        ("embedding_provider", ""),
        ("embedding_base_url", "hidden"),
        ("embedding_base_url", &with_credentials),
        ("embedding_base_url", &without_scheme),
        ("embedding_model", LOCAL_MODEL),
        ("embedding_model", " "),
        ("embedding_api_key", "hidden\r\nx-header: hidden"),
        ("embedding_deadline_milliseconds", "hidden"),
        ("embedding_deadline_milliseconds", "0"),
    ] {
        let app = with(&embedder, PATIENT)
            .variable(variable, value)
            .start()
            .await;
        let (named, answer) = unready(&app).await;
        assert_eq!(named, [variable], "{value}");
        let model = model_for(&app, "HighMemoryUsage").await;
        assert_eq!(model, LOCAL_MODEL, "{variable}");
        let log = app.log();
        let line = format!(r#""variable":"{variable}""#);
        assert!(log.contains(&line), "{variable}: {log}");
        for shown in [&log, &answer.text] {
            assert!(!shown.contains("hidden"), "{variable}: {shown}");
        }
    }
    assert_eq!(embedder.received().len(), 0);
}

#[tokio::test]
async fn all_settings_that_cannot_be_used_are_named_at_once() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, "x")
        .variable("embedding_base_url", "example.com/v1")
        .variable("embedding_model", "")
        .start()
        .await;
    let (named, _) = unready(&app).await;
    assert_eq!(
        named,
        [
            "embedding_base_url",
            "embedding_model",
            "embedding_deadline_milliseconds"
        ]
    );
}

#[tokio::test]
async fn a_cache_without_a_time_to_live_is_named_and_has_its_default() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_cache_ttl_seconds", "5 minutes")
        .start()
        .await;
    let (named, _) = unready(&app).await;
    assert_eq!(named, ["embedding_cache_ttl_seconds"]);
    assert_eq!(model_for(&app, &unique("Alert")).await, MODEL);
}

#[tokio::test]
async fn white_space_around_a_setting_is_no_part_of_it() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_provider", " openai\n")
        .variable(
            "embedding_base_url",
            format!(" {}/ \n", embedder.base_url()),
        )
        .variable("embedding_model", format!("{MODEL}\n"))
        .variable("embedding_api_key", "sk-secret\n")
        .variable("embedding_deadline_milliseconds", "30000\n")
        .start()
        .await;
    app.get("/health/ready").await.expect(200);
    assert_eq!(model_for(&app, &unique("Alert")).await, MODEL);
    for received in embedder.received() {
        assert!(received.head.starts_with("POST /v1/embeddings "));
        assert_eq!(received.header("authorization"), Some("Bearer sk-secret"));
    }
}

#[tokio::test]
async fn a_model_that_is_too_wide_is_named_and_each_model_is_tried_once() {
    for (dimensions, status) in [(3072, 503), (1536, 200)] {
        let embedder = Embedder::start().await;
        // A disabled cache is no reason for a retry either.
        let app = with(&embedder, PATIENT)
            .variable("embedding_cache_ttl_seconds", "0")
            .start()
            .await;
        embedder.reply_with([Reply::Decimals(dimensions)]);
        for _ in 0..3 {
            let answer = app.get("/health/ready").await;
            assert_eq!(answer.status, status, "{answer:?}");
            if status == 503 {
                let answer = answer.expect_problem(503, "unavailable");
                let named = ("embedding_model".to_owned(), "readiness".to_owned());
                assert_eq!(answer.violations(), [named]);
                for figure in ["3072", "1536"] {
                    assert!(answer.text.contains(figure), "{answer:?}");
                }
            }
        }
        assert_eq!(embedder.received().len(), 1);
    }
}

#[tokio::test]
async fn an_address_that_is_not_granted_is_named() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_host", "http://127.0.0.1:1")
        .start()
        .await;
    assert_eq!(unready(&app).await.0, ["embedding_host"]);
    assert_eq!(model_for(&app, &unique("Alert")).await, LOCAL_MODEL);
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_the_service_ready() {
    for reply in [
        Reply::status(401),
        Reply::status(404),
        Reply::status(503),
        Reply::Close,
        Reply::Silence,
        Reply::body("<!doctype html>"),
    ] {
        let embedder = Embedder::start().await;
        let app = with(&embedder, PATIENT).start().await;
        embedder.reply_with([reply.clone()]);
        for _ in 0..3 {
            app.get("/health/ready").await.expect(200);
        }
        assert_eq!(embedder.received().len(), 1, "{reply:?}");
    }
}
