//! Which version of an object shows, and which of several objects.

use e2e::{TestApp, record, set, unique};
use serde_json::{Value, json};

/// The kinds whose objects an incident shows.
const SHOWN: [&str; 4] = ["remediation", "aianalysis", "workflow", "execution"];

fn second(second: &str) -> String {
    format!("2026-11-01T10:00:{second:0>2}Z")
}

/// Parses a version such as `Failed 1-2`: the phase, and the optional seconds of the attempt's
/// start and end.
fn version(written: &str) -> Value {
    let (phase, times) = written.split_once(' ').unwrap_or((written, ""));
    let (started, completed) = times.split_once('-').unwrap_or((times, ""));
    let time = |time: &str| (!time.is_empty()).then(|| second(time));
    json!({ "phase": phase, "startedAt": time(started), "completedAt": time(completed) })
}

fn shown<'a>(incident: &'a Value, kind: &str) -> &'a Value {
    match kind {
        "remediation" => &incident["remediation"],
        "aianalysis" => &incident["analysis"],
        "workflow" => &incident["workflow"],
        _ => incident["actions"].as_array().unwrap().last().unwrap(),
    }
}

/// Stores versions of one object, with their index as message, and returns the message that shows.
async fn winner(app: &TestApp, kind: &str, versions: &[&Value]) -> Value {
    let mut record = record(kind);
    let mut last = None;
    for (place, version) in versions.iter().enumerate() {
        set(
            &mut record,
            json!({ "startedAt": null, "completedAt": null, "message": place.to_string() }),
        );
        set(&mut record, (*version).clone());
        last = Some(app.post_record(kind, &record).await.expect(201));
    }
    let incident = app.incident_of(&last.unwrap()).await;
    assert_eq!(incident["record_count"], versions.len());
    shown(&incident, kind)["message"].clone()
}

/// Asserts that `newer` shows instead of `version` in both orders of arrival.
async fn assert_shows(app: &TestApp, kinds: &[&str], version: &Value, newer: &Value) {
    for kind in kinds {
        let context = format!("{kind}: {newer} over {version}");
        assert_eq!(winner(app, kind, &[version, newer]).await, "1", "{context}");
        assert_eq!(winner(app, kind, &[newer, version]).await, "0", "{context}");
    }
}

#[tokio::test]
async fn a_retry_after_a_failure_shows() {
    let app = TestApp::start().await;
    for kind in SHOWN {
        let mut record = record(kind);
        for written in [
            "Pending",
            "Processing 1",
            "Failed 1-2",
            "Pending 5",
            "Processing 5",
            "Completed 5-6",
            "Processing 9",
        ] {
            set(&mut record, version(written));
            let stored = app.post_record(kind, &record).await.expect(201);
            let incident = app.incident_of(&stored).await;
            let object = shown(&incident, kind);
            assert_eq!(object["phase"], record["phase"], "{incident}");
            assert_eq!(object["started_at"], record["startedAt"], "{incident}");
            assert_eq!(object["completed_at"], record["completedAt"], "{incident}");
            let status = match record["phase"].as_str().unwrap() {
                _ if kind == "aianalysis" => "pending",
                "Pending" => "pending",
                "Processing" => "executing",
                "Completed" => "completed",
                _ => "failed",
            };
            assert_eq!(incident["execution_status"], status, "{incident}");
        }
    }
}

#[tokio::test]
async fn a_late_report_of_an_earlier_attempt_does_not_undo_a_newer_one() {
    let app = TestApp::start().await;
    for (earlier, newer) in [
        ("Failed 1-2", "Processing 5"),
        ("Completed 1-2", "Pending 5"),
        // The earlier attempt ended after the newer one began.
        ("Failed 1-9", "Processing 5"),
        ("Failed 1-9", "Completed 5-6"),
        ("Completed 1", "Processing 5-6"),
    ] {
        assert_shows(&app, &SHOWN, &version(earlier), &version(newer)).await;
    }
}

#[tokio::test]
async fn within_an_attempt_the_farther_phase_shows() {
    let app = TestApp::start().await;
    for (nearer, farther) in [
        ("Pending 1", "Processing 1"),
        ("Pending 1", "Completed 1-2"),
        ("Processing 1", "Completed 1"),
        ("Processing 1", "Failed 1"),
        ("Processing 1-9", "Failed 1-2"),
    ] {
        assert_shows(&app, &SHOWN, &version(nearer), &version(farther)).await;
    }
    // Attempts are equal with and without fractional seconds, which Kubernetes omits.
    let mut nearer = version("Processing 1");
    nearer["startedAt"] = json!("2026-11-01T10:00:01.7Z");
    assert_shows(&app, &SHOWN, &nearer, &version("Completed 1")).await;
    let mut farther = version("Completed 1");
    farther["startedAt"] = json!("2026-11-01T11:00:01+01:00");
    assert_shows(&app, &SHOWN, &version("Processing 1"), &farther).await;
}

