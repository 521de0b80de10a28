//! Exports that were tampered with.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

mod common;

use std::fs;
use std::path::Path;

use common::log::TestLog;
use common::{kept, key, verify, write};
use tempfile::TempDir;

/// An export of a log, and the folder that it is in.
fn exported(log: &TestLog) -> TempDir {
    let folder = TempDir::new().unwrap();
    write(log, &folder.path().join("export"));
    folder
}

fn check(log: &TestLog, folder: &Path) -> common::Ran {
    verify(folder, &["--key", &key(log), "export"])
}

fn replace(folder: &Path, file: &str, from: &str, to: &str) {
    let file = folder.join("export").join(file);
    let bytes = fs::read(&file).unwrap();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    let changed = [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat();
    fs::write(file, changed).unwrap();
}

#[test]
fn an_intact_export_is_verified_and_its_checkpoint_kept() {
    let log = TestLog::of_everything();
    let folder = exported(&log);
    let ran = check(&log, folder.path());
    ran.assert(0, "This is the first check");
    ran.assert(0, "\nIntact\n");
    ran.assert(0, &format!("{}/2-1-1-00000002+", common::log::NAME));
    assert_eq!(kept(folder.path()), Some(log.opened()));
    let ran = check(&log, folder.path());
    ran.assert(
        0,
        &format!("Comparing with the checkpoint of {} leaves", log.size()),
    );
}

#[test]
fn each_change_of_a_file_is_found_under_its_name() {
    type Change = fn(&Path);
    let cases: [(&str, Change); 9] = [
        ("altered: the content of", |folder| {
            replace(folder, "records/002.ndjson", "it is", "it was")
        }),
        ("altered: the recorded_by of", |folder| {
            replace(
                folder,
                "records/002.ndjson",
                "\"recorded_by\":null",
                "\"recorded_by\":\"other\"",
            );
        }),
        (
            "altered: the reason, recorded_by or nonce of hold_release 1",
            |folder| replace(folder, "holds.ndjson", "closed", "opened"),
        ),
        ("missing: hold 2 is gone", |folder| {
            let file = folder.join("export/holds.ndjson");
            let lines = fs::read_to_string(&file).unwrap();
            fs::write(&file, lines.lines().next().unwrap()).unwrap();
        }),
        ("missing: aianalysis ", |folder| {
            let file = folder.join("export/records/002.ndjson");
            let lines = fs::read_to_string(&file).unwrap();
            fs::write(&file, lines.split_once('\n').unwrap().1).unwrap();
        }),
        ("leaf altered", |folder| {
            replace(folder, "tile/entries/001", "\"id\":", "\"ie\":")
        }),
        ("leaf missing", |folder| {
            fs::remove_file(folder.join("export/tile/entries/000")).unwrap()
        }),
        ("tile altered", |folder| {
            let file = folder.join("export/tile/0/001");
            let mut bytes = fs::read(&file).unwrap();
            bytes[40] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("tile altered", |folder| {
            let file = folder.join("export/tile/1/000.p/2");
            let mut bytes = fs::read(&file).unwrap();
            bytes[40] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
    ];
    let log = TestLog::of_everything();
    for (says, change) in cases {
        let folder = exported(&log);
        change(folder.path());
        let ran = check(&log, folder.path());
        ran.assert(1, &format!("\n{says}"));
        ran.assert(1, "\nTampered: ");
        assert_eq!(kept(folder.path()), None, "{says}");
    }
}

#[test]
fn an_older_export_was_rolled_back_and_does_not_replace_the_kept_checkpoint() {
    let log = TestLog::of_records(300);
    let folder = exported(&log);
    check(&log, folder.path()).assert(0, "Intact");
    fs::remove_dir_all(folder.path().join("export")).unwrap();
    write(&TestLog::of_records(200), &folder.path().join("export"));
    check(&log, folder.path()).assert(1, "rolled back: ");
    assert_eq!(kept(folder.path()), Some(log.opened()));
}

#[test]
fn what_cannot_be_verified_is_neither_intact_nor_tampered() {
    let log = TestLog::of_records(3);
    let folder = exported(&log);
    let other = tlog::SignerKey::from_seed("example.com/log", &[1; 32])
        .verifier()
        .to_string();
    verify(folder.path(), &["--key", &other, "export"]).assert(2, "not signed by this key");
    let named = log.signer.verifier().named("example.com/other").to_string();
    verify(folder.path(), &["--key", &named, "export"]).assert(2, "is of the log");
    verify(folder.path(), &["--key", "x", "export"]).assert(2, "NAME+HASH+KEY");
    verify(folder.path(), &["export"]).assert(2, "--key");
    verify(folder.path(), &["--key", &key(&log), "nothing"]).assert(2, "Cannot read");
    verify(
        folder.path(),
        &["--key", &key(&log), "--record", "1", "export"],
    )
    .assert(2, "folder");
    replace(folder.path(), "records/000.ndjson", "{", "");
    check(&log, folder.path()).assert(2, "malformed");
    fs::write(folder.path().join("example.com-log.checkpoint"), "x").unwrap();
    check(&log, folder.path()).assert(2, "is damaged");
}

#[test]
fn the_key_and_the_kept_checkpoint_may_be_in_files() {
    let log = TestLog::of_records(3);
    let folder = exported(&log);
    fs::write(folder.path().join("key"), key(&log) + "\n").unwrap();
    let arguments = ["--key-file", "key", "--checkpoint", "a/kept", "export"];
    verify(folder.path(), &arguments).assert(0, "Intact");
    assert!(folder.path().join("a/kept").is_file());
    assert_eq!(kept(folder.path()), None);
}
