//! `recorded_by` comes from the review, never from the request.

use e2e::{Database, KINDS, Setup, record};
use kubeapi::Token;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    MODES, PROCESSOR, PROCESSOR_USER, WRITER, WRITER_USER, cluster, get_as, post_as, with,
};

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
    let incident = get_as(&app, PROCESSOR, stored.header("location")).await;
    assert!(!incident.expect(200).text.contains(WRITER_USER));
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
                        correlation_id, namespace, name, phase, cluster, recorded_by, log_nonce)
                     VALUES ('workflow', $1::text::timestamptz, sha256($2::text::bytea), '{}',
                        'c', 'n', 'n', 'Pending', 'local', $3::text, uuid_send(gen_random_uuid()))",
                    &[&month, &format!("{month}{length}"), &name],
                )
                .await;
            assert_eq!(inserted.is_ok(), is_taken, "{month} {length}");
        }
    }
}
