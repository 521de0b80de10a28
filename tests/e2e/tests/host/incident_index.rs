//! The index that makes totals exact and fast: it is brought up to date by the writes, and
//! lists are exact however far it is.

mod upkeep;

use std::time::Duration;

use e2e::{Database, Setup, TestApp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

/// So many incidents over ten days, with few values each, as of a seed between 0 and 1.
async fn make_incidents(database: &Database, seed: f64, count: usize) {
    database
        .execute(&format!(
            "SELECT setseed({seed});
             INSERT INTO incidents (correlation_id, namespace, cluster, action_type, alert_name,
                 alert_severity, execution_status, action_timestamp)
             SELECT 'made-' || gen_random_uuid(),
                 CASE WHEN random() < 0.9 THEN 'ns-' || (random() * 3)::int END,
                 'cluster-' || (random() * 2)::int,
                 CASE WHEN random() < 0.5 THEN 'restart_pod' END,
                 'Alert' || (random() * 4)::int, 'high', 'pending',
                 '2026-11-01'::timestamptz + random() * interval '10 days'
             FROM generate_series(1, {count})"
        ))
        .await;
}

/// Changes some incidents: what they are, and when they were.
async fn change_incidents(database: &Database, seed: f64) {
    database
        .execute(&format!(
            "SELECT setseed({seed});
             UPDATE incidents SET
                 execution_status = CASE WHEN random() < 0.5 THEN 'completed' ELSE 'failed' END,
                 namespace = 'ns-' || (random() * 3)::int,
                 action_timestamp = CASE WHEN random() < 0.5 THEN action_timestamp
                     ELSE '2026-11-01'::timestamptz + random() * interval '10 days' END
             WHERE random() < 0.1"
        ))
        .await;
}

async fn index(database: &Database) {
    database.execute("SELECT index_incident_changes()").await;
}

/// One list, and what it must show.
struct Listed {
    parameters: String,
    limit: usize,
    expected: Vec<i64>,
}

/// The ids that a filter lets pass, in order, without any index.
async fn expected(database: &Database, condition: &str) -> Vec<i64> {
    let query =
        format!("SELECT id FROM incidents WHERE {condition} ORDER BY action_timestamp DESC, id");
    let rows = database.connect().await.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn ids(page: &Value) -> Vec<i64> {
    let data = page["data"].as_array().unwrap();
    data.iter()
        .map(|item| item["id"].as_i64().unwrap())
        .collect()
}

/// A condition and the parameters that ask for the same.
fn any_filter() -> impl Strategy<Value = (String, String)> {
    let one = |name: &'static str, column: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.35, prop::sample::select(values)).prop_map(move |value| {
            value.map(|value| (format!("{column} = '{value}'"), format!("&{name}={value}")))
        })
    };
    let time = |name: &'static str, comparison: &'static str| {
        prop::option::weighted(0.25, 0..10 * 24_i64).prop_map(move |hours| {
            hours.map(|hours| {
                let time = format!("2026-11-{:02}T{:02}:00:00Z", 1 + hours / 24, hours % 24);
                (
                    format!("action_timestamp {comparison} '{time}'"),
                    format!("&{name}={time}"),
                )
            })
        })
    };
    let conditions = (
        one(
            "namespace",
            "namespace",
            &["ns-0", "ns-1", "ns-2", "ns-none"],
        ),
        one("cluster", "cluster", &["cluster-0", "cluster-1"]),
        one("action_type", "action_type", &["restart_pod"]),
        one("alert_name", "alert_name", &["Alert0", "Alert1", "Alert3"]),
        one("severity", "alert_severity", &["high", "low"]),
        one(
            "status",
            "execution_status",
            &["pending", "completed", "executing"],
        ),
        time("since", ">="),
        time("until", "<="),
    );
    conditions.prop_map(|(a, b, c, d, e, f, g, h)| {
        let given = [a, b, c, d, e, f, g, h].into_iter().flatten();
        let (conditions, parameters): (Vec<_>, Vec<_>) = given.unzip();
        let all = [vec!["true".to_owned()], conditions].concat();
        (all.join(" AND "), parameters.concat())
    })
}

