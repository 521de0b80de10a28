//! A log in memory, with what is stored for its leaves.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tlog::audit::{Audit, Body, Evidence, Report, join_bundle};
use tlog::{
    Checkpoint, Edge, Entry, Envelope, NONCE_BYTES, Nonce, OriginEntry, OriginKind,
    PreviousCheckpoint, RetentionEntry, RetentionKind, SignerKey, StoredEntry, TILE_WIDTH,
    TilePath, commitment, digest_ids, entry_hash, hash_leaf, to_base64,
};

pub const NAME: &str = "example.com/log";
const TIME: &str = "2025-11-02T10:00:00.000000Z";
const RETENTION_MONTHS: u32 = 12;

pub struct TestLog {
    pub signer: SignerKey,
    pub origin: String,
    pub entries: Vec<Vec<u8>>,
    /// By leaf.
    pub evidence: BTreeMap<u64, Evidence>,
    pub bundles: BTreeMap<u64, Vec<u8>>,
    pub tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub checkpoint: String,
    /// When the next entry is recorded.
    pub time: String,
    months: BTreeMap<(String, String), Vec<i64>>,
    leaves_of_month: BTreeMap<(String, String), Vec<u64>>,
}

impl TestLog {
    pub fn new() -> Self {
        Self {
            signer: SignerKey::from_seed(NAME, &[7; 32]),
            origin: format!("{NAME}/1-1-1-00000001"),
            entries: Vec::new(),
            evidence: BTreeMap::new(),
            bundles: BTreeMap::new(),
            tiles: BTreeMap::new(),
            checkpoint: String::new(),
            time: TIME.to_owned(),
            months: BTreeMap::new(),
            leaves_of_month: BTreeMap::new(),
        }
    }

    /// A log of records.
    pub fn of_records(records: i64) -> Self {
        let mut log = Self::new();
        for id in 1..=records {
            log.record(id, "remediation", "2025-11");
        }
        log.sign();
        log
    }

    /// A log with everything: records of two months and kinds, holds, a retention, two origins.
    pub fn of_everything() -> Self {
        let mut log = Self::new();
        for id in 1..=300 {
            let kind = ["remediation", "workflow", "execution"][id as usize % 3];
            log.record(id, kind, ["2025-10", "2025-11"][id as usize / 2 % 2]);
        }
        log.hold(1);
        log.retention("workflow", "2025-10");
        log.sign();
        log.restart("2-1-1-00000002");
        for id in 301..=400 {
            log.record(id, "workflow", "2025-10");
        }
        log.release(1);
        log.hold(2);
        log.retention("workflow", "2025-10");
        log.retention("execution", "2025-10");
        for id in 401..=700 {
            log.record(id, "aianalysis", "2025-12");
        }
        log.sign();
        log
    }

    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn nonce(&self) -> Nonce {
        let hash = Sha256::digest(self.size().to_be_bytes());
        hash[..NONCE_BYTES].try_into().unwrap()
    }

    pub fn push(&mut self, entry: &Entry) {
        self.entries.push(entry.to_text().unwrap().into_bytes());
    }

    pub fn record(&mut self, id: i64, kind: &str, month: &str) {
        let nonce = self.nonce();
        let content = json!({
            "correlationId": format!("req-{id}"),
            "createdAt": format!("{month}-01T12:00:00.1234567+02:00"),
            "message": "it is \u{fc}",
        });
        let content = serde_json::to_string(&content).unwrap();
        let envelope = Envelope {
            cluster: "eu-1".to_owned(),
            content_hash: entry_hash(&Sha256::digest(&content).into()),
            correlation_id: format!("req-{id}"),
            created_at: format!("{month}-01T10:00:00.123456Z"),
            recorded_by: (id % 2 == 0).then(|| "controller".to_owned()),
        };
        let key = (kind.to_owned(), month.to_owned());
        self.months.entry(key.clone()).or_default().push(id);
        let leaf = self.size();
        self.leaves_of_month.entry(key).or_default().push(leaf);
        let entry = StoredEntry {
            commitment: entry_hash(&envelope.commitment(&nonce).unwrap()),
            id,
            kind: kind.to_owned(),
            month: Some(month.to_owned()),
            recorded_at: self.time.clone(),
            version: 1,
        };
        let recorded_by = envelope.recorded_by.clone();
        self.store(
            entry,
            nonce,
            Body::Record {
                content,
                recorded_by,
                envelope,
            },
        );
    }

    pub fn hold(&mut self, id: i64) {
        let nonce = self.nonce();
        let hold = json!({"name": format!("case {id}"), "months": ["2025-11"]});
        let envelope = json!({"hold": hold, "recorded_by": null});
        let body = Body::Hold {
            hold: hold.to_string(),
            recorded_by: None,
        };
        self.store(self.hold_entry(id, "hold", &nonce, &envelope), nonce, body);
    }

    pub fn release(&mut self, id: i64) {
        let nonce = self.nonce();
        let envelope = json!({"reason": "closed", "recorded_by": "auditor"});
        let body = Body::HoldRelease {
            reason: "closed".to_owned(),
            recorded_by: Some("auditor".to_owned()),
        };
        let entry = self.hold_entry(id, "hold_release", &nonce, &envelope);
        self.store(entry, nonce, body);
    }

