//! Batches: what they store, refuse and answer.

use std::io::Write;

use e2e::{Answer, KINDS, TestApp, record, remediation, set, unique};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};

const ITEMS_MAX: usize = 500;
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
const RECORD_BYTES_MAX: usize = 256 * 1024;

/// A record of each kind, all of one incident.
fn incident() -> Vec<(&'static str, Value)> {
    let correlation_id = unique("req");
    KINDS
        .into_iter()
        .map(|kind| {
            let mut record = record(kind);
            record["correlationId"] = json!(correlation_id);
            (kind, record)
        })
        .collect()
}

fn array(items: &[(&str, Value)]) -> String {
    let items = items
        .iter()
        .map(|(kind, record)| json!({"kind": kind, "record": record}));
    Value::from_iter(items).to_string()
}

async fn post(app: &TestApp, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(Method::POST, "/api/v1/audit/batch").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request).await
}

async fn post_leniently(app: &TestApp, items: &[(&str, Value)]) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("prefer", "respond-async, handling=lenient"),
    ];
    post(app, array(items), &headers).await
}

fn counts(answer: &Value) -> [&Value; 3] {
    [&answer["stored"], &answer["replayed"], &answer["refused"]]
}

/// Pairs of the item's position and the field of each violation.
fn violations(answer: &Answer) -> Vec<(u64, String)> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|error| {
            let item = error["item"].as_u64().expect("the position of an item");
            (item, error["field"].as_str().expect("a field").to_owned())
        })
        .collect()
}

async fn records_of(app: &TestApp, correlation_id: &Value) -> u64 {
    let correlation_id = correlation_id.as_str().expect("a correlation id");
    let path = format!("/api/v1/incidents?correlation_id={correlation_id}");
    let found = app.get(&path).await.expect(200).json();
    let Some(incident) = found["data"].get(0) else {
        return 0;
    };
    let incident = app
        .get(&format!("/api/v1/incidents/{}", incident["id"]))
        .await;
    incident.expect(200).json()["record_count"]
        .as_u64()
        .expect("a count")
}

#[tokio::test]
async fn a_batch_stores_records_of_every_kind_in_each_form() {
    let app = TestApp::start().await;
    let lines = |items: &[(&str, Value)]| -> String {
        let items = items.iter();
        items
            .map(|(kind, record)| format!("{}\r\n", json!({"kind": kind, "record": record})))
            .collect()
    };
    let gzip = |text: String| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let [first, second, third, fourth] = [incident(), incident(), incident(), incident()];
    let json = ("content-type", "application/json; charset=utf-8");
    let ndjson = ("content-type", "application/x-ndjson");
    let zipped = ("content-encoding", "gzip");
    for (items, body, headers) in [
        (&first, array(&first).into_bytes(), vec![json]),
        (&second, lines(&second).into_bytes(), vec![ndjson]),
        (&third, gzip(array(&third)), vec![json, zipped]),
        (&fourth, gzip(lines(&fourth)), vec![ndjson, zipped]),
    ] {
        let answer = post(&app, body, &headers).await.expect(201);
        let correlation_id = items[0].1["correlationId"].as_str().unwrap();
        assert_eq!(answer.header("x-correlation-id"), correlation_id);
        assert_eq!(answer.header("idempotent-replayed"), "");
        let stored = answer.json();
        assert_eq!(counts(&stored), [5, 0, 0], "{stored}");
        for ((kind, record), item) in items.iter().zip(stored["items"].as_array().unwrap()) {
            let path = format!("/api/v1/audit/records/{}", item["id"]);
            let found = app.get(&path).await.expect(200).json();
            assert_eq!((&found["kind"], &found["record"]), (&json!(kind), record));
            let location = item["location"].as_str().unwrap();
            assert_eq!(
                location,
                format!("/api/v1/incidents/{}", found["incident_id"])
            );
            assert_eq!(item["replayed"], false);
        }
        assert_eq!(records_of(&app, &json!(correlation_id)).await, 5);
    }
}