/// What is done to the incidents before and between lists.
#[derive(Clone, Debug)]
enum Event {
    Make(u16),
    Change(u16),
    Index,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<u16>().prop_map(Event::Make),
        any::<u16>().prop_map(Event::Change),
        Just(Event::Index),
    ]
}

async fn apply(database: &Database, event: &Event) {
    let seed = |seed: u16| f64::from(seed) / f64::from(u16::MAX);
    match *event {
        Event::Make(number) => make_incidents(database, seed(number), 30).await,
        Event::Change(number) => change_incidents(database, seed(number)).await,
        Event::Index => index(database).await,
    }
}

async fn get(app: &TestApp, parameters: &str) -> Value {
    app.get(&format!("/api/v1/incidents?{parameters}"))
        .await
        .expect(200)
        .json()
}

async fn check_page(app: &TestApp, listed: &Listed, offset: usize) -> Value {
    let Listed {
        parameters,
        limit,
        expected,
    } = listed;
    let page = get(app, &format!("{parameters}&limit={limit}&offset={offset}")).await;
    assert_eq!(page["pagination"]["total"], expected.len(), "{parameters}");
    let shown: Vec<_> = expected.iter().skip(offset).take(*limit).copied().collect();
    assert_eq!(ids(&page), shown, "{parameters} offset {offset}");
    page
}

#[test]
fn every_list_and_walk_is_exact_whatever_was_written_and_indexed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(Setup::default().start());
    // Enough for lists that are long, and for offsets that skip days.
    runtime.block_on(make_incidents(&app.database, 0.5, 4000));
    let strategy = (
        any_filter(),
        1..200_usize,
        0..4000_usize,
        prop::collection::vec(any_event(), 0..3),
        prop::collection::vec(any_event(), 1..4),
    );
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(
        &strategy,
        |((condition, parameters), limit, offset, before, between)| {
            runtime.block_on(async {
                for event in &before {
                    apply(&app.database, event).await;
                }
                let expected = expected(&app.database, &condition).await;
                // A walk of six pages at most.
                let limit = limit.max(expected.len() / 5).clamp(1, 1000);
                let listed = Listed {
                    parameters,
                    limit,
                    expected,
                };
                check_page(&app, &listed, offset).await;
                let mut page = check_page(&app, &listed, 0).await;
                let mut walked = ids(&page);
                let mut events = between.iter().cycle();
                while let Some(cursor) = page["pagination"]["next_cursor"].as_str() {
                    apply(&app.database, events.next().unwrap()).await;
                    let parameters = &listed.parameters;
                    page = get(&app, &format!("{parameters}&limit={limit}&cursor={cursor}")).await;
                    walked.extend(ids(&page));
                }
                assert_eq!(walked, listed.expected, "{}", listed.parameters);
            });
            Ok(())
        },
    );
    result.unwrap();
}

#[tokio::test]
async fn incidents_at_the_ends_of_days_and_years_are_counted_on_their_day() {
    let app = Setup::default().start().await;
    let times = [
        "0001-01-01T00:00:00Z",
        "0001-01-01T23:59:59.999999Z",
        "0001-01-02T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2300-06-01T23:59:59.999999Z",
        "2300-06-02T00:00:00Z",
        "2300-06-03T12:00:00Z",
        "9999-12-30T23:59:59.999999Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    for time in times {
        let make = format!(
            "INSERT INTO incidents (correlation_id, alert_name, alert_severity, execution_status,
                 action_timestamp)
             VALUES ('at-{time}', 'Alert', 'high', 'pending', '{time}')"
        );
        app.database.execute(&make).await;
    }
    index(&app.database).await;
    for since in times {
        for until in times {
            let condition = format!("action_timestamp BETWEEN '{since}' AND '{until}'");
            let listed = Listed {
                parameters: format!("since={since}&until={until}"),
                limit: 10,
                expected: expected(&app.database, &condition).await,
            };
            check_page(&app, &listed, 0).await;
        }
    }
}

