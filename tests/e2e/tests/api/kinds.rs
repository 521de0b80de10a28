//! Rules of all kinds, and each kind's part of its incident.

use e2e::{KINDS, TestApp, assert_says, record, set};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_record_of_every_kind_is_stored_whole_and_answered_the_same_again() {
    let app = TestApp::start().await;
    for (kind, title) in [
        ("remediation", "Remediation"),
        ("aianalysis", "AI analysis"),
        ("workflow", "Workflow"),
        ("execution", "Execution"),
        ("event", "Event"),
    ] {
        let mut record = record(kind);
        record["labels"] = json!({"app": "api", "": "é"});
        record["message"] = json!("Speicher läuft über 🚨");
        let stored = app.post_record(kind, &record).await.expect(201);
        let body = stored.json();
        assert_eq!(body["message"], format!("{title} audit record created"));
        assert_eq!(stored.header("idempotent-replayed"), "");
        assert_eq!(
            stored.header("x-correlation-id"),
            record["correlationId"].as_str().unwrap()
        );

        let row = app
            .database
            .connect()
            .await
            .query_one(
                &format!("SELECT content, content_hash, kind FROM {kind}_audit WHERE id = $1"),
                &[&body["id"].as_i64()],
            )
            .await
            .unwrap();
        let content: String = row.get(0);
        assert_eq!(
            content,
            serde_json_canonicalizer::to_string(&record).unwrap()
        );
        assert_eq!(row.get::<_, Vec<u8>>(1), Sha256::digest(&content).to_vec());
        assert_eq!(row.get::<_, String>(2), kind);

        let again = app.post_record(kind, &record).await.expect(201);
        assert_eq!(again.stored(), stored.stored());
        assert_eq!(again.header("location"), stored.header("location"));
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(app.incident_of(&stored).await["record_count"], 1);
    }
}

#[tokio::test]
async fn identical_records_at_the_same_moment_are_stored_once_whatever_the_kind() {
    let app = TestApp::start().await;
    for kind in KINDS {
        let record = record(kind);
        let answers =
            futures::future::join_all((0..8).map(|_| app.post_record(kind, &record))).await;
        let first = answers[0].stored();
        let replayed = answers
            .into_iter()
            .map(|answer| answer.expect(201))
            .inspect(|answer| assert_eq!(answer.stored(), first, "{answer:?}"))
            .filter(|answer| answer.header("idempotent-replayed") == "true")
            .count();
        assert_eq!(replayed, 7, "{kind}");
        let correlation_id = record["correlationId"].as_str().unwrap();
        for stored in [
            format!("SELECT count(*) FROM audit_records WHERE correlation_id = '{correlation_id}'"),
            format!(
                "SELECT count(*) FROM incident_embeddings JOIN incidents ON incidents.id = \
                 incident_id WHERE correlation_id = '{correlation_id}'"
            ),
        ] {
            assert_eq!(app.database.count(&stored).await, 1, "{kind}");
        }
    }
}

