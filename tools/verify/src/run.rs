//! Checks everything.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tlog::audit::{Audit, Evidence, Report, Verdict};
use tlog::{Checkpoint, TILE_WIDTH};

use crate::follow::settle;
use crate::kept::Kept;
use crate::key::LogKey;
use crate::progress::Progress;
use crate::source::Source;
use crate::unverifiable::{Result, Unverifiable};

/// How long a replica of the database may lag behind.
pub(crate) const LAG_MAX: Duration = Duration::from_secs(10);
pub(crate) const LAG_PAUSE: Duration = Duration::from_secs(1);

/// What a check gave.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// The signed checkpoint that was checked.
    pub note: String,
    /// Whether a later checkpoint was needed to account for records that left meanwhile.
    pub has_followed: bool,
}

/// Checks a log and all records of it, prints what it finds, and keeps the checkpoint if all is
/// intact.
///
/// # Errors
///
/// The log cannot be read, or is not the key's.
pub fn verify(
    source: &mut dyn Source,
    key: &LogKey,
    kept: &Kept,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let kept_checkpoint = kept.read(key.verifier())?;
    let (note, checkpoint) = read_checkpoint(source, key, kept_checkpoint.as_ref())?;
    let origin_key = key.verifier().named(&checkpoint.origin);
    say(
        out,
        &format!(
            "Log {}\nKey under this origin: {origin_key}\nChecking {} leaves, their tiles and what is stored for them",
            checkpoint.origin, checkpoint.size
        ),
    )?;
    match &kept_checkpoint {
        Some(kept_checkpoint) => say(
            out,
            &format!(
                "Comparing with the checkpoint of {} leaves in {}",
                kept_checkpoint.size,
                kept.file().display()
            ),
        )?,
        None => say(
            out,
            &format!(
                "This is the first check with {}: whether the log was rolled back before cannot be told. An intact check begins to keep its checkpoint there.",
                kept.file().display()
            ),
        )?,
    }
    let mut progress = Progress::begin();
    let mut audit = Audit::new(checkpoint, key.verifier().clone(), kept_checkpoint);
    let size = audit.followed();
    source.wait_for(size, out)?;
    feed(source, &mut audit, &mut progress)?;
    let has_followed = source.is_living() && settle(source, &mut audit, key)?;
    let report = audit.finish(source.pending()?);
    let outcome = Outcome {
        report,
        note,
        has_followed,
    };
    print(&outcome.report, size, &progress, out)?;
    if outcome.report.verdict() == Verdict::Intact {
        kept.write(&outcome.note)?;
    }
    Ok(outcome)
}

/// Reads the checkpoint, again while a replica may lag behind the kept one.
fn read_checkpoint(
    source: &mut dyn Source,
    key: &LogKey,
    kept: Option<&Checkpoint>,
) -> Result<(String, Checkpoint)> {
    let begun = Instant::now();
    loop {
        let note = source.checkpoint()?;
        let checkpoint = key.open(&note)?;
        let is_behind = kept
            .is_some_and(|kept| kept.origin == checkpoint.origin && kept.size > checkpoint.size);
        if !is_behind || !source.is_living() || begun.elapsed() >= LAG_MAX {
            return Ok((note, checkpoint));
        }
        sleep(LAG_PAUSE);
    }
}

fn feed(source: &mut dyn Source, audit: &mut Audit, progress: &mut Progress) -> Result<()> {
    for path in audit.upper_tiles() {
        let bytes = source.tile(path)?;
        audit.tile(path, bytes.as_deref());
    }
    let mut holds: BTreeMap<u64, Vec<Evidence>> = BTreeMap::new();
    for evidence in source.holds()?.into_iter().flat_map(|line| line.evidence) {
        holds.entry(evidence.index).or_default().push(evidence);
    }
    let size = audit.followed();
    for index in 0..audit.bundles() {
        let end = ((index + 1) * TILE_WIDTH).min(size);
        let entries = source.tile(audit.bundle_path(index))?;
        let tile = source.tile(audit.tile_path(index))?;
        let mut evidence: Vec<Evidence> = source
            .records(index, end)?
            .into_iter()
            .flat_map(|line| line.evidence)
            .collect();
        let later = holds.split_off(&end);
        evidence.extend(std::mem::replace(&mut holds, later).into_values().flatten());
        audit.bundle(index, entries.as_deref(), tile.as_deref(), &evidence);
        progress.show(end, size);
    }
    Ok(())
}

fn print(report: &Report, size: u64, progress: &Progress, out: &mut dyn Write) -> Result<()> {
    for finding in report.findings.kept() {
        say(out, &finding.to_string())?;
    }
    let more = report.findings.total() - report.findings.kept().len() as u64;
    if more > 0 {
        say(out, &format!("and {more} more findings"))?;
    }
    for removal in &report.removals {
        say(out, &removal.to_string())?;
    }
    let pending = match report.pending {
        Some(pending) => format!(", {pending} pending"),
        None => String::new(),
    };
    let unchecked = match report.unchecked {
        0 => String::new(),
        unchecked => format!(", {unchecked} unchecked"),
    };
    say(
        out,
        &format!(
            "{} leaves in {:.1} s ({:.0} per second): {} records and {} holds intact, {} removed by retention, {} missing{unchecked}{pending}",
            report.leaves,
            progress.seconds(),
            progress.rate(size),
            report.records,
            report.holds,
            report.removed,
            report.missing,
        ),
    )?;
    say(
        out,
        &match report.verdict() {
            Verdict::Intact => "Intact".to_owned(),
            Verdict::Tampered => format!(
                "Tampered: {} findings. The kept checkpoint was not replaced.",
                report.findings.total()
            ),
        },
    )
}

/// Prints lines.
pub(crate) fn say(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}").map_err(|error| {
        Unverifiable::new(
            format!("The report cannot be printed: {error}."),
            "Check where the output goes.",
        )
    })
}