#[tokio::test]
async fn a_first_page_begins_at_the_newest_day_indexed_or_not() {
    let app = Setup::default().start().await;
    // More than are found one by one.
    make_incidents(&app.database, 0.7, 4000).await;
    let newest_day = "UPDATE incidents SET cluster = 'cluster-0'
        WHERE action_timestamp >= '2026-11-10T00:00:00Z'";
    app.database.execute(newest_day).await;
    index(&app.database).await;
    let moved = "UPDATE incidents SET cluster = 'cluster-1',
            action_timestamp = action_timestamp + interval '30 days'
        WHERE action_timestamp < '2026-11-01T06:00:00Z'";
    for statement in ["SELECT", moved] {
        app.database.execute(statement).await;
        for until in [
            "2026-11-08T12:00:00Z",
            "2026-12-01T03:00:00Z",
            "2027-01-01T00:00:00Z",
        ] {
            let condition = format!(
                "cluster = 'cluster-1' AND alert_severity = 'high' AND action_timestamp <= '{until}'"
            );
            let listed = Listed {
                parameters: format!("cluster=cluster-1&severity=high&until={until}"),
                limit: 40,
                expected: expected(&app.database, &condition).await,
            };
            assert!(listed.expected.len() > 1000);
            for offset in [0, 30] {
                check_page(&app, &listed, offset).await;
            }
        }
    }
}

#[tokio::test]
async fn a_walk_does_not_see_what_was_open_when_it_began() {
    let app = Setup::default().start().await;
    make_incidents(&app.database, 0.1, 100).await;
    let expected = expected(&app.database, "true").await;
    let mut client = app.database.connect().await;
    let open = client.transaction().await.unwrap();
    let change = "UPDATE incidents SET action_timestamp = action_timestamp - interval '20 days'
         WHERE id % 3 = 0;
         INSERT INTO incidents (correlation_id, alert_name, alert_severity, execution_status,
             action_timestamp)
         SELECT 'open-' || id, 'Alert', 'high', 'pending', action_timestamp FROM incidents";
    open.batch_execute(change).await.unwrap();
    // What came after it, and is seen.
    let later = "UPDATE incidents SET cluster = 'later' WHERE id % 3 = 1";
    app.database.execute(later).await;

    let mut page = get(&app, "limit=30").await;
    open.commit().await.unwrap();
    let mut walked = ids(&page);
    while let Some(cursor) = page["pagination"]["next_cursor"].as_str() {
        page = get(&app, &format!("limit=30&cursor={cursor}")).await;
        walked.extend(ids(&page));
        assert_eq!(page["pagination"]["total"], 100);
        let again = "UPDATE incidents SET cluster = cluster || 'x' WHERE id % 2 = 0";
        app.database.execute(again).await;
        index(&app.database).await;
    }
    assert_eq!(walked, expected);
    assert_eq!(get(&app, "").await["pagination"]["total"], 200);
}

#[tokio::test]
async fn a_walk_that_is_too_old_is_told_to_begin_again() {
    let app = Setup::default().start().await;
    make_incidents(&app.database, 0.1, 10).await;
    let old = get(&app, "limit=1").await;
    change_incidents(&app.database, 0.1).await;
    make_incidents(&app.database, 0.2, 1).await;
    // Other tests' transactions on the same server count, too.
    let beside = "SELECT count(*) FROM incident_changes
        WHERE changed_xid >= pg_snapshot_xmin(pg_current_snapshot())";
    while app.database.count(beside).await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let young = get(&app, "limit=1").await;
    let cursor = |page: &Value| {
        page["pagination"]["next_cursor"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    // Not before they are indexed, nor before they are an hour old.
    index(&app.database).await;
    index(&app.database).await;
    get(&app, &format!("cursor={}", cursor(&old))).await;
    let age = "UPDATE incident_changes SET changed_at = now() - interval '61 minutes'";
    app.database.execute(age).await;
    index(&app.database).await;

    let path = format!("/api/v1/incidents?cursor={}", cursor(&old));
    let refused = app.get(&path).await.expect_problem(400, "validation");
    assert_eq!(
        refused.violations(),
        [("cursor".to_owned(), "refused".to_owned())]
    );
    assert!(refused.text.contains("begin again"), "{refused:?}");
    assert_eq!(
        app.database
            .count("SELECT count(*) FROM incident_changes")
            .await,
        0
    );
    get(&app, &format!("cursor={}", cursor(&young))).await;
}
