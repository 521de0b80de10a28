use e2e::{TestApp, record, set, unique};
use serde_json::{Value, json};

use crate::list::ids;

async fn tell(app: &TestApp, executions: &[Value]) -> Value {
    let correlation_id = unique("req");
    let mut stored = None;
    for fields in executions {
        let mut execution = record("execution");
        set(&mut execution, json!({ "correlationId": correlation_id }));
        set(&mut execution, fields.clone());
        stored = Some(app.post_record("execution", &execution).await.expect(201));
    }
    app.incident_of(&stored.unwrap()).await
}

fn each(incident: &Value, field: &str) -> Vec<Value> {
    let actions = incident["actions"].as_array().unwrap();
    actions.iter().map(|action| action[field].clone()).collect()
}

#[tokio::test]
async fn an_incident_lists_every_execution_oldest_first_with_what_is_its_own() {
    let app = TestApp::start().await;
    let incident = tell(
        &app,
        &[
            json!({
                "name": "ke-2", "phase": "Completed", "isRolledBack": true, "stepName": "scale-up",
                "actionType": "scale", "targetType": "Deployment", "targetName": "api",
                "actionResult": "5 replicas", "reason": "Scaled", "message": "3 to 5 replicas",
                "createdAt": "2026-11-01T10:00:20Z", "startedAt": "2026-11-01T10:00:21Z",
                "completedAt": "2026-11-01T10:00:22.5Z",
            }),
            json!({
                "name": "ke-3", "phase": "Pending", "stepName": "verify", "actionType": "probe",
                "targetType": "pod", "targetName": "api-0", "createdAt": "2026-11-01T10:00:30Z",
            }),
            json!({
                "name": "ke-1", "namespace": "operators", "phase": "Failed", "stepName": "cordon",
                "actionType": "cordon_node", "targetType": "node", "targetName": "node-7",
                "targetNamespace": null, "createdAt": "2026-11-01T10:00:10Z",
                "startedAt": "2026-11-01T12:00:11+02:00", "completedAt": "2026-11-01T10:00:12Z",
            }),
        ],
    )
    .await;
    let ids = each(&incident, "action_id");
    let expected = json!([
        {
            "action_id": ids[0], "name": "ke-1", "namespace": "operators", "phase": "Failed",
            "reason": null, "message": null, "created_at": "2026-11-01T10:00:10Z",
            "started_at": "2026-11-01T10:00:11Z", "completed_at": "2026-11-01T10:00:12Z",
            "action_type": "cordon_node", "status": "failed", "step_name": "cordon",
            "target_type": "node", "target_name": "node-7", "target_namespace": null,
            "result": null,
        },
        {
            "action_id": ids[1], "name": "ke-2", "namespace": "kubernaut-system",
            "phase": "Completed", "reason": "Scaled", "message": "3 to 5 replicas",
            "created_at": "2026-11-01T10:00:20Z", "started_at": "2026-11-01T10:00:21Z",
            "completed_at": "2026-11-01T10:00:22.500Z", "action_type": "scale",
            "status": "rolled-back", "step_name": "scale-up", "target_type": "Deployment",
            "target_name": "api", "target_namespace": "production", "result": "5 replicas",
        },
        {
            "action_id": ids[2], "name": "ke-3", "namespace": "kubernaut-system",
            "phase": "Pending", "reason": null, "message": null,
            "created_at": "2026-11-01T10:00:30Z", "started_at": null, "completed_at": null,
            "action_type": "probe", "status": "pending", "step_name": "verify",
            "target_type": "pod", "target_name": "api-0", "target_namespace": "production",
            "result": null,
        },
    ]);
    assert_eq!(incident["actions"], expected);
    // The flat fields describe the latest action.
    assert_eq!(incident["action_id"], ids[2]);
    assert_eq!(incident["action_type"], "probe");
    assert_eq!(incident["action_timestamp"], "2026-11-01T10:00:30Z");
    assert_eq!(incident["execution_status"], "pending");
    assert_eq!(incident["record_count"], 3);
}