#[tokio::test]
async fn of_two_ends_of_an_attempt_the_later_one_shows_well_or_badly() {
    let app = TestApp::start().await;
    for (earlier, later) in [
        ("Completed 1-2", "Failed 1-3"),
        ("Failed 1-2", "Completed 1-3"),
        ("Completed 1-2", "Completed 1-3"),
        ("Failed 1", "Completed 1-2"),
        ("Completed -2", "Failed -3"),
    ] {
        assert_shows(&app, &SHOWN, &version(earlier), &version(later)).await;
    }
}

#[tokio::test]
async fn of_equally_far_versions_the_one_with_more_progress_shows() {
    let app = TestApp::start().await;
    let with = |written: &str, fields: Value| {
        let mut version = version(written);
        set(&mut version, fields);
        version
    };
    let steps = |[current, completed, failed, skipped]: [u8; 4]| {
        let counts = json!({
            "stepCount": 5, "currentStep": current, "completedCount": completed,
            "failedCount": failed, "skippedCount": skipped,
        });
        with("Processing 1", counts)
    };
    for (less, more) in [
        ([0, 0, 0, 0], [1, 0, 0, 0]),
        ([1, 0, 0, 0], [1, 1, 0, 0]),
        ([2, 1, 0, 0], [2, 1, 1, 0]),
        ([3, 1, 1, 0], [3, 1, 1, 3]),
    ] {
        assert_shows(&app, &["workflow"], &steps(less), &steps(more)).await;
    }
    let undone = with("Completed 1-2", json!({ "isRolledBack": true }));
    for done in [Value::Null, json!(false)] {
        let done = with("Completed 1-2", json!({ "isRolledBack": done }));
        assert_shows(&app, &["execution"], &done, &undone).await;
    }
    // An attempt's start, phase and end win over its progress.
    for newer in ["Processing 3", "Completed 1-3"] {
        let newer = with(newer, json!({ "isRolledBack": false }));
        assert_shows(&app, &["execution"], &undone, &newer).await;
    }
}

#[tokio::test]
async fn of_versions_that_are_equal_in_all_that_the_one_recorded_last_shows() {
    let app = TestApp::start().await;
    let mut made_earlier = version("Pending");
    made_earlier["createdAt"] = json!("2026-11-01T09:00:00Z");
    let mut made_later = version("Pending");
    made_later["createdAt"] = json!("2026-11-01T10:00:00Z");
    for kind in SHOWN {
        for (one, other) in [
            (version("Processing 1"), version("Processing 1")),
            (version("Completed 1-2"), version("Failed 1-2")),
            (version("Completed"), version("Failed")),
            (made_earlier.clone(), made_later.clone()),
        ] {
            let context = format!("{kind}: {one}, {other}");
            assert_eq!(winner(&app, kind, &[&one, &other]).await, "1", "{context}");
            assert_eq!(winner(&app, kind, &[&other, &one]).await, "1", "{context}");
            assert_eq!(winner(&app, kind, &[&one, &other, &one]).await, "2");
        }
    }
}

#[tokio::test]
async fn a_version_that_names_no_attempt_is_of_any_attempt() {
    let app = TestApp::start().await;
    for (nearer, farther) in [
        ("Pending", "Processing"),
        ("Processing", "Failed"),
        ("Pending", "Processing 1"),
        ("Pending 1", "Processing"),
        ("Processing 1", "Completed"),
        ("Processing", "Failed 1-2"),
        ("Completed 1", "Failed -2"),
    ] {
        assert_shows(&app, &SHOWN, &version(nearer), &version(farther)).await;
    }
}

/// Returns an object of a kind whose name an incident also has in a flat field.
fn named(kind: &str, name: &str) -> (&'static str, Value) {
    let (flat, field) = match kind {
        "remediation" => ("alert_name", "signalName"),
        "aianalysis" => ("model_used", "llmModel"),
        "workflow" => ("workflow_name", "workflowName"),
        _ => ("action_type", "actionType"),
    };
    let mut record = record(kind);
    set(&mut record, json!({ "name": name, field: name }));
    (flat, record)
}

