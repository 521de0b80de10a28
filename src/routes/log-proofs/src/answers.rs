//! What each path answers.

use incidents::ConsistencyQuery;
use records::Violation;
use store::FoundProof;
use tlog::to_base64;
use web::{Answer, ConsistencyProof, LogView, PendingProof, Problem, ProblemType, Request};

const TEXT: &str = "text/plain; charset=utf-8";

/// Rounds take place every second while records arrive.
const RETRY_AFTER_SECONDS: u32 = 1;

pub(crate) fn read_checkpoint(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let keys = web::require_log_keys()?;
    let database = web::writer_database()?;
    // A damaged log still shows what was signed last, so that the damage can be found.
    web::sign_if_intact(&database, &keys)?;
    let checkpoint = database.read_checkpoint()?.ok_or_else(web::no_checkpoint)?;
    Ok(Answer::text(TEXT, checkpoint.into_bytes()))
}

pub(crate) fn read_status(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let status = web::writer_database()?.read_log_status()?;
    Ok(Answer::ok(&LogView::from(status))?)
}

pub(crate) fn prove_consistency(request: &Request) -> Result<Answer, Problem> {
    let query = ConsistencyQuery::parse(request.query()).map_err(Problem::validation)?;
    let keys = web::require_log_keys()?;
    let database = web::writer_database()?;
    web::sign_if_intact(&database, &keys)?;
    let found = database.find_log_consistency(query.from)?;
    let (checkpoint, size, proof) = found.ok_or_else(web::no_checkpoint)?;
    let proof = proof.ok_or_else(|| {
        let message = format!("must be at most the size of the log, {size}");
        Problem::validation(Violation::new("from", "range", message))
    })?;
    Ok(Answer::ok(&ConsistencyProof {
        from: query.from,
        to: size,
        proof: proof.iter().map(|hash| to_base64(hash)).collect(),
        checkpoint,
    })?)
}

pub(crate) fn prove_inclusion(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let id = request.path().rsplit('/').nth(1).unwrap_or_default();
    let id = web::parse_id(id)?;
    let database = web::writer_database()?;
    let mut found = database.find_log_proof(id)?;
    if found == FoundProof::Pending {
        database.sign_log(&web::require_log_keys()?)?;
        found = database.find_log_proof(id)?;
    }
    match found {
        FoundProof::Included(proof) => Ok(Answer::text(TEXT, proof.to_string().into_bytes())),
        FoundProof::Pending => Ok(Answer::not_ready(
            &PendingProof::default(),
            RETRY_AFTER_SECONDS,
        )?),
        FoundProof::Unknown => Err(Problem::new(
            ProblemType::NotFound,
            format!("the log has no record or hold {id}"),
        )),
    }
}
