//! The incident is the same in whatever order its records arrive.

use e2e::{KINDS, Setup, TestApp, record, set};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// How many incidents are tried, each in three orders and all at once.
const INCIDENTS: u32 = 24;

/// A record of the incident, of few names, times and targets, so that many versions of a few
/// objects come together, equal ones too.
fn any_record() -> impl Strategy<Value = (&'static str, Value)> {
    let own = (
        select(&KINDS[..]),
        select(&["Pending", "Processing", "Completed", "Failed"][..]),
        0..2_u8,
        0..3_u8,
        prop::option::of(3..6_u8),
        prop::option::of(6..8_u8),
        0..2_u8,
        prop::option::of(any::<bool>()),
    );
    own.prop_map(
        |(kind, phase, name, created, started, completed, variant, flag)| {
            let second = |second: u8| format!("2026-11-01T10:00:0{second}Z");
            let mut record = record(kind);
            set(
                &mut record,
                json!({
                    "name": format!("{kind}-{name}"), "phase": phase,
                    "correlationId": "req-1", "createdAt": second(created),
                    "startedAt": started.map(second), "completedAt": completed.map(second),
                    "message": format!("{variant}"), "labels": {"cluster": format!("c{variant}")},
                }),
            );
            let fields = match kind {
                "remediation" => json!({
                    "targetName": format!("target-{variant}"), "signalName": format!("A{variant}"),
                    "severity": flag.map(|flag| if flag { "low" } else { "high" }),
                }),
                "aianalysis" => json!({
                    "rootCause": flag.map(|_| format!("cause {variant}")), "confidence": 0.5,
                    "requiresApproval": flag, "signalType": format!("type-{variant}"),
                }),
                "workflow" => json!({
                    "workflowName": format!("w{variant}"), "currentStep": variant,
                    "isAutoApproved": flag,
                }),
                _ => json!({
                    "targetName": format!("target-{variant}"), "isRolledBack": flag,
                }),
            };
            set(&mut record, fields);
            (kind, record)
        },
    )
}

/// What the incident says once the records were sent in an order, without what is numbered
/// in it.
async fn project(app: &TestApp, order: impl IntoIterator<Item = &(&'static str, Value)>) -> Value {
    app.database
        .execute("TRUNCATE audit_records, incidents, incident_embeddings")
        .await;
    let mut last = None;
    for (kind, record) in order {
        last = Some(app.post_record(kind, record).await.expect(201));
    }
    comparable(app.incident_of(&last.expect("a record")).await)
}

fn comparable(mut incident: Value) -> Value {
    let kinds = incident["records"].as_array_mut().expect("records");
    let mut kinds: Vec<String> = kinds
        .iter()
        .map(|record| record["kind"].to_string())
        .collect();
    kinds.sort();
    incident["records"] = json!(kinds);
    incident["id"] = Value::Null;
    incident
}

#[tokio::test(flavor = "multi_thread")]
async fn the_incident_is_the_same_for_every_order_of_the_same_records() {
    let app = Setup::default().start().await;
    // No list is asked for here.
    let allow = "ALTER TABLE incidents DISABLE TRIGGER incident_deleted";
    app.database.execute(allow).await;
    let here = tokio::runtime::Handle::current();
    let incidents = (
        prop::collection::vec(any_record(), 2..9),
        any::<[Index; 3]>(),
    )
        .prop_flat_map(|(records, repeats)| {
            let repeated: Vec<_> = repeats
                .iter()
                .map(|index| index.get(&records).clone())
                .collect();
            let all: Vec<_> = records.iter().cloned().chain(repeated).collect();
            (
                Just(records),
                Just(all.clone()).prop_shuffle(),
                Just(all).prop_shuffle(),
            )
        });
    let mut runner = TestRunner::new(Config {
        cases: INCIDENTS,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    });
    let result = tokio::task::block_in_place(|| {
        runner.run(&incidents, |(records, one, another)| {
            here.block_on(async {
                let expected = project(&app, &records).await;
                prop_assert_eq!(project(&app, &one).await, expected.clone());
                prop_assert_eq!(project(&app, &another).await, expected.clone());

                app.database
                    .execute("TRUNCATE audit_records, incidents, incident_embeddings")
                    .await;
                let sent = one
                    .iter()
                    .map(|(kind, record)| app.post_record(kind, record));
                let answers = futures::future::join_all(sent).await;
                let answer = answers.into_iter().next().expect("an answer").expect(201);
                prop_assert_eq!(comparable(app.incident_of(&answer).await), expected);
                Ok(())
            })
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