#[tokio::test]
async fn of_two_objects_the_latest_to_start_is_in_the_flat_fields() {
    let app = TestApp::start().await;
    for (earlier, later) in [
        (["0", "1"], ["0", "2"]),
        // The start wins over the creation.
        (["5", "6"], ["0", "7"]),
        // Without a start, the creation counts.
        (["0", ""], ["1", ""]),
        (["0", "4"], ["5", ""]),
        (["3", ""], ["0", "4"]),
        // With equal starts, the name decides.
        (["0", "1"], ["0", "1"]),
        (["1", ""], ["0", "1"]),
    ] {
        let objects = [("a", "Completed", earlier), ("b", "Processing", later)];
        for (kind, order) in SHOWN
            .iter()
            .flat_map(|kind| [(kind, [0, 1]), (kind, [1, 0])])
        {
            let correlation_id = unique("req");
            let mut stored = None;
            for (name, phase, [created, started]) in order.map(|place| objects[place]) {
                let (_, mut record) = named(kind, name);
                set(&mut record, version(&format!("{phase} {started}")));
                set(
                    &mut record,
                    json!({ "correlationId": correlation_id, "createdAt": second(created) }),
                );
                stored = Some(app.post_record(kind, &record).await.expect(201));
            }
            let incident = app.incident_of(&stored.unwrap()).await;
            let context = format!("{kind}, {order:?}: {later:?} over {earlier:?}");
            let (flat, _) = named(kind, "b");
            assert_eq!(incident[flat], "b", "{context}");
            let latest = shown(&incident, kind);
            assert_eq!(latest["name"], "b", "{context}");
            let status = match *kind {
                "aianalysis" => "pending",
                _ => "executing",
            };
            assert_eq!(incident["execution_status"], status, "{context}");
            if *kind == "execution" {
                assert_eq!(incident["action_id"], latest["action_id"], "{context}");
                assert_eq!(incident["action_timestamp"], second(later[0]), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn an_object_that_is_tried_again_is_the_latest_again() {
    let app = TestApp::start().await;
    for kind in SHOWN {
        let correlation_id = unique("req");
        for (name, written, expected) in [
            ("a", "Failed 1-2", ["a", "Failed"]),
            ("b", "Processing 3", ["b", "Processing"]),
            ("a", "Pending 4", ["a", "Pending"]),
            // A late version of an ended attempt.
            ("b", "Failed 3-9", ["a", "Pending"]),
            ("a", "Failed 1-8", ["a", "Pending"]),
            ("a", "Processing 4", ["a", "Processing"]),
        ] {
            let (flat, mut record) = named(kind, name);
            record["correlationId"] = json!(correlation_id);
            set(&mut record, version(written));
            let stored = app.post_record(kind, &record).await.expect(201);
            let incident = app.incident_of(&stored).await;
            let latest = shown(&incident, kind);
            assert_eq!(incident[flat], expected[0], "{kind} {written}");
            assert_eq!(
                [&latest["name"], &latest["phase"]],
                expected,
                "{kind} {written}"
            );
        }
    }
}

#[tokio::test]
async fn opened_at_moves_back_when_an_older_record_arrives_late() {
    let app = TestApp::start().await;
    let correlation_id = unique("req");
    for (kind, created_at, opened_at) in [
        ("workflow", "2026-11-01T10:00:03Z", "2026-11-01T10:00:03Z"),
        ("execution", "2026-11-01T10:00:05Z", "2026-11-01T10:00:03Z"),
        (
            "aianalysis",
            "2026-11-01T11:00:02+01:00",
            "2026-11-01T10:00:02Z",
        ),
        (
            "remediation",
            "2026-11-01T10:00:00.25Z",
            "2026-11-01T10:00:00.250Z",
        ),
        // Objects that do not show.
        ("execution", "2026-11-01T09:59:59Z", "2026-11-01T09:59:59Z"),
        ("workflow", "2026-11-01T09:59:58Z", "2026-11-01T09:59:58Z"),
        (
            "remediation",
            "2026-11-02T00:00:00Z",
            "2026-11-01T09:59:58Z",
        ),
    ] {
        let mut record = record(kind);
        set(
            &mut record,
            json!({ "correlationId": correlation_id, "createdAt": created_at }),
        );
        let stored = app.post_record(kind, &record).await.expect(201);
        let incident = app.incident_of(&stored).await;
        assert_eq!(incident["opened_at"], opened_at, "{kind} {created_at}");
    }
}
