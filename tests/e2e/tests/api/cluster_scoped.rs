//! Targets without a namespace, such as nodes.

use e2e::{TestApp, record, set, unique};
use serde_json::{Value, json};

use crate::list::{id_of, ids};

fn records(kind: &str, name: &str) -> [Value; 3] {
    [None, Some(Value::Null), Some(json!(""))].map(|namespace| {
        let mut record = record(kind);
        set(
            &mut record,
            json!({ "targetType": "Node", "targetName": name }),
        );
        let fields = match kind {
            "remediation" => &["targetNamespace", "signalNamespace"][..],
            _ => &["targetNamespace"],
        };
        for field in fields {
            match &namespace {
                Some(namespace) => record[*field] = namespace.clone(),
                None => drop(record.as_object_mut().unwrap().remove(*field)),
            }
        }
        record
    })
}

#[tokio::test]
async fn a_target_without_a_namespace_is_stored_shown_filtered_by_and_found() {
    let app = TestApp::start().await;
    for kind in ["remediation", "execution"] {
        let name = unique("node");
        let mut other = record(kind);
        let fields = json!({ "targetType": "Node", "targetName": name });
        set(&mut other, fields);
        let other = id_of(&app.post_record(kind, &other).await.expect(201));
        let mut stored = Vec::new();
        for record in records(kind, &name) {
            let answer = app.post_record(kind, &record).await.expect(201);
            let incident = app.incident_of(&answer).await;
            assert_eq!(incident["namespace"], "", "{record}");
            if kind == "execution" {
                assert_eq!(
                    incident["actions"][0]["target_namespace"],
                    Value::Null,
                    "{record}"
                );
            }
            stored.push((id_of(&answer), incident["action_history_id"].clone()));
        }
        stored.reverse();
        let expected: Vec<_> = stored.iter().map(|(id, _)| *id).collect();
        let history_id = &stored[0].1;
        assert!(stored.iter().all(|(_, id)| id == history_id), "{stored:?}");

        let path = format!("/api/v1/incidents?action_history_id={history_id}");
        assert_eq!(ids(&app.get(&path).await.expect(200)), expected);
        let filter = format!("target_name={name}&target_type=node");
        for path in [
            format!("/api/v1/incidents?{filter}"),
            format!("/api/v1/incidents/search?q=HighMemoryUsage+scale&{filter}"),
        ] {
            let page = app.get(&format!("{path}&namespace=")).await.expect(200);
            assert_eq!(ids(&page), expected, "{page:?}");
            for item in page.json()["data"].as_array().unwrap() {
                assert_eq!(item["namespace"], "", "{page:?}");
            }
            let page = app.get(&format!("{path}&namespace=production")).await;
            assert_eq!(ids(&page.expect(200)), [other]);
        }
    }
}