#[tokio::test]
async fn an_item_answers_what_the_single_route_answers() {
    let app = TestApp::start().await;
    for (kind, record) in incident() {
        let single = app.post_record(kind, &record).await.expect(201);
        let batch = app.post_batch(&[(kind, record)]).await.expect(201);
        assert_eq!(batch.header("idempotent-replayed"), "true");
        let mut item = batch.json()["items"][0].clone();
        let own = [
            item["status"].take(),
            item["location"].take(),
            item["replayed"].take(),
        ];
        assert_eq!(
            own,
            [json!(201), json!(single.header("location")), json!(true)]
        );
        let single = single.stored();
        for field in ["id", "embeddingId", "createdAt", "message"] {
            assert_eq!(item[field], single[field], "{field}");
        }
        for field in ["commitment", "proof"] {
            assert_eq!(item["log"][field], single["log"][field], "{field}");
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_a_replay_and_one_that_overlaps_is_none() {
    let app = TestApp::start().await;
    let items = incident();
    let first = app.post_batch(&items).await.expect(201).json();
    let again = app.post_batch(&items).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.json();
    assert_eq!(counts(&again), [5, 5, 0]);
    let ids = |stored: &Value| -> Vec<Value> {
        let items = stored["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&first));

    let mut more = items.clone();
    let mut another = record("workflow");
    another["correlationId"] = items[0].1["correlationId"].clone();
    more.insert(2, ("workflow", another));
    let overlapping = app.post_batch(&more).await.expect(201);
    assert_eq!(overlapping.header("idempotent-replayed"), "");
    assert_eq!(counts(&overlapping.json()), [6, 5, 0]);
    assert_eq!(overlapping.json()["items"][2]["replayed"], false);
    assert_eq!(records_of(&app, &items[0].1["correlationId"]).await, 6);
}

#[tokio::test]
async fn identical_records_of_a_batch_are_one_record() {
    let app = TestApp::start().await;
    let record = remediation();
    let items = vec![("remediation", record.clone()); 3];
    let stored = app.post_batch(&items).await.expect(201).json();
    assert_eq!(counts(&stored), [3, 2, 0]);
    let replayed: Vec<_> = (0..3).map(|n| &stored["items"][n]["replayed"]).collect();
    assert_eq!(replayed, [false, true, true]);
    assert_eq!(stored["items"][0]["id"], stored["items"][2]["id"]);
    let commitment = |item: usize| &stored["items"][item]["log"]["commitment"];
    assert_eq!(commitment(0), commitment(2));
    assert_eq!(records_of(&app, &record["correlationId"]).await, 1);
}

#[tokio::test]
async fn a_batch_leads_to_the_incident_of_its_records_one_by_one() {
    let app = TestApp::start().await;
    let mut items = incident();
    let mut failed = items[3].1.clone();
    set(
        &mut items[3].1,
        json!({"phase": "Processing", "startedAt": "2026-11-01T10:00:00Z"}),
    );
    set(
        &mut failed,
        json!({"phase": "Failed", "startedAt": "2026-11-01T10:00:00Z"}),
    );
    items.push(("execution", failed));
    let mut restart = record("execution");
    set(
        &mut restart,
        json!({
            "correlationId": items[0].1["correlationId"], "actionType": "restart",
            "startedAt": "2026-11-01T10:05:00Z", "phase": "Completed",
        }),
    );
    items.insert(0, ("execution", restart));
    let mut incidents = Vec::new();
    for is_batch in [true, false] {
        let correlation_id = unique("req");
        for (_, record) in &mut items {
            record["correlationId"] = json!(correlation_id);
        }
        if is_batch {
            app.post_batch(&items).await.expect(201);
        } else {
            for (kind, record) in &items {
                app.post_record(kind, record).await.expect(201);
            }
        }
        for action_type in ["restart", "scale"] {
            let path = format!(
                "/api/v1/incidents?correlation_id={correlation_id}&action_type={action_type}"
            );
            let mut found = app.get(&path).await.expect(200).json()["data"][0].take();
            assert_eq!(found["correlation_id"], correlation_id, "{action_type}");
            for field in ["id", "correlation_id", "action_id"] {
                found[field].take();
            }
            incidents.push(found);
        }
    }
    assert_eq!(incidents[0]["action_type"], "restart");
    assert_eq!(incidents[0]["execution_status"], "completed");
    assert!(
        incidents.iter().all(|incident| *incident == incidents[0]),
        "{incidents:?}"
    );
}

#[tokio::test]
async fn a_batch_with_an_invalid_item_is_refused_with_every_violation_and_stores_nothing() {
    let app = TestApp::start().await;
    let mut items = incident();
    items[1].1["phase"] = json!("Done");
    items[1].1["confidence"] = json!(2);
    items[3].1["surprise"] = json!(1);
    items.push(("approval", json!({})));
    let answer = app
        .post_batch(&items)
        .await
        .expect_problem(400, "validation");
    let mut found = violations(&answer);
    found.sort();
    let expected = [
        (1, "confidence"),
        (1, "phase"),
        (3, "surprise"),
        (5, "kind"),
    ];
    assert_eq!(
        found,
        expected.map(|(item, field)| (item, field.to_owned()))
    );
    assert_eq!(records_of(&app, &items[0].1["correlationId"]).await, 0);
    let detail = answer.json()["detail"].clone();
    assert_eq!(detail, "the request breaks 4 rules, see errors");

    items.truncate(2);
    items[1].1["confidence"] = Value::Null;
    let answer = app
        .post_batch(&items)
        .await
        .expect_problem(400, "validation");
    let detail = answer.json()["detail"].clone();
    let expected = "item 1, phase: must be one of Pending, Processing, Completed, Failed";
    assert_eq!(detail, expected);
}

#[tokio::test]
async fn every_invalid_item_of_a_full_batch_is_named() {
    let app = TestApp::start().await;
    let items = vec![("event", json!({})); ITEMS_MAX];
    let answer = app
        .post_batch(&items)
        .await
        .expect_problem(400, "validation");
    let mut items: Vec<_> = violations(&answer)
        .into_iter()
        .map(|(item, _)| item)
        .collect();
    items.dedup();
    assert_eq!(items, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn lenient_handling_stores_the_valid_items() {
    let app = TestApp::start().await;
    let mut items = incident();
    items[2].1["stepCount"] = json!(0);
    let answer = post_leniently(&app, &items).await.expect(207);
    assert_eq!(answer.header("preference-applied"), "handling=lenient");
    let stored = answer.json();
    assert_eq!(counts(&stored), [4, 0, 1]);
    let statuses: Vec<_> = (0..5).map(|n| &stored["items"][n]["status"]).collect();
    assert_eq!(statuses, [201, 201, 400, 201, 201]);
    let refused = &stored["items"][2];
    assert_eq!(refused["type"], "https://kubernaut.io/errors/validation");
    assert_eq!(refused["errors"][0]["field"], "stepCount");
    assert_eq!(records_of(&app, &items[0].1["correlationId"]).await, 4);

    items[2].1["stepCount"] = json!(1);
    let stored = post_leniently(&app, &items).await.expect(201).json();
    assert_eq!(counts(&stored), [5, 4, 0]);

    let none = [("event", json!({})), ("workflow", json!({}))];
    post_leniently(&app, &none)
        .await
        .expect_problem(400, "validation");
}

#[tokio::test]
async fn a_batch_has_one_to_five_hundred_items() {
    let app = TestApp::start().await;
    let mut records = vec![remediation(); ITEMS_MAX + 1];
    for (number, record) in records.iter_mut().enumerate() {
        record["message"] = json!(number.to_string());
    }
    let mut items: Vec<_> = records
        .into_iter()
        .map(|record| ("remediation", record))
        .collect();
    let refused = app
        .post_batch(&items)
        .await
        .expect_problem(400, "validation");
    assert_eq!(
        refused.violations(),
        [("body".to_owned(), "count".to_owned())]
    );
    items.truncate(ITEMS_MAX);
    let stored = app.post_batch(&items).await.expect(201).json();
    assert_eq!(counts(&stored), [500, 0, 0]);
    assert_eq!(records_of(&app, &items[0].1["correlationId"]).await, 500);
    for empty in ["", "\n\n"] {
        let answer = post(&app, empty, &[("content-type", "application/x-ndjson")]).await;
        let refused = answer.expect_problem(400, "validation");
        assert_eq!(
            refused.violations(),
            [("body".to_owned(), "count".to_owned())]
        );
    }
    let answer = post(&app, "[]", &[("content-type", "application/json")]).await;
    answer.expect_problem(400, "validation");
}

#[tokio::test]
async fn a_batch_is_accepted_at_the_size_limit_and_refused_one_byte_past_it() {
    let app = TestApp::start().await;
    for (bytes, status) in [(BODY_BYTES_MAX, 201), (BODY_BYTES_MAX + 1, 413)] {
        let mut body = array(&incident());
        body.push_str(&" ".repeat(bytes - body.len()));
        let answer = post(&app, body, &[("content-type", "application/json")]).await;
        answer.expect(status);
    }
}

#[tokio::test]
async fn a_record_of_a_batch_has_the_size_limit_of_a_single_one() {
    let app = TestApp::start().await;
    for (bytes, status) in [(RECORD_BYTES_MAX, 201), (RECORD_BYTES_MAX + 1, 400)] {
        let mut execution = record("execution");
        execution["actionResult"] = json!("");
        let result = "x".repeat(bytes - execution.to_string().len());
        execution["actionResult"] = json!(result);
        let answer = app
            .post_batch(&[("execution", execution)])
            .await
            .expect(status);
        if status == 400 {
            assert_eq!(
                answer.violations(),
                [("record".to_owned(), "length".to_owned())]
            );
        }
    }
}

#[tokio::test]
async fn other_media_types_are_refused_with_those_that_are_accepted() {
    let app = TestApp::start().await;
    for content_type in [
        "text/plain",
        "application/jsonl",
        "application/x-ndjson; charset=latin1",
    ] {
        let answer = post(&app, array(&incident()), &[("content-type", content_type)]).await;
        let answer = answer.expect_problem(415, "unsupported-media-type");
        assert_eq!(
            answer.header("accept"),
            "application/x-ndjson, application/json"
        );
    }
    let lines = post(
        &app,
        array(&incident()),
        &[("content-type", "application/x-ndjson")],
    )
    .await;
    lines.expect_problem(400, "validation");
    let path = "/api/v1/audit/batch";
    let get = app
        .get(path)
        .await
        .expect_problem(405, "method-not-allowed");
    assert_eq!(get.header("allow"), "POST");
    let parameter = app
        .request(Method::POST, &format!("{path}?lenient=true"))
        .header("content-type", "application/json")
        .body(array(&incident()));
    let parameter = app.send(parameter).await.expect_problem(400, "validation");
    assert_eq!(
        parameter.violations(),
        [("lenient".to_owned(), "unknown".to_owned())]
    );
}
