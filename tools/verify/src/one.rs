//! Verifies one record by its proof.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use tlog::audit::{Verdict, check_evidence};
use tlog::{Entry, ProofFile};

use crate::key::LogKey;
use crate::run::say;
use crate::service::Service;
use crate::source::Source as _;
use crate::unverifiable::{Result, Unverifiable};

/// How often a pending record's proof is asked for.
const TRIES: u32 = 5;

/// Verifies one record of a service by its proof.
///
/// # Errors
///
/// The record or its proof cannot be read.
pub fn verify_record(
    service: &mut Service,
    id: i64,
    key: &LogKey,
    out: &mut dyn Write,
) -> Result<Verdict> {
    let proof = read_proof(service, id)?;
    let checkpoint = key.open(&proof.checkpoint)?;
    say(
        out,
        &format!(
            "Record {id} in log {}: leaf {} of {}",
            checkpoint.origin, proof.index, checkpoint.size
        ),
    )?;
    let checked = check(service, id, key, &proof)?;
    match checked {
        Ok(kind) => {
            say(
                out,
                &format!("{kind} {id} is in the log as it was stored\nIntact"),
            )?;
            Ok(Verdict::Intact)
        }
        Err(what) => {
            say(
                out,
                &format!("altered: {what}, leaf {}\nTampered", proof.index),
            )?;
            Ok(Verdict::Tampered)
        }
    }
}

/// Checks a record against its proof; returns its kind, or what was altered.
fn check(
    service: &mut Service,
    id: i64,
    key: &LogKey,
    proof: &ProofFile,
) -> Result<std::result::Result<String, String>> {
    if let Err(error) = proof.verify(key.verifier()) {
        return Ok(Err(error.to_string()));
    }
    let entry = std::str::from_utf8(&proof.entry)
        .ok()
        .and_then(Entry::parse);
    let Some(Entry::Stored(entry)) = entry else {
        return Ok(Err("the entry, which is none of a record".to_owned()));
    };
    if entry.month.is_none() {
        return Err(Unverifiable::new(
            format!("{id} is the id of a hold or of its release."),
            "Verify the whole log: it checks holds too.",
        ));
    }
    if entry.id != id {
        return Ok(Err(format!("the proof, which is of record {}", entry.id)));
    }
    let line = service.record(id)?.ok_or_else(|| {
        Unverifiable::new(
            format!("Record {id} is gone."),
            "Verify the whole log: it tells whether retention removed the record.",
        )
    })?;
    let Some(evidence) = line.evidence.first() else {
        return Ok(Err("the record, which names no leaf".to_owned()));
    };
    if evidence.index != proof.index {
        return Ok(Err(format!(
            "the index, which the record says is {}",
            evidence.index
        )));
    }
    Ok(check_evidence(&entry, evidence)
        .map(|()| entry.kind.clone())
        .map_err(|what| format!("{what} of {} {id}", entry.kind)))
}

fn read_proof(service: &Service, id: i64) -> Result<ProofFile> {
    for _ in 0..TRIES {
        let answer = service.proof(id)?;
        match answer.status {
            200 => {
                let path = format!("the proof of record {id}");
                let text = String::from_utf8(answer.body)
                    .map_err(|error| Unverifiable::malformed(&path, error))?;
                return ProofFile::parse(&text)
                    .ok_or_else(|| Unverifiable::malformed(&path, "it has another form"));
            }
            202 => sleep(Duration::from_secs(answer.retry_after.unwrap_or(1).min(10))),
            _ => {
                return Err(Unverifiable::new(
                    format!("There is no proof of record {id}."),
                    "Check the id; if it is right, verify the whole log: it tells whether retention removed the record.",
                ));
            }
        }
    }
    Err(Unverifiable::new(
        format!("Record {id} is pending: it is stored, but not yet in the log."),
        "Try again in a few seconds.",
    ))
}
