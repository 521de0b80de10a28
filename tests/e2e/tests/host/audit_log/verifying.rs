//! The verifier against a service whose database is tampered with by its owner.

use std::path::{Path, PathBuf};

use e2e::{Database, KINDS, LOG_KEY, Setup, TestApp, record};
use tempfile::TempDir;
use tlog::audit::{Finding, FindingKind, Report};
use verify::{Folder, Kept, LogKey, Recording, Service, verify};

use super::{checkpoint, id_of, store};

/// An auditor with the public key and a folder for the last checkpoint.
pub(crate) struct Auditor {
    folder: TempDir,
}

impl Auditor {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A path in the auditor's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kept(&self) -> Kept {
        Kept::new(self.path("checkpoint"))
    }

    /// Checks a service.
    pub(crate) async fn check(&self, app: &TestApp) -> Report {
        self.check_with(app, LOG_KEY).await
    }

    /// Checks a service with another key.
    pub(crate) async fn check_with(&self, app: &TestApp, key: &str) -> Report {
        let (url, kept, key) = (app.url.clone(), self.kept(), key.to_owned());
        let check = move || {
            let mut service = Service::new(&url, None).unwrap();
            let key = LogKey::parse(&key).unwrap();
            let mut out = Vec::new();
            let outcome = verify(&mut service, &key, &kept, &mut out);
            println!("{}", String::from_utf8(out).unwrap());
            outcome.unwrap().report
        };
        tokio::task::spawn_blocking(check).await.unwrap()
    }

    /// Exports a service to a folder.
    pub(crate) async fn export(&self, app: &TestApp, name: &str) -> Report {
        let (url, kept, folder) = (app.url.clone(), self.kept(), self.path(name));
        let export = move || {
            let service = Service::new(&url, None).unwrap();
            let mut recording = Recording::new(service, Folder::new(&folder)).unwrap();
            let key = LogKey::parse(LOG_KEY).unwrap();
            let mut out = Vec::new();
            let outcome = verify(&mut recording, &key, &kept, &mut out).unwrap();
            recording.finish(&outcome.note).unwrap();
            outcome.report
        };
        tokio::task::spawn_blocking(export).await.unwrap()
    }

    /// Checks an export.
    pub(crate) async fn check_folder(&self, name: &str) -> Report {
        let (folder, kept) = (self.path(name), self.kept());
        let check = move || {
            let mut folder = Folder::new(&folder);
            let key = LogKey::parse(LOG_KEY).unwrap();
            verify(&mut folder, &key, &kept, &mut Vec::new())
                .unwrap()
                .report
        };
        tokio::task::spawn_blocking(check).await.unwrap()
    }
}

/// What a check found, by name.
pub(crate) fn names(report: &Report) -> Vec<FindingKind> {
    report
        .findings
        .kept()
        .iter()
        .map(|finding: &Finding| finding.kind)
        .collect()
}

/// Asserts that nothing was found.
#[track_caller]
pub(crate) fn assert_intact(report: &Report) {
    assert_eq!(report.findings.kept(), [], "{report:?}");
}

/// A service with a log of 300 leaves, more than a tile, and an auditor who has checked it.
async fn checked() -> (TestApp, Auditor) {
    let app = Setup::default().start().await;
    for number in 0..300 {
        let kind = KINDS[number % KINDS.len()];
        app.post_record(kind, &record(kind)).await.expect(201);
    }
    let auditor = Auditor::new();
    let report = auditor.check(&app).await;
    assert_intact(&report);
    assert_eq!((report.leaves, report.records), (300, 300));
    (app, auditor)
}

/// Lets the owner of the database do something, and returns what the auditor finds.
async fn found_after(
    database: &Database,
    app: &TestApp,
    auditor: &Auditor,
    sql: &str,
) -> Vec<FindingKind> {
    let changed =
        format!("DO $$ BEGIN {sql} IF NOT FOUND THEN RAISE 'nothing changed'; END IF; END $$");
    database
        .connect()
        .await
        .batch_execute(&changed)
        .await
        .unwrap();
    names(&auditor.check(app).await)
}

/// A copy of a database with a service of its own, as the same origin: only the copy is changed, by
/// statements that are undone.
struct Tampering {
    app: TestApp,
    auditor: Auditor,
}

impl Tampering {
    /// Asserts what is found after `sql`, and that nothing is found any more once `undo` undid it.
    async fn finds(&self, sql: &str, undo: &str, expected: &[FindingKind]) {
        let found = found_after(&self.app.database, &self.app, &self.auditor, sql).await;
        assert_eq!(found, expected, "{sql}");
        let found = found_after(&self.app.database, &self.app, &self.auditor, undo).await;
        assert_eq!(found, [], "{undo}");
    }
}

