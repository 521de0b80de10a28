//! Records with attempts produce the same incident in every order of arrival.

use std::collections::HashSet;

use e2e::{KINDS, Setup, TestApp, record, set};
use futures::future::join_all;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Number of incidents, each tried in four orders and concurrently.
const INCIDENTS: u32 = 24;

type Report = (&'static str, Value);

/// Generates a record from few names and times, so that attempts and versions collide.
fn any_report() -> impl Strategy<Value = Report> {
    let own = (
        select(&KINDS[..]),
        select(&["Pending", "Processing", "Completed", "Failed"][..]),
        0..2_u8,
        0..3_u8,
        3..6_u8,
        prop::option::of(6..8_u8),
        0..3_u8,
        any::<bool>(),
    );
    own.prop_map(
        |(kind, phase, name, created, started, completed, variant, flag)| {
            let second = |second: u8| format!("2026-11-01T10:00:0{second}Z");
            let mut report = record(kind);
            set(
                &mut report,
                json!({
                    "name": format!("{kind}-{name}"), "phase": phase,
                    "correlationId": "req-1", "createdAt": second(created),
                    "startedAt": second(started), "completedAt": completed.map(second),
                    "message": format!("{variant}"), "labels": {"cluster": format!("c{variant}")},
                }),
            );
            let fields = match kind {
                "remediation" => json!({
                    "targetName": format!("target-{variant}"), "signalName": format!("A{variant}"),
                    "severity": flag.then_some("low"),
                    "targetNamespace": flag.then_some("production"),
                    "environment": flag.then_some("staging"),
                }),
                "aianalysis" => json!({
                    "rootCause": flag.then(|| format!("cause {variant}")),
                    "llmModel": format!("m{variant}"),
                    "confidence": flag.then_some(0.5), "requiresApproval": flag,
                    "signalType": flag.then(|| format!("type-{variant}")),
                }),
                "workflow" => json!({
                    "workflowName": format!("w{variant}"), "currentStep": variant,
                    "isAutoApproved": flag,
                }),
                "event" => json!({
                    "eventType": format!("type-{variant}"), "outcome": flag.then_some("success"),
                }),
                _ => json!({
                    "targetName": format!("target-{variant}"), "isRolledBack": flag,
                    "actionType": format!("action-{variant}"),
                    "targetNamespace": flag.then_some("production"),
                }),
            };
            set(&mut report, fields);
            (kind, report)
        },
    )
}

/// Returns the sort key that decides which version shows. With equal keys, the last recorded
/// version shows.
fn place((kind, report): &Report) -> Value {
    let has_ended = ["Completed", "Failed"].contains(&report["phase"].as_str().unwrap());
    let phase = if has_ended {
        "ended"
    } else {
        report["phase"].as_str().unwrap()
    };
    let progress = match *kind {
        "workflow" => &report["currentStep"],
        "execution" => &report["isRolledBack"],
        _ => &Value::Null,
    };
    json!([
        report["name"],
        report["startedAt"],
        phase,
        report["completedAt"],
        progress
    ])
}

/// Generates records of one incident with distinct sort keys.
fn any_incident() -> impl Strategy<Value = Vec<Report>> {
    prop::collection::vec(any_report(), 2..12).prop_map(|mut reports| {
        let mut places = HashSet::new();
        reports.retain(|report| places.insert(place(report).to_string()));
        reports
    })
}

async fn forget(app: &TestApp) {
    app.database
        .execute("DELETE FROM audit_records; DELETE FROM incident_records; DELETE FROM incidents")
        .await;
}

async fn send(app: &TestApp, order: &[Report]) -> Value {
    forget(app).await;
    let mut last = None;
    for (kind, report) in order {
        last = Some(app.post_record(kind, report).await.expect(201));
    }
    comparable(app.incident_of(&last.expect("a record")).await)
}

async fn send_as_batch(app: &TestApp, order: &[Report]) -> Value {
    forget(app).await;
    let stored = app.post_batch(order).await.expect(201).json();
    let location = stored["items"][0]["location"].as_str().expect("a location");
    comparable(app.get(location).await.expect(200).json())
}

async fn send_at_once(app: &TestApp, reports: &[Report]) -> Value {
    forget(app).await;
    let sent = reports.iter().map(|(kind, report)| app.store(kind, report));
    let answers = join_all(sent).await;
    comparable(app.incident_of(&answers[0]).await)
}

fn comparable(mut incident: Value) -> Value {
    incident["id"] = Value::Null;
    let records = incident["records"].as_array_mut().expect("records");
    for record in &mut *records {
        set(record, json!({ "id": null, "recorded_at": null }));
    }
    records.sort_by_key(Value::to_string);
    incident
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_name_their_attempts_lead_to_the_same_incident_in_every_order() {
    let app = Setup::default().start().await;
    let here = tokio::runtime::Handle::current();
    let orders = any_incident().prop_flat_map(|reports| {
        let shuffled = || Just(reports.clone()).prop_shuffle();
        (Just(reports.clone()), [shuffled(), shuffled(), shuffled()])
    });
    let mut runner = TestRunner::new(Config {
        cases: INCIDENTS,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    });
    let result = tokio::task::block_in_place(|| {
        runner.run(&orders, |(reports, others)| {
            here.block_on(async {
                let expected = send(&app, &reports).await;
                for order in &others {
                    prop_assert_eq!(send(&app, order).await, expected.clone());
                    prop_assert_eq!(send_as_batch(&app, order).await, expected.clone());
                }
                prop_assert_eq!(send_at_once(&app, &reports).await, expected);
                Ok(())
            })
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
