//! A service that answers from a log in memory.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use tlog::audit::{join_bundle, split_bundle};
use tlog::{ProofFile, TilePath, Tiles, split_hashes};

use super::log::TestLog;
use super::{holds, record_line, records};

pub const TOKEN: &str = "a-secret-token";

pub struct State {
    pub log: TestLog,
    /// Requests so far.
    pub paths: Vec<String>,
    /// Answers with these statuses before others.
    pub failures: Vec<u16>,
    /// Whether the proof says that the record is pending.
    pub is_pending: bool,
    /// Leaves that the list does not show.
    pub late: Vec<u64>,
    /// What the list says the database has, before it has all leaves; `None` for no number.
    pub sizes: Vec<Option<u64>>,
    /// What the log becomes after the list was read.
    pub then: Option<TestLog>,
}

pub struct Server {
    pub url: String,
    pub state: Arc<Mutex<State>>,
}

struct Answer(u16, String, Vec<u8>);

impl Server {
    pub fn start(log: TestLog) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            log,
            paths: Vec::new(),
            failures: Vec::new(),
            is_pending: false,
            late: Vec::new(),
            sizes: Vec::new(),
            then: None,
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = serve(&stream.unwrap(), &shared);
            }
        });
        Self { url, state }
    }

    pub fn count(&self, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .paths
            .iter()
            .filter(|path| path.contains(part))
            .count()
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut path = String::new();
    let mut is_admitted = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap().to_owned();
        }
        is_admitted |= line.to_lowercase() == format!("authorization: bearer {TOKEN}");
        if line.is_empty() {
            break;
        }
    }
    let mut state = state.lock().unwrap();
    let Answer(status, headers, body) = if !is_admitted {
        Answer(401, String::new(), Vec::new())
    } else if let Some(status) = state.failures.pop() {
        Answer(status, "retry-after: 0\r\n".to_owned(), Vec::new())
    } else {
        state.paths.push(path.clone());
        answer(&mut state, &path)
    };
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

fn answer(state: &mut State, path: &str) -> Answer {
    let ok = |body: Vec<u8>| Answer(200, String::new(), body);
    let none = Answer(404, String::new(), Vec::new());
    let log = &state.log;
    if path == "/log/v1/checkpoint" {
        return match log.checkpoint.as_str() {
            "" => none,
            note => ok(note.into()),
        };
    }
    if let Some(tile) = path.strip_prefix("/log/v1/tile/") {
        let path = TilePath::parse(tile).unwrap();
        let Some(bytes) = log.file(&path) else {
            return none;
        };
        let stored = super::path_of(path.level, path.index, log.size()).width;
        if stored == path.width {
            return ok(bytes.clone());
        }
        // As from a server that deletes partial tiles once they are full.
        if stored == 256 || path.width > stored {
            return none;
        }
        let width = path.width as usize;
        return ok(match path.level {
            Some(_) => bytes[..width * 32].to_vec(),
            None => {
                let entries = split_bundle(bytes).unwrap();
                join_bundle(entries.into_iter().take(width)).unwrap()
            }
        });
    }
    if path == "/api/v1/log" {
        return ok(b"{\"pending\": 2, \"size\": 0}".to_vec());
    }
    if path.starts_with("/api/v1/holds") {
        return ok(holds(log).into_bytes());
    }
    if path == "/api/v1/audit/records?limit=1" {
        let size = state.sizes.pop().unwrap_or(Some(log.size()));
        let mut page = json!({"data": [], "pagination": {"limit": 1, "has_more": false}});
        if let Some(size) = size {
            page["pagination"]["size"] = json!(size);
        }
        return ok(page.to_string().into_bytes());
    }
    if let Some(cursor) = path.strip_prefix("/api/v1/audit/records?limit=1000") {
        let begin: u64 = cursor
            .strip_prefix("&cursor=")
            .map_or(0, |cursor| cursor.parse().unwrap());
        let mut listed =
            records(log).filter(|one| one.index >= begin && !state.late.contains(&one.index));
        let page: Vec<_> = listed.by_ref().take(100).collect();
        let lines: String = page.iter().map(|one| record_line(one) + "\n").collect();
        let next = listed.next().map(|one| {
            format!(
                "link: </api/v1/audit/records?limit=1000&cursor={}>; rel=\"next\"\r\n",
                one.index
            )
        });
        drop(listed);
        if next.is_none()
            && let Some(then) = state.then.take()
        {
            state.log = then;
        }
        return Answer(200, next.unwrap_or_default(), lines.into_bytes());
    }
    let Some(id) = path.strip_prefix("/api/v1/audit/records/") else {
        return none;
    };
    let (id, is_proof) = match id.strip_suffix("/proof") {
        Some(id) => (id, true),
        None => (id, false),
    };
    let id: i64 = id.parse().unwrap();
    let Some(evidence) = records(log).find(|one| one.id == id) else {
        return none;
    };
    if !is_proof {
        return ok(record_line(evidence).into_bytes());
    }
    if state.is_pending {
        return Answer(202, "retry-after: 0\r\n".to_owned(), Vec::new());
    }
    let mut tiles = Tiles::default();
    for ((level, index), bytes) in &log.tiles {
        tiles.insert(*level, *index, split_hashes(bytes).unwrap());
    }
    let proof = ProofFile {
        entry: log.entries[evidence.index as usize].clone(),
        index: evidence.index,
        hashes: tiles.inclusion(evidence.index, log.size()).unwrap(),
        checkpoint: log.checkpoint.clone(),
    };
    ok(proof.to_string().into_bytes())
}
