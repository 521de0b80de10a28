//! A log as a folder and as a service.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

#[path = "../../../../src/tlog/tests/log/mod.rs"]
pub mod log;
pub mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use log::TestLog;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tlog::audit::{Body, Evidence};
use tlog::{Checkpoint, TILE_WIDTH, TilePath};

/// The log's public key.
pub fn key(log: &TestLog) -> String {
    log.signer.verifier().to_string()
}

/// The line of a record, whose content stays as it is.
pub fn record_line(evidence: &Evidence) -> String {
    let Body::Record {
        content,
        recorded_by,
        envelope,
    } = &evidence.body
    else {
        panic!("no record")
    };
    let record = RawValue::from_string(content.clone()).unwrap();
    let outer = json!({
        "id": evidence.id,
        "kind": evidence.kind,
        "incident_id": 3,
        "recorded_at": evidence.recorded_at,
        "recorded_by": recorded_by,
        "embedding": {"id": 1, "model": "local"},
        "log": {
            "index": evidence.index,
            "nonce": evidence.nonce,
            "envelope": envelope,
            "proof": format!("/api/v1/audit/records/{}/proof", evidence.id),
        },
    });
    let mut outer = outer.to_string();
    outer.pop();
    format!("{outer},\"record\":{record}}}")
}

fn hold_lines(log: &TestLog) -> Vec<String> {
    let mut holds: BTreeMap<i64, Value> = BTreeMap::new();
    for evidence in log.evidence.values() {
        let of_log = json!({"index": evidence.index, "nonce": evidence.nonce});
        match &evidence.body {
            Body::Hold { hold, recorded_by } => {
                let hold: Value = serde_json::from_str(hold).unwrap();
                let line = json!({
                    "id": evidence.id, "hold": hold, "recorded_at": evidence.recorded_at,
                    "recorded_by": recorded_by, "log": of_log, "release": null,
                });
                holds.insert(evidence.id, line);
            }
            Body::HoldRelease {
                reason,
                recorded_by,
            } => {
                holds.get_mut(&evidence.id).unwrap()["release"] = json!({
                    "reason": reason, "recorded_at": evidence.recorded_at,
                    "recorded_by": recorded_by, "log": of_log,
                });
            }
            Body::Record { .. } => {}
        }
    }
    holds.values().map(Value::to_string).collect()
}

pub fn records(log: &TestLog) -> impl Iterator<Item = &Evidence> {
    let is_record = |evidence: &&Evidence| matches!(evidence.body, Body::Record { .. });
    log.evidence.values().filter(is_record)
}

pub fn holds(log: &TestLog) -> String {
    hold_lines(log).join("\n") + "\n"
}

/// The path of a tile in a log of this size.
pub fn path_of(level: Option<u8>, index: u64, size: u64) -> TilePath {
    TilePath {
        level,
        index,
        width: tlog::tile_width(size, level.unwrap_or(0), index),
    }
}

/// Writes a log as `export` does.
pub fn write(log: &TestLog, folder: &Path) {
    let put = |path: String, bytes: &[u8]| {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    };
    for ((level, index), bytes) in &log.tiles {
        put(
            format!("tile/{}", path_of(Some(*level), *index, log.size())),
            bytes,
        );
    }
    for (index, bytes) in &log.bundles {
        put(format!("tile/{}", path_of(None, *index, log.size())), bytes);
        let lines: Vec<String> = records(log)
            .filter(|evidence| evidence.index / TILE_WIDTH == *index)
            .map(|evidence| record_line(evidence) + "\n")
            .collect();
        put(
            format!("records/{index:03}.ndjson"),
            lines.concat().as_bytes(),
        );
    }
    put("holds.ndjson".to_owned(), holds(log).as_bytes());
    put("checkpoint".to_owned(), log.checkpoint.as_bytes());
}

pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn assert(&self, status: i32, says: &str) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.status, status, "{all}");
        assert!(all.contains(says), "{says}\n{all}");
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `verify` in a folder.
pub fn verify(folder: &Path, arguments: &[&str]) -> Ran {
    run(env!("CARGO_BIN_EXE_verify"), folder, arguments)
}

/// Runs `export` in a folder.
pub fn export(folder: &Path, arguments: &[&str]) -> Ran {
    run(env!("CARGO_BIN_EXE_export"), folder, arguments)
}

fn run(program: &str, folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments);
    command.output().unwrap().into()
}

/// The checkpoint that was kept in a folder.
pub fn kept(folder: &Path) -> Option<Checkpoint> {
    let note = fs::read_to_string(folder.join("example.com-log.checkpoint")).ok()?;
    Some(Checkpoint::read_unverified(&note).unwrap())
}
