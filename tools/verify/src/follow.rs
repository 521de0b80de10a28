//! What a service changes while it is read: records leave, and replicas lag behind.

use std::thread::sleep;
use std::time::Instant;

use tlog::audit::{Absent, Audit};
use tlog::{TILE_WIDTH, TilePath, tile_width};

use crate::key::LogKey;
use crate::run::{LAG_MAX, LAG_PAUSE};
use crate::source::{Line, Source};
use crate::unverifiable::Result;

/// Absent leaves that are asked for once more.
const ABSENT_MAX: usize = 1000;

/// Looks for what is absent: in later retention entries, then by asking once more. Returns whether
/// a later checkpoint was followed.
pub(crate) fn settle(source: &mut dyn Source, audit: &mut Audit, key: &LogKey) -> Result<bool> {
    let begun = Instant::now();
    let mut has_followed = false;
    while audit.absent(1).1 > 0 {
        has_followed |= follow(source, audit, key)?;
        ask(source, audit)?;
        if audit.absent(1).1 == 0 || begun.elapsed() >= LAG_MAX {
            break;
        }
        sleep(LAG_PAUSE);
    }
    Ok(has_followed)
}

/// Follows the log to its present checkpoint.
fn follow(source: &mut dyn Source, audit: &mut Audit, key: &LogKey) -> Result<bool> {
    let checkpoint = key.open(&source.checkpoint()?)?;
    let begin = audit.followed();
    if checkpoint.size <= begin {
        return Ok(false);
    }
    let mut bundles = Vec::new();
    for index in begin / TILE_WIDTH..checkpoint.size.div_ceil(TILE_WIDTH) {
        let path = TilePath {
            level: None,
            index,
            width: tile_width(checkpoint.size, 0, index),
        };
        let Some(bundle) = source.tile(path)? else {
            return Ok(false);
        };
        bundles.push(bundle);
    }
    Ok(audit.follow(&checkpoint, &bundles))
}

/// Asks once more for what is absent.
fn ask(source: &mut dyn Source, audit: &mut Audit) -> Result<()> {
    let (absent, _) = audit.absent(ABSENT_MAX);
    let mut holds = None;
    for absent in absent {
        let line = if absent.kind.starts_with("hold") {
            if holds.is_none() {
                holds = Some(source.holds()?);
            }
            find(holds.as_deref().unwrap_or_default(), &absent)
        } else {
            source.record(absent.id)?
        };
        let Some(line) = line else { continue };
        let evidence = line.evidence.iter().find(|one| one.index == absent.index);
        let Some(evidence) = evidence else { continue };
        let path = audit.bundle_path(absent.index / TILE_WIDTH);
        if let Some(entries) = source.tile(path)?
            && audit.found(&entries, evidence)
            && !absent.kind.starts_with("hold")
        {
            source.keep_late(&line)?;
        }
    }
    Ok(())
}

fn find(holds: &[Line], absent: &Absent) -> Option<Line> {
    let has_leaf = |line: &&Line| line.evidence.iter().any(|one| one.index == absent.index);
    holds.iter().find(has_leaf).cloned()
}
