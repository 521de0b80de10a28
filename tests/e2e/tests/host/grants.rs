use e2e::{Setup, remediation};
use embedder::Embedder;

use crate::openai::{PATIENT, with};

#[tokio::test]
async fn a_database_that_is_not_granted_is_unavailable() {
    let app = Setup::default()
        .variable("database_host", "127.0.0.1:1")
        .variable("database_reader_host", "127.0.0.1:1")
        .start()
        .await;
    let answer = app
        .post_remediation(&remediation())
        .await
        .expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    assert!(!answer.text.contains("127.0.0.1"), "{answer:?}");
    app.get("/health/live").await.expect(200);
    app.get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
}

#[tokio::test]
async fn who_reads_reaches_only_the_host_that_is_granted_for_it() {
    let app = Setup::default()
        .variable("database_reader_host", "127.0.0.1:1")
        .start()
        .await;
    let stored = app.post_remediation(&remediation()).await.expect(201);
    for path in [
        stored.header("location"),
        "/api/v1/incidents",
        "/api/v1/incidents/search?q=memory",
        "/api/v1/incidents/1/similar",
        "/api/v1/outcomes",
    ] {
        app.get(path).await.expect_problem(503, "unavailable");
    }
}

#[tokio::test]
async fn the_cluster_of_a_record_that_names_none_is_the_variables() {
    let app = Setup::default()
        .variable("cluster_name", "eu-7")
        .start()
        .await;
    let stored = app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(app.incident_of(&stored).await["cluster"], "eu-7");
}

#[tokio::test]
async fn a_cluster_name_that_names_nothing_stores_nothing() {
    for name in [String::new(), "c".repeat(256)] {
        let app = Setup::default()
            .variable("cluster_name", &name)
            .start()
            .await;
        app.post_remediation(&remediation())
            .await
            .expect_problem(500, "internal");
        let unready = app.get("/health/ready").await;
        let unready = unready.expect_problem(503, "unavailable").violations();
        assert_eq!(
            unready,
            [("cluster_name".to_owned(), "readiness".to_owned())]
        );
        assert_eq!(
            app.database.count("SELECT count(*) FROM incidents").await,
            0
        );
    }
}

#[tokio::test]
async fn a_key_value_store_that_is_not_granted_is_a_miss_and_a_log_line() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .manifest(|manifest| {
            assert!(manifest.contains("key_value_stores = [\"default\"]"));
            manifest.replace("key_value_stores = [\"default\"]", "key_value_stores = []")
        })
        .start()
        .await;
    app.post_remediation(&remediation()).await.expect(201);
    let log = app.log();
    assert!(log.contains("embedding cache unusable"), "{log}");
    assert!(log.contains("access denied"), "{log}");
}
