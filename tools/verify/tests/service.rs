//! A service, whole and record by record, and exports of it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

mod common;

use std::fs;

use common::log::TestLog;
use common::server::{Server, TOKEN};
use common::{Ran, export, kept, key, verify};
use tempfile::TempDir;

struct Setup {
    server: Server,
    folder: TempDir,
    key: String,
}

impl Setup {
    fn of(log: TestLog) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let key = key(&log);
        let server = Server::start(log);
        Self {
            server,
            folder,
            key,
        }
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let arguments = [
            &["--key", &self.key, "--token-file", "token"],
            more,
            &[&self.server.url],
        ]
        .concat();
        let ran = verify(self.folder.path(), &arguments);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(TOKEN));
        ran
    }

    fn export(&self) -> Ran {
        let arguments = [
            "--key",
            &self.key,
            "--token-file",
            "token",
            &self.server.url,
            "export",
        ];
        export(self.folder.path(), &arguments)
    }

    fn verify_export(&self) -> Ran {
        verify(self.folder.path(), &["--key", &self.key, "export"])
    }
}

#[test]
fn an_intact_service_is_verified_page_by_page() {
    let setup = Setup::of(TestLog::of_everything());
    setup.server.state.lock().unwrap().failures = vec![503, 503];
    let ran = setup.verify(&[]);
    ran.assert(0, "\nIntact\n");
    ran.assert(0, "2 pending");
    assert!(setup.server.count("cursor=") > 3);
    assert!(kept(setup.folder.path()).is_some());
}

#[test]
fn a_service_that_cannot_be_read_is_not_verifiable() {
    let setup = Setup::of(TestLog::of_records(3));
    verify(
        setup.folder.path(),
        &["--key", &setup.key, &setup.server.url],
    )
    .assert(2, "--token-file");
    for (failures, says) in [
        (vec![403], "may not read"),
        (vec![503; 4], "not available"),
        (vec![500], "error"),
        (vec![302], "redirects"),
        (vec![404], "has no log"),
    ] {
        setup.server.state.lock().unwrap().failures = failures;
        setup.verify(&[]).assert(2, says);
    }
    let ran = verify(
        setup.folder.path(),
        &["--key", &setup.key, "http://127.0.0.1:1"],
    );
    ran.assert(2, "can be reached");
}

#[test]
fn an_altered_record_of_a_service_is_found() {
    let mut log = TestLog::of_records(300);
    if let tlog::audit::Body::Record { content, .. } = &mut log.evidence_of(17).body {
        *content = content.replace("it is", "it was");
    }
    let setup = Setup::of(log);
    setup
        .verify(&[])
        .assert(1, "altered: the content of remediation 18, leaf 17");
    setup
        .verify(&["--record", "18"])
        .assert(1, "altered: the content of remediation 18, leaf 17");
    setup.verify(&["--record", "17"]).assert(0, "Intact");
    assert_eq!(kept(setup.folder.path()), None);
}

#[test]
fn a_record_that_is_gone_is_missing() {
    let mut log = TestLog::of_records(300);
    log.evidence.remove(&17);
    let setup = Setup::of(log);
    setup
        .verify(&[])
        .assert(1, "missing: remediation 18 is gone");
}

#[test]
fn a_record_that_a_replica_shows_late_is_not_missing() {
    let setup = Setup::of(TestLog::of_records(300));
    setup.server.state.lock().unwrap().late = vec![17, 299];
    setup.verify(&[]).assert(0, "300 records");
    setup.export().assert(0, "300 records");
    setup.verify_export().assert(0, "300 records");
}

#[test]
fn a_replica_that_is_behind_is_waited_for_before_records_are_read() {
    let setup = Setup::of(TestLog::of_records(3));
    setup.server.state.lock().unwrap().sizes = vec![Some(2)];
    setup.verify(&[]).assert(0, "3 records");
    let paths = setup.server.state.lock().unwrap().paths.clone();
    let first = |part| paths.iter().position(|path| path.contains(part)).unwrap();
    let last_size = paths.iter().rposition(|path| path.ends_with("?limit=1"));
    assert!(last_size < Some(first("holds")) && last_size < Some(first("?limit=1000")));
    assert_eq!(
        setup.server.count("?limit=1"),
        2 + setup.server.count("?limit=1000")
    );
    setup.server.state.lock().unwrap().sizes = vec![Some(2)];
    setup.export().assert(0, "3 records");
}

