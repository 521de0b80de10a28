//! Who sent a record stands with it: as the review says, never as the request does.

use e2e::{Database, KINDS, Setup, TestApp, record};
use kubeapi::Token;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{
    MODES, PROCESSOR, PROCESSOR_USER, WRITER, WRITER_USER, cluster, get_as, post_as, with,
};
use crate::migrations::database_at;

/// Who recorded what has a correlation id, as the database has it.
async fn recorders(database: &Database, record: &Value) -> Vec<Option<String>> {
    let client = database.connect().await;
    let query = "SELECT recorded_by FROM audit_records WHERE correlation_id = $1 ORDER BY id";
    let rows = client
        .query(query, &[&record["correlationId"].as_str().unwrap()])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_user_of_the_review_is_stored_with_every_kind() {
    let kube = cluster().await;
    let name = "ü".repeat(1024);
    kube.issue("of.the.longest", Token::of(&name).in_group("writers"));
    kube.allow(kubeapi::Rule::on_service(
        "writers",
        super::NAMESPACE,
        "create",
    ));
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        for kind in KINDS {
            for (token, user) in [
                (PROCESSOR, PROCESSOR_USER),
                (WRITER, WRITER_USER),
                ("of.the.longest", &name),
            ] {
                let record = record(kind);
                post_as(&app, token, kind, &record).await.expect(201);
                let stored = recorders(&app.database, &record).await;
                assert_eq!(stored, [Some(user.to_owned())], "{mode} {kind}");
            }
        }
    }
}

#[tokio::test]
async fn where_nobody_is_asked_nobody_is_named() {
    let app = Setup::default().start().await;
    for kind in KINDS {
        let record = record(kind);
        post_as(&app, PROCESSOR, kind, &record).await.expect(201);
        assert_eq!(recorders(&app.database, &record).await, [None]);
    }
}

#[tokio::test]
async fn a_record_that_comes_again_keeps_the_name_of_the_first_who_sent_it() {
    let kube = cluster().await;
    let app = with(&kube, "selfreview").start().await;
    let mut record = record("workflow");
    post_as(&app, PROCESSOR, "workflow", &record)
        .await
        .expect(201);
    let again = post_as(&app, WRITER, "workflow", &record).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let first = Some(PROCESSOR_USER.to_owned());
    assert_eq!(
        recorders(&app.database, &record).await,
        std::slice::from_ref(&first)
    );
    record["phase"] = json!("Completed");
    post_as(&app, WRITER, "workflow", &record).await.expect(201);
    let second = Some(WRITER_USER.to_owned());
    assert_eq!(recorders(&app.database, &record).await, [first, second]);
}

#[tokio::test]
async fn a_request_that_names_its_sender_is_refused_or_not_believed() {
    let kube = cluster().await;
    let app = with(&kube, "tokenreview").start().await;
    for field in ["recordedBy", "recorded_by"] {
        let mut record = record("remediation");
        record[field] = json!("root");
        let answer = post_as(&app, PROCESSOR, "remediation", &record).await;
        let answer = answer.expect_problem(400, "validation");
        assert_eq!(
            answer.violations(),
            [(field.to_owned(), "unknown".to_owned())]
        );
    }
    let record = record("remediation");
    let request = app
        .request(Method::POST, "/api/v1/audit/remediation")
        .header("content-type", "application/json")
        .header("impersonate-user", "root")
        .header("x-remote-user", "root")
        .bearer_auth(WRITER)
        .body(record.to_string());
    let stored = app.send(request).await.expect(201);
    let by_writer = [Some(WRITER_USER.to_owned())];
    assert_eq!(recorders(&app.database, &record).await, by_writer);
    // And nobody is told.
    let incident = get_as(&app, PROCESSOR, stored.header("location")).await;
    assert!(!incident.expect(200).text.contains(WRITER_USER));
}

/// Writes a record as a replica of the last version does; the record's id.
async fn write_as_before(client: &Client, record: &Value) -> i64 {
    let text = |field: &str| record[field].as_str().unwrap();
    let content = serde_json_canonicalizer::to_string(record).unwrap();
    let row = client
        .query_one(
            "SELECT stored_record_id FROM write_audit_record_2(
                'workflow', '2026-11-01 10:00:00', sha256(convert_to($1, 'UTF8')), $1, '\\x01',
                $2, $3, $4, 'Pending', 'local', '{}'::jsonb, 'local-hash-v1', sha256('text'),
                '{1:1}/1536', NULL)",
            &[
                &content,
                &text("correlationId"),
                &text("namespace"),
                &text("name"),
            ],
        )
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn replicas_of_the_last_version_go_on_writing_in_the_same_sessions() {
    let database = database_at(9).await;
    let session = e2e::connect(&database.writer_url()).await;
    let before = record("workflow");
    let id = write_as_before(&session, &before).await;

    migrations::apply(database.url.as_str()).await.unwrap();

    assert_eq!(write_as_before(&session, &before).await, id, "it is stored");
    let after = record("workflow");
    write_as_before(&session, &after).await;
    for record in [&before, &after] {
        assert_eq!(recorders(&database, record).await, [None]);
    }
    // The new version finds what the old one stored, and the other way round.
    let kube = cluster().await;
    let app: TestApp = with(&kube, "selfreview").database(&database).start().await;
    app.get("/health/ready").await.expect(200);
    let again = post_as(&app, PROCESSOR, "workflow", &before).await;
    let again = again.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["id"].as_i64(), Some(id));
    assert_eq!(recorders(&database, &before).await, [None]);
    let new = record("workflow");
    let stored = post_as(&app, PROCESSOR, "workflow", &new).await.expect(201);
    let found = write_as_before(&session, &new).await;
    assert_eq!(stored.json()["id"].as_i64(), Some(found));
    let by_processor = [Some(PROCESSOR_USER.to_owned())];
    assert_eq!(recorders(&database, &new).await, by_processor);
}

#[tokio::test]
async fn the_database_takes_names_of_one_to_1024_characters_in_every_month() {
    let database = Database::create().await;
    let client = database.connect().await;
    for month in ["2026-11-01", "0001-01-01", "2026-12-01"] {
        for (length, is_taken) in [(1, true), (1024, true), (0, false), (1025, false)] {
            let name = "ü".repeat(length);
            let inserted = client
                .execute(
                    "INSERT INTO audit_records (kind, created_at, content_hash, content,
                        correlation_id, namespace, name, phase, cluster, recorded_by,
                        incident_embedding_id)
                     VALUES ('workflow', $1::text::timestamptz, sha256($2::text::bytea), '{}',
                        'c', 'n', 'n', 'Pending', 'local', $3, 1)",
                    &[&month, &format!("{month}{length}"), &name],
                )
                .await;
            assert_eq!(inserted.is_ok(), is_taken, "{month} {length}");
        }
    }
}
