//! The tamper-evident log: receipts, checkpoints, tiles, proofs, rounds.

mod http;
mod leaving;
mod rounds;
mod verifying;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Answer, LOG_KEY, TestApp, remediation};
use serde_json::Value;
use tlog::{Checkpoint, Hash, TilePath, VerifierKey, hash_leaf, split_hashes};

/// The public key of every service under test.
pub(crate) fn key() -> VerifierKey {
    VerifierKey::parse(LOG_KEY).unwrap()
}

/// Reads the checkpoint, which covers everything that was answered before, and checks its signature.
pub(crate) async fn checkpoint(app: &TestApp) -> Checkpoint {
    let answer = app.get("/log/v1/checkpoint").await.expect(200);
    Checkpoint::open(&answer.text, &key()).unwrap()
}

/// Stores a new remediation record and returns its id.
pub(crate) async fn store(app: &TestApp) -> i64 {
    id_of(&app.post_remediation(&remediation()).await.expect(201))
}

/// The id in a write's response.
pub(crate) fn id_of(stored: &Answer) -> i64 {
    stored.json()["id"].as_i64().unwrap()
}

/// Reads bytes, which are no text.
pub(crate) async fn bytes(app: &TestApp, path: &str) -> Vec<u8> {
    let response = reqwest::get(format!("{}{path}", app.url)).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.bytes().await.unwrap().to_vec()
}

/// Reads all entries of a log of this size.
pub(crate) async fn entries(app: &TestApp, size: u64) -> Vec<String> {
    let mut entries = Vec::new();
    for index in 0..size.div_ceil(256) {
        let width = (size - index * 256).min(256);
        let path = TilePath {
            level: None,
            index,
            width,
        };
        let bundle = bytes(app, &format!("/log/v1/tile/{path}")).await;
        let mut rest = bundle.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let (entry, tail) = tail.split_at(u16::from_be_bytes(*length).into());
            entries.push(String::from_utf8(entry.to_vec()).unwrap());
            rest = tail;
        }
    }
    assert_eq!(entries.len() as u64, size);
    entries
}

/// Asserts that the log is one tree over these entries: its root and its tiles follow from them, and
/// the entries are those of all stored records and holds, each once.
pub(crate) async fn assert_whole(app: &TestApp) -> Vec<String> {
    let checkpoint = checkpoint(app).await;
    let entries = entries(app, checkpoint.size).await;
    let mut edge = tlog::Edge::empty();
    for entry in &entries {
        edge.push(hash_leaf(entry.as_bytes()));
    }
    assert_eq!(edge.root(), checkpoint.root);
    for tile in edge.take_tiles() {
        let path = TilePath {
            level: Some(tile.level),
            index: tile.index,
            width: tile.hashes.len() as u64,
        };
        let stored = bytes(app, &format!("/log/v1/tile/{path}")).await;
        assert_eq!(split_hashes(&stored).unwrap(), tile.hashes, "{path}");
    }
    let mut in_log = ids(&entries);
    in_log.sort_unstable();
    let rows = app
        .database
        .connect()
        .await
        .query("SELECT id FROM audit_records ORDER BY id", &[])
        .await
        .unwrap();
    let stored: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(in_log, stored, "every record has one leaf");
    entries
}

/// Ids of the records in the log, in its order.
pub(crate) fn ids(entries: &[String]) -> Vec<i64> {
    let entries = entries
        .iter()
        .map(|entry| -> Value { serde_json::from_str(entry).unwrap() });
    entries
        .filter(|entry| e2e::KINDS.iter().any(|kind| entry["kind"] == *kind))
        .map(|entry| entry["id"].as_i64().unwrap())
        .collect()
}

/// Reads a hash in base64.
pub(crate) fn hash(value: &Value) -> Hash {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    bytes.try_into().unwrap()
}