#[test]
fn a_list_without_the_size_of_the_log_is_malformed() {
    let setup = Setup::of(TestLog::of_records(3));
    setup.server.state.lock().unwrap().sizes = vec![None];
    setup.verify(&[]).assert(2, "records?limit=1 is malformed");
    setup.server.state.lock().unwrap().sizes = vec![None];
    setup.export().assert(2, "missing field `size`");
}

/// A log of which a month leaves, before and after.
fn leaving() -> (TestLog, TestLog) {
    let of = |is_after: bool| {
        let mut log = TestLog::new();
        for id in 1..=300 {
            log.record(id, "remediation", ["2025-10", "2025-11"][id as usize % 2]);
        }
        if is_after {
            log.retention("remediation", "2025-10");
        }
        log.sign();
        log
    };
    (of(false), of(true))
}

#[test]
fn records_that_leave_while_a_service_is_read_are_not_missing() {
    let (before, after) = leaving();
    let setup = Setup::of(before);
    setup.verify(&[]).assert(0, "300 records");
    let mut half = leaving().0;
    half.evidence.retain(|_, evidence| evidence.id % 2 == 1);
    setup.server.state.lock().unwrap().log = half;
    setup.server.state.lock().unwrap().then = Some(after);
    setup.verify(&[]).assert(0, "150 removed by retention");

    let mut half = leaving().0;
    half.evidence.retain(|_, evidence| evidence.id % 2 == 1);
    setup.server.state.lock().unwrap().log = half;
    setup.server.state.lock().unwrap().then = Some(leaving().1);
    setup.export().assert(0, "Records left meanwhile");
    setup.verify_export().assert(0, "150 removed by retention");
}

#[test]
fn an_export_is_verified_like_the_service_and_goes_on_where_it_was() {
    let setup = Setup::of(TestLog::of_records(600));
    let ran = setup.export();
    ran.assert(0, "600 records");
    assert!(!ran.stdout.contains("in the folder already"));
    let export = setup.folder.path().join("export");
    assert!(export.join("tile/entries/002.p/88").is_file());
    assert!(export.join("tile/1/000.p/2").is_file());
    setup.verify_export().assert(0, "600 records");

    let mut log = TestLog::of_records(1000);
    log.hold(1);
    log.sign();
    setup.server.state.lock().unwrap().log = log;
    let read = setup.server.count("records?limit=1000");
    let ran = setup.export();
    ran.assert(0, "1000 records and 1 holds");
    let url = &setup.server.url;
    ran.assert(0, &format!("\n2 bundles of records were in the folder already and were not read again: `verify {url}` checks what the service has\n"));
    assert_eq!(setup.server.count("entries/000"), 1);
    assert_eq!(setup.server.count("records?limit=1000") - read, 5);
    assert!(export.join("tile/entries/002").is_file());
    assert!(!export.join("tile/entries/002.p").exists());
    setup.verify_export().assert(0, "1000 records and 1 holds");
}

#[test]
fn a_checkpoint_in_the_middle_of_a_growing_log_is_verified() {
    // The service has full tiles where the checkpoint needs partial ones.
    let old = TestLog::of_records(300);
    let mut log = TestLog::of_records(600);
    log.checkpoint = old.checkpoint;
    let setup = Setup::of(log);
    setup.verify(&[]).assert(0, "300 leaves in");
}

#[test]
fn a_pending_record_is_not_verifiable_yet() {
    let setup = Setup::of(TestLog::of_records(3));
    setup
        .verify(&["--record", "2"])
        .assert(0, "remediation 2 is in the log as it was stored");
    setup
        .verify(&["--record", "9"])
        .assert(2, "no proof of record 9");
    setup.server.state.lock().unwrap().is_pending = true;
    setup.verify(&["--record", "2"]).assert(2, "pending");
}
