//! Rounds, alone and at the same time.

use std::time::{Duration, Instant};

use e2e::{Database, Setup, TestApp, remediation};
use futures::future::join_all;

use super::{assert_whole, checkpoint, ids, store};

/// Waits until nothing is pending, without asking for a checkpoint.
async fn wait_until_logged(database: &Database) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while database.count("SELECT count(*) FROM log_pending").await > 0 {
        assert!(Instant::now() < give_up, "records are still pending");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_write_runs_a_round_after_its_response() {
    let app = Setup::default().start().await;
    store(&app).await;
    wait_until_logged(&app.database).await;
    let entries = assert_whole(&app).await;
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn one_write_a_second_runs_a_round() {
    let app = Setup::default().start().await;
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        store(&app).await;
        written += 1;
    }
    let signed = app.database.count("SELECT size FROM log_head").await;
    assert!(signed > 0 && signed <= written);
    // PostgreSQL publishes them late.
    let mut rounds = signed_rounds(&app).await;
    while rounds < 2 && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        rounds = signed_rounds(&app).await;
    }
    assert!((2..=5).contains(&rounds), "{rounds} rounds");
    assert_eq!(
        assert_whole(&app).await.len(),
        usize::try_from(written).unwrap()
    );
}

/// Rounds that metrics would show, from the log head's row versions.
async fn signed_rounds(app: &TestApp) -> i64 {
    app.database
        .count("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'log_head'")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_eight_writers_and_readers_make_one_tree() {
    const WRITERS: usize = 8;
    const RECORDS: usize = 60;
    let database = Database::create().await;
    let one = Setup::default().database(&database).start().await;
    let other = Setup::default().database(&database).start().await;
    let write = |writer: usize| {
        let (one, other) = (&one, &other);
        async move {
            for number in 0..RECORDS {
                let app = if (writer + number).is_multiple_of(2) {
                    one
                } else {
                    other
                };
                store(app).await;
                if number % 5 == 0 {
                    checkpoint(app).await;
                }
            }
        }
    };
    join_all((0..WRITERS).map(write)).await;
    let entries = assert_whole(&one).await;
    assert_eq!(entries.len(), WRITERS * RECORDS);
    // The order is one that each writer's own records agree with.
    assert_eq!(ids(&entries).len(), WRITERS * RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_have_no_leaf() {
    let app = Setup::default().start().await;
    let record = remediation();
    join_all((0..8).map(|_| app.post_remediation(&record))).await;
    app.post_remediation(&record).await.expect(201);
    assert_eq!(assert_whole(&app).await.len(), 1);
}

#[tokio::test]
async fn a_round_that_was_prepared_before_another_changes_nothing() {
    let app = Setup::default()
        .variable("log_signing_key", "")
        .start()
        .await;
    store(&app).await;
    let client = app.database.connect().await;
    // A round that read, and then waited: its instance may also have been killed here.
    let begun = client
        .query_one("SELECT * FROM begin_log_round(10)", &[])
        .await
        .unwrap();
    let ids: Vec<i64> = begun.get("pending_ids");

    let signing = Setup::default().database(&app.database).start().await;
    let signed = checkpoint(&signing).await;
    let finish = "SELECT finish_log_round(log_incarnation(), 0, NULL, NULL, $1, '{}', '{}', '{}', 1, 'forged')";
    let finished: bool = client.query_one(finish, &[&ids]).await.unwrap().get(0);
    assert!(!finished);
    assert_eq!(checkpoint(&signing).await, signed);
    assert_whole(&signing).await;
}

#[tokio::test]
async fn a_round_cannot_change_what_is_there() {
    let app = Setup::default().start().await;
    for _ in 0..3 {
        store(&app).await;
    }
    let before = checkpoint(&app).await;
    let client = app.database.connect().await;
    let stored: String = client
        .query_one("SELECT checkpoint FROM log_head", &[])
        .await
        .unwrap()
        .get(0);
    let tile = tlog::to_base64(&[7; 128]);
    let finish = "SELECT finish_log_round(log_incarnation(), $1, $2, NULL, '{}', '{0}', '{0}', ARRAY[$3], $1, 'forged')";
    let refused = client
        .query_one(finish, &[&3_i64, &stored, &tile])
        .await
        .unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "22000", "{refused:?}");
    let finish = "SELECT finish_log_round(log_incarnation(), $1, $2, NULL, '{77}', '{}', '{}', '{}', $1, 'forged')";
    let refused = client
        .query_one(finish, &[&3_i64, &stored])
        .await
        .unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "22000", "{refused:?}");
    assert_eq!(checkpoint(&app).await, before);
}

#[tokio::test]
async fn a_host_that_is_killed_after_its_response_loses_no_leaf() {
    let database = Database::create().await;
    for _ in 0..5 {
        let app = Setup::default().database(&database).start().await;
        store(&app).await;
        drop(app);
    }
    let app = Setup::default().database(&database).start().await;
    assert_eq!(assert_whole(&app).await.len(), 5);
}

#[tokio::test]
async fn a_host_that_is_killed_while_a_round_is_being_stored_leaves_one_tree() {
    let database = Database::create().await;
    let app = Setup::default().database(&database).start().await;
    let mut client = database.connect().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("SELECT FROM log_head FOR UPDATE", &[])
        .await
        .unwrap();
    store(&app).await;
    let give_up = Instant::now() + Duration::from_secs(10);
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE '%finish_log_round%'
          AND datname = current_database()";
    while database.count(waiting).await == 0 {
        assert!(Instant::now() < give_up, "no round is being stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(app);
    transaction.commit().await.unwrap();

    let app = Setup::default().database(&database).start().await;
    for _ in 0..3 {
        store(&app).await;
    }
    assert_eq!(assert_whole(&app).await.len(), 4);
}

#[tokio::test]
async fn many_rounds_fill_tiles() {
    let app = Setup::default().start().await;
    for _ in 0..9 {
        join_all((0..30).map(|_| store(&app))).await;
        checkpoint(&app).await;
    }
    assert_eq!(assert_whole(&app).await.len(), 270);
    let full = super::bytes(&app, "/log/v1/tile/0/000").await;
    assert_eq!(full.len(), 8192);
    // What was partial stays readable.
    let partial = super::bytes(&app, "/log/v1/tile/0/000.p/30").await;
    assert_eq!(partial, full[..960]);
}
