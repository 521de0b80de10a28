use e2e::{Database, Setup};

async fn unready(database: &Database) -> Vec<(String, String)> {
    let app = Setup::default().database(database).start().await;
    app.get("/health/live").await.expect(200);
    let answer = app
        .get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    answer.violations()
}

fn failed(check: &str) -> (String, String) {
    (check.to_owned(), "readiness".to_owned())
}

#[tokio::test]
async fn a_database_without_migrations_is_not_ready() {
    let database = Database::create_empty().await;
    assert_eq!(
        unready(&database).await,
        [failed("pgvector"), failed("migrations")]
    );
}

#[tokio::test]
async fn a_database_behind_the_service_is_not_ready() {
    let database = Database::create().await;
    database
        .execute("DELETE FROM refinery_schema_history WHERE version = (SELECT max(version) FROM refinery_schema_history)")
        .await;
    assert_eq!(unready(&database).await, [failed("migrations")]);
}

#[tokio::test]
async fn a_database_ahead_of_the_service_is_ready() {
    let database = Database::create().await;
    database
        .execute("INSERT INTO refinery_schema_history (version, name) VALUES (1000, 'later')")
        .await;
    let app = Setup::default().database(&database).start().await;
    app.get("/health/ready").await.expect(200);
}

#[tokio::test]
async fn an_old_pgvector_is_not_ready_and_is_named() {
    let database = Database::create().await;
    database
        .execute("UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'")
        .await;
    let app = Setup::default().database(&database).start().await;
    let answer = app
        .get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    assert_eq!(answer.violations(), [failed("pgvector")]);
    assert!(
        answer.text.contains("0.8.3") && answer.text.contains("0.8.4"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_database_that_is_not_in_utf_8_is_not_ready() {
    let database = Database::create_empty_in("LATIN1").await;
    migrations::apply(database.url.as_str()).await.unwrap();
    assert_eq!(unready(&database).await, [failed("encoding")]);
}

#[tokio::test]
async fn a_database_whose_transactions_are_read_only_is_not_ready() {
    let database = Database::create().await;
    let name = database.url.path().trim_start_matches('/').to_owned();
    database
        .execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .await;
    assert_eq!(unready(&database).await, [failed("writable")]);
}

#[tokio::test]
async fn migrations_that_start_twice_at_once_are_applied_once() {
    let database = Database::create_empty().await;
    let url = database.url.as_str();
    let (one, two) = tokio::join!(migrations::apply(url), migrations::apply(url));
    one.unwrap();
    two.unwrap();
    let applied = database
        .count("SELECT count(*) FROM refinery_schema_history")
        .await;
    let versions = database
        .count("SELECT max(version)::bigint FROM refinery_schema_history")
        .await;
    assert_eq!(applied, versions);
}