#[tokio::test]
async fn equal_canonical_json_is_one_record_however_it_is_written() {
    let app = TestApp::start().await;
    for (kind, written, again) in [
        ("aianalysis", r#""confidence":0.5"#, r#""confidence":5e-1"#),
        ("aianalysis", r#""tokensUsed":3"#, r#""tokensUsed" : 3.0"#),
        ("workflow", r#""currentStep":0"#, r#""currentStep":-0.0"#),
        (
            "execution",
            r#""actionResult":"a/é""#,
            r#""actionResult":"\u0061\/\u00e9""#,
        ),
        (
            "remediation",
            r#""labels":{"a":"1","b":"2"}"#,
            r#""labels":{"b":"2","a":"1"}"#,
        ),
    ] {
        let record = record(kind).to_string();
        let with = |field: &str| record.replacen('{', &format!("{{{field},"), 1);
        let first = app.post_bytes(kind, with(written)).await.expect(201);
        let second = app.post_bytes(kind, with(again)).await.expect(201);
        assert_eq!(second.stored(), first.stored(), "{written}");
        assert_eq!(second.header("idempotent-replayed"), "true", "{written}");
        assert_eq!(app.incident_of(&first).await["record_count"], 1);
    }
}

#[tokio::test]
async fn null_says_what_absent_says_and_is_another_record() {
    let app = TestApp::start().await;
    for kind in KINDS {
        let absent = record(kind);
        let mut null = absent.clone();
        null["message"] = Value::Null;
        let mut empty = absent.clone();
        empty["message"] = json!("");
        let mut ids = Vec::new();
        let mut told = Vec::new();
        for record in [&absent, &null, &empty] {
            let stored = app.post_record(kind, record).await.expect(201);
            assert_eq!(stored.header("idempotent-replayed"), "", "{record}");
            ids.push(stored.json()["id"].as_i64().unwrap());
            let mut incident = app.incident_of(&stored).await;
            assert_eq!(incident["record_count"], ids.len());
            set(
                &mut incident,
                json!({ "record_count": null, "records": null }),
            );
            told.push(incident);
        }
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert_eq!(told[0], told[1], "{kind}");
        assert_eq!(told[0], told[2], "{kind}");
    }
}

#[tokio::test]
async fn an_analysis_tells_the_model_what_it_found_and_what_it_would_do() {
    let app = TestApp::start().await;
    let mut analysis = record("aianalysis");
    set(
        &mut analysis,
        json!({
            "phase": "Completed", "reason": "Found", "message": "done",
            "startedAt": "2026-11-01T10:00:01Z", "completedAt": "2026-11-01T10:00:09.5Z",
            "remediationRequestRef": "rr-7", "signalType": "prometheus-alert",
            "signalContext": {"alertname": "HighMemoryUsage", "pod": "api-0", "": ""}, "llmProvider": "openai",
            "llmModel": "gpt-4o", "temperature": 0.2, "rootCause": "memory leak in cache",
            "confidence": 0.95, "recommendedAction": "restart the pods",
            "requiresApproval": true, "investigationId": "inv-1", "tokensUsed": 1234,
            "investigationTimeSeconds": 8.5,
        }),
    );
    let stored = app.post_record("aianalysis", &analysis).await.expect(201);
    let body = stored.json();
    let incident = app.incident_of(&stored).await;
    let expected = json!({
        "id": incident["id"], "correlation_id": analysis["correlationId"],
        "opened_at": "2026-11-01T10:00:00Z", "execution_status": "pending",
        "signal_type": "prometheus-alert", "model_used": "gpt-4o", "model_confidence": 0.95,
        "root_cause": "memory leak in cache", "recommended_action": "restart the pods",
        "analysis": {
            "name": analysis["name"], "namespace": "kubernaut-system", "phase": "Completed",
            "reason": "Found", "message": "done", "created_at": "2026-11-01T10:00:00Z",
            "started_at": "2026-11-01T10:00:01Z", "completed_at": "2026-11-01T10:00:09.500Z",
            "llm_provider": "openai", "investigation_id": "inv-1", "requires_approval": true,
        },
        "actions": [], "record_count": 1, "records": incident["records"],
    });
    assert_says(&incident, &expected);
    assert_embedded(
        &app,
        &body,
        "HighMemoryUsage\nmemory leak in cache\nrestart the pods",
        json!({
            "remediation_request_id": "rr-7", "signal_type": "prometheus-alert",
            "root_cause": "memory leak in cache",
        }),
    )
    .await;
}

#[tokio::test]
async fn a_workflow_tells_how_far_it_is() {
    let app = TestApp::start().await;
    let mut workflow = record("workflow");
    set(
        &mut workflow,
        json!({
            "phase": "Failed", "reason": "StepFailed", "message": "step 2 failed",
            "startedAt": "2026-11-01T10:00:01Z", "completedAt": "2026-11-01T10:00:02Z",
            "remediationRequestRef": "rr-7", "aiAnalysisRef": "ai-7",
            "workflowName": "restart-and-scale", "isAutoApproved": true,
            "requiresApproval": false, "stepCount": 4, "currentStep": 2,
            "completedCount": 1, "failedCount": 1, "skippedCount": 2,
            "stepStatuses": [
                {"name": "restart", "phase": "Completed", "startedAt": "2026-11-01T10:00:01Z",
                 "completedAt": "2026-11-01T12:00:01.5+02:00", "retryCount": 2, "message": "ok"},
                {"name": "scale", "phase": "Failed"},
            ],
        }),
    );
    let stored = app.post_record("workflow", &workflow).await.expect(201);
    let body = stored.json();
    let incident = app.incident_of(&stored).await;
    let expected = json!({
        "id": incident["id"], "correlation_id": workflow["correlationId"],
        "opened_at": "2026-11-01T10:00:00Z", "execution_status": "failed",
        "workflow_name": "restart-and-scale",
        "workflow": {
            "name": workflow["name"], "namespace": "kubernaut-system", "phase": "Failed",
            "reason": "StepFailed", "message": "step 2 failed",
            "created_at": "2026-11-01T10:00:00Z", "started_at": "2026-11-01T10:00:01Z",
            "completed_at": "2026-11-01T10:00:02Z", "step_count": 4, "current_step": 2,
            "completed_count": 1, "failed_count": 1, "skipped_count": 2,
            "requires_approval": false, "is_auto_approved": true,
            "steps": [
                {"name": "restart", "phase": "Completed", "started_at": "2026-11-01T10:00:01Z",
                 "completed_at": "2026-11-01T10:00:01.500Z", "retry_count": 2, "message": "ok"},
                {"name": "scale", "phase": "Failed", "started_at": null, "completed_at": null,
                 "retry_count": null, "message": null},
            ],
        },
        "actions": [], "record_count": 1, "records": incident["records"],
    });
    assert_says(&incident, &expected);
    let filters = json!({"remediation_request_id": "rr-7"});
    assert_embedded(&app, &body, "restart-and-scale", filters).await;
}

#[tokio::test]
async fn an_execution_tells_what_was_done_and_what_came_of_it() {
    let app = TestApp::start().await;
    let mut execution = record("execution");
    set(
        &mut execution,
        json!({
            "phase": "Completed", "reason": "Scaled", "message": "3 to 5 replicas",
            "startedAt": "2026-11-01T10:00:01Z", "completedAt": "2026-11-01T10:00:02Z",
            "actionData": {"replicas": "5"}, "enableDryRun": true, "enableValidation": true,
            "enableRollback": false, "actionResult": "scaled", "resourceVersion": "7",
            "previousVersion": "6", "dryRunResult": "ok", "validationResult": "ok",
            "validationWarnings": ["quota is nearly used", ""], "isRolledBack": false,
            "labels": {"cluster": "eu-1"},
        }),
    );
    let stored = app.post_record("execution", &execution).await.expect(201);
    let body = stored.json();
    let incident = app.incident_of(&stored).await;
    assert!(incident["action_history_id"].is_i64(), "{incident}");
    let expected = json!({
        "id": incident["id"], "correlation_id": execution["correlationId"],
        "opened_at": "2026-11-01T10:00:00Z",
        "action_history_id": incident["action_history_id"],
        "action_id": incident["action_id"], "action_type": "scale",
        "action_timestamp": "2026-11-01T10:00:00Z", "execution_status": "completed",
        "namespace": "production", "cluster": "eu-1", "target_type": "deployment",
        "target_name": execution["targetName"],
        "actions": [{
            "action_id": incident["action_id"], "name": execution["name"],
            "namespace": "kubernaut-system", "phase": "Completed", "reason": "Scaled",
            "message": "3 to 5 replicas", "created_at": "2026-11-01T10:00:00Z",
            "started_at": "2026-11-01T10:00:01Z", "completed_at": "2026-11-01T10:00:02Z",
            "action_type": "scale", "status": "completed", "step_name": "scale-up",
            "target_type": "deployment", "target_name": execution["targetName"],
            "target_namespace": "production", "result": "scaled",
        }],
        "record_count": 1, "records": incident["records"],
    });
    assert_says(&incident, &expected);
    let target = json!({
        "namespace": "production", "target_type": "deployment",
        "target_name": execution["targetName"],
    });
    let text = "scale\nscale-up\ndeployment\ncompleted";
    assert_embedded(&app, &body, text, target).await;
}

/// Asserts a record's embedded text and the values that a search can filter by.
async fn assert_embedded(app: &TestApp, stored: &Value, text: &str, filters: Value) {
    let row = app
        .database
        .connect()
        .await
        .query_one(
            "SELECT text_hash, jsonb_build_object(
                 'remediation_request_id', remediation_request_id, 'namespace', namespace,
                 'target_type', target_type, 'target_name', target_name,
                 'signal_type', signal_type, 'root_cause', root_cause)
             FROM incident_embeddings AS link
             JOIN embeddings AS text ON text.id = embedding_id WHERE link.id = $1",
            &[&stored["embeddingId"].as_i64()],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, Vec<u8>>(0), Sha256::digest(text).to_vec());
    assert_says(&row.get::<_, Value>(1), &filters);
}

#[tokio::test]
async fn what_a_client_sends_for_what_is_not_set_is_not_shown() {
    let app = TestApp::start().await;
    let zero_time = "0001-01-01T00:00:00Z";
    let mut record = record("workflow");
    set(
        &mut record,
        json!({
            "startedAt": zero_time, "completedAt": "", "reason": null, "currentStep": "",
            "requiresApproval": "", "isAutoApproved": null,
            "stepStatuses": [{
                "name": "drain", "phase": "Skipped", "startedAt": zero_time, "completedAt": "",
                "retryCount": "", "message": "",
            }],
        }),
    );

    let stored = app.post_record("workflow", &record).await.expect(201);

    let incident = app.incident_of(&stored).await;
    let workflow = &incident["workflow"];
    for field in [
        "started_at",
        "completed_at",
        "reason",
        "current_step",
        "requires_approval",
    ] {
        assert_eq!(workflow[field], Value::Null, "{field}");
    }
    let step = json!({
        "name": "drain", "phase": "Skipped", "started_at": null, "completed_at": null,
        "retry_count": null, "message": null,
    });
    assert_eq!(workflow["steps"], json!([step]));
    assert_eq!(incident["records"][0]["started_at"], Value::Null);
}
