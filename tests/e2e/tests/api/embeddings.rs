//! Vectors of records and their use in searches.

use std::time::Duration;

use e2e::{KINDS, TestApp, record, remediation, set, unique};
use embedding::{EmbeddingCache, EmbeddingRequest, Model};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_vector_is_stored_once_for_all_records_with_the_same_text() {
    let app = TestApp::start().await;
    let alert = unique("Alert");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut record = remediation();
        record["signalName"] = json!(alert);
        let stored = app.post_remediation(&record).await.expect(201).json();
        ids.push(stored["embeddingId"].as_i64().unwrap());
    }

    let rows = app
        .database
        .connect()
        .await
        .query(
            "SELECT text.model, text.text_hash, vector_norm(text.embedding), count(*),
                 pg_column_size(text.embedding)
             FROM incident_embeddings AS link JOIN embeddings AS text ON text.id = embedding_id
             WHERE link.id = ANY ($1) GROUP BY text.id",
            &[&ids],
        )
        .await
        .unwrap();
    let [vector] = &rows[..] else {
        panic!("{} vectors", rows.len());
    };
    assert_eq!(vector.get::<_, String>(0), "static-v1");
    assert_eq!(vector.get::<_, Vec<u8>>(1), Sha256::digest(&alert).to_vec());
    assert!((vector.get::<_, f64>(2) - 1.0).abs() < 1e-5);
    assert_eq!(vector.get::<_, i64>(3), 3);
    let bytes = vector.get::<_, i32>(4);
    assert!(bytes < 1_200, "the padding takes room: {bytes} bytes");
}

#[tokio::test]
async fn a_component_makes_the_same_vectors_as_a_native_program() {
    let app = TestApp::start().await;
    let client = app.database.connect().await;
    // Texts whose vectors the model's own tests pin.
    for alert in ["HighMemoryUsage", "Überlast am Knoten 7 – 節点", "!?"] {
        let mut record = remediation();
        record["signalName"] = json!(alert);
        app.post_remediation(&record).await.expect(201);

        let request = EmbeddingRequest::new(Model::Local, alert.to_owned());
        let native = request.embed(|| EmbeddingCache::open(Duration::ZERO));
        let row = client
            .query_one(
                "SELECT embedding::text FROM embeddings WHERE model = $1 AND text_hash = $2",
                &[&native.key.model, &native.key.text_hash.as_slice()],
            )
            .await
            .unwrap();
        let stored: &str = row.get(0);
        let stored = stored.trim_matches(['[', ']']).split(',');
        let stored: Vec<f32> = stored.map(|number| number.parse().unwrap()).collect();
        let native = native.vector.components();
        let (kept, padding) = stored.split_at(native.len());
        assert_eq!(kept, native, "{alert}");
        assert!(padding.iter().all(|component| *component == 0.0));
    }
}

async fn rows(app: &TestApp, correlation_id: &str) -> Vec<Value> {
    let query = "SELECT jsonb_build_object(
            'record_kind', record_kind, 'remediation_request_id', link.remediation_request_id,
            'namespace', link.namespace, 'target_type', link.target_type,
            'target_name', link.target_name, 'signal_type', link.signal_type,
            'root_cause', link.root_cause, 'model', link.model,
            'is_id', link.id = link.record_id)
        FROM incident_embeddings AS link JOIN incidents ON incidents.id = link.incident_id
        WHERE correlation_id = $1
        ORDER BY array_position('{remediation,aianalysis,workflow,execution,event}'::text[], record_kind), link.id";
    let client = app.database.connect().await;
    let rows = client.query(query, &[&correlation_id]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn row(kind: &str, changes: Value) -> Value {
    let mut row = json!({
        "record_kind": kind, "remediation_request_id": "rr-1", "namespace": "shop",
        "target_type": "deployment", "target_name": "api", "signal_type": "prometheus-alert",
        "root_cause": "a leak", "model": "static-v1", "is_id": true,
    });
    set(&mut row, changes);
    row
}

fn order(mut number: usize) -> Vec<&'static str> {
    let mut rest = Vec::from(KINDS);
    let mut order = Vec::new();
    while !rest.is_empty() {
        let place = number % rest.len();
        number /= rest.len();
        order.push(rest.remove(place));
    }
    order
}

#[tokio::test]
async fn every_row_says_what_its_record_or_else_the_incident_says_in_whatever_order_they_came() {
    let app = TestApp::start().await;
    for order in (0..120).map(order) {
        let correlation_id = unique("req");
        for kind in order.iter().copied() {
            let mut record = record(kind);
            set(&mut record, json!({ "correlationId": correlation_id }));
            set(
                &mut record,
                match kind {
                    "remediation" => json!({
                        "name": "rr-1", "targetNamespace": "shop", "targetName": "api",
                    }),
                    "aianalysis" => json!({ "rootCause": "a leak" }),
                    "workflow" => json!({ "remediationRequestRef": "rr-0" }),
                    "event" => json!({ "resourceNamespace": "other", "resourceName": "other" }),
                    _ => json!({
                        "targetType": "node", "targetName": "node-7", "targetNamespace": null,
                    }),
                },
            );
            app.post_record(kind, &record).await.expect(201);
        }
        let own_target = json!({
            "namespace": "", "target_type": "node", "target_name": "node-7",
        });
        let expected = [
            row("remediation", json!({})),
            row("aianalysis", json!({})),
            row("workflow", json!({ "remediation_request_id": "rr-0" })),
            row("execution", own_target),
            row("event", json!({})),
        ];
        assert_eq!(rows(&app, &correlation_id).await, expected, "{order:?}");
    }
}

#[tokio::test]
async fn a_row_follows_what_the_incident_says_now() {
    let app = TestApp::start().await;
    let mut workflow = record("workflow");
    let correlation_id = unique("req");
    workflow["correlationId"] = json!(correlation_id);
    app.post_record("workflow", &workflow).await.expect(201);
    let unknown = json!({
        "namespace": null, "target_type": null, "target_name": null, "signal_type": null,
        "root_cause": null,
    });
    assert_eq!(
        rows(&app, &correlation_id).await,
        [row("workflow", unknown)]
    );

    for root_cause in ["a leak", "no leak"] {
        let mut analysis = record("aianalysis");
        set(
            &mut analysis,
            json!({
                "correlationId": correlation_id, "name": "ai", "rootCause": root_cause,
                "signalType": "prometheus-alert",
            }),
        );
        app.post_record("aianalysis", &analysis).await.expect(201);
    }
    let target = json!({
        "namespace": null, "target_type": null, "target_name": null, "root_cause": "no leak",
    });
    let rows = rows(&app, &correlation_id).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2], row("workflow", target));
}
