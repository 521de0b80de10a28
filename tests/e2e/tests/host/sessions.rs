//! Pooled sessions that become outdated while they are open.

use std::time::{Duration, Instant};

use e2e::{Database, Setup, TestApp, remediation, unique};
use futures::future::join_all;

/// Number of concurrent requests, each with its own session.
const REQUESTS: usize = 12;

async fn statuses(app: &TestApp) -> Vec<u16> {
    let write = async |_| app.post_remediation(&remediation()).await.status;
    let list = async |_| app.get("/api/v1/incidents").await.status;
    let check = async |_| app.get("/health/ready").await.status;
    let (written, listed, checked) = tokio::join!(
        join_all((0..REQUESTS).map(write)),
        join_all((0..REQUESTS).map(list)),
        join_all((0..2).map(check)),
    );
    [written, listed, checked].concat()
}

/// Starts the service with a database setting, then resets the setting.
async fn assert_well_after(database: &Database, setting: &str, value: &str) {
    let name = database.url.path().trim_start_matches('/');
    let set = format!("ALTER DATABASE {name} SET {setting} = {value}");
    database.execute(&set).await;
    let app = Setup::default().database(database).start().await;
    let during = statuses(&app).await;
    assert!(during.contains(&503), "{setting}: {during:?}");

    let reset = format!("ALTER DATABASE {name} RESET {setting}");
    // Reset from another database, because sessions of this one may fail.
    Database::from_environment().execute(&reset).await;
    let after = statuses(&app).await;
    assert!(
        after.iter().all(|status| [200, 201].contains(status)),
        "{setting}: {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_read_only_spell_are_not_used_again() {
    let database = Database::create().await;
    assert_well_after(&database, "default_transaction_read_only", "on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_with_another_search_path_are_not_used_again() {
    let database = Database::create().await;
    assert_well_after(&database, "search_path", "nowhere").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_with_another_role_are_not_used_again() {
    let database = Database::create().await;
    let role = unique("e2e_pauper").replace('-', "_");
    database
        .execute(&format!(
            "CREATE ROLE {role}; GRANT {role} TO e2e_writer, e2e_reader"
        ))
        .await;
    assert_well_after(&database, "role", &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_a_migration_has_made_stale_are_not_used_again() {
    for sqlstate in ["0A000", "26000"] {
        let app = Setup::default().start().await;
        assert!(statuses(&app).await.iter().all(|status| *status < 300));
        // Plans from before may fail once, because a result changes its type.
        app.database
            .execute(&format!(
                "DO $do$ BEGIN EXECUTE format($function$
                     CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         IF (SELECT backend_start FROM pg_stat_activity
                             WHERE pid = pg_backend_pid()) < %L
                         THEN
                             RAISE EXCEPTION 'made to fail' USING ERRCODE = '{sqlstate}';
                         END IF;
                         RETURN NEW;
                     END $$ $function$, clock_timestamp()); END $do$;
                 CREATE TRIGGER fail BEFORE INSERT ON audit_records
                     FOR EACH ROW EXECUTE FUNCTION fail();"
            ))
            .await;
        let after = statuses(&app).await;
        assert!(
            after.iter().all(|status| *status < 300),
            "{sqlstate}: {after:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_does_not_lie_in_the_session_ends_after_a_few_attempts() {
    let app = Setup::default().start().await;
    app.database.execute("DROP FUNCTION find_incident").await;
    app.get("/api/v1/incidents/1")
        .await
        .expect_problem(503, "unavailable");
    // The count may take a new session for an older one.
    let is_logged = || (3..6).any(|retries| app.log().contains(&format!("\"retries\":{retries},")));
    // The service logs a line after it sends the response.
    let begun = Instant::now();
    while !is_logged() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", app.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
