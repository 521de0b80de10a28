//! A service on a dump restored in another server.

use e2e::{Database, KINDS, Server, Setup, TestApp, make_users, postgresql_program, record, set};
use serde_json::{Value, json};

async fn restore(from: &Database, to: &Database) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    let mut dump = postgresql_program("pg_dump").await;
    dump.arg("--format=custom")
        .arg("--no-owner")
        .arg("--file")
        .arg(&file)
        .arg(format!("--dbname={}", from.url));
    assert!(dump.status().await.unwrap().success());
    make_users(&to.connect().await).await;
    let mut restore = postgresql_program("pg_restore").await;
    restore
        .arg("--exit-on-error")
        .arg("--no-owner")
        .arg(format!("--dbname={}", to.url))
        .arg(&file);
    assert!(restore.status().await.unwrap().success());
}

fn reports() -> Vec<(&'static str, Value)> {
    let mut reports = Vec::new();
    for number in 0..6 {
        for kind in KINDS {
            let mut report = record(kind);
            set(
                &mut report,
                json!({
                    "correlationId": format!("req-{number}"),
                    "createdAt": format!("2026-11-01T10:00:0{number}Z"),
                }),
            );
            reports.push((kind, report));
        }
    }
    reports
}

async fn get(app: &TestApp, path: &str) -> Value {
    app.get(path).await.expect(200).json()
}

#[tokio::test]
async fn a_restored_database_is_read_walked_with_a_cursor_of_before_and_written_to() {
    let before = Setup::default().start().await;
    let reports = reports();
    let mut stored = Vec::new();
    for (kind, report) in &reports {
        stored.push(before.post_record(kind, report).await.expect(201));
    }
    let list = "/api/v1/incidents?namespace=production&limit=2";
    let first = get(&before, list).await;
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let second = format!("{list}&cursor={cursor}");
    let incident = stored[0].header("location");
    let search = "/api/v1/incidents/search?q=HighMemoryUsage";
    let server = Server::start(100).await;
    let database = server.database();

    restore(&before.database, &database).await;

    let applied = migrations::apply(database.url.as_str()).await.unwrap();
    assert_eq!(applied.migrations, Vec::<String>::new());
    let after = Setup::default().database(&database).start().await;
    after.get("/health/ready").await.expect(200);
    for path in [list, &second, incident, search] {
        assert_eq!(get(&after, path).await, get(&before, path).await, "{path}");
    }

    for ((kind, report), stored) in reports.iter().zip(&stored) {
        let again = after.post_record(kind, report).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true", "{again:?}");
        assert_eq!(again.stored(), stored.stored());
        assert_eq!(again.header("location"), stored.header("location"));
    }
    let mut newer = reports[0].1.clone();
    set(
        &mut newer,
        json!({ "phase": "Completed", "severity": "critical" }),
    );
    let newer = after.post_remediation(&newer).await.expect(201);
    assert_eq!(newer.header("location"), incident);
    assert!(newer.json()["id"].as_i64() > stored[stored.len() - 1].json()["id"].as_i64());
    assert_eq!(
        after.incident_of(&newer).await["alert_severity"],
        "critical"
    );
    let mut new = record("remediation");
    set(&mut new, json!({ "createdAt": "2026-10-01T10:00:00Z" }));
    let new = after.post_remediation(&new).await.expect(201);
    assert_eq!(after.incident_of(&new).await["record_count"], 1);
    let path = format!("{second}&limit=100").replace("limit=2&", "");
    let rest = get(&after, &path).await;
    let rest = rest["data"].as_array().unwrap();
    assert_eq!(rest.len(), 5, "{rest:?}");
    assert_eq!(
        json!(rest[4]["id"].to_string()),
        json!(new.header("location").rsplit('/').next())
    );
}
