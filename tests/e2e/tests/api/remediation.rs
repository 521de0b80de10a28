use e2e::{TestApp, assert_says, remediation, unique};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_record_is_stored_and_read_back_as_an_incident() {
    let app = TestApp::start().await;
    let mut record = remediation();
    record["severity"] = json!("high");
    record["cluster"] = json!("eu-1");
    record["environment"] = json!("production");
    record["priority"] = json!("P0");
    record["fingerprint"] = json!("ab".repeat(32));
    record["message"] = json!("Speicher läuft über 🚨");
    record["reason"] = json!("AlertReceived");

    let stored = app.post_remediation(&record).await.expect(201);

    let body = stored.json();
    assert!(body["id"].as_i64().is_some_and(|id| id > 0), "{stored:?}");
    assert_eq!(body["embeddingId"], body["id"]);
    assert!(
        body["createdAt"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z')),
        "{stored:?}"
    );
    assert_eq!(body["message"], "Remediation audit record created");
    assert_eq!(
        body.as_object().map(|body| body.len()),
        Some(5),
        "{stored:?}"
    );
    assert_eq!(stored.header("content-type"), "application/json");
    assert_eq!(stored.header("idempotent-replayed"), "");

    let incident = app.incident_of(&stored).await;
    assert_eq!(
        stored.header("location"),
        format!("/api/v1/incidents/{}", incident["id"])
    );
    assert!(
        incident["action_history_id"]
            .as_i64()
            .is_some_and(|id| id > 0)
    );
    let expected = json!({
        "id": incident["id"], "action_history_id": incident["action_history_id"],
        "opened_at": "2026-11-01T10:00:00Z", "alert_name": "HighMemoryUsage",
        "alert_severity": "high", "execution_status": "pending", "namespace": "production",
        "cluster": "eu-1", "environment": "production", "target_type": "deployment",
        "target_name": record["targetName"], "fingerprint": record["fingerprint"],
        "remediation_name": record["name"], "correlation_id": record["correlationId"],
        "signal_type": "prometheus-alert", "priority": "P0",
        "remediation": {
            "name": record["name"], "namespace": "kubernaut-system", "phase": "Pending",
            "reason": "AlertReceived", "message": "Speicher läuft über 🚨",
            "created_at": "2026-11-01T10:00:00Z", "started_at": null, "completed_at": null,
        },
        "actions": [], "record_count": 1, "records": incident["records"],
    });
    assert_says(&incident, &expected);
}

#[tokio::test]
async fn a_record_is_kept_whole_in_canonical_form() {
    let app = TestApp::start().await;
    let mut record = remediation();
    record["labels"] = json!({"z": "1", "a": "\u{7f}\u{20ac}\"\\", "": ""});
    record["originalPayload"] = json!("eyJhIjoxfQ==");
    record["createdAt"] = json!("2026-11-01T10:00:00.123456789+05:30");
    record["message"] = Value::Null;

    let stored = app.post_remediation(&record).await.expect(201).json();

    let row = app
        .database
        .connect()
        .await
        .query_one(
            "SELECT content, content_hash FROM remediation_audit WHERE id = $1",
            &[&stored["id"].as_i64()],
        )
        .await
        .unwrap();
    let content: String = row.get(0);
    assert_eq!(
        content,
        serde_json_canonicalizer::to_string(&record).unwrap()
    );
    assert_eq!(row.get::<_, Vec<u8>>(1), Sha256::digest(&content).to_vec());
}

#[tokio::test]
async fn the_same_record_again_is_answered_with_the_first_ids() {
    let app = TestApp::start().await;
    let mut record = remediation();
    record["labels"] = json!({"b": "2", "a": "1"});
    let first = app.post_remediation(&record).await.expect(201);
    // The same content with other spaces, order and escapes.
    let reordered = serde_json::to_string_pretty(&record)
        .unwrap()
        .replace("HighMemoryUsage", "High\\u004demoryUsage")
        .replacen("{\n", "{\n\n", 1);

    for body in [record.to_string(), reordered] {
        let again = app.post_remediation_bytes(body).await.expect(201);
        assert_eq!(again.stored(), first.stored());
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    assert_eq!(app.incident_of(&first).await["record_count"], 1);
}

#[tokio::test]
async fn identical_records_at_the_same_moment_are_stored_once() {
    let app = TestApp::start().await;
    let record = remediation();

    let answers: Vec<_> = futures_of(20, || app.post_remediation(&record)).await;

    let first = answers[0].stored();
    let replayed = answers
        .into_iter()
        .map(|answer| answer.expect(201))
        .inspect(|answer| assert_eq!(answer.stored(), first, "{answer:?}"))
        .filter(|answer| answer.header("idempotent-replayed") == "true")
        .count();
    assert_eq!(replayed, 19);
    let correlation_id = record["correlationId"].as_str().unwrap();
    let stored =
        format!("SELECT count(*) FROM remediation_audit WHERE correlation_id = '{correlation_id}'");
    assert_eq!(app.database.count(&stored).await, 1);
}

async fn futures_of<F: Future>(number: usize, make: impl Fn() -> F) -> Vec<F::Output> {
    futures::future::join_all((0..number).map(|_| make())).await
}

#[tokio::test]
async fn different_records_of_one_incident_at_the_same_moment_are_all_stored() {
    let app = TestApp::start().await;
    let base = remediation();
    let records: Vec<_> = (0..20)
        .map(|number| {
            let mut record = base.clone();
            record["signalName"] = json!(unique("Alert"));
            record["message"] = json!(format!("version {number}"));
            record
        })
        .collect();

    let answers =
        futures::future::join_all(records.iter().map(|record| app.post_remediation(record))).await;

    let locations: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.header("location").to_owned())
        .collect();
    assert_eq!(locations.len(), 1, "{answers:?}");
    let answer = answers.into_iter().next().unwrap().expect(201);
    assert_eq!(app.incident_of(&answer).await["record_count"], 20);
}

#[tokio::test]
async fn anything_different_is_a_new_version() {
    let app = TestApp::start().await;
    let record = remediation();
    let first = app.post_remediation(&record).await.expect(201);
    for (field, value) in [
        ("message", json!("more")),
        ("labels", json!({})),
        ("createdAt", json!("2026-11-01T10:00:00.000Z")),
        ("createdAt", json!("2026-11-01T10:00:00+00:00")),
    ] {
        let mut changed = record.clone();
        changed[field] = value;
        let second = app.post_remediation(&changed).await.expect(201);
        assert_eq!(second.header("idempotent-replayed"), "", "{changed}");
        assert_ne!(second.json()["id"], first.json()["id"], "{changed}");
        assert_eq!(second.header("location"), first.header("location"));
    }
}

#[tokio::test]
async fn the_severity_comes_from_the_record_then_its_label_then_its_priority() {
    let app = TestApp::start().await;
    for (severity, label, priority, expected) in [
        (json!("low"), "critical", json!("P0"), json!("low")),
        (Value::Null, "critical", json!("P3"), json!("critical")),
        (json!("Sev-1"), "critical", json!("P0"), json!("Sev-1")),
        (Value::Null, "warning", json!("P1"), json!("warning")),
        (json!(""), "", json!("P1"), json!("high")),
        (Value::Null, "", json!("P2"), json!("medium")),
        (Value::Null, "", json!("P3"), json!("low")),
        (Value::Null, "", json!("P4"), Value::Null),
        (Value::Null, "", Value::Null, Value::Null),
    ] {
        let mut record = remediation();
        record["severity"] = severity;
        record["labels"] = json!({"severity": label});
        record["priority"] = priority;
        let stored = app.post_remediation(&record).await.expect(201);
        let incident = app.incident_of(&stored).await;
        assert_eq!(incident["alert_severity"], expected, "{record}");
    }
}

#[tokio::test]
async fn the_cluster_comes_from_the_record_then_its_label_then_the_service() {
    let app = TestApp::start().await;
    for (cluster, label, expected) in [
        (json!("eu-1"), json!({"cluster": "us-2"}), "eu-1"),
        (Value::Null, json!({"cluster": "us-2"}), "us-2"),
        (Value::Null, json!({"cluster": ""}), "local"),
        (Value::Null, json!({}), "local"),
    ] {
        let mut record = remediation();
        record["cluster"] = cluster;
        record["labels"] = label;
        let stored = app.post_remediation(&record).await.expect(201);
        assert_eq!(
            app.incident_of(&stored).await["cluster"],
            expected,
            "{record}"
        );
    }
}

#[tokio::test]
async fn incidents_of_one_target_share_their_action_history() {
    let app = TestApp::start().await;
    let base = remediation();
    let mut histories = Vec::new();
    for (field, value) in [
        ("message", json!("same target")),
        ("message", json!("same target again")),
        ("targetName", json!(unique("other"))),
        ("targetType", json!("Deployment")),
        ("targetType", json!("statefulset")),
        ("targetNamespace", json!("staging")),
        ("targetNamespace", Value::Null),
        ("cluster", json!("elsewhere")),
    ] {
        let mut record = base.clone();
        record["correlationId"] = json!(unique("req"));
        record[field] = value;
        let stored = app.post_remediation(&record).await.expect(201);
        histories.push(
            app.incident_of(&stored).await["action_history_id"]
                .as_i64()
                .unwrap(),
        );
    }
    assert_eq!(histories[0], histories[1]);
    assert_eq!(histories[0], histories[3]);
    let distinct: std::collections::BTreeSet<_> = histories.iter().collect();
    assert_eq!(distinct.len(), 6, "{histories:?}");
}

#[tokio::test]
async fn a_target_as_long_as_the_rules_allow_is_stored() {
    let app = TestApp::start().await;
    // Four-byte characters that do not compress.
    let text = |seed: u32| -> String {
        (0..255_u32)
            .map(|n| char::from_u32(0x20000 + (n * 7919 + seed * 104_729) % 40_000).unwrap())
            .collect()
    };
    let mut record = remediation();
    record["targetType"] = json!(text(1));
    record["targetName"] = json!(text(2));
    record["cluster"] = json!(text(3));
    record["signalName"] = json!(text(4));
    record["signalType"] = json!(text(5));
    let stored = app.post_remediation(&record).await.expect(201);
    assert_eq!(
        app.incident_of(&stored).await["target_name"],
        record["targetName"]
    );
}

#[tokio::test]
async fn two_requests_may_share_an_incident() {
    let app = TestApp::start().await;
    let one = remediation();
    let mut two = one.clone();
    two["name"] = json!(unique("rr"));
    let first = app.post_remediation(&one).await.expect(201);
    let second = app.post_remediation(&two).await.expect(201);
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(app.incident_of(&first).await["record_count"], 2);
}

#[tokio::test]
async fn the_correlation_id_is_the_requests_then_the_records_then_a_new_one() {
    let app = TestApp::start().await;
    let record = remediation();
    let post = |header: Option<&str>, body: &Value| {
        let request = app
            .request(Method::POST, "/api/v1/audit/remediation")
            .header("content-type", "application/json")
            .body(body.to_string());
        app.send(match header {
            Some(header) => request.header("x-correlation-id", header),
            None => request,
        })
    };
    let own = record["correlationId"].as_str().unwrap();

    assert_eq!(
        post(Some("from-header:1"), &record)
            .await
            .header("x-correlation-id"),
        "from-header:1"
    );
    assert_eq!(post(None, &record).await.header("x-correlation-id"), own);
    for malformed in ["", "a b", "ü", "a/b", &"x".repeat(129)] {
        assert_eq!(
            post(Some(malformed), &record)
                .await
                .header("x-correlation-id"),
            own
        );
    }

    let mut wrong = record.clone();
    wrong["phase"] = json!("Unheard");
    assert_eq!(
        post(None, &wrong)
            .await
            .expect_problem(400, "validation")
            .header("x-correlation-id"),
        own
    );
    wrong["correlationId"] = json!("a b");
    let made = post(None, &wrong).await.expect_problem(400, "validation");
    assert_eq!(made.header("x-correlation-id").len(), 36, "{made:?}");
}

#[tokio::test]
async fn a_record_of_any_date_is_stored() {
    let app = TestApp::start().await;
    for (written, read) in [
        ("0001-01-01T00:00:00.000001Z", "0001-01-01T00:00:00.000001Z"),
        (
            "1969-12-31T23:59:59.9999999Z",
            "1969-12-31T23:59:59.999999Z",
        ),
        ("2024-02-29T23:59:59-12:00", "2024-03-01T11:59:59Z"),
        ("2026-11-30T23:30:00-01:00", "2026-12-01T00:30:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ] {
        let mut record = remediation();
        record["createdAt"] = json!(written);
        let stored = app.post_remediation(&record).await.expect(201);
        let incident = app.incident_of(&stored).await;
        assert_eq!(incident["opened_at"], read);
        assert_eq!(incident["remediation"]["created_at"], read);
        let again = app.post_remediation(&record).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true", "{written}");
    }
}