#[tokio::test]
async fn whatever_the_owner_of_the_database_changes_is_found_by_its_name() {
    use FindingKind::{Altered, LeafAltered, LeafMissing, LeafMoved, Missing, TileAltered};
    let (app, auditor) = checked().await;
    let tampering = Tampering { app, auditor };
    let client = tampering.app.database.connect().await;
    let row = "SELECT record_id FROM log_entries WHERE leaf_index = 7";
    let id: i64 = client.query_one(row, &[]).await.unwrap().get(0);
    let here = format!("WHERE id = {id}");
    client
        .batch_execute(&format!(
            "CREATE TABLE kept AS SELECT * FROM audit_records {here};
             CREATE TABLE kept_links AS SELECT * FROM incident_records {here};
             CREATE TABLE kept_entries AS TABLE log_entries;
             CREATE TABLE kept_tiles AS TABLE log_tiles;"
        ))
        .await
        .unwrap();
    let restored = format!(
        "DELETE FROM audit_records {here}; INSERT INTO audit_records SELECT * FROM kept;
         DELETE FROM incident_records {here}; INSERT INTO incident_records SELECT * FROM kept_links;"
    );
    for sql in [
        // The content, with a hash that fits, so that the record is still found.
        "UPDATE audit_records SET content = replace(content, 'kubernaut-system', 'kube-system'),
             content_hash = sha256(convert_to(replace(content, 'kubernaut-system', 'kube-system'), 'UTF8')) HERE;
         UPDATE incident_records SET content_hash = (SELECT content_hash FROM audit_records HERE) HERE;",
        "UPDATE audit_records SET content = replace(content, 'kubernaut-system', 'kube-system') HERE;",
        "UPDATE audit_records SET recorded_at = recorded_at - interval '1 day' HERE;",
        "UPDATE audit_records SET recorded_by = 'someone-else' HERE;",
        "UPDATE audit_records SET cluster = 'another' HERE;",
        "UPDATE audit_records SET correlation_id = 'another' HERE;",
        "UPDATE audit_records SET log_nonce = '\\x00000000000000000000000000000000' HERE;",
    ] {
        let sql = sql.replace("HERE", &here);
        tampering.finds(&sql, &restored, &[Altered]).await;
    }
    for sql in [
        "DELETE FROM audit_records HERE;",
        "DELETE FROM incident_records HERE;",
    ] {
        tampering
            .finds(&sql.replace("HERE", &here), &restored, &[Missing])
            .await;
    }
    let restored = "DELETE FROM log_entries; INSERT INTO log_entries SELECT * FROM kept_entries;";
    let entry = "UPDATE log_entries SET entry = replace(entry, '\"id\":', '\"id\":1') WHERE leaf_index = 7;";
    tampering.finds(entry, restored, &[LeafAltered]).await;
    let swap = "UPDATE log_entries SET record_id = NULL WHERE leaf_index IN (7, 270);
        UPDATE log_entries AS one SET record_id = other.record_id, entry = other.entry
        FROM kept_entries AS other
        WHERE (one.leaf_index, other.leaf_index) IN ((7, 270), (270, 7));";
    tampering
        .finds(swap, restored, &[LeafMoved, LeafMoved])
        .await;
    let missing = "DELETE FROM log_entries WHERE leaf_index = 290;";
    tampering.finds(missing, restored, &[LeafMissing]).await;
    let restored = "DELETE FROM log_tiles; INSERT INTO log_tiles SELECT * FROM kept_tiles;";
    for (level, index) in [(0, 0), (0, 1), (1, 0)] {
        let tile = format!(
            "UPDATE log_tiles SET hashes = set_byte(hashes, 3, (get_byte(hashes, 3) + 1) % 256)
             WHERE level = {level} AND tile_index = {index};"
        );
        tampering.finds(&tile, restored, &[TileAltered]).await;
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_found_with_an_older_checkpoint() {
    let app = Setup::default().start().await;
    for _ in 0..5 {
        store(&app).await;
    }
    checkpoint(&app).await;
    let client = app.database.connect().await;
    client
        .batch_execute(
            "CREATE TABLE kept_head AS TABLE log_head; CREATE TABLE kept_tiles AS TABLE log_tiles",
        )
        .await
        .unwrap();
    for _ in 0..3 {
        store(&app).await;
    }
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&app).await);

    // All of the service's tables are put back to the state of an earlier signed checkpoint.
    client
        .batch_execute(
            "DELETE FROM log_entries WHERE leaf_index >= 5;
             DELETE FROM log_tiles; INSERT INTO log_tiles TABLE kept_tiles;
             UPDATE log_head AS head SET size = kept.size, checkpoint = kept.checkpoint FROM kept_head AS kept;",
        )
        .await
        .unwrap();
    assert_eq!(names(&auditor.check(&app).await), [FindingKind::RolledBack]);
    // Who has no checkpoint cannot tell.
    assert_intact(&Auditor::new().check(&app).await);
    // A log that grows again is another history.
    for _ in 0..5 {
        store(&app).await;
    }
    assert_eq!(names(&auditor.check(&app).await), [FindingKind::Forked]);
}

