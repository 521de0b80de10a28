//! Walks through a list during writes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Setup, TestApp, record, set};
use futures::future::join_all;
use serde_json::{Value, json};

const INCIDENTS: usize = 100;
const WRITERS: usize = 8;
const STEPS: usize = 60;

/// Returns the records of an initial incident. Some share a time.
fn incident(number: usize) -> Value {
    let mut incident = record("remediation");
    let second = number / 3;
    set(
        &mut incident,
        json!({
            "name": format!("rr-{number}"), "correlationId": format!("req-{number}"),
            "createdAt": format!("2026-11-01T10:00:{second:02}Z"),
        }),
    );
    incident
}

/// Adds, retries and completes incidents, and reports older times of them. Odd numbers stay
/// pending.
async fn write(app: &TestApp, writer: usize) {
    for step in 0..STEPS {
        let turn = writer * STEPS + step;
        let number = (turn * 7 + turn / 4) % INCIDENTS;
        let hours = turn / 60;
        let minutes = turn % 60;
        let mut older = incident(number);
        set(
            &mut older,
            json!({ "createdAt": format!("2026-10-31T{:02}:{minutes:02}:00Z", 23 - hours) }),
        );
        let mut action = record("execution");
        set(
            &mut action,
            json!({
                "name": "ke", "correlationId": format!("req-{number}"),
                "createdAt": format!("2026-11-01T{:02}:{minutes:02}:00Z", 11 + hours),
                "startedAt": format!("2026-11-01T{:02}:{minutes:02}:01Z", 11 + hours),
            }),
        );
        match (step % 4, number % 2) {
            (0, _) => {
                let mut new = record("remediation");
                set(&mut new, json!({ "createdAt": "2026-11-02T10:00:00Z" }));
                app.store("remediation", &new).await;
            }
            (1, 0) => {
                set(&mut action, json!({ "phase": "Processing" }));
                app.store("execution", &action).await;
            }
            (2, 0) => {
                set(&mut action, json!({ "phase": "Completed" }));
                app.store("execution", &action).await;
            }
            _ => {
                app.store("remediation", &older).await;
            }
        }
    }
}

async fn walk(app: &TestApp, filter: &str) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/incidents?limit=2{filter}{cursor}");
        let page = app.get(&path).await.expect(200).json();
        for incident in page["data"].as_array().unwrap() {
            shown.insert(incident["correlation_id"].as_str().unwrap().to_owned());
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return shown,
        }
    }
}

async fn walk_while(
    app: &TestApp,
    filter: &str,
    expected: &[usize],
    are_writing: &AtomicBool,
) -> usize {
    let mut walks = 0;
    while are_writing.load(Ordering::Relaxed) {
        let shown = walk(app, filter).await;
        let skipped: Vec<_> = expected
            .iter()
            .filter(|number| !shown.contains(&format!("req-{number}")))
            .collect();
        assert!(
            skipped.is_empty(),
            "{filter}: walk {walks} skipped {skipped:?}"
        );
        walks += 1;
    }
    walks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_beside_writers_skips_no_incident_that_was_there_and_passed_throughout() {
    let app = Setup::default().start().await;
    for number in 0..INCIDENTS {
        app.post_remediation(&incident(number)).await.expect(201);
    }
    let all: Vec<_> = (0..INCIDENTS).collect();
    let pending: Vec<_> = (1..INCIDENTS).step_by(2).collect();
    let are_writing = AtomicBool::new(true);

    let writing = async {
        join_all((0..WRITERS).map(|writer| write(&app, writer))).await;
        are_writing.store(false, Ordering::Relaxed);
    };
    let ((), of_all, of_pending) = tokio::join!(
        writing,
        walk_while(&app, "&namespace=production", &all, &are_writing),
        walk_while(&app, "&status=pending", &pending, &are_writing),
    );

    println!("{of_all} walks through all incidents, {of_pending} through the pending ones");
    let moved = "SELECT count(*) FROM incidents WHERE opened_at < '2026-11-01T00:00:00Z'";
    assert!(app.database.count(moved).await > 50);
}
