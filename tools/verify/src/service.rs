//! Reads a service.

use std::collections::VecDeque;
use std::io::Write;

use serde::Deserialize;
use tlog::{HASH_BYTES, NOTE_BYTES_MAX, TILE_WIDTH, TilePath};

use crate::folder::cut;
use crate::http::{Answer, Client};
use crate::lag::{WAIT, wait_for};
use crate::source::{Line, Source};
use crate::unverifiable::{Result, Unverifiable};
use crate::wire::{hold_line, lines, record_line};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const RECORDS: &str = "/api/v1/audit/records?limit=1000";
const FIRST_RECORD: &str = "/api/v1/audit/records?limit=1";
const HOLDS: &str = "/api/v1/holds?limit=1000";

/// Most bytes of a page of records.
const PAGE_BYTES_MAX: usize = 2 << 30;

/// Most bytes of a bundle of entries.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (65_535 + 2);

/// A service.
pub struct Service {
    client: Client,
    /// Records that were read ahead, with the page of each.
    ahead: VecDeque<(u64, Line, String)>,
    /// Path and query of the next page of records.
    next: Option<String>,
    /// Index of the last record.
    last: Option<u64>,
}

#[derive(Deserialize)]
struct LogStatus {
    pending: u64,
}

#[derive(Deserialize)]
struct RecordsPage {
    pagination: Pagination,
}

#[derive(Deserialize)]
struct Pagination {
    /// Leaves that the answering database has.
    size: u64,
}

impl Service {
    /// Reads the service at `http(s)://HOST[:PORT]`.
    ///
    /// # Errors
    ///
    /// The URL is none.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        Ok(Self {
            client: Client::new(url, token)?,
            ahead: VecDeque::new(),
            next: Some(RECORDS.to_owned()),
            last: None,
        })
    }

    /// The page that has the next record.
    pub(crate) fn position(&self) -> Option<String> {
        let page = self.ahead.front().map(|(_, _, page)| page.clone());
        page.or_else(|| self.next.clone())
    }

    /// Goes to a page of [`Self::position`], or to the first.
    pub(crate) fn seek(&mut self, page: Option<String>) {
        self.ahead.clear();
        self.last = None;
        self.next = Some(page.unwrap_or_else(|| RECORDS.to_owned()));
    }

    /// A proof; the service says when to try again while the record is pending.
    pub(crate) fn proof(&self, id: i64) -> Result<Answer> {
        let path = format!("/api/v1/audit/records/{id}/proof");
        self.client.get(&path, "*/*", 4 * NOTE_BYTES_MAX)
    }

    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let answer = self.client.get(path, "*/*", limit)?;
        Ok((answer.status == 200).then_some(answer.body))
    }

    fn page(
        &self,
        path: &str,
        read: fn(&str, &str) -> Result<Line>,
    ) -> Result<(Vec<Line>, Option<String>)> {
        let answer = self.list(path, NDJSON)?;
        Ok((lines(path, &answer.body, read)?, answer.next))
    }

    fn list(&self, path: &str, accept: &str) -> Result<Answer> {
        let answer = self.client.get(path, accept, PAGE_BYTES_MAX)?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(Unverifiable::new(
            format!("{path} is not there (status {}).", answer.status),
            "Check that the target is a service of this version, with a log.",
        ))
    }

    /// Number of leaves that the database has which answers reads.
    fn readable(&self) -> Result<u64> {
        let answer = self.list(FIRST_RECORD, JSON)?;
        let page: RecordsPage = serde_json::from_slice(&answer.body)
            .map_err(|error| Unverifiable::malformed(FIRST_RECORD, error))?;
        Ok(page.pagination.size)
    }

    fn read_ahead(&mut self) -> Result<()> {
        let Some(page) = self.next.take() else {
            return Ok(());
        };
        let (lines, next) = self.page(&page, record_line)?;
        self.next = next.filter(|next| *next != page);
        for line in lines {
            let Some(index) = line.evidence.first().map(|evidence| evidence.index) else {
                continue;
            };
            if self.last.is_some_and(|last| last >= index) {
                let error = format!("leaf {index} does not follow the one before");
                return Err(Unverifiable::malformed(&page, error));
            }
            self.last = Some(index);
            self.ahead.push_back((index, line, page.clone()));
        }
        Ok(())
    }
}

impl Source for Service {
    fn checkpoint(&mut self) -> Result<String> {
        let path = "/log/v1/checkpoint";
        let bytes = self.read(path, NOTE_BYTES_MAX)?.ok_or_else(|| {
            Unverifiable::new(
                "The service has no log.",
                "Check the address; if it is right, the service has no log_signing_key: ask its operator to set one.",
            )
        })?;
        String::from_utf8(bytes).map_err(|error| Unverifiable::malformed(path, error))
    }

    fn wait_for(&mut self, size: u64, out: &mut dyn Write) -> Result<()> {
        wait_for(size, &WAIT, out, || self.readable())
    }

    fn tile(&mut self, path: TilePath) -> Result<Option<Vec<u8>>> {
        let limit = match path.level {
            Some(_) => TILE_WIDTH as usize * HASH_BYTES,
            None => BUNDLE_BYTES_MAX,
        };
        let bytes = self.read(&format!("/log/v1/tile/{path}"), limit)?;
        if bytes.is_some() || path.width == TILE_WIDTH {
            return Ok(bytes);
        }
        // The log has grown meanwhile, and a partial tile may leave for the full one.
        let full = TilePath {
            width: TILE_WIDTH,
            ..path
        };
        let bytes = self.read(&format!("/log/v1/tile/{full}"), limit)?;
        Ok(bytes.and_then(|bytes| cut(path, bytes)))
    }

    fn records(&mut self, _bundle: u64, end: u64) -> Result<Vec<Line>> {
        while self.next.is_some() && self.last.is_none_or(|last| last < end) {
            self.read_ahead()?;
        }
        let count = self
            .ahead
            .iter()
            .take_while(|(index, _, _)| *index < end)
            .count();
        Ok(self.ahead.drain(..count).map(|(_, line, _)| line).collect())
    }

    fn holds(&mut self) -> Result<Vec<Line>> {
        let mut holds = Vec::new();
        let mut next = Some(HOLDS.to_owned());
        while let Some(path) = next {
            let (lines, following) = self.page(&path, hold_line)?;
            holds.extend(lines);
            next = following.filter(|following| *following != path);
        }
        Ok(holds)
    }

    fn record(&mut self, id: i64) -> Result<Option<Line>> {
        let path = format!("/api/v1/audit/records/{id}");
        let answer = self.client.get(&path, JSON, PAGE_BYTES_MAX)?;
        if answer.status != 200 {
            return Ok(None);
        }
        // One line, in an export.
        let raw: Box<serde_json::value::RawValue> = serde_json::from_slice(&answer.body)
            .map_err(|error| Unverifiable::malformed(&path, error))?;
        record_line(&path, &raw.get().replace(['\n', '\r'], "")).map(Some)
    }

    fn pending(&mut self) -> Result<Option<u64>> {
        let path = "/api/v1/log";
        let Some(bytes) = self.read(path, NOTE_BYTES_MAX)? else {
            return Ok(None);
        };
        let status: LogStatus =
            serde_json::from_slice(&bytes).map_err(|error| Unverifiable::malformed(path, error))?;
        Ok(Some(status.pending))
    }

    fn is_living(&self) -> bool {
        true
    }
}
