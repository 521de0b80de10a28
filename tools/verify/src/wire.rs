//! Lines of records and holds.

use serde::Deserialize;
use serde_json::value::RawValue;
use tlog::Envelope;
use tlog::audit::{Body, Evidence};

use crate::source::Line;
use crate::unverifiable::{Result, Unverifiable};

#[derive(Deserialize)]
struct RecordLine<'a> {
    id: i64,
    kind: String,
    recorded_at: String,
    recorded_by: Option<String>,
    #[serde(borrow)]
    record: &'a RawValue,
    log: Option<RecordLog>,
}

#[derive(Deserialize)]
struct RecordLog {
    index: Option<u64>,
    nonce: String,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct HoldLine<'a> {
    id: i64,
    recorded_at: String,
    recorded_by: Option<String>,
    #[serde(borrow)]
    hold: &'a RawValue,
    log: Option<HoldLog>,
    release: Option<Release>,
}

#[derive(Deserialize)]
struct Release {
    reason: String,
    recorded_at: String,
    recorded_by: Option<String>,
    log: Option<HoldLog>,
}

#[derive(Deserialize)]
struct HoldLog {
    index: Option<u64>,
    nonce: String,
}

/// Reads the line of a record. Without a leaf it says nothing.
pub(crate) fn record_line(path: &str, text: &str) -> Result<Line> {
    let line: RecordLine<'_> =
        serde_json::from_str(text).map_err(|error| Unverifiable::malformed(path, error))?;
    let of_log = |log: RecordLog| {
        Some(Evidence {
            index: log.index?,
            id: line.id,
            kind: line.kind,
            recorded_at: line.recorded_at,
            nonce: log.nonce,
            body: Body::Record {
                content: line.record.get().to_owned(),
                recorded_by: line.recorded_by,
                envelope: log.envelope,
            },
        })
    };
    Ok(Line {
        text: text.to_owned(),
        evidence: line.log.and_then(of_log).into_iter().collect(),
    })
}

/// Reads the line of a hold.
pub(crate) fn hold_line(path: &str, text: &str) -> Result<Line> {
    let line: HoldLine<'_> =
        serde_json::from_str(text).map_err(|error| Unverifiable::malformed(path, error))?;
    let id = line.id;
    let evidence = |log: Option<HoldLog>, kind: &str, recorded_at, body| {
        let log = log?;
        Some(Evidence {
            index: log.index?,
            id,
            kind: kind.to_owned(),
            recorded_at,
            nonce: log.nonce,
            body,
        })
    };
    let hold = Body::Hold {
        hold: line.hold.get().to_owned(),
        recorded_by: line.recorded_by,
    };
    let hold = evidence(line.log, "hold", line.recorded_at, hold);
    let release = line.release.and_then(|release| {
        let body = Body::HoldRelease {
            reason: release.reason,
            recorded_by: release.recorded_by,
        };
        evidence(release.log, "hold_release", release.recorded_at, body)
    });
    Ok(Line {
        text: text.to_owned(),
        evidence: hold.into_iter().chain(release).collect(),
    })
}

/// Reads lines.
pub(crate) fn lines(
    path: &str,
    bytes: &[u8],
    read: fn(&str, &str) -> Result<Line>,
) -> Result<Vec<Line>> {
    let text = std::str::from_utf8(bytes).map_err(|error| Unverifiable::malformed(path, error))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| read(path, line))
        .collect()
}

/// Writes lines.
pub(crate) fn join_lines(lines: &[Line]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line.text.as_bytes(), b"\n"])
        .flatten()
        .copied()
        .collect()
}