    fn hold_entry(&self, id: i64, kind: &str, nonce: &Nonce, envelope: &Value) -> StoredEntry {
        let envelope = serde_json_canonicalizer::to_vec(envelope).unwrap();
        StoredEntry {
            commitment: entry_hash(&commitment(nonce, &envelope)),
            id,
            kind: kind.to_owned(),
            month: None,
            recorded_at: self.time.clone(),
            version: 1,
        }
    }

    fn store(&mut self, entry: StoredEntry, nonce: Nonce, body: Body) {
        let index = self.size();
        self.evidence.insert(
            index,
            Evidence {
                index,
                id: entry.id,
                kind: entry.kind.clone(),
                recorded_at: entry.recorded_at.clone(),
                nonce: to_base64(&nonce),
                body,
            },
        );
        self.push(&Entry::Stored(entry));
    }

    /// Removes a month, with its records, as soon as it has to leave.
    pub fn retention(&mut self, kind: &str, month: &str) {
        let key = (kind.to_owned(), month.to_owned());
        let mut ids = self.months.remove(&key).unwrap_or_default();
        ids.sort_unstable();
        for leaf in self.leaves_of_month.remove(&key).unwrap_or_default() {
            self.evidence.remove(&leaf);
        }
        let (year, number) = month.split_once('-').unwrap();
        let months = year.parse::<u32>().unwrap() * 12 + number.parse::<u32>().unwrap();
        let leaves_in = months + RETENTION_MONTHS;
        let (year, number) = (leaves_in / 12, leaves_in % 12 + 1);
        self.time = format!("{year}-{number:02}-01T00:00:00.000000Z").max(self.time.clone());
        self.push(&Entry::Retention(RetentionEntry {
            digest: entry_hash(&digest_ids(ids.iter().copied())),
            kind: RetentionKind::Retention,
            month: month.to_owned(),
            policy: format!("retention_months={RETENTION_MONTHS}"),
            record_kind: kind.to_owned(),
            recorded_at: self.time.clone(),
            recorded_by: "maintenance".to_owned(),
            records: ids.len() as u64,
            version: 1,
        }));
    }

    /// Goes on under another incarnation, after the signed checkpoint.
    pub fn restart(&mut self, incarnation: &str) {
        let previous = self.opened();
        self.origin = format!("{NAME}/{incarnation}");
        self.push(&Entry::Origin(OriginEntry {
            key: self.signer.verifier().named(&self.origin).to_string(),
            kind: OriginKind::Origin,
            origin: self.origin.clone(),
            previous: PreviousCheckpoint {
                origin: previous.origin,
                root: entry_hash(&previous.root),
                size: previous.size,
            },
            recorded_at: self.time.clone(),
            version: 1,
        }));
    }

    /// Writes bundles and tiles, and signs a checkpoint.
    pub fn sign(&mut self) {
        let mut edge = Edge::empty();
        for entry in &self.entries {
            edge.push(hash_leaf(entry));
        }
        self.tiles = edge
            .take_tiles()
            .into_iter()
            .map(|tile| ((tile.level, tile.index), tile.hashes.concat()))
            .collect();
        self.write_bundles();
        self.checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: edge.size(),
            root: edge.root(),
        }
        .sign(&self.signer);
    }

    /// Writes the bundles alone, as one does who changed entries.
    pub fn write_bundles(&mut self) {
        let chunks = self.entries.chunks(TILE_WIDTH as usize);
        self.bundles = (0..)
            .zip(chunks.map(|chunk| join_bundle(chunk.iter().map(Vec::as_slice)).unwrap()))
            .collect();
    }

    pub fn opened(&self) -> Checkpoint {
        Checkpoint::open(&self.checkpoint, &self.signer.verifier()).unwrap()
    }

    /// Changes the text of an entry.
    pub fn change(&mut self, leaf: usize, from: &str, to: &str) {
        let text = String::from_utf8(self.entries[leaf].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        self.entries[leaf] = text.replace(from, to).into_bytes();
    }

    pub fn evidence_of(&mut self, leaf: u64) -> &mut Evidence {
        self.evidence.get_mut(&leaf).unwrap()
    }

    /// The stored bytes of a tile or bundle.
    pub fn file(&self, path: &TilePath) -> Option<&Vec<u8>> {
        match path.level {
            Some(level) => self.tiles.get(&(level, path.index)),
            None => self.bundles.get(&path.index),
        }
    }

    pub fn fed(&self, kept: Option<Checkpoint>) -> Audit {
        let mut audit = Audit::new(self.opened(), self.signer.verifier(), kept);
        for path in audit.upper_tiles() {
            audit.tile(path, self.file(&path).map(Vec::as_slice));
        }
        for index in 0..audit.bundles() {
            let evidence: Vec<Evidence> = self
                .evidence
                .range(index * TILE_WIDTH..(index + 1) * TILE_WIDTH)
                .map(|(_, evidence)| evidence.clone())
                .collect();
            audit.bundle(
                index,
                self.bundles.get(&index).map(Vec::as_slice),
                self.tiles.get(&(0, index)).map(Vec::as_slice),
                &evidence,
            );
        }
        audit
    }

    pub fn audit(&self, kept: Option<Checkpoint>) -> Report {
        self.fed(kept).finish(None)
    }
}