#[tokio::test]
async fn an_execution_is_listed_once_by_the_version_that_shows() {
    let app = TestApp::start().await;
    let incident = tell(
        &app,
        &[
            json!({ "name": "a", "phase": "Failed", "startedAt": "2026-11-01T10:00:01Z" }),
            json!({ "name": "b", "phase": "Completed", "startedAt": "2026-11-01T10:00:02Z" }),
            // A retry is the newest version; a late one changes nothing.
            json!({ "name": "a", "phase": "Processing", "startedAt": "2026-11-01T10:00:03Z" }),
            json!({ "name": "b", "phase": "Processing", "startedAt": "2026-11-01T10:00:02Z" }),
            json!({ "name": "a", "phase": "Completed", "startedAt": "2026-11-01T10:00:01Z" }),
        ],
    )
    .await;
    assert_eq!(each(&incident, "name"), ["b", "a"]);
    assert_eq!(each(&incident, "status"), ["completed", "executing"]);
    assert_eq!(
        each(&incident, "started_at"),
        ["2026-11-01T10:00:02Z", "2026-11-01T10:00:03Z"]
    );
    assert_eq!(incident["record_count"], 5);
}

#[tokio::test]
async fn executions_that_start_together_are_listed_by_their_names() {
    let app = TestApp::start().await;
    let executions = ["c", "a", "f", "d", "b", "e"].map(|name| json!({ "name": name }));
    let incident = tell(&app, &executions).await;
    assert_eq!(each(&incident, "name"), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(incident["action_id"], incident["actions"][5]["action_id"]);
}

#[tokio::test]
async fn executions_that_are_reported_at_the_same_moment_are_all_listed() {
    let app = TestApp::start().await;
    let correlation_id = unique("req");
    let executions: Vec<_> = (10..30)
        .map(|number| {
            let mut execution = record("execution");
            let name = format!("ke-{number}");
            set(
                &mut execution,
                json!({ "correlationId": correlation_id, "name": name, "actionType": name }),
            );
            execution
        })
        .collect();
    let sent = executions
        .iter()
        .map(|execution| app.post_record("execution", execution));
    for answer in futures::future::join_all(sent).await {
        answer.expect(201);
    }
    for execution in &executions {
        let name = execution["name"].as_str().unwrap();
        let path = format!("/api/v1/incidents?correlation_id={correlation_id}&action_type={name}");
        assert_eq!(ids(&app.get(&path).await.expect(200)).len(), 1, "{name}");
    }
    let path = format!("/api/v1/incidents?correlation_id={correlation_id}");
    let id = ids(&app.get(&path).await.expect(200))[0];
    let path = format!("/api/v1/incidents/{id}");
    let incident = app.get(&path).await.expect(200).json();
    let names: Vec<_> = executions
        .iter()
        .map(|execution| execution["name"].clone())
        .collect();
    assert_eq!(each(&incident, "name"), names);
    assert_eq!(incident["action_type"], "ke-29");
}

#[tokio::test]
async fn executions_of_one_name_in_two_namespaces_are_two() {
    let app = TestApp::start().await;
    let incident = tell(
        &app,
        &[
            json!({ "name": "a", "namespace": "one", "createdAt": "2026-11-01T10:00:01Z" }),
            json!({ "name": "a", "namespace": "two", "createdAt": "2026-11-01T10:00:02Z" }),
        ],
    )
    .await;
    assert_eq!(each(&incident, "namespace"), ["one", "two"]);
    let ids = each(&incident, "action_id");
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn the_action_id_is_a_uuid_that_all_versions_of_an_execution_share() {
    let app = TestApp::start().await;
    let first = record("execution");
    let mut ended = first.clone();
    set(
        &mut ended,
        json!({"phase": "Completed", "createdAt": "2026-11-01T11:00:00+01:00"}),
    );
    let mut another = first.clone();
    set(
        &mut another,
        json!({"name": "another", "createdAt": "2026-11-01T10:00:01Z"}),
    );
    let mut ids = Vec::new();
    for version in [first, ended, another] {
        let stored = app.post_record("execution", &version).await.expect(201);
        let incident = app.incident_of(&stored).await;
        let id: uuid::Uuid = serde_json::from_value(incident["action_id"].clone()).unwrap();
        assert_eq!(id.get_version_num(), 5);
        ids.push(id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}
