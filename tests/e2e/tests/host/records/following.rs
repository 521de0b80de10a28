//! Callers that read the log as it grows.

use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{KINDS, Server, Setup, TestApp, record};
use futures::future::join_all;
use serde_json::Value;

use super::{NONE, RECORDS, ids, items, lines, link};
use crate::audit_log::{checkpoint, id_of, store};
use crate::standby::wait_for;

const WRITERS: usize = 8;
const RECORDS_EACH: usize = 60;

/// Stores records and returns their kinds and ids.
async fn write(app: &TestApp, writer: usize) -> Vec<(&'static str, i64)> {
    let mut written = Vec::new();
    for step in 0..RECORDS_EACH {
        let kind = KINDS[(writer + step) % KINDS.len()];
        written.push((kind, id_of(&app.store(kind, &record(kind)).await)));
    }
    written
}

/// Follows links until nothing can be added any more. Returns index and id of what was read.
async fn follow(
    app: &TestApp,
    query: &str,
    in_lines: bool,
    is_growing: &AtomicBool,
) -> Vec<(i64, i64)> {
    let mut read = Vec::new();
    let mut path = format!("{RECORDS}?limit=7{query}");
    loop {
        // Whatever is added is in the log before this page is read.
        let is_last = !is_growing.load(Ordering::SeqCst);
        let (page, items) = if in_lines {
            let page = lines(app, &path).await;
            let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
            let items: Vec<Value> = page.text.lines().map(parse).collect();
            (page, items)
        } else {
            let page = app.get(&path).await.expect(200);
            let items = items(&page);
            (page, items)
        };
        let number = |value: &Value| value.as_i64().unwrap();
        read.extend(
            items
                .iter()
                .map(|item| (number(&item["log"]["index"]), number(&item["id"]))),
        );
        let (linked, relation) = link(&page).unwrap();
        if relation == "monitor" {
            if is_last {
                return read;
            }
            // A round, so that the log grows by few records at a time.
            checkpoint(app).await;
        }
        path = linked;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_beside_writers_gets_every_record_once_in_the_order_of_the_log() {
    let app = Setup::default().start().await;
    let is_growing = AtomicBool::new(true);
    let writing = async {
        let written = join_all((0..WRITERS).map(|writer| write(&app, writer))).await;
        checkpoint(&app).await;
        is_growing.store(false, Ordering::SeqCst);
        written.concat()
    };

    let (written, all, in_lines, workflows) = tokio::join!(
        writing,
        follow(&app, "", false, &is_growing),
        follow(&app, "", true, &is_growing),
        follow(&app, "&kind=workflow", false, &is_growing),
    );

    assert_eq!(written.len(), WRITERS * RECORDS_EACH);
    for (read, kind) in [(all, None), (in_lines, None), (workflows, Some("workflow"))] {
        let is_ascending = read.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(is_ascending, "{kind:?}: {read:?}");
        let of_kind = written
            .iter()
            .filter(|(own, _)| kind.is_none_or(|kind| *own == kind));
        let mut expected: Vec<_> = of_kind.map(|(_, id)| *id).collect();
        let mut found: Vec<_> = read.iter().map(|(_, id)| *id).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn an_empty_log_is_followed_from_its_first_record() {
    let app = Setup::default().start().await;
    let empty = app.get(RECORDS).await.expect(200);
    let position = &empty.json()["pagination"];
    assert_eq!(position["next_cursor"], Value::Null);
    assert_eq!(position["resume_cursor"], Value::Null);
    let (path, relation) = link(&empty).unwrap();
    assert_eq!(relation, "monitor");
    let stored = store(&app).await;
    checkpoint(&app).await;
    let first = app.get(&path).await.expect(200);
    assert_eq!(ids(&first), [stored]);

    // The end can be asked for again and again.
    let (path, _) = link(&first).unwrap();
    for _ in 0..2 {
        let end = app.get(&path).await.expect(200);
        assert_eq!(ids(&end), NONE);
        assert_eq!(link(&end), Some((path.clone(), "monitor".to_owned())));
    }
    let stored = store(&app).await;
    checkpoint(&app).await;
    assert_eq!(ids(&app.get(&path).await.expect(200)), [stored]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lags_neither_skips_nor_repeats_what_is_followed() {
    let primary = Server::start(100).await;
    let database = primary.create_database().await;
    let server = primary.start_standby().await;
    let standby = server.database();
    let ahead = Setup::default().database(&database).start().await;
    let behind = Setup::default()
        .database(&database)
        .reader(&standby)
        .start()
        .await;
    let mut stored = vec![store(&ahead).await];
    checkpoint(&ahead).await;
    wait_for(&standby, &database).await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    stored.push(store(&ahead).await);
    checkpoint(&ahead).await;

    // Read up to what the standby has, and up to what it does not have yet.
    let early = behind.get(RECORDS).await.expect(200);
    let late = ahead.get(RECORDS).await.expect(200);
    assert_eq!(ids(&early), stored[..1]);
    assert_eq!(ids(&late), stored);
    let (of_early, of_late) = (link(&early).unwrap(), link(&late).unwrap());
    for followed in [&of_early, &of_late] {
        let end = behind.get(&followed.0).await.expect(200);
        assert_eq!(ids(&end), NONE);
        assert_eq!(link(&end).as_ref(), Some(followed));
    }

    standby.execute("SELECT pg_wal_replay_resume()").await;
    stored.push(store(&ahead).await);
    checkpoint(&ahead).await;
    wait_for(&standby, &database).await;
    assert_eq!(ids(&behind.get(&of_early.0).await.expect(200)), stored[1..]);
    assert_eq!(ids(&behind.get(&of_late.0).await.expect(200)), stored[2..]);
}