#[tokio::test]
async fn a_checkpoint_that_was_put_back_is_found_with_a_newer_one() {
    let app = Setup::default().start().await;
    store(&app).await;
    checkpoint(&app).await;
    let client = app.database.connect().await;
    client
        .batch_execute("CREATE TABLE kept_head AS TABLE log_head")
        .await
        .unwrap();
    store(&app).await;
    let auditor = Auditor::new();
    assert_intact(&auditor.check(&app).await);
    client
        .batch_execute(
            "UPDATE log_head AS head SET size = kept.size, checkpoint = kept.checkpoint FROM kept_head AS kept",
        )
        .await
        .unwrap();
    assert_eq!(names(&auditor.check(&app).await), [FindingKind::RolledBack]);
    // The service does not sign on from there, and still stores records.
    store(&app).await;
    assert_eq!(checkpoint(&app).await.size, 1);
    assert_eq!(names(&auditor.check(&app).await), [FindingKind::RolledBack]);
}

#[tokio::test]
async fn records_that_are_pending_are_no_finding() {
    let app = Setup::default().start().await;
    let auditor = Auditor::new();
    store(&app).await;
    assert_intact(&auditor.check(&app).await);
    // Nothing can be added to the log while another transaction holds its end.
    let mut client = app.database.connect().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("SELECT FROM log_head FOR UPDATE", &[])
        .await
        .unwrap();
    let unsigned = Setup::default()
        .database(&app.database)
        .variable("log_signing_key", "")
        .start()
        .await;
    store(&unsigned).await;
    transaction.rollback().await.unwrap();
    let report = auditor.check(&app).await;
    assert_intact(&report);
    assert_eq!(report.leaves, 2);
}

#[tokio::test]
async fn an_export_is_resumed_and_checked_offline() {
    let (app, auditor) = checked().await;
    assert_intact(&auditor.export(&app, "export").await);
    assert_intact(&auditor.check_folder("export").await);
    for _ in 0..300 {
        store(&app).await;
    }
    let report = auditor.export(&app, "export").await;
    assert_intact(&report);
    assert_eq!(report.leaves, 600);
    drop(app);
    let report = auditor.check_folder("export").await;
    assert_intact(&report);
    assert_eq!((report.leaves, report.records), (600, 600));
    let file = first_file(&auditor.path("export").join("records"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("kubernaut-system", "kube-system", 1)).unwrap();
    assert_eq!(
        names(&auditor.check_folder("export").await),
        [FindingKind::Altered]
    );
}

fn first_file(folder: &Path) -> PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.into_iter().find(|path| path.is_file()).unwrap()
}

#[tokio::test]
async fn a_key_is_rotated_and_nothing_is_found() {
    let app = Setup::default().start().await;
    let auditor = Auditor::new();
    store(&app).await;
    assert_intact(&auditor.check(&app).await);
    let new = tlog::SignerKey::from_seed("data-storage.test", &[7; 32]);
    let rotated = Setup::default()
        .database(&app.database)
        .variable("log_signing_key", new.to_secret_text())
        .variable("log_previous_key", LOG_KEY)
        .start()
        .await;
    let id = store(&rotated).await;
    let new_key = new.verifier().to_string();
    let report = auditor.check_with(&rotated, &new_key).await;
    assert_intact(&report);
    assert_eq!(report.leaves, 3);
    let proof = rotated
        .get(&format!("/api/v1/audit/records/{id}/proof"))
        .await
        .expect(200);
    tlog::ProofFile::parse(&proof.text)
        .unwrap()
        .verify(&new.verifier())
        .unwrap();
    // The previous key is not needed any more.
    let later = Setup::default()
        .database(&app.database)
        .variable("log_signing_key", new.to_secret_text())
        .start()
        .await;
    store(&later).await;
    assert_intact(&auditor.check_with(&later, &new_key).await);
    // Another key alone signs nothing.
    let stranger = tlog::SignerKey::from_seed("data-storage.test", &[8; 32]);
    let refused = Setup::default()
        .database(&app.database)
        .variable("log_signing_key", stranger.to_secret_text())
        .start()
        .await;
    let stored = id_of(
        &refused
            .post_remediation(&record("remediation"))
            .await
            .expect(201),
    );
    let proof = refused
        .get(&format!("/api/v1/audit/records/{stored}/proof"))
        .await;
    proof.expect_problem(503, "unavailable");
    assert_intact(&auditor.check_with(&later, &new_key).await);
}

#[tokio::test]
async fn a_damaged_tile_is_repaired_from_the_entries() {
    let (app, auditor) = checked().await;
    let client = app.database.connect().await;
    let damage =
        "UPDATE log_tiles SET hashes = set_byte(hashes, 3, (get_byte(hashes, 3) + 1) % 256)";
    client.batch_execute(damage).await.unwrap();
    let id = store(&app).await;
    let path = format!("/api/v1/audit/records/{id}/proof");
    app.get(&path).await.expect_problem(503, "unavailable");
    client
        .query_one("SELECT rebuild_log_tiles()", &[])
        .await
        .unwrap();
    app.get(&path).await.expect(200);
    assert_intact(&auditor.check(&app).await);
}
