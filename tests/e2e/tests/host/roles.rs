//! A role with the privileges of `docs/roles.md`, and no others.

use e2e::{Database, KINDS, Setup, record, unique};
use tokio_postgres::error::SqlState;

/// The statements in a document's only block of SQL.
fn grants(role: &str) -> String {
    let document = include_str!("../../../../docs/roles.md");
    let (_, rest) = document.split_once("```sql").unwrap();
    let (grants, _) = rest.split_once("```").unwrap();
    assert!(grants.contains(" TO data_storage;"), "{grants}");
    grants.replace(" TO data_storage;", &format!(" TO {role};"))
}

#[tokio::test]
async fn the_documented_privileges_are_enough_to_add_records_and_not_to_change_them() {
    let owner = Database::create().await;
    let role = unique("app").replace('-', "_");
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'of-a-test';");
    owner.execute(&format!("{create} {}", grants(&role))).await;
    let mut database = owner.clone();
    database.url.set_username(&role).unwrap();
    database.url.set_password(Some("of-a-test")).unwrap();
    let app = Setup::default().database(&database).start().await;

    app.get("/health/ready").await.expect(200);
    for kind in KINDS {
        for created_at in ["2026-11-01T10:00:00Z", "0001-01-01T00:00:00Z"] {
            let mut record = record(kind);
            record["createdAt"] = created_at.into();
            let stored = app.post_record(kind, &record).await.expect(201);
            assert_eq!(app.incident_of(&stored).await["record_count"], 1);
            app.post_record(kind, &record).await.expect(201);
        }
    }

    let client = database.connect().await;
    for statement in [
        "UPDATE audit_records SET content = ''",
        "DELETE FROM audit_records",
        "DELETE FROM remediation_audit_default",
        "TRUNCATE audit_records",
        "DELETE FROM incidents",
        "UPDATE embeddings SET model = ''",
        "DROP TABLE incidents",
    ] {
        let refused = client.batch_execute(statement).await.unwrap_err();
        let code = refused.code();
        assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
    owner
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}
